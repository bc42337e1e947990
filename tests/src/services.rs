//! The system with more services than it has.

use std::fs;

use anyhow::Result;
use images::archive::BootArchive;
use images::{Image, Machine, symbol_table};
use tempfile::TempDir;

use super::image;

/// The boot archive of the system, in whose manifest `services` are behind the others; `docs/manifest.md` says what each line means.
///
/// # Errors
/// A program cannot be read.
pub fn archive_with_services(services: &str) -> Result<Vec<u8>> {
    system_archive(|manifest| manifest + services)?.bytes()
}

/// The boot archive of the system with another manifest, made of the one that it has.
///
/// # Errors
/// A program cannot be read.
pub fn archive_with_manifest(change: impl FnOnce(String) -> String) -> Result<Vec<u8>> {
    system_archive(change)?.bytes()
}

/// The same, to which more can be added.
///
/// # Errors
/// A program cannot be read.
pub fn system_archive(change: impl FnOnce(String) -> String) -> Result<BootArchive> {
    let mut archive = image().programs_archive()?;
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../init/manifest"))?;
    let manifest = change(manifest).into_bytes();
    archive.symbols(symbol_table::of_services(&manifest, &image().programs)?);
    archive.manifest(manifest);
    Ok(archive)
}

/// A machine with such an archive, which lives as long as the folder.
///
/// # Errors
/// The archive cannot be written.
pub fn machine_with_archive(archive: &[u8]) -> Result<(Machine, TempDir)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("boot.tar");
    fs::write(&path, archive)?;
    Ok((Machine::new(&Image { archive: path, ..image().clone() }), folder))
}
