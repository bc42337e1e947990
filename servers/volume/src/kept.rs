//! What of a volume outlives its server: Memory that is found again, and records that are committed with the replies.
//!
//! | what | where |
//! |---|---|
//! | metadata | the overlay's Memory: its log says what counts, up to the record that [`Kept::commit_overlay`] has staged |
//! | file data that is not on the disk | the page cache's Memory, with a table that says which page of which file a frame is |
//! | how long files are | here, where the disk does not say it yet |
//!
//! So one commit of the records is the moment in which a request has happened: what it did to the overlay, sizes, and what the server stages itself.

use crate::disk::DiskError;
use crate::overlay::{Overlay, OverlayError};
use alloc::vec::Vec;
use libsys::state::{Keepsake, RecordKey, Records, Retained};
use libsys::{Account, Memory};

/// Kinds of records: a Memory, by its number, …
const MEMORY: u16 = 1;
/// … the record of the overlay up to which all count, …
const OVERLAY: RecordKey = RecordKey::new(2, 0);
/// … what the volume is, once it was mounted, …
const MOUNTED: RecordKey = RecordKey::new(3, 0);
/// … and the size of a file that the disk does not say, or whose time it does not say.
const FILE: u16 = 4;

/// Handles that are kept in one commit, at most: the records take in so many.
const AT_ONCE: u64 = 16;

/// Here tests end the server.
#[inline]
pub(crate) fn step() {
    #[cfg(not(target_os = "none"))]
    crate::testing::step();
}

/// There is no room for a record: nothing was staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Whether a record of the overlay counts by itself, or with the request that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// It stands: what the server does besides requests.
    AtOnce,
    /// With the commit that has the request's reply, if anything outlives the server.
    WithReply,
}

/// What outlives the server, if anything does.
#[derive(Debug, Default)]
pub struct Kept {
    records: Option<Records>,
}

impl Kept {
    /// With these records.
    pub fn new(records: Records) -> Kept {
        Kept { records: Some(records) }
    }

    /// Nothing outlives it.
    pub fn nothing() -> Kept {
        Kept::default()
    }

    /// The records.
    pub fn records(&mut self) -> Option<&mut Records> {
        self.records.as_mut()
    }

    /// Whether anything outlives it.
    pub fn is_some(&self) -> bool {
        self.records.is_some()
    }

    /// Memory with a number, contiguous for a disk or not: that of the incarnation before, or new and zeroed. Error: `Exhausted`.
    pub fn memory(
        &mut self,
        number: u64,
        account: &Account,
        bytes: u64,
        contiguous: bool,
    ) -> Result<Retained<Memory>, DiskError> {
        let exhausted = |_| DiskError::Exhausted;
        let make = || match contiguous {
            true => Memory::create_dma(account, bytes).map_err(exhausted),
            false => Memory::create(account, bytes).map_err(exhausted),
        };
        let records = self.records.as_mut().ok_or(DiskError::Exhausted)?;
        let key = RecordKey::new(MEMORY, number);
        if let Some(keepsake) = records.get::<Keepsake>(key)
            && let Ok(memory) = Retained::<Memory>::recover(keepsake)
            && memory.info().is_ok_and(|info| info.bytes >= bytes)
        {
            return Ok(memory);
        }
        let memory = Retained::keep(make()?, records).map_err(exhausted)?;
        records.put(key, &memory.keepsake()).map_err(|_| DiskError::Exhausted)?;
        if number % AT_ONCE == AT_ONCE - 1 {
            self.commit();
        }
        Ok(memory)
    }

    /// Gives all Memory back: the machine of a test has gone.
    #[cfg(not(target_os = "none"))]
    pub fn give_back(&mut self) {
        let Some(records) = &mut self.records else { return };
        for (key, keepsake) in records.all::<Keepsake>(MEMORY) {
            records.release(keepsake);
            records.remove(key);
        }
        records.commit();
    }

    /// What was said with [`Kept::set_mounted`]: there is a volume of an earlier incarnation.
    pub fn mounted(&self) -> Option<Vec<u8>> {
        self.records.as_ref()?.bytes_of(MOUNTED)
    }

    /// What an earlier incarnation has kept cannot be used: the next mount begins anew. Memory stays, for what it will hold then.
    pub fn start_over(&mut self) {
        let sizes = self.sizes();
        if let Some(records) = &mut self.records {
            records.remove(MOUNTED);
            sizes.into_iter().for_each(|(file, _)| records.remove(RecordKey::new(FILE, file)));
        }
        self.commit();
    }

    /// Everything that the next incarnation needs is there; `what` says what it is. Commits. Error: `Exhausted`.
    pub fn set_mounted(&mut self, what: &[u8]) -> Result<(), DiskError> {
        if let Some(records) = &mut self.records {
            records.put_bytes(MOUNTED, what).map_err(|_| DiskError::Exhausted)?;
            // Numbers of an overlay before this one mean nothing.
            records.put_bytes(OVERLAY, &0u64.to_le_bytes()).map_err(|_| DiskError::Exhausted)?;
        }
        self.commit();
        Ok(())
    }

    /// Commits what is staged, outside of a request.
    pub fn commit(&mut self) {
        if let Some(records) = &mut self.records {
            step();
            records.commit();
            step();
        }
    }

    /// The record of the overlay up to which all count.
    pub fn committed(&self) -> u64 {
        self.records.as_ref().and_then(|records| records.word_of(OVERLAY, 0)).unwrap_or(0)
    }

    /// Before a request changes the overlay, in which a record may be prepared already: that there will be room to say so.
    pub fn reserve(&mut self, prepared: Option<u64>) -> Result<(), Full> {
        let record = prepared.unwrap_or_else(|| self.committed());
        let Some(records) = &mut self.records else { return Ok(()) };
        if records.amend(OVERLAY, &record.to_le_bytes()) {
            return Ok(());
        }
        records.put_last(OVERLAY, &record.to_le_bytes()).map_err(|_| Full)
    }

    /// Stages that all records of the overlay count up to this one.
    pub fn commit_overlay(&mut self, record: u64) {
        if let Some(records) = &mut self.records
            && !records.amend(OVERLAY, &record.to_le_bytes())
            && records.put_last(OVERLAY, &record.to_le_bytes()).is_err()
        {
            libsys::error!("no room to say what is committed");
        }
    }

    /// Stages how long a file is, which the disk does not say.
    pub fn put_size(&mut self, file: u64, size: u64) -> Result<(), Full> {
        let Some(records) = &mut self.records else { return Ok(()) };
        let (key, bytes) = (RecordKey::new(FILE, file), size.to_le_bytes());
        if records.amend(key, &bytes) { Ok(()) } else { records.put_bytes(key, &bytes).map_err(|_| Full) }
    }

    /// Stages that the disk says it.
    pub fn forget_size(&mut self, file: u64) {
        if let Some(records) = &mut self.records {
            records.remove(RecordKey::new(FILE, file));
        }
    }

    /// All sizes that the disk does not say.
    pub fn sizes(&self) -> Vec<(u64, u64)> {
        let Some(records) = &self.records else { return Vec::new() };
        let all = records.all::<[u8; 8]>(FILE).into_iter();
        all.map(|(key, bytes)| (key.first, u64::from_le_bytes(bytes))).collect()
    }

    /// Makes a record of what is pending in the overlay, if anything is; returns its number. Errors as for [`Overlay::commit`].
    pub fn record(&mut self, overlay: &mut Overlay, counts: Counts) -> Result<u64, OverlayError> {
        let record = match counts {
            Counts::WithReply if self.is_some() => overlay.prepare(),
            _ => overlay.commit(),
        }?;
        if let Some(prepared) = overlay.prepared() {
            self.commit_overlay(prepared);
        }
        Ok(record)
    }

    /// What was staged is committed. False: something was made meanwhile that is to be committed first.
    pub fn settle(&mut self, overlay: &mut Overlay) -> bool {
        overlay.settle(self.committed());
        let prepared = overlay.prepared();
        if let Some(prepared) = prepared {
            // The commit that it was staged for did not come.
            self.commit_overlay(prepared);
        }
        prepared.is_none()
    }
}
