//! `cd`: the current directory.

use super::{Arguments, Command, Outcome, Topic};
use crate::failure::Failure;
use crate::shell::Shell;
use alloc::format;
use libsys::fs;

/// Where `cd` without a directory goes, if it is there.
const HOME: &str = "HOME";

pub(super) static CD: Command = Command {
    name: "cd",
    usage: "[DIRECTORY]",
    summary: "Makes a directory the current one; without any, $HOME or /.",
    details: "`cd -` goes back to the one before.\n",
    topic: Topic::Files,
    run: cd,
};

/// The variable with the directory before.
const BEFORE: &str = "OLDPWD";

fn cd(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let to = match arguments.take() {
        Some("-") => {
            let before = shell.variable(BEFORE);
            before.ok_or_else(|| Failure::Error("there is no directory before".into()))?
        }
        Some(option) if option.starts_with('-') => return super::arguments::unknown_option(option),
        Some(directory) => directory.into(),
        None => shell.variable(HOME).filter(|home| !home.is_empty()).unwrap_or_else(|| "/".into()),
    };
    arguments.end()?;
    let failed = |error| Failure::Error(format!("{to}: {error}"));
    let before = fs::current_directory().map_err(failed)?;
    fs::set_current_directory(&to).map_err(failed)?;
    shell.state.set(BEFORE, before);
    Ok(())
}
