//! The page with the counter of mount changes, which every client maps.

use libsys::abi::PAGE_BYTES;
use libsys::{Account, Error, Memory, Object, Rights, WritableMapping};

use core::sync::atomic::Ordering;

/// The counter.
pub struct Counter {
    memory: Memory,
    mapping: WritableMapping,
}

impl Counter {
    /// A counter that stands at 1.
    pub fn create(account: &Account) -> Result<Counter, Error> {
        let memory = Memory::create(account, PAGE_BYTES as u64)?;
        let mapping = memory.map_writable()?;
        let counter = Counter { memory, mapping };
        counter.advance();
        Ok(counter)
    }

    /// The mounts have changed.
    pub fn advance(&self) {
        self.mapping.word_u64(0).fetch_add(1, Ordering::Release);
    }

    /// The page, to be read.
    pub fn page(&self) -> Result<Memory, Error> {
        self.memory.duplicate(Rights::READ | Rights::INSPECT | Rights::DUPLICATE)
    }
}
