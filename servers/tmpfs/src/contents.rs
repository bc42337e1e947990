//! The data of a file: pages by number; one that is not there is a hole and reads as zeros. Each page is as long as what was written to it, so small files take little.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use filesystem::{Destination, FileError, Result, Source};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// What a page takes besides its bytes: its place in the map and in the allocator.
const OVERHEAD: u64 = 64;

/// Pages grow by so much.
const STEP: usize = 256;

/// What all files together may take.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    /// Nothing is used of `limit` bytes.
    pub fn new(limit: u64) -> Budget {
        Budget { limit, used: 0 }
    }

    /// Bytes in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Takes bytes. Error: `NoSpace`.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.left() {
            return Err(FileError::NoSpace);
        }
        self.used += bytes;
        Ok(())
    }

    /// Gives bytes back.
    pub fn give(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// The data of a file.
#[derive(Debug, Default)]
pub struct Contents {
    pages: BTreeMap<u64, Vec<u8>>,
    size: u64,
    /// What was taken from the budget for it.
    charged: u64,
}

impl Contents {
    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of memory that it takes.
    pub fn charged(&self) -> u64 {
        self.charged
    }

    /// Copies from an offset on, up to the end.
    pub fn read(&self, offset: u64, into: &mut Destination<'_>) {
        let mut at = offset;
        while at < self.size && into.room() > 0 {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let count = (PAGE - start as u64).min(self.size - at) as usize;
            let there = self.pages.get(&page).and_then(|page| page.get(start..)).unwrap_or_default();
            let there = &there[..there.len().min(count)];
            let mut done = into.put(there);
            if done == there.len() {
                done += into.put_zeros(count - done);
            }
            at += done as u64;
        }
    }

    /// Copies into the file from an offset on, as much as there is room for. Error: `NoSpace`, where there is none at all.
    pub fn write(&mut self, offset: u64, from: &mut Source<'_>, budget: &mut Budget) -> Result<()> {
        let mut at = offset;
        while from.left() > 0 {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let count = (PAGE as usize - start).min(from.left());
            let place = match self.room(page, start + count, budget) {
                Ok(page) => &mut page[start..start + count],
                // What fitted is written.
                Err(_) if at > offset => break,
                Err(error) => return Err(error),
            };
            at += from.take(place) as u64;
            self.size = self.size.max(at);
        }
        Ok(())
    }

    /// A page of at least so many bytes.
    fn room(&mut self, number: u64, bytes: usize, budget: &mut Budget) -> Result<&mut Vec<u8>> {
        let (length, is_new) = match self.pages.get(&number) {
            Some(page) => (page.len(), false),
            None => (0, true),
        };
        if length < bytes {
            let new_length = bytes.next_multiple_of(STEP);
            let charge = (new_length - length) as u64 + if is_new { OVERHEAD } else { 0 };
            budget.take(charge)?;
            let page = self.pages.entry(number).or_default();
            if page.try_reserve_exact(new_length - length).is_err() {
                budget.give(charge);
                if is_new {
                    self.pages.remove(&number);
                }
                return Err(FileError::NoSpace);
            }
            page.resize(new_length, 0);
            self.charged += charge;
        }
        self.pages.get_mut(&number).ok_or(FileError::NoSpace)
    }

    /// Cuts the file off, or lets it end later.
    pub fn truncate(&mut self, bytes: u64, budget: &mut Budget) {
        if bytes < self.size {
            let mut freed = 0;
            for (_, page) in self.pages.split_off(&bytes.div_ceil(PAGE)) {
                freed += page.len() as u64 + OVERHEAD;
            }
            // What is behind the end is zero when the file grows again.
            if let Some(page) = self.pages.get_mut(&(bytes / PAGE)) {
                let end = ((bytes % PAGE) as usize).min(page.len());
                page[end..].fill(0);
            }
            self.charged -= freed;
            budget.give(freed);
        }
        self.size = bytes;
    }

    /// Gives back what it took.
    pub fn free(&mut self, budget: &mut Budget) {
        budget.give(core::mem::take(&mut self.charged));
        self.pages.clear();
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contents: &Contents, offset: u64, bytes: usize) -> Vec<u8> {
        let mut into = vec![0xee; bytes];
        let mut destination = Destination::bytes(&mut into);
        contents.read(offset, &mut destination);
        let count = bytes - destination.room();
        into.truncate(count);
        into
    }

    #[test]
    fn holes_and_what_was_cut_off_are_zeros() {
        let (mut contents, mut budget) = (Contents::default(), Budget::new(1 << 20));
        contents.write(PAGE * 1_000_000 + 10, &mut Source::bytes(b"far"), &mut budget).expect("room");
        assert_eq!(contents.size(), PAGE * 1_000_000 + 13);
        assert!(contents.charged() < 1000, "a hole takes nothing");
        assert_eq!(read(&contents, PAGE * 1_000_000 + 8, 100), b"\0\0far");
        assert_eq!(read(&contents, PAGE * 5 - 3, 6), [0; 6]);
        contents.write(0, &mut Source::bytes(&[7; 5000]), &mut budget).expect("room");
        contents.truncate(4100, &mut budget);
        contents.truncate(6000, &mut budget);
        assert_eq!(read(&contents, 4098, 4), [7, 7, 0, 0]);
        assert_eq!(read(&contents, 4098, 5000).len(), 6000 - 4098);
        contents.truncate(0, &mut budget);
        assert_eq!((contents.charged(), budget.left()), (0, 1 << 20));
    }

    #[test]
    fn what_fits_is_written() {
        let (mut contents, mut budget) = (Contents::default(), Budget::new(10_000));
        let mut source = Source::bytes(&[1; 20_000]);
        contents.write(0, &mut source, &mut budget).expect("some room");
        assert_eq!((contents.size(), source.left()), (2 * PAGE, 20_000 - 2 * PAGE as usize));
        assert_eq!(contents.write(contents.size(), &mut source, &mut budget), Err(FileError::NoSpace));
        contents.free(&mut budget);
        assert_eq!(budget.left(), 10_000);
    }
}
