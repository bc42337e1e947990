//! A table of records that is whole at every instruction: what init finds again when it starts again.
//!
//! A slot has two copies of its record; the newer valid one counts, and a change is written over the older one.
//! A copy that was not written to its end does not have its checksum, so the one before it counts.
//!
//! | offset in a copy | is |
//! |---|---|
//! | 0 | which change of the slot this is, from 1 |
//! | 8 | bytes of the record; 0: the slot is free |
//! | 16 | checksum of both and of the record |
//! | 24 | the record |

use alloc::vec::Vec;
use libsys::WritableMapping;

/// Bytes of a copy in init's own table.
pub const COPY_BYTES: usize = 1152;
/// Bytes of a slot of that: two copies.
pub const SLOT_BYTES: usize = 2 * COPY_BYTES;
/// Longest record of that.
pub const RECORD_BYTES: usize = COPY_BYTES - HEADER_BYTES;

/// Bytes of a copy before the record.
pub const HEADER_BYTES: usize = 24;

/// Memory that outlives the process.
pub trait Storage {
    /// Bytes of a copy in it.
    const COPY_BYTES: usize = COPY_BYTES;
    /// Its size.
    fn bytes(&self) -> usize;
    /// Copies bytes out.
    fn read(&self, offset: usize, into: &mut [u8]);
    /// Copies bytes in, in any order.
    fn write(&mut self, offset: usize, from: &[u8]);
}

impl Storage for WritableMapping {
    fn bytes(&self) -> usize {
        (**self).bytes()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        self.copy_out(offset, into);
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        self.copy_in(offset, from);
    }
}

/// Why a record was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It is longer than a copy.
    TooLong,
    /// There is no free slot.
    Full,
}

/// Which record of the table.
pub type SlotNumber = usize;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Of the copy that counts; 0: none was ever written.
    sequence: u64,
    /// Which copy counts: 0 or 1.
    copy: usize,
    is_used: bool,
}

/// The table.
#[derive(Debug)]
pub struct Table<S> {
    storage: S,
    slots: Vec<Slot>,
}

impl<S: Storage> Table<S> {
    const RECORD_BYTES: usize = S::COPY_BYTES - HEADER_BYTES;

    fn offset(number: SlotNumber, copy: usize) -> usize {
        (2 * number + copy) * S::COPY_BYTES
    }

    /// The table in zeroed storage, or in what another incarnation left. Returned besides: all records.
    pub fn open(storage: S) -> (Table<S>, Vec<(SlotNumber, Vec<u8>)>) {
        let count = storage.bytes() / (2 * S::COPY_BYTES);
        let mut table = Table { storage, slots: Vec::with_capacity(count) };
        let mut records = Vec::new();
        for number in 0..count {
            let (copy, sequence, record) = table.newest(number);
            table.slots.push(Slot { sequence, copy, is_used: !record.is_empty() });
            if !record.is_empty() {
                records.push((number, record));
            }
        }
        (table, records)
    }

    /// A table in zeroed storage: nothing of it is read.
    pub fn new(storage: S) -> Table<S> {
        let slots = alloc::vec![Slot::default(); storage.bytes() / (2 * S::COPY_BYTES)];
        Table { storage, slots }
    }

    /// Writes a new record; it is there when this returns, and not before. Error: `TooLong`, `Full`.
    pub fn add(&mut self, record: &[u8]) -> Result<SlotNumber, TableError> {
        let free = self.slots.iter().position(|slot| !slot.is_used).ok_or(TableError::Full)?;
        self.set(free, record)?;
        Ok(free)
    }

    /// Writes a record in place of the slot's. Error: `TooLong`; the slot's record then stays.
    pub fn set(&mut self, number: SlotNumber, record: &[u8]) -> Result<(), TableError> {
        if record.len() > Self::RECORD_BYTES {
            return Err(TableError::TooLong);
        }
        let Slot { sequence, copy, .. } = self.slots[number];
        let (sequence, copy) = (sequence + 1, 1 - copy);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + record.len());
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&(record.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&checksum(sequence, record).to_le_bytes());
        bytes.extend_from_slice(record);
        self.storage.write(Self::offset(number, copy), &bytes);
        self.slots[number] = Slot { sequence, copy, is_used: !record.is_empty() };
        Ok(())
    }

    /// A slot's record; nothing where it is free.
    pub fn get(&self, number: SlotNumber) -> Vec<u8> {
        self.slots.get(number).map_or(Vec::new(), |slot| self.read(number, slot.copy).1)
    }

    /// How many slots are free.
    pub fn free(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.is_used).count()
    }

    /// Frees a slot.
    pub fn remove(&mut self, number: SlotNumber) {
        // No record at all is never too long.
        let _ = self.set(number, &[]);
    }

    /// The copy that counts, its sequence and its record; 0 and nothing where neither is valid. The other one is only looked at where this one was not written to its
    /// end.
    fn newest(&self, number: SlotNumber) -> (usize, u64, Vec<u8>) {
        let newer = usize::from(self.sequence(number, 1) > self.sequence(number, 0));
        for copy in [newer, 1 - newer] {
            let (sequence, record) = self.read(number, copy);
            if sequence != 0 {
                return (copy, sequence, record);
            }
        }
        (0, 0, Vec::new())
    }

    /// What a copy says that its sequence is, valid or not.
    fn sequence(&self, number: SlotNumber, copy: usize) -> u64 {
        let mut word = [0; 8];
        self.storage.read(Self::offset(number, copy), &mut word);
        u64::from_le_bytes(word)
    }

    /// A copy's sequence and record; 0 and nothing where it is not valid.
    fn read(&self, number: SlotNumber, copy: usize) -> (u64, Vec<u8>) {
        let offset = Self::offset(number, copy);
        let mut header = [0; HEADER_BYTES];
        self.storage.read(offset, &mut header);
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|n| header[at + n]));
        let (sequence, length, sum) = (word(0), word(8), word(16));
        if sequence == 0 || length > Self::RECORD_BYTES as u64 {
            return (0, Vec::new());
        }
        let mut record = alloc::vec![0; length as usize];
        self.storage.read(offset + HEADER_BYTES, &mut record);
        if checksum(sequence, &record) == sum { (sequence, record) } else { (0, Vec::new()) }
    }
}

/// FNV-1a of the sequence, the length and the bytes: it tells a torn copy from a whole one, not from a forged one.
fn checksum(sequence: u64, record: &[u8]) -> u64 {
    let header = sequence.to_le_bytes().into_iter().chain((record.len() as u64).to_le_bytes());
    let bytes = header.chain(record.iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Storage whose writes end after so many bytes, as if the process had died there.
    #[derive(Clone, Debug)]
    struct Torn {
        bytes: Vec<u8>,
        left: usize,
        /// Whether the last bytes of a write come first.
        is_backwards: bool,
    }

    impl Torn {
        fn new(slots: usize) -> Torn {
            Torn { bytes: vec![0; slots * SLOT_BYTES], left: usize::MAX, is_backwards: false }
        }
    }

    impl Storage for Torn {
        fn bytes(&self) -> usize {
            self.bytes.len()
        }

        fn read(&self, offset: usize, into: &mut [u8]) {
            into.copy_from_slice(&self.bytes[offset..offset + into.len()]);
        }

        fn write(&mut self, offset: usize, from: &[u8]) {
            let count = from.len().min(self.left);
            self.left -= count;
            let range = if self.is_backwards { from.len() - count..from.len() } else { 0..count };
            self.bytes[offset + range.start..offset + range.end].copy_from_slice(&from[range]);
        }
    }

    #[test]
    fn records_are_found_again() {
        let mut table = Table::new(Torn::new(4));
        let first = table.add(b"one").expect("a slot");
        let second = table.add(b"two").expect("a slot");
        table.set(first, b"three").expect("set");
        table.set(first, b"four").expect("set");
        let third = table.add(b"five").expect("a slot");
        table.remove(second);
        let (mut again, records) = Table::open(table.storage.clone());
        assert_eq!(records, [(first, b"four".to_vec()), (third, b"five".to_vec())]);
        assert_eq!(again.add(b"six"), Ok(second));
        assert_eq!(again.add(b"seven"), Ok(3));
        assert_eq!(again.add(b"eight"), Err(TableError::Full));
        assert_eq!(again.set(third, &[1; RECORD_BYTES + 1]), Err(TableError::TooLong));
        assert_eq!(Table::open(again.storage).1.len(), 4);
    }

    #[test]
    fn a_write_that_is_torn_anywhere_leaves_what_was_before() {
        let before = [7u8; 100];
        let after = [9u8; 140];
        for is_backwards in [false, true] {
            for cut in 0..=HEADER_BYTES + after.len() {
                let mut table = Table::new(Torn::new(1));
                // Three changes, so that the copy written over holds an older record.
                for older in [&[1u8; 200][..], &[2; 200], &before] {
                    table.set(0, older).expect("set");
                }
                table.storage.left = cut;
                table.storage.is_backwards = is_backwards;
                table.set(0, &after).expect("set");
                let (mut again, records) = Table::open(table.storage);
                let is_whole = cut == HEADER_BYTES + after.len();
                let expected = if is_whole { after.to_vec() } else { before.to_vec() };
                assert_eq!(records, [(0, expected)], "cut at {cut}");
                again.storage.left = usize::MAX;
                again.set(0, b"next").expect("set");
                assert_eq!(Table::open(again.storage).1, [(0, b"next".to_vec())]);
            }
        }
    }

    #[test]
    fn a_first_write_that_is_torn_leaves_nothing() {
        for cut in 0..HEADER_BYTES + 50 {
            let mut table = Table::new(Torn::new(1));
            table.storage.left = cut;
            table.set(0, &[3; 50]).expect("set");
            assert_eq!(Table::open(table.storage).1, [], "cut at {cut}");
        }
    }
}
