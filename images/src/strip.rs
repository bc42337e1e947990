//! Cuts an ELF file down to what the target loads: headers, segments and notes.
//!
//! Linkers put the sections that are not loaded (symbols, line tables, names) behind the
//! segments, so cutting is enough; the file that is left has no section table.

use anyhow::{Context, Result, bail};
use object::elf::FileHeader64;
use object::endian::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader};

/// Offsets of `e_shoff` (8 bytes) and of `e_shentsize`, `e_shnum`, `e_shstrndx` (2 bytes each)
/// in an ELF64 header (System V ABI, chapter 4).
const SECTION_TABLE_OFFSET: usize = 0x28;
const SECTION_TABLE_SHAPE: usize = 0x3a;

/// The part of `elf` that the target needs.
///
/// # Errors
/// Not a little-endian ELF64 file, or its program headers lie outside of it.
pub fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    let endian = LittleEndian;
    let header = FileHeader64::<LittleEndian>::parse(elf).context("not an ELF64 file")?;
    let segments = header.program_headers(endian, elf).context("broken program headers")?;
    if segments.is_empty() {
        bail!("no program headers: nothing to load");
    }
    let table_end = header.e_phoff(endian) + u64::from(header.e_phentsize(endian)) * u64::from(header.e_phnum(endian));
    let end = segments
        .iter()
        .map(|segment| segment.p_offset(endian).saturating_add(segment.p_filesz(endian)))
        .chain([table_end])
        .max()
        .and_then(|end| usize::try_from(end).ok())
        .context("a segment ends beyond every file")?;
    let mut kept = elf.get(..end).context("a segment lies outside of the file")?.to_vec();
    kept[SECTION_TABLE_OFFSET..SECTION_TABLE_OFFSET + 8].fill(0);
    kept[SECTION_TABLE_SHAPE..SECTION_TABLE_SHAPE + 6].fill(0);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF64 with one segment of `size` bytes from the start, then `tail`.
    fn sample(size: u64, tail: &[u8]) -> Vec<u8> {
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        elf.extend(2u16.to_le_bytes()); // executable
        elf.extend(62u16.to_le_bytes()); // x86-64
        elf.extend(1u32.to_le_bytes());
        elf.extend(0u64.to_le_bytes()); // entry
        elf.extend(64u64.to_le_bytes()); // program headers
        elf.extend(size.to_le_bytes()); // section headers
        elf.extend(0u32.to_le_bytes());
        for half in [64u16, 56, 1, 64, 3, 2] {
            elf.extend(half.to_le_bytes());
        }
        elf.extend(1u32.to_le_bytes()); // PT_LOAD
        elf.extend(5u32.to_le_bytes());
        for word in [0, 0x20_0000, 0x20_0000, size, size, 0x1000] {
            elf.extend(word.to_le_bytes());
        }
        elf.resize(usize::try_from(size).unwrap(), 0xcc);
        elf.extend(tail);
        elf
    }

    #[test]
    fn keeps_segments_and_drops_the_rest() {
        let stripped = strip(&sample(300, b"symbols and line tables")).unwrap();
        assert_eq!(stripped.len(), 300);
        assert_eq!(&stripped[120..], &[0xcc; 180]);
        let header = FileHeader64::<LittleEndian>::parse(stripped.as_slice()).unwrap();
        assert_eq!(header.e_shoff(LittleEndian), 0);
        assert_eq!(header.e_shnum(LittleEndian), 0);
        assert_eq!(header.program_headers(LittleEndian, stripped.as_slice()).unwrap().len(), 1);
    }

    #[test]
    fn refuses_what_is_no_program() {
        assert!(strip(b"").is_err());
        assert!(strip(b"#!/bin/sh\n").is_err());
        let mut cut = sample(300, b"");
        cut.truncate(200);
        assert!(strip(&cut).is_err());
    }
}
