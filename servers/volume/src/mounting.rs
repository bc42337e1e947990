//! How a volume is mounted, in memory that is kept if anything outlives the server, and how file data is found again that an earlier incarnation has left there.

use crate::disk::DiskError;
use crate::file::FileError;
use crate::kept::Kept;
use crate::overlay::Overlay;
use crate::page_cache::{DataError, PAGE, PageCache};
use crate::requests::SharedRequests;
use crate::write_back::Housekeeping;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use libsys::state::Retained;
use libsys::{Account, Memory};

/// Numbers of kept Memory: the overlay, the table of the page cache, and from here on its chunks.
const OVERLAY: u64 = 0;
const TABLE: u64 = 1;
const CHUNKS: u64 = 2;

/// How a volume is mounted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nothing is written, but that a journal is replayed before.
    pub read_only: bool,
    /// Bytes of the overlay: blocks that are committed and not at home, and a cache of those that were read.
    pub overlay_bytes: u64,
    /// Bytes of the page cache.
    pub cache_bytes: u64,
    /// Bytes of the contiguous pieces that the page cache is made of.
    pub chunk_bytes: u64,
    /// Tells the time, in seconds since 1970.
    pub seconds: fn() -> u64,
}

fn device(error: DiskError) -> FileError {
    DataError::from(error).into()
}

impl Options {
    /// A new overlay in blocks of so many bytes. Errors: `Exhausted`, `Device`.
    pub fn create_overlay(
        &self,
        account: &Account,
        requests: &SharedRequests,
        block_bytes: usize,
        kept: &mut Kept,
    ) -> Result<Overlay, FileError> {
        let create = |memory: &Memory| Overlay::create(memory, requests.clone(), block_bytes);
        let overlay = match kept.is_some() {
            true => create(&*kept.memory(OVERLAY, account, self.overlay_bytes, true).map_err(device)?),
            false => create(&Memory::create_dma(account, self.overlay_bytes).map_err(|_| FileError::Exhausted)?),
        };
        Ok(overlay?)
    }

    /// The overlay that an earlier incarnation has left. Errors: `Corrupt`, `Exhausted`.
    pub fn open_overlay(
        &self,
        account: &Account,
        requests: &SharedRequests,
        block_bytes: usize,
        kept: &mut Kept,
    ) -> Result<Overlay, FileError> {
        let memory = kept.memory(OVERLAY, account, self.overlay_bytes, true).map_err(device)?;
        Ok(Overlay::open(&memory, requests.clone(), block_bytes, kept.committed())?)
    }

    /// The page cache. Error: `Exhausted`.
    pub fn open_cache(
        &self,
        account: &Account,
        requests: &SharedRequests,
        kept: &mut Kept,
    ) -> Result<PageCache, FileError> {
        let Options { cache_bytes, chunk_bytes, .. } = *self;
        if !kept.is_some() {
            return PageCache::new(account, requests.clone(), cache_bytes, chunk_bytes).map_err(device);
        }
        let bytes = PageCache::table_bytes(cache_bytes, chunk_bytes);
        let table = kept.memory(TABLE, account, bytes, false).map_err(device)?;
        let table = table.map_writable().map_err(|_| FileError::Exhausted)?;
        if kept.mounted().is_none() {
            table.zero(0, table.bytes());
        }
        let mut chunks: Vec<Retained<Memory>> = Vec::new();
        for index in 0..cache_bytes.div_ceil(chunk_bytes).max(1) {
            chunks.push(kept.memory(CHUNKS + index, account, chunk_bytes, true).map_err(device)?);
        }
        PageCache::over(chunks.iter().map(|chunk| &**chunk), requests.clone(), chunk_bytes, Some(table)).map_err(device)
    }
}

/// Finds file data of an earlier incarnation: how long files are, what is in their pages, and what was promised to them. Commits. Errors: `Device`, `Corrupt`.
pub fn recover_data<F: Housekeeping>(format: &mut F, cache: &mut PageCache) -> Result<(), FileError> {
    for (file, size) in format.kept().sizes() {
        if !format.restore_size(file, size) {
            format.kept().forget_size(file);
        }
    }
    let mut sizes = BTreeMap::new();
    for file in cache.files_in_table() {
        if let Some(size) = format.restore_data(file) {
            sizes.insert(file, size);
        }
    }
    cache.recover(format, |file| sizes.get(&file).copied())?;
    for (file, pages) in cache.dirty_runs() {
        format.promise_again(file, pages.start * PAGE, (pages.end - pages.start) * PAGE)?;
    }
    format.kept().commit();
    Ok(())
}
