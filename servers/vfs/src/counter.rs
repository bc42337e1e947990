//! The page with the counter of mount changes, which every client maps. It outlives vfs, so that clients see nothing of its death.

use crate::kept::{CHANGES, PAGE};
use libsys::abi::PAGE_BYTES;
use libsys::service::Result;
use libsys::state::{Full, Keepsake, Records, Retained};
use libsys::{Account, Error, Memory, Rights, WritableMapping};

use core::sync::atomic::Ordering;

/// The counter.
pub struct Counter {
    memory: Retained<Memory>,
    mapping: WritableMapping,
    /// What the page says once everything is committed.
    changes: u64,
}

impl Counter {
    /// That of the incarnation before; in the first one a counter that stands at 1, staged.
    pub fn open(records: &mut Records, account: &Account) -> Result<Counter> {
        let before = records.get::<Keepsake>(PAGE).map(Retained::<Memory>::recover);
        let changes = records.bytes_of(CHANGES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let (memory, changes) = match (before, changes) {
            (Some(Ok(memory)), Some(changes)) => (memory, changes),
            _ => {
                let memory = Retained::keep(Memory::create(account, PAGE_BYTES as u64)?, records)?;
                records.put(PAGE, &memory.keepsake()).map_err(|Full| Error::AccountExhausted)?;
                (memory, 0)
            }
        };
        let mapping = memory.map_writable()?;
        let mut counter = Counter { memory, mapping, changes };
        if counter.changes == 0 {
            counter.advance(records).map_err(|Full| Error::AccountExhausted)?;
        }
        // The incarnation before may have died between a commit and this.
        counter.publish();
        Ok(counter)
    }

    /// The mounts change with the next commit: the number of that change.
    pub fn advance(&mut self, records: &mut Records) -> core::result::Result<u64, Full> {
        records.put_last(CHANGES, &(self.changes + 1).to_le_bytes())?;
        self.changes += 1;
        Ok(self.changes)
    }

    /// Shows what is committed.
    pub fn publish(&self) {
        self.mapping.word_u64(0).store(self.changes, Ordering::Release);
    }

    /// The page, to be read.
    pub fn page(&self) -> core::result::Result<Memory, Error> {
        use libsys::Object;
        self.memory.duplicate(Rights::READ | Rights::INSPECT | Rights::DUPLICATE)
    }
}
