//! The program loader for init alone: everybody else is loaded by user space (`libsys::program`).

use abi::memory::{LOWEST_ADDRESS, Protection};
use abi::{ABI_VERSION, PAGE_BYTES, note};
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD, PT_NOTE};
use elf::endian::LittleEndian;

const PAGE: u64 = PAGE_BYTES as u64;

/// Segments end below this: programs are linked in the low 2 GiB.
const END: u64 = 1 << 31;

/// A part of the program to be mapped.
pub struct Segment<'a> {
    /// Address of its first page.
    pub address: u64,
    /// Bytes of its pages.
    pub pages_bytes: u64,
    /// Where in the pages its contents start; everything else is zero.
    pub offset: u64,
    /// Its contents.
    pub bytes: &'a [u8],
    /// How it may be used.
    pub protection: Protection,
}

/// Checks a program, and gives its segments to `map`. Returns the address of its first instruction.
///
/// # Errors
/// A text that says what is wrong; what `map` said.
pub fn load<'a>(
    file: &'a [u8],
    mut map: impl FnMut(Segment<'a>) -> Result<(), &'static str>,
) -> Result<u64, &'static str> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| "it is not an ELF file")?;
    if elf.ehdr.e_machine != EM_X86_64 || elf.ehdr.e_type != ET_EXEC {
        return Err("it is not an executable for x86-64 at fixed addresses");
    }
    let segments = elf.segments().ok_or("it has no program headers")?;
    let version = segments
        .iter()
        .filter(|header| header.p_type == PT_NOTE)
        .find_map(|header| note::version(elf.segment_data(&header).ok()?));
    match version {
        None => return Err("it has no ABI note: it is not a program for Skink"),
        Some(version) if version != ABI_VERSION => return Err("it was built for another ABI"),
        Some(_) => {}
    }
    for header in segments.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0) {
        let bytes = elf.segment_data(&header).map_err(|_| "a segment is outside of the file")?;
        let end = header.p_vaddr.checked_add(header.p_memsz).filter(|end| *end <= END);
        let end = end.ok_or("a segment is outside of the low 2 GiB")?;
        if header.p_vaddr < LOWEST_ADDRESS || header.p_filesz > header.p_memsz {
            return Err("a segment has bad addresses");
        }
        let protection = match (header.p_flags & PF_W != 0, header.p_flags & PF_X != 0) {
            (true, true) => return Err("a segment is both writable and executable"),
            (true, false) => Protection::READ | Protection::WRITE,
            (false, true) => Protection::READ | Protection::EXECUTE,
            (false, false) => Protection::READ,
        };
        let address = header.p_vaddr & !(PAGE - 1);
        map(Segment {
            address,
            pages_bytes: end.next_multiple_of(PAGE) - address,
            offset: header.p_vaddr - address,
            bytes,
            protection,
        })?;
    }
    Ok(elf.ehdr.e_entry)
}

#[cfg(test)]
mod tests {
    use super::load;

    #[test]
    fn rubbish_is_refused() {
        assert!(load(b"", |_| Ok(())).is_err());
        assert!(load(b"\x7fELF", |_| Ok(())).is_err());
        assert!(load(&[0x7f; 4096], |_| Ok(())).is_err());
        // A host program: right machine, but position independent or without the note.
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(load(&own, |_| Ok(())).is_err());
    }
}
