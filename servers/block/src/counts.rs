//! What is counted of a disk and its partitions: in Memory that outlives the server, as each count is a word that is true by itself.

use crate::queue::Ended;
use core::sync::atomic::Ordering::Relaxed;
use libsys::WritableMapping;
use libsys::abi::PAGE_BYTES;
use libsys::protocol::block::{BlockStatus, Operation};
use libsys::protocol::disks::{DiskStatistics, OperationStatistics};

/// Bytes of the Memory.
pub const BYTES: u64 = PAGE_BYTES as u64;

/// Words for a disk or a partition: five for each of reads, writes and flushes, and the time it was busy.
const WORDS: usize = 16;
const WORDS_OF_KIND: usize = 5;
const BUSY: usize = WORDS - 1;
const KINDS: usize = 3;

/// Places for a disk, which is the first, and its partitions by number. What has none is not counted on the medium of its counts, but from each start of the server.
const PLACES: usize = BYTES as usize / (WORDS * 8);

/// Counts in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    counts: DiskStatistics,
    /// When the first of those in flight came.
    since: u64,
    /// Reads, writes, flushes: whether more of them have ended than was written down.
    changed: [bool; KINDS],
}

impl Counts {
    /// The counts of a partition (0: of the disk) as the incarnation before left them. What was in flight comes again.
    pub fn recover(memory: Option<&WritableMapping>, number: u32) -> Counts {
        let mut counts = Counts::default();
        if let Some((memory, place)) = place(memory, number) {
            let words: [u64; WORDS] = core::array::from_fn(|word| memory.load_u64(place + word * 8, Relaxed));
            set(&mut counts.counts, &words);
        }
        counts
    }

    /// Writes down those that have changed.
    pub fn keep(&mut self, memory: Option<&WritableMapping>, number: u32) {
        let changed = core::mem::take(&mut self.changed);
        let Some((memory, place)) = place(memory, number) else { return };
        let store = |word: usize, value| memory.word_u64(place + word * 8).store(value, Relaxed);
        let counts = &self.counts;
        for (kind, counts) in [&counts.reads, &counts.writes, &counts.flushes].into_iter().enumerate() {
            if changed[kind] {
                let words = words(counts).into_iter().enumerate();
                words.for_each(|(word, value)| store(kind * WORDS_OF_KIND + word, value));
            }
        }
        store(BUSY, counts.busy);
    }

    /// A request has come.
    pub fn begin(&mut self, now: u64) {
        if self.counts.in_flight == 0 {
            self.since = now;
        }
        self.counts.in_flight += 1;
    }

    /// A request has ended.
    pub fn end<T>(&mut self, ended: &Ended<T>, now: u64) {
        let counts = &mut self.counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
        if counts.in_flight == 0 {
            counts.busy += now.saturating_sub(self.since);
        }
        let (kind, number): (&mut OperationStatistics, usize) = match ended.operation {
            Operation::Read => (&mut counts.reads, 0),
            Operation::Write | Operation::Discard | Operation::WriteZeroes => (&mut counts.writes, 1),
            Operation::Flush => (&mut counts.flushes, 2),
        };
        self.changed[number] = true;
        kind.requests += 1;
        kind.sectors += u64::from(ended.sectors);
        kind.merged += u64::from(ended.was_merged);
        kind.failed += u64::from(ended.status != BlockStatus::Done);
        kind.nanoseconds += now.saturating_sub(ended.arrival);
    }

    /// What is counted so far.
    pub fn read(&self, now: u64) -> DiskStatistics {
        let mut counts = self.counts;
        if counts.in_flight > 0 {
            counts.busy += now.saturating_sub(self.since);
        }
        counts
    }
}

/// Where the counts of a partition are.
fn place(memory: Option<&WritableMapping>, number: u32) -> Option<(&WritableMapping, usize)> {
    let place = usize::try_from(number).ok().filter(|place| *place < PLACES)?;
    Some((memory?, place * WORDS * 8))
}

/// The words of one kind.
fn words(kind: &OperationStatistics) -> [u64; WORDS_OF_KIND] {
    [kind.requests, kind.sectors, kind.merged, kind.failed, kind.nanoseconds]
}

/// Counts from their words.
fn set(counts: &mut DiskStatistics, words: &[u64; WORDS]) {
    for (at, kind) in [&mut counts.reads, &mut counts.writes, &mut counts.flushes].into_iter().enumerate() {
        let places = [&mut kind.requests, &mut kind.sectors, &mut kind.merged, &mut kind.failed, &mut kind.nanoseconds];
        places.into_iter().zip(&words[at * WORDS_OF_KIND..]).for_each(|(place, word)| *place = *word);
    }
    counts.busy = words[BUSY];
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::{Memory, fake};

    #[test]
    fn counts_are_found_again() {
        let memory = Memory::create(&fake::account(), BYTES).expect("memory");
        let mapping = memory.map_writable().expect("a mapping");
        let ended = |operation, tag: u32| Ended {
            tag,
            status: BlockStatus::Done,
            operation,
            sectors: 3,
            arrival: 5,
            was_merged: true,
        };
        let mut counts = Counts::default();
        for operation in [Operation::Read, Operation::Write, Operation::Flush, Operation::Discard] {
            counts.begin(4);
            counts.end(&ended(operation, 1), 20);
        }
        counts.keep(Some(&mapping), 2);
        assert_eq!(Counts::recover(Some(&mapping), 2).read(30), counts.read(30));
        assert_eq!(counts.read(30).writes.sectors, 6);
        // What has ended since is added.
        counts.begin(40);
        counts.end(&ended(Operation::Flush, 1), 50);
        counts.keep(Some(&mapping), 2);
        assert_eq!(Counts::recover(Some(&mapping), 2).read(60), counts.read(60));
        assert_eq!((counts.read(60).flushes.requests, counts.read(60).writes.requests), (2, 2));
        assert_eq!(Counts::recover(Some(&mapping), 0).read(30), DiskStatistics::default());
        assert_eq!(Counts::recover(Some(&mapping), PLACES as u32).read(30), DiskStatistics::default());
    }
}
