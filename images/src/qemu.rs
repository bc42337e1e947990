//! QEMU itself: found, or installed with the system's package manager.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::apt::Apt;
use crate::linker::program_on_path;
use crate::progress::Progress;

/// The emulator of a PC.
const PROGRAM: &str = "qemu-system-x86_64";

/// Debian's package of it; its dependencies hold the firmware and the PVH boot code.
const PACKAGE: &str = "qemu-system-x86";

/// Where QEMU is. Where it is not, it is installed if this user may.
///
/// # Errors
/// It is not there and cannot be installed: the message has the command to type.
pub fn find(progress: &Progress) -> Result<PathBuf> {
    if let Some(path) = program_on_path(PROGRAM) {
        return Ok(path);
    }
    let Some(apt) = Apt::system() else {
        bail!("{PROGRAM} is not on PATH: install QEMU with your system's package manager");
    };
    progress.step("installing QEMU, once");
    apt.install(PACKAGE)?;
    program_on_path(PROGRAM).with_context(|| format!("the package {PACKAGE} is installed but {PROGRAM} is not on PATH"))
}
