//! Directory trees of the host, as tests make and compare them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Bytes that do not repeat soon.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(next).collect()
}

/// What the guest's `storage tree` says of a directory of the host: a line for each name below it, in order.
///
/// # Errors
/// It cannot be read.
pub fn listing(folder: &Path) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    add(folder, "", &mut lines)?;
    Ok(lines)
}

fn add(folder: &Path, below: &str, lines: &mut Vec<String>) -> io::Result<()> {
    let mut entries: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.insert(entry.file_name().to_string_lossy().into_owned(), entry.path());
    }
    for (name, path) in entries {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            lines.push(format!("d {below}{name}"));
            add(&path, &format!("{below}{name}/"), lines)?;
        } else if kind.is_symlink() {
            lines.push(format!("l {below}{name} {}", fs::read_link(&path)?.display()));
        } else {
            let bytes = fs::read(&path)?;
            lines.push(format!("f {below}{name} {} {:016x}", bytes.len(), hash(&bytes)));
        }
    }
    Ok(())
}

/// FNV-1a with 64 bits, as the guest's program has it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
