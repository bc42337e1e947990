//! `false`: fails, whatever its arguments.

use libsys::ExitStatus;
use tools::Arguments;

const HELP: &str = "usage: false
Does nothing, unsuccessfully.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::constant(arguments, HELP, ExitStatus::FAILURE)
}
