//! Memory of the fake kernel: host allocations.

use super::kernel::{Object, State};
use abi::memory::{MemoryKind, Protection};
use abi::{Error, Handle, Kind, PAGE_BYTES, Rights};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::vec::Vec;

/// The pages of a Memory.
pub(super) struct Pages {
    pub(super) address: usize,
    pub(super) bytes: usize,
    pub(super) kind: MemoryKind,
    pub(super) sealed: AtomicBool,
    /// What the account pays for that they are charged to.
    charged: Arc<AtomicU64>,
}

impl Pages {
    /// New ones, which add themselves to a count of frames, until they go.
    pub(super) fn new(bytes: usize, kind: MemoryKind, charged: Arc<AtomicU64>) -> Pages {
        charged.fetch_add((bytes / PAGE_BYTES) as u64, Ordering::Relaxed);
        // SAFETY: the layout is not empty: callers refuse 0 bytes.
        let address = unsafe { alloc_zeroed(Pages::layout(bytes)) } as usize;
        assert_ne!(address, 0, "no host memory");
        Pages { address, bytes, kind, sealed: AtomicBool::new(false), charged }
    }

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, PAGE_BYTES).expect("a size of whole pages")
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout; handles and mappings hold the `Arc`.
        unsafe { dealloc(self.address as *mut u8, Pages::layout(self.bytes)) }
        self.charged.fetch_sub((self.bytes / PAGE_BYTES) as u64, Ordering::Relaxed);
    }
}

/// One mapping, holding its Memory.
pub(super) struct Mapped {
    pages: Arc<Pages>,
    offset: u64,
    bytes: u64,
    protection: u32,
}

/// A mapping, as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeMapping {
    /// Where it starts in the process.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// Protection word.
    pub protection: u32,
    /// The Memory is sealed.
    pub sealed: bool,
    /// What is in it.
    pub contents: Vec<u8>,
}

impl State {
    pub(super) fn pages(&mut self, process: u64, handle: u64, rights: Rights) -> Result<Arc<Pages>, Error> {
        let object = self.find(process, handle, Kind::Memory, rights)?;
        match &self.objects[&object] {
            Object::Memory(pages) => Ok(pages.clone()),
            _ => Err(Error::WrongKind),
        }
    }

    pub(super) fn new_memory(
        &mut self,
        process: u64,
        bytes: u64,
        kind: u64,
        charged: Arc<AtomicU64>,
    ) -> Result<Handle, Error> {
        let kind =
            MemoryKind::from_number(kind).filter(|kind| *kind != MemoryKind::Device).ok_or(Error::BadArgument)?;
        if bytes == 0 || !bytes.is_multiple_of(PAGE_BYTES as u64) {
            return Err(Error::BadArgument);
        }
        let object = self.add(Object::Memory(Arc::new(Pages::new(bytes as usize, kind, charged))));
        Ok(self.make(process, object, false))
    }

    pub(super) fn map(&mut self, caller: u64, r: &[u64; 10]) -> Result<u64, Error> {
        let [target, memory, address, offset, bytes, protection, ..] = *r;
        let target = if target == 0 { caller } else { self.find(caller, target, Kind::Process, Rights::MANAGE)? };
        let asked = Protection::from_bits_truncate(protection as u32);
        let mut rights = Rights::READ;
        rights.set(Rights::WRITE, asked.contains(Protection::WRITE));
        rights.set(Rights::EXECUTE, asked.contains(Protection::EXECUTE));
        let pages = self.pages(caller, memory, rights)?;
        let page = PAGE_BYTES as u64;
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= pages.bytes as u64);
        if bytes == 0
            || !inside
            || (address | offset | bytes) % page != 0
            || asked.contains(Protection::WRITE | Protection::EXECUTE)
        {
            return Err(Error::BadArgument);
        }
        let sealed = pages.sealed.load(Ordering::Relaxed);
        if asked.contains(Protection::WRITE) && sealed || asked.contains(Protection::EXECUTE) && !sealed {
            return Err(Error::Sealed);
        }
        let own = address == 0;
        let address = if own { pages.address as u64 + offset } else { address };
        let mappings = &mut self.processes.get_mut(&target).ok_or(Error::BadHandle)?.mappings;
        let taken = |start: &u64, mapped: &Mapped| *start < address + bytes && address < start + mapped.bytes;
        if !own && mappings.iter().any(|(start, all)| all.iter().any(|mapped| taken(start, mapped))) {
            return Err(Error::BadAddress);
        }
        mappings.entry(address).or_default().push(Mapped { pages, offset, bytes, protection: protection as u32 });
        Ok(address)
    }

    pub(super) fn unmap(&mut self, caller: u64, target: u64, address: u64) -> Result<(), Error> {
        let target = if target == 0 { caller } else { self.find(caller, target, Kind::Process, Rights::MANAGE)? };
        let mappings = &mut self.processes.get_mut(&target).ok_or(Error::BadHandle)?.mappings;
        let all = mappings.get_mut(&address).ok_or(Error::BadAddress)?;
        all.pop();
        if all.is_empty() {
            mappings.remove(&address);
        }
        Ok(())
    }

    /// Memory of a process, as far as a test said what is in it.
    pub(super) fn read_memory(&self, process: u64, address: u64, bytes: usize) -> Vec<u8> {
        let Some((start, piece)) = self.processes[&process].readable.range(..=address).next_back() else {
            return Vec::new();
        };
        let piece = usize::try_from(address - start).ok().and_then(|skip| piece.get(skip..)).unwrap_or_default();
        piece[..bytes.min(piece.len())].to_vec()
    }

    pub(super) fn mappings(&self, process: u64) -> Vec<FakeMapping> {
        let mappings = self.processes[&process].mappings.iter();
        mappings.flat_map(|(address, all)| all.iter().map(|mapped| mapped.describe(*address))).collect()
    }
}

impl Mapped {
    fn describe(&self, address: u64) -> FakeMapping {
        let mut contents = std::vec![0; self.bytes as usize];
        let from = (self.pages.address as u64 + self.offset) as *const u8;
        // SAFETY: inside the pages, which `self` holds; tests look when nobody writes.
        unsafe { core::ptr::copy_nonoverlapping(from, contents.as_mut_ptr(), contents.len()) };
        let sealed = self.pages.sealed.load(Ordering::Relaxed);
        FakeMapping { address, bytes: self.bytes, protection: self.protection, sealed, contents }
    }
}
