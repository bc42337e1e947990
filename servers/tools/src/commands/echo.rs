//! `echo`: writes its arguments.

use libsys::ExitStatus;
use libsys::io::Write;
use tools::Arguments;

const HELP: &str = "usage: echo [-n] [WORD]…
Writes the words, with blanks between them and a newline behind.
  -n  no newline
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let (words, end) = match arguments.split_first() {
            Some((first, rest)) if first == "-n" => (rest, ""),
            _ => (arguments, "\n"),
        };
        let mut blank = "";
        for word in words {
            write!(out, "{blank}{word}")?;
            blank = " ";
        }
        out.write_all(end.as_bytes())?;
        Ok(ExitStatus::SUCCESS)
    })
}
