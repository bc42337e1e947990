//! Whether a machine has room for what QEMU loads into it.

use std::fs;

use anyhow::{Result, bail};
use object::elf::{FileHeader64, PT_LOAD};
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::image::Image;

/// What SeaBIOS keeps of the top of memory, at least, in bytes.
const FIRMWARE_BYTES: u64 = 256 << 10;

/// Checks that `mib` MiB of memory hold the kernel and the archive. QEMU puts the archive at the top of memory, over the
/// kernel if need be, and what boots then can tell nobody.
///
/// # Errors
/// They do not. What cannot be read is left to QEMU, which says why.
pub fn check(image: &Image, mib: u32) -> Result<()> {
    let (Ok(archive), Ok(kernel)) = (fs::metadata(&image.archive), fs::read(&image.kernel)) else { return Ok(()) };
    let Some(end) = end_of(&kernel) else { return Ok(()) };
    let needed = end.saturating_add(archive.len()).saturating_add(FIRMWARE_BYTES).div_ceil(1 << 20);
    if u64::from(mib) < needed {
        bail!(
            "a machine with {mib} MiB of memory cannot hold the kernel and the boot archive: give --memory {needed} or more"
        );
    }
    Ok(())
}

/// Where a kernel ends in memory, if it is an ELF file.
fn end_of(kernel: &[u8]) -> Option<u64> {
    let header = FileHeader64::<LittleEndian>::parse(kernel).ok()?;
    let segments = header.program_headers(LittleEndian, kernel).ok()?.iter();
    let loaded = segments.filter(|segment| segment.p_type(LittleEndian) == PT_LOAD);
    loaded.map(|segment| segment.p_paddr(LittleEndian).saturating_add(segment.p_memsz(LittleEndian))).max()
}
