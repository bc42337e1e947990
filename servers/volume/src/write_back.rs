//! When file data and records go to the disk: at once where somebody waits for it, after some seconds otherwise, and where much is dirty.

use crate::disk::Request;
use crate::file::FileError;
use crate::kept::Kept;
use crate::mounting::Options;
use crate::overlay::Overlay;
use crate::page_cache::{Backing, DataError, PageCache};
use crate::requests::{Owner, SharedRequests};
use alloc::vec::Vec;

/// Pages and records that have been dirty for so long are written, in seconds.
const AGE: u64 = 5;

/// What a format does besides requests.
pub trait Housekeeping: Backing + Sized {
    /// Does something with the overlay.
    fn with_overlay<T>(&mut self, operation: impl FnOnce(&mut Overlay) -> T) -> T;

    /// What outlives the server.
    fn kept(&mut self) -> &mut Kept;

    /// Files of which something is known.
    fn files(&self) -> Vec<u64>;

    /// What describes a file says when its data changed last.
    fn settle_time(&mut self, file: u64) -> Result<(), FileError>;

    /// All records are durable.
    fn durable(&mut self) {}

    /// Brings every block home and notes on the disk that nobody writes: as if unmounted, until something changes.
    fn come_home(&mut self) -> Result<(), FileError>;

    /// An earlier incarnation has kept the size of a file. Whether it is still there.
    fn restore_size(&mut self, file: u64, size: u64) -> bool;

    /// An earlier incarnation has left pages of a file: its size, if it is still there.
    fn restore_data(&mut self, file: u64) -> Option<u64>;

    /// Promises blocks anew for data that an earlier incarnation has promised them for.
    fn promise_again(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), FileError>;
}

/// The page cache of a volume, and what of it and of the records is not on the disk.
pub struct WriteBack {
    /// File data.
    pub cache: PageCache,
    requests: SharedRequests,
    options: Options,
    /// When records were last made durable.
    drained: u64,
    /// Data was written since the disk was last flushed.
    unflushed: bool,
}

impl WriteBack {
    /// Of this cache; `unflushed`: data may have been written to the disk since that was flushed.
    pub fn new(cache: PageCache, requests: SharedRequests, options: Options, unflushed: bool) -> WriteBack {
        let drained = (options.seconds)();
        WriteBack { cache, requests, options, drained, unflushed }
    }

    /// Tells the page cache the time.
    pub fn set_time(&mut self) {
        self.cache.set_time((self.options.seconds)());
    }

    /// Starts writing back when much is dirty, so that who writes faster than the disk waits for it, and not all at once.
    pub fn throttle<F: Housekeeping>(&mut self, format: &mut F) -> Result<(), FileError> {
        let (dirty, pages) = self.cache.load();
        if dirty > pages / 8 {
            self.unflushed = true;
            self.cache.write_back_some(format, dirty - pages / 16)?;
        }
        Ok(())
    }

    /// Puts a file on the medium, with what describes it; `data_only`: without its times. Waits. Error: what went wrong since the last time.
    pub fn sync<F: Housekeeping>(&mut self, format: &mut F, file: u64, data_only: bool) -> Result<(), FileError> {
        let wrote = self.cache.is_busy(file);
        let result = self.cache.write_back_all(format, file).map_err(FileError::from);
        if !data_only {
            format.settle_time(file)?;
        }
        self.settle(format, wrote)?;
        result
    }

    /// Makes all records durable, and data that was written.
    fn settle<F: Housekeeping>(&mut self, format: &mut F, wrote: bool) -> Result<(), FileError> {
        if format.with_overlay(|overlay| overlay.has_fresh()) {
            format.with_overlay(Overlay::make_durable)?;
            format.durable();
        } else if wrote || self.unflushed {
            let flushed = self.requests.borrow_mut().run(Owner::Overlay, Request::flush());
            flushed.map_err(DataError::from)?;
        }
        self.unflushed = false;
        self.drained = (self.options.seconds)();
        Ok(())
    }

    /// Puts everything on the medium, and everything at home there: the disk is as if it was unmounted, until something changes.
    pub fn sync_all<F: Housekeeping>(&mut self, format: &mut F) -> Result<(), FileError> {
        let mut result = Ok(());
        for file in format.files() {
            if let Err(error) = self.cache.write_back_all(format, file) {
                result = Err(error.into());
            }
            format.settle_time(file)?;
        }
        self.settle(format, true)?;
        format.come_home()?;
        result
    }

    /// Takes completions and goes on with what is to be done: after a signal of the disk, and once a second. Does not wait.
    pub fn tick<F: Housekeeping>(&mut self, format: &mut F) -> Result<(), FileError> {
        let now = (self.options.seconds)();
        self.cache.set_time(now);
        self.cache.advance();
        if self.options.read_only {
            return Ok(());
        }
        for (file, since) in self.cache.dirty_files() {
            if now >= since + AGE {
                self.unflushed = true;
                self.cache.write_back(format, file, usize::MAX);
                format.settle_time(file)?;
            }
        }
        let drained = &mut self.drained;
        format.with_overlay(|overlay| {
            if overlay.has_fresh() && now >= *drained + AGE {
                overlay.want_durable();
                *drained = now;
            }
            if overlay.wants_checkpoint() {
                overlay.want_checkpoint();
            }
            overlay.advance();
        });
        Ok(())
    }
}
