//! Programs of the host: found, or installed with the system's package manager.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Apt;
use crate::linker::program_on_path;
use crate::progress::Progress;

/// Where programs for administrators are, which `PATH` may leave out.
const FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Where the program `name` is. Where it is not, Debian's `package` is installed, if this user may.
///
/// # Errors
/// It is not there and cannot be installed: the message has the command to type.
pub fn find(name: &str, package: &str, progress: &Progress) -> Result<PathBuf> {
    if let Some(path) = look(name) {
        return Ok(path);
    }
    let Some(apt) = Apt::system() else {
        bail!("{name} is not on PATH: install {package} with your system's package manager");
    };
    progress.step(&format!("installing {package}, once"));
    apt.install(package)?;
    look(name).with_context(|| format!("the package {package} is installed but {name} is not on PATH"))
}

/// A command of the program `name`, found or installed silently.
///
/// # Errors
/// As [`find`].
pub fn tool(name: &str, package: &str) -> Result<Command> {
    Ok(Command::new(find(name, package, &Progress::Silent)?))
}

/// Runs a command: what it prints.
///
/// # Errors
/// It cannot be run, or fails: the message has what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

fn look(name: &str) -> Option<PathBuf> {
    let others = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    program_on_path(name).or_else(|| others.into_iter().find(|file| file.is_file()))
}
