//! QEMU itself: found, or installed with the system's package manager.

use std::path::PathBuf;

use anyhow::Result;

use crate::host_program;
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
    host_program::find(PROGRAM, PACKAGE, progress)
}
