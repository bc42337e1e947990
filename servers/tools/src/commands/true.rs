//! `true`: succeeds, whatever its arguments.

use libsys::ExitStatus;
use tools::Arguments;

const HELP: &str = "usage: true
Does nothing, successfully.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::constant(arguments, HELP, ExitStatus::SUCCESS)
}
