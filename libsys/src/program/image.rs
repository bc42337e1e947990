//! What an ELF executable says, checked completely: everything after this can rely on it.

use super::{LoadError, page_of, pages_of};
use abi::memory::{LOWEST_ADDRESS, Protection};
use abi::{PAGE_BYTES, note};
use alloc::vec::Vec;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE, PT_TLS};
use elf::endian::LittleEndian;
use elf::file::Class;

/// End of the addresses that programs are linked for.
const END: u64 = 0x8000_0000;

/// Most segments that are loaded.
const SEGMENTS: usize = 16;

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// First address; with the offset at the same place in a page.
    pub(super) address: u64,
    /// Bytes in memory; not 0.
    pub(super) bytes: u64,
    /// First byte in the file.
    pub(super) offset: u64,
    /// Bytes in the file, at most those in memory.
    pub(super) file_bytes: u64,
    pub(super) protection: Protection,
}

impl Segment {
    /// What the file has of it.
    pub(super) fn contents<'a>(&self, elf: &'a [u8]) -> &'a [u8] {
        // In range since it was parsed; another file would have less of it.
        elf.get(self.offset as usize..(self.offset + self.file_bytes) as usize).unwrap_or_default()
    }

    fn pages(&self) -> core::ops::Range<u64> {
        let start = page_of(self.address);
        start..start + pages_of(self.address, self.bytes)
    }
}

/// An executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// In an executable segment.
    pub(super) entry: u64,
    /// In order of addresses; none shares a page with another.
    segments: Vec<Segment>,
}

impl Image {
    /// Checks a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Image, LoadError> {
        let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|_| LoadError::NotElf)?;
        if file.ehdr.class != Class::ELF64 || file.ehdr.e_machine != EM_X86_64 {
            return Err(LoadError::WrongMachine);
        }
        if file.ehdr.e_type != ET_EXEC {
            return Err(LoadError::NotStatic);
        }
        check_abi(&file)?;
        let mut segments = Vec::new();
        for header in file.segments().ok_or(LoadError::NotElf)? {
            match header.p_type {
                PT_INTERP | PT_DYNAMIC | PT_TLS => return Err(LoadError::NotStatic),
                PT_LOAD if header.p_memsz > 0 => {
                    if segments.len() == SEGMENTS {
                        return Err(LoadError::TooLarge("the number of segments"));
                    }
                    segments.push(segment(&header, bytes.len() as u64)?);
                }
                _ => {}
            }
        }
        segments.sort_by_key(|segment: &Segment| segment.address);
        for pair in segments.windows(2) {
            if pair[0].pages().end > pair[1].pages().start {
                return Err(LoadError::BadSegment(pair[1].address));
            }
        }
        let entry = file.ehdr.e_entry;
        let is_code = |segment: &Segment| {
            segment.protection.contains(Protection::EXECUTE) && entry.wrapping_sub(segment.address) < segment.bytes
        };
        if !segments.iter().any(is_code) {
            return Err(LoadError::BadEntry(entry));
        }
        Ok(Image { entry, segments })
    }

    /// Segments that are never written.
    pub(super) fn constant(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.protection.contains(Protection::WRITE))
    }

    /// Segments that each process has of its own.
    pub(super) fn data(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.protection.contains(Protection::WRITE))
    }
}

fn segment(header: &elf::segment::ProgramHeader, file_length: u64) -> Result<Segment, LoadError> {
    let bad = LoadError::BadSegment(header.p_vaddr);
    let mut protection = Protection::READ;
    protection.set(Protection::WRITE, header.p_flags & PF_W != 0);
    protection.set(Protection::EXECUTE, header.p_flags & PF_X != 0);
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err(LoadError::WritableCode(header.p_vaddr));
    }
    let end = header.p_vaddr.checked_add(header.p_memsz).ok_or(bad)?;
    let file_end = header.p_offset.checked_add(header.p_filesz).ok_or(bad)?;
    let fits =
        header.p_vaddr >= LOWEST_ADDRESS && end <= END && file_end <= file_length && header.p_filesz <= header.p_memsz;
    let page = PAGE_BYTES as u64;
    if !fits || header.p_filesz > 0 && header.p_vaddr % page != header.p_offset % page {
        return Err(bad);
    }
    Ok(Segment {
        address: header.p_vaddr,
        bytes: header.p_memsz,
        offset: header.p_offset,
        file_bytes: header.p_filesz,
        protection,
    })
}

/// Looks for the ABI note in the note segments, and where a linker made none, in its section.
fn check_abi(file: &ElfBytes<LittleEndian>) -> Result<(), LoadError> {
    let headers = file.segments().into_iter().flatten().filter(|header| header.p_type == PT_NOTE);
    let in_segments = headers.filter_map(|header| file.segment_data(&header).ok()).find_map(version_among);
    let in_section = || {
        let header = file.section_header_by_name(".note.skink").ok()??;
        version_among(file.section_data(&header).ok()?.0)
    };
    match in_segments.or_else(in_section) {
        None => Err(LoadError::NoAbiNote),
        Some(abi::ABI_VERSION) => Ok(()),
        Some(found) => Err(LoadError::WrongAbi(found)),
    }
}

/// The ABI number among notes (System V ABI, «Note Section»; aligned to 4).
fn version_among(mut notes: &[u8]) -> Option<u32> {
    loop {
        if let Some(version) = note::version(notes) {
            return Some(version);
        }
        let word = |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
        let (name, descriptor) = (word(0)?.checked_next_multiple_of(4)?, word(4)?.checked_next_multiple_of(4)?);
        notes = notes.get(12usize.checked_add(name)?.checked_add(descriptor)?..)?;
    }
}
