//! `echo`: writes its arguments.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::ExitStatus;
use libsys::io::Write;

const HELP: &str = "usage: echo [-n] [WORD]…
Writes the words, with blanks between them and a newline behind.
  -n  no newline
";

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, out| {
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

libsys::main!(run);
