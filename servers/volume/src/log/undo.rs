//! Changes in place: a part of a frame is overwritten, and what was there is kept until the record counts to which the change belongs. So a small change costs neither a copy of its block nor a sum over it.
//!
//! What undoes changes lies in a region of its own: entries of four words, one for each word that was changed. The number of entries
//! is stored when one is complete, and before the frame changes. Who finds entries of records that do not count takes them back, the last one first: as often as it likes, as old words stay old words.
//! When records count, the number is 0 again.
//!
//! | word of an entry | holds |
//! |---|---|
//! | 0 | the number of the record |
//! | 1 | the frame, and which word of it |
//! | 2 | the frame's sum before |
//! | 3 | the word before |

use super::{LogError, RecordLog};
use crate::checksum;
use core::sync::atomic::Ordering;

/// Bytes of the region.
pub(super) const BYTES: usize = 16 << 10;
/// Where the number of entries is.
const COUNT: usize = 1536;
/// Words of an entry, and how many entries there can be.
const ENTRY_WORDS: usize = 4;
const MOST: usize = BYTES / 8 / ENTRY_WORDS;

/// An entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    record: u64,
    frame: u32,
    word: u32,
    sum: u64,
    old: u64,
}

impl RecordLog {
    fn entry_at(&self, entry: usize) -> usize {
        super::RING + self.ring as usize * 8 + entry * ENTRY_WORDS * 8
    }

    fn set_undo(&mut self, entries: usize) {
        self.undo = entries;
        self.memory.word_u64(COUNT).store(entries as u64, Ordering::Release);
        crate::kept::step();
    }

    /// Whether changes in place of so many bytes each can be undone.
    pub fn can_undo(&self, lengths: impl Iterator<Item = usize>) -> bool {
        self.undo + lengths.map(|bytes| bytes / 8 + 2).sum::<usize>() <= MOST
    }

    /// Writes a part of a frame. With `undo`, for which there has to be room, it is taken back unless the next record counts. Returns whether anything is another than before.
    pub fn write_part(&mut self, frame: u32, offset: usize, from: &[u8], undo: bool) -> bool {
        let first = offset / 8;
        let words = self.memory.words_u64(self.frame_at(frame) + first * 8, (offset + from.len()).div_ceil(8) - first);
        let entries = self.memory.words_u64(self.entry_at(0), BYTES / 8);
        let count = self.memory.word_u64(COUNT);
        let (mut sum, mut left) = (self.sum(frame), self.undo);
        let mut is_changed = false;
        let mut set = |index: usize, old: u64, new: u64| {
            if new == old {
                return;
            }
            let number = first + index;
            if undo {
                let entry = [self.next, u64::from(frame) << 32 | number as u64, sum, old];
                for (place, word) in entries[left * ENTRY_WORDS..].iter().zip(entry) {
                    place.store(word, Ordering::Relaxed);
                }
                crate::kept::step();
                left += 1;
                count.store(left as u64, Ordering::Release);
                crate::kept::step();
            }
            words[index].store(new, Ordering::Release);
            crate::kept::step();
            sum = sum.wrapping_add(new.wrapping_sub(old).wrapping_mul(checksum::factor(number)));
            is_changed = true;
        };
        let load = |index: usize| words[index].load(Ordering::Relaxed);
        // Of the first word and the last a part may change.
        let (head, rest) = from.split_at(from.len().min(offset.next_multiple_of(8) - offset));
        let (whole, tail) = rest.as_chunks();
        let begin = usize::from(!head.is_empty());
        if !head.is_empty() {
            set(0, load(0), mixed(load(0), offset % 8, head));
        }
        // Most are as they were: four are looked at together.
        let (fours, others) = whole.as_chunks::<4>();
        for (four, (old, new)) in words[begin..].as_chunks::<4>().0.iter().zip(fours).enumerate() {
            let new = new.map(u64::from_le_bytes);
            let differ = (0..4).fold(0, |differ, index| differ | old[index].load(Ordering::Relaxed) ^ new[index]);
            if differ != 0 {
                for (index, new) in (begin + 4 * four..).zip(new) {
                    set(index, load(index), new);
                }
            }
        }
        for (index, new) in (begin + 4 * fours.len()..).zip(others) {
            set(index, load(index), u64::from_le_bytes(*new));
        }
        if !tail.is_empty() {
            let last = begin + whole.len();
            set(last, load(last), mixed(load(last), 0, tail));
        }
        self.undo = left;
        if is_changed {
            self.set_sum(frame, sum);
            crate::kept::step();
        }
        is_changed
    }

    /// An entry. `None`: it cannot be right.
    fn entry(&self, entry: usize) -> Option<Entry> {
        let at = self.entry_at(entry);
        let [record, place, sum, old] =
            core::array::from_fn(|index| self.memory.load_u64(at + index * 8, Ordering::Relaxed));
        let (frame, word) = ((place >> 32) as u32, place as u32);
        let is_inside = frame < self.frames && (word as usize) < self.frame_bytes / 8;
        is_inside.then_some(Entry { record, frame, word, sum, old })
    }

    /// Takes back what was changed for the next record, and for any behind it. Error: `Damaged`.
    pub fn roll_back(&mut self) -> Result<(), LogError> {
        let mut left = self.undo;
        while left > 0 {
            let entry = self.entry(left - 1).ok_or(LogError::Damaged)?;
            if entry.record < self.next {
                break;
            }
            let place = self.frame_at(entry.frame) + entry.word as usize * 8;
            self.memory.word_u64(place).store(entry.old, Ordering::Release);
            crate::kept::step();
            self.set_sum(entry.frame, entry.sum);
            crate::kept::step();
            left -= 1;
        }
        if left < self.undo {
            self.set_undo(left);
        }
        Ok(())
    }

    /// What an earlier incarnation has changed for records that do not count is taken back.
    pub(super) fn roll_back_dead(&mut self) -> Result<(), LogError> {
        let entries = self.memory.load_u64(COUNT, Ordering::Acquire);
        self.undo = usize::try_from(entries).ok().filter(|entries| *entries <= MOST).ok_or(LogError::Damaged)?;
        self.roll_back()?;
        self.counted();
        Ok(())
    }

    /// All records count: nothing will be taken back of what was changed for them.
    pub fn counted(&mut self) {
        if self.undo > 0 {
            self.set_undo(0);
        }
    }
}

/// A word of which some bytes are others, from the one with this index on.
fn mixed(old: u64, within: usize, from: &[u8]) -> u64 {
    let mut word = old.to_le_bytes();
    for (place, byte) in word[within..].iter_mut().zip(from) {
        *place = *byte;
    }
    u64::from_le_bytes(word)
}
