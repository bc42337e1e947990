//! `tools`: the commands of `/bin`, in one program (a multi-call binary): its name, as it was called, says which of them it is.
//!
//! One program of them all has what they share (formatting, files, the heap) once, in the boot archive and in memory.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod commands;

use libsys::io::Write;
use libsys::{ExitStatus, env, path};
use tools::{Arguments, Failure};

const HELP: &str = "usage: tools [COMMAND [ARGUMENT]…]
Runs a command; without one, lists them. Under the name of a command it is that command.
";

fn run() -> ExitStatus {
    let arguments = env::arguments();
    let name = arguments.first().map_or("", |name| path::file_name(name).unwrap_or(name));
    match commands::find(name) {
        Some(command) => command(arguments),
        None => run_named(arguments),
    }
}

/// Under a name that is no command's, the first argument names it.
fn run_named(arguments: &Arguments) -> ExitStatus {
    if let Some((rest, command)) = arguments.get(1..).and_then(|rest| Some((rest, commands::find(rest.first()?)?))) {
        return command(rest);
    }
    tools::run(arguments, HELP, |arguments, out| match arguments.first() {
        Some(word) => Err(Failure::Usage(alloc::format!("there is no command `{word}`"))),
        None => {
            for (name, _) in commands::ALL {
                writeln!(out, "{name}")?;
            }
            Ok(ExitStatus::SUCCESS)
        }
    })
}

libsys::main!(run);
