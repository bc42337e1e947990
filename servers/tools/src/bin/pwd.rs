//! `pwd`: the current directory.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::io::Write;
use libsys::{ExitStatus, fs};
use tools::{About, Options};

const HELP: &str = "usage: pwd
Shows the current directory: absolute, without links.
";

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, out| {
        Options::parse("LP", arguments)?.expect(0, 0)?;
        writeln!(out, "{}", fs::current_directory().about("the current directory")?)?;
        Ok(ExitStatus::SUCCESS)
    })
}

libsys::main!(run);
