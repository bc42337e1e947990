//! File systems that are not to be written: on media that cannot be, or as the mount asks.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use images::{Disk, MachineKind};

use crate::{DiskImage, Shell, machine_on};

/// Mounts each of these images, the first one as a medium that cannot be written, with these options, in a machine on the board: its files, those of a tree with `a/deep/er/größe…` below `tree`, are read, and whatever would change them is refused.
///
/// # Errors
/// Something is not refused, or was written all the same.
pub fn check_read_only(board: (MachineKind, u32), timeout: Duration, images: &[(&DiskImage, &str)]) -> Result<()> {
    let read = || images.iter().map(|(image, _)| fs::read(image.file())).collect::<std::io::Result<Vec<_>>>();
    let before = read()?;
    let mut machine = machine_on(board).timeout(timeout);
    for (number, (image, _)) in images.iter().enumerate() {
        machine = machine.disk(Disk { read_only: number == 0, ..image.disk() });
    }
    let mut shell = Shell::boot(&machine)?;
    for (letter, (_, options)) in ('a'..).zip(images) {
        shell.check(&format!("storage mount /dev/vd{letter} /mnt {options}"), 0, &[])?;
        shell.check("storage tree /mnt/tree/a/deep/er", 0, &["größe"])?;
        shell.check("storage write /mnt/file 1", 1, &["read-only"])?;
        shell.check("storage remove /mnt/tree", 1, &["read-only"])?;
        shell.check("storage umount /mnt", 0, &[])?;
    }
    drop(shell);
    ensure!(before == read()?, "something was written");
    Ok(())
}
