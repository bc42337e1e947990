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

/// Places for a disk, which is the first, and its partitions by number. What has none is not counted on the medium of its counts, but from each start of the server.
const PLACES: usize = BYTES as usize / (WORDS * 8);

/// Counts in the making.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    counts: DiskStatistics,
    /// When the first of those in flight came.
    since: u64,
}

impl Counts {
    /// The counts of a partition (0: of the disk) as the incarnation before left them. What was in flight comes again.
    pub fn recover(memory: Option<&WritableMapping>, number: u32) -> Counts {
        let mut counts = Counts::default();
        if let Some((memory, place)) = place(memory, number) {
            let words: [u64; WORDS] = core::array::from_fn(|word| memory.load_u64(place + word * 8, Relaxed));
            counts.counts.set(&words);
        }
        counts
    }

    /// Writes them down.
    pub fn keep(&self, memory: Option<&WritableMapping>, number: u32) {
        if let Some((memory, place)) = place(memory, number) {
            for (word, value) in self.counts.words().into_iter().enumerate() {
                memory.word_u64(place + word * 8).store(value, Relaxed);
            }
        }
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
        let kind: &mut OperationStatistics = match ended.operation {
            Operation::Read => &mut counts.reads,
            Operation::Flush => &mut counts.flushes,
            Operation::Write | Operation::Discard | Operation::WriteZeroes => &mut counts.writes,
        };
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

/// Counts as words.
trait Words {
    fn words(&self) -> [u64; WORDS];
    fn set(&mut self, words: &[u64; WORDS]);
}

impl Words for DiskStatistics {
    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        for (at, kind) in [&self.reads, &self.writes, &self.flushes].into_iter().enumerate() {
            let of_kind = [kind.requests, kind.sectors, kind.merged, kind.failed, kind.nanoseconds];
            words[at * 5..at * 5 + 5].copy_from_slice(&of_kind);
        }
        words[WORDS - 1] = self.busy;
        words
    }

    fn set(&mut self, words: &[u64; WORDS]) {
        for (at, kind) in [&mut self.reads, &mut self.writes, &mut self.flushes].into_iter().enumerate() {
            let places =
                [&mut kind.requests, &mut kind.sectors, &mut kind.merged, &mut kind.failed, &mut kind.nanoseconds];
            places.into_iter().zip(&words[at * 5..]).for_each(|(place, word)| *place = *word);
        }
        self.busy = words[WORDS - 1];
    }
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
        assert_eq!(Counts::recover(Some(&mapping), 0).read(30), DiskStatistics::default());
        assert_eq!(Counts::recover(Some(&mapping), PLACES as u32).read(30), DiskStatistics::default());
    }
}
