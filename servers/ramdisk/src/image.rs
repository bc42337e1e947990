//! Finding a file in the boot archive, a plain ustar.

use alloc::format;
use core::ops::Range;
use libsys::driver::{Env, Result, StartError};
use libsys::{Mapping, WritableMapping};

/// Bytes of a tar block.
const BLOCK: usize = 512;

/// A file of the boot archive.
pub struct Image {
    archive: Mapping,
    range: Range<usize>,
}

impl Image {
    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.range.len() as u64
    }

    /// Copies it to the start of a mapping that has room for it.
    pub fn copy_to(&self, target: &WritableMapping) {
        target.copy_from(0, &self.archive, self.range.start, self.range.len());
    }
}

/// Finds a file by its path in the archive.
pub fn find(env: &Env, path: &str) -> Result<Image> {
    let archive = env.memory("archive")?.map()?;
    let range = range_of(&archive, path);
    let range = range.ok_or_else(|| StartError::Peer(format!("the boot archive has no file {path}")))?;
    Ok(Image { archive, range })
}

fn range_of(archive: &Mapping, path: &str) -> Option<Range<usize>> {
    let mut header = [0; BLOCK];
    let mut at = 0usize;
    while at.checked_add(BLOCK)? <= archive.bytes() {
        archive.copy_out(at, &mut header);
        let bytes = octal(&header[124..136])?;
        let start = at + BLOCK;
        let end = start.checked_add(bytes).filter(|end| *end <= archive.bytes())?;
        if text(&header[..100]) == path.as_bytes() {
            return Some(start..end);
        }
        at = start.checked_add(bytes.checked_next_multiple_of(BLOCK)?)?;
    }
    None
}

/// A field up to its first zero.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits; `None` at the archive's end, whose blocks are zeros.
fn octal(field: &[u8]) -> Option<usize> {
    let digits = text(field).trim_ascii();
    (!digits.is_empty()).then_some(())?;
    usize::from_str_radix(core::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::{Memory, fake};

    fn archive(files: &[(&str, &[u8])]) -> Mapping {
        let memory = Memory::create(&fake::account(), 8 << 10).expect("memory");
        let mapping = memory.map_writable().expect("a mapping");
        let mut at = 0;
        for (name, contents) in files {
            mapping.copy_in(at, name.as_bytes());
            mapping.copy_in(at + 124, format!("{:011o}\0", contents.len()).as_bytes());
            mapping.copy_in(at + BLOCK, contents);
            at += BLOCK + contents.len().next_multiple_of(BLOCK);
        }
        memory.map().expect("a mapping")
    }

    #[test]
    fn files_are_found_by_their_path() {
        let archive = archive(&[("init", &[1; 600]), ("bin/disk.img", b"abc"), ("empty", b"")]);
        assert_eq!(range_of(&archive, "bin/disk.img"), Some(2048..2051));
        assert_eq!(range_of(&archive, "empty").map(|range| range.len()), Some(0));
        assert_eq!(range_of(&archive, "bin/disk"), None);
    }

    #[test]
    fn an_archive_that_is_cut_off_has_no_more_files() {
        let archive = archive(&[("big", &[1; 100]), ("broken", b"")]);
        assert!(range_of(&archive, "nothing").is_none());
        let memory = Memory::create(&fake::account(), 4096).expect("memory");
        let mapping = memory.map_writable().expect("a mapping");
        mapping.copy_in(0, b"big");
        mapping.copy_in(124, b"77777777777\0");
        assert_eq!(range_of(&memory.map().expect("a mapping"), "big"), None);
    }
}
