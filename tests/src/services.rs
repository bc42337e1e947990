//! The system with services besides those of its manifest.

use std::fs;

use anyhow::Result;
use images::archive::BootArchive;
use images::strip::strip;
use images::{Image, Machine};
use tempfile::TempDir;

use crate::image;

/// The boot archive of the system, with lines for its manifest: `docs/manifest.md` says what each means.
///
/// # Errors
/// A program cannot be read.
pub fn archive_with(services: &str) -> Result<Vec<u8>> {
    let mut archive = BootArchive::default();
    for (name, elf) in &image().programs {
        let elf = strip(&fs::read(elf)?)?;
        match name.as_str() {
            "init" => archive.init(elf),
            name => archive.program(name, elf)?,
        }
    }
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../init/manifest"))?;
    archive.manifest(format!("{manifest}{services}").into_bytes());
    archive.bytes()
}

/// A machine for such an archive, which is in the folder.
///
/// # Errors
/// The folder cannot be made.
pub fn machine_of(archive: &[u8]) -> Result<(Machine, TempDir)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("boot.tar");
    fs::write(&path, archive)?;
    Ok((Machine::new(&Image { archive: path, ..image().clone() }), folder))
}
