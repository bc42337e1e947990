//! `yes`: writes a line again and again.

use libsys::ExitStatus;
use libsys::io::Write;
use tools::Arguments;

const HELP: &str = "usage: yes [WORD]…
Writes the words, or `y`, a line each time, until nobody reads it any more.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let line = if arguments.is_empty() { "y".into() } else { arguments.join(" ") };
        loop {
            writeln!(out, "{line}")?;
        }
    })
}
