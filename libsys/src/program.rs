//! Starting programs: who wants a process makes it himself, under a sub-account, and gives it handles by name.
//!
//! A [`Program`] is prepared once from an ELF executable and shares its code and constants among all its processes; a [`Launch`] says
//! what one process gets; a [`Child`] is the process. What [`image`] checks, no child can be harmed by a broken file.
//!
//! What is made for each process is one Memory: startup block, data, stack. It is mapped right behind the program, each part
//! with a free page before it, so that a small program needs one page table:
//!
//! | from | what | protection |
//! |---|---|---|
//! | as linked | code, constants | read and execute, read |
//! | as linked | data | read and write |
//! | the program's end + 1 page | startup block | read |
//! | + 1 page | message pages of the main thread | the kernel's |
//! | + 1 page | stack | read and write |

mod image;
mod launch;

pub use launch::{Child, DEFAULT_LIMITS, Launch, STACK_BYTES};

use crate::{Account, Error, Memory, Object, fs, io};
use abi::memory::Protection;
use abi::{PAGE_BYTES, Rights};
use alloc::vec::Vec;
use core::fmt;
use image::Image;

const PAGE: u64 = PAGE_BYTES as u64;

/// Why a program cannot be loaded or started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// Not an ELF file, cut short, or with headers that contradict themselves.
    NotElf,
    /// Not for 64-bit x86.
    WrongMachine,
    /// Not a static executable at fixed addresses: it wants a dynamic linker, relocation or thread-local storage.
    NotStatic,
    /// It has no ABI note: it was not built for Skink.
    NoAbiNote,
    /// It was built for another ABI: its number.
    WrongAbi(u32),
    /// A segment is to be written and executed: its address.
    WritableCode(u64),
    /// A segment lies outside of the lowest 2 GiB, below the lowest address, over another, or not as in the file's pages: its address.
    BadSegment(u64),
    /// The entry point is not in executable memory: its address.
    BadEntry(u64),
    /// Something has no room: what.
    TooLarge(&'static str),
    /// A system call was refused.
    Kernel(Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NotElf => f.write_str("not an ELF executable"),
            LoadError::WrongMachine => f.write_str("not for x86_64"),
            LoadError::NotStatic => f.write_str("not a static executable at fixed addresses"),
            LoadError::NoAbiNote => f.write_str("not built for Skink: it has no ABI note"),
            LoadError::WrongAbi(found) => write!(f, "built for ABI {found}, this is ABI {}", abi::ABI_VERSION),
            LoadError::WritableCode(address) => write!(f, "the segment at {address:#x} is writable and executable"),
            LoadError::BadSegment(address) => write!(f, "the segment at {address:#x} does not fit"),
            LoadError::BadEntry(address) => write!(f, "the entry point {address:#x} is not in code"),
            LoadError::TooLarge(what) => write!(f, "{what} is too large"),
            LoadError::Kernel(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for LoadError {}

impl From<Error> for LoadError {
    fn from(error: Error) -> LoadError {
        LoadError::Kernel(error)
    }
}

/// Why the program of a path is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Its file cannot be read.
    File(io::Error),
    /// It is no program that can be loaded.
    Load(LoadError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::File(error) => error.fmt(f),
            OpenError::Load(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> OpenError {
        OpenError::File(error)
    }
}

impl From<LoadError> for OpenError {
    fn from(error: LoadError) -> OpenError {
        OpenError::Load(error)
    }
}

/// Sealed pages of a program, which all its processes map.
#[derive(Debug)]
struct Shared {
    address: u64,
    bytes: u64,
    /// Where they are in the program's Memory.
    offset: u64,
    protection: Protection,
}

/// A part that each process has of its own.
#[derive(Debug)]
struct Data {
    /// First address, not of the page.
    address: u64,
    /// Bytes in memory.
    bytes: u64,
    /// What it starts with; the rest is zero.
    initial: Vec<u8>,
}

/// A program that is ready to be started, any number of times.
#[derive(Debug)]
pub struct Program {
    entry: u64,
    memory: Memory,
    shared: Vec<Shared>,
    data: Vec<Data>,
}

/// First address of the page that an address is in.
fn page_of(address: u64) -> u64 {
    address & !(PAGE - 1)
}

/// Bytes of the pages that a range touches.
fn pages_of(address: u64, bytes: u64) -> u64 {
    (address + bytes).next_multiple_of(PAGE) - page_of(address)
}

impl Program {
    /// Checks an ELF executable, and copies its code and constants into sealed Memory that is charged to `account`.
    /// Errors: see [`LoadError`].
    pub fn load(elf: &[u8], account: &Account) -> Result<Program, LoadError> {
        Program::copied(&Image::parse(elf)?, elf, account)
    }

    /// The same for the executable at `offset` of sealed Memory. Where it starts at a page, its code and constants are mapped from there,
    /// and nothing is copied. Needs `READ`, `EXECUTE`, `INSPECT` and `DUPLICATE`. Error besides: `BadState` (not sealed).
    pub fn from_memory(memory: &Memory, offset: u64, bytes: u64, account: &Account) -> Result<Program, LoadError> {
        let mapping = memory.map_sealed()?;
        let range = usize::try_from(offset).ok().zip(usize::try_from(bytes).ok());
        let range = range.and_then(|(start, bytes)| Some(start..start.checked_add(bytes)?));
        let elf = range.and_then(|range| mapping.get(range)).ok_or(LoadError::NotElf)?;
        let image = Image::parse(elf)?;
        let in_place =
            offset.is_multiple_of(PAGE) && image.constant().all(|segment| segment.file_bytes == segment.bytes);
        if !in_place {
            return Program::copied(&image, elf, account);
        }
        let shared = image.constant().map(|segment| Shared {
            address: page_of(segment.address),
            bytes: pages_of(segment.address, segment.bytes),
            offset: offset + page_of(segment.offset),
            protection: segment.protection,
        });
        let memory = memory.duplicate(Rights::READ | Rights::EXECUTE)?;
        Ok(Program { entry: image.entry, memory, shared: shared.collect(), data: initial_data(&image, elf) })
    }

    /// The same for the executable that is the file of a path. Where its file system has it in sealed Memory, nothing is copied.
    pub fn open(path: &str, account: &Account) -> Result<Program, OpenError> {
        let file = fs::File::open(path)?;
        let bytes = file.metadata()?.len();
        let in_place = |(memory, offset): (Memory, u64)| Program::from_memory(&memory, offset, bytes, account);
        match file.map_in_place(0, bytes).map(in_place) {
            Ok(Ok(program)) => Ok(program),
            // Memory that is not sealed may change under the program: it is copied.
            Err(_) | Ok(Err(LoadError::Kernel(_))) => Ok(Program::load(&fs::read(path)?, account)?),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    fn copied(image: &Image, elf: &[u8], account: &Account) -> Result<Program, LoadError> {
        let mut shared = Vec::new();
        let mut end = 0;
        for segment in image.constant() {
            let bytes = pages_of(segment.address, segment.bytes);
            shared.push(Shared {
                address: page_of(segment.address),
                bytes,
                offset: end,
                protection: segment.protection,
            });
            end += bytes;
        }
        let memory = Memory::create(account, end)?;
        let mapping = memory.map_writable_part(0, end)?;
        for (segment, place) in image.constant().zip(&shared) {
            mapping.copy_in((place.offset + segment.address - place.address) as usize, segment.contents(elf));
        }
        drop(mapping);
        memory.seal()?;
        Ok(Program { entry: image.entry, memory, shared, data: initial_data(image, elf) })
    }

    /// The end of the program's own pages.
    fn end(&self) -> u64 {
        let shared = self.shared.iter().map(|part| part.address + part.bytes);
        let data = self.data.iter().map(|part| page_of(part.address) + pages_of(part.address, part.bytes));
        shared.chain(data).max().unwrap_or(abi::memory::LOWEST_ADDRESS)
    }
}

/// The parts that each process has of its own. Those on adjacent pages become one, with zeroes between: one mapping less.
fn initial_data(image: &Image, elf: &[u8]) -> Vec<Data> {
    let mut all: Vec<Data> = Vec::new();
    for segment in image.data() {
        match all.last_mut() {
            Some(last) if page_of(last.address) + pages_of(last.address, last.bytes) == page_of(segment.address) => {
                last.initial.resize((segment.address - last.address) as usize, 0);
                last.initial.extend_from_slice(segment.contents(elf));
                last.bytes = segment.address + segment.bytes - last.address;
            }
            _ => all.push(Data {
                address: segment.address,
                bytes: segment.bytes,
                initial: segment.contents(elf).to_vec(),
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests;
