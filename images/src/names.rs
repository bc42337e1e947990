//! The names that a program has besides its own: it says them itself, in a note (`libsys::names!`).

use std::str;

use anyhow::{Context, Result, bail};
use libsys::abi::note;
use object::elf::FileHeader64;
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, SectionHeader};

/// The owner of the note, without the zero behind it.
const OWNER: &[u8] = b"Skink";

/// The further names of the program that is `elf`, not stripped; most have none.
///
/// # Errors
/// Not a little-endian ELF64 file, broken notes, or a name that is no name of a file.
pub fn names(elf: &[u8]) -> Result<Vec<String>> {
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(elf).context("not an ELF64 file")?;
    let mut names = Vec::new();
    for section in header.section_headers(endian, elf).context("broken section headers")? {
        let Some(mut notes) = section.notes(endian, elf).context("broken notes")? else { continue };
        while let Some(found) = notes.next().context("broken notes")? {
            if found.name() == OWNER && found.n_type(endian).0 == note::NAMES_TYPE {
                names.extend(lines(found.desc())?);
            }
        }
    }
    Ok(names)
}

/// The names in a note.
fn lines(descriptor: &[u8]) -> Result<Vec<String>> {
    let text = str::from_utf8(descriptor).context("names that are not UTF-8")?;
    let mut names = Vec::new();
    for name in text.lines() {
        if name.is_empty() || name.contains(['/', '\0']) {
            bail!("{name:?} is no name of a program");
        }
        names.push(name.to_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_lines() {
        assert_eq!(lines(b"cat\nls\n").unwrap(), ["cat", "ls"]);
        assert!(lines(b"").unwrap().is_empty());
        for wrong in [&b"a/b\n"[..], b"\n", b"\xff\n"] {
            assert!(lines(wrong).is_err());
        }
    }

    #[test]
    fn what_is_no_program_is_refused() {
        assert!(names(b"").is_err());
        assert!(names(b"#!/bin/sh\n").is_err());
    }
}
