//! The boot archive: a ustar file (POSIX.1-1988, IEEE Std 1003.1 «ustar Interchange Format») with the manifest as
//! `manifest` and the programs as `bin/NAME`. A hard link is another name of a file before it; other entries that are no files (the extended headers by which
//! the host tool aligns programs) are passed over.

use abi::archive::EntryKind;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Where the programs are.
const PROGRAMS: &str = "bin/";

/// Where in the archive its files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    files: Vec<Range<usize>>,
    /// Paths, each with the index of its file.
    names: Vec<(String, usize)>,
}

impl Archive {
    /// Reads the directory of an archive. Error: what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Archive, &'static str> {
        let mut archive = Archive::default();
        let mut at = 0;
        while let Some((entry, next)) = abi::archive::entry(bytes, at)? {
            at = next;
            let file = match entry.kind {
                EntryKind::Other => continue,
                EntryKind::File => {
                    archive.files.push(entry.range);
                    archive.files.len() - 1
                }
                EntryKind::Link(target) => {
                    let known = archive.names.iter().find(|(known, _)| known.as_bytes() == target);
                    known.ok_or("a link of the boot archive is to no file before it")?.1
                }
            };
            archive.names.push((String::from_utf8_lossy(entry.name).into_owned(), file));
        }
        Ok(archive)
    }

    /// Where a file is.
    pub fn find(&self, path: &str) -> Option<Range<usize>> {
        self.names.iter().find(|(known, _)| known == path).map(|(_, file)| self.files[*file].clone())
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> Option<Range<usize>> {
        let is_it = |path: &str| path.strip_prefix(PROGRAMS) == Some(name);
        self.names.iter().find(|(path, _)| is_it(path)).map(|(_, file)| self.files[*file].clone())
    }

    /// Where all files are.
    pub fn files(&self) -> &[Range<usize>] {
        &self.files
    }

    /// All paths, each with the index of its file among [`Archive::files`]; a file may have several.
    pub fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().map(|(path, file)| (path.as_str(), *file))
    }

    /// Names of all programs.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|(path, _)| path.strip_prefix(PROGRAMS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec;

    fn file(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        block[257..262].copy_from_slice(b"ustar");
        block.extend_from_slice(contents);
        block.resize(block.len().next_multiple_of(512), 0);
        block
    }

    fn link(name: &str, target: &str) -> Vec<u8> {
        let mut block = file(name, b"");
        block[156] = b'1';
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block
    }

    fn archive() -> Vec<u8> {
        let mut bytes = file("init", b"ELF");
        bytes.extend(file("manifest", b"service a"));
        let mut passed_over = file("pad", b"comment");
        passed_over[156] = b'x';
        bytes.extend(passed_over);
        bytes.extend(file("bin/uart", &[7; 700]));
        bytes.extend(file("bin/null", b""));
        bytes.extend(link("bin/serial", "bin/uart"));
        bytes.extend([0; 1024]);
        bytes
    }

    #[test]
    fn files_and_programs_are_found() {
        let bytes = archive();
        let archive = Archive::read(&bytes).expect("good");
        assert_eq!(archive.find("manifest").map(|range| &bytes[range]), Some(&b"service a"[..]));
        assert_eq!(archive.program("uart").map(|range| range.len()), Some(700));
        assert_eq!((archive.program("init"), archive.program("art")), (None, None));
        assert_eq!(archive.programs().collect::<Vec<_>>(), ["uart", "null", "serial"]);
    }

    #[test]
    fn a_link_is_another_name_of_a_file() {
        let archive = Archive::read(&archive()).expect("good");
        assert_eq!(archive.program("serial"), archive.program("uart"));
        let names: Vec<(&str, usize)> = archive.names().collect();
        assert_eq!(names, [("init", 0), ("manifest", 1), ("bin/uart", 2), ("bin/null", 3), ("bin/serial", 2)]);
        assert_eq!(archive.files().len(), 4);
        for target in ["bin/b", "bin/none", ""] {
            let mut bytes = link("bin/a", target);
            bytes.extend(file("bin/b", b"behind it"));
            bytes.extend([0; 1024]);
            assert!(Archive::read(&bytes).is_err(), "{target}");
        }
    }

    #[test]
    fn broken_archives_are_refused() {
        let mut bytes = archive();
        for length in 0..bytes.len() - 1024 + 512 {
            assert!(Archive::read(&bytes[..length]).is_err(), "cut at {length}");
        }
        for at in 0..512 {
            let mut mutated = bytes.clone();
            mutated[at] ^= 0x80;
            let _ = Archive::read(&mutated);
        }
        bytes[124..136].copy_from_slice(b"77777777777\0");
        assert!(Archive::read(&bytes).is_err());
    }
}
