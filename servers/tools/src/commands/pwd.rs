//! `pwd`: the current directory.

use libsys::io::Write;
use libsys::{ExitStatus, fs};
use tools::{About, Arguments, Options};

const HELP: &str = "usage: pwd
Shows the current directory: absolute, without links.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        Options::parse("LP", arguments)?.expect(0, 0)?;
        writeln!(out, "{}", fs::current_directory().about("the current directory")?)?;
        Ok(ExitStatus::SUCCESS)
    })
}
