//! Changes in place: a part of a frame is overwritten, and what was there is kept until the record counts to which the change belongs. So a small change costs neither a copy of its block nor a sum over it.
//!
//! What undoes changes lies in a region of its own, one entry behind the other, in words: the number of the record, where the words were (frame, first word, how many), the frame's sum before, the words. The length
//! of it all is stored when an entry is complete, and before the frame changes. Who finds entries of records that do not count takes them back, the last one first: as often as it likes, as old words stay old words.
//! When records count, the length is 0 again.

use super::{LogError, RecordLog};
use crate::checksum;
use core::sync::atomic::Ordering;

/// Bytes of the region.
pub(super) const BYTES: usize = 16 << 10;
/// Where its length is, in words.
const LENGTH: usize = 1536;
/// Words of an entry before the words themselves.
const FIXED: usize = 3;
/// Bytes that are changed at once, and those of most changes, with the words that they are parts of.
const PIECE: usize = 256;
const SMALL: usize = 64;

/// An entry: where its words are in the region, and where they were.
struct Entry {
    record: u64,
    frame: u32,
    first: usize,
    count: usize,
    sum: u64,
    words: usize,
}

impl RecordLog {
    fn undo_at(&self, word: usize) -> usize {
        super::RING + self.ring as usize * 8 + word * 8
    }

    fn set_undo(&mut self, words: usize) {
        self.undo = words;
        self.memory.word_u64(LENGTH).store(words as u64, Ordering::Release);
        crate::kept::step();
    }

    /// Whether a change of so many bytes in place can be undone.
    pub fn can_undo(&self, bytes: usize) -> bool {
        let pieces = bytes / PIECE + 2;
        self.undo + bytes / 8 + 2 * pieces + pieces * FIXED <= BYTES / 8
    }

    /// Writes a part of a frame. With `undo`, for which there has to be room, it is taken back unless the next record counts. Returns whether anything is another than before.
    pub fn write_part(&mut self, frame: u32, offset: usize, from: &[u8], undo: bool) -> bool {
        let (mut at, mut rest, mut is_changed) = (offset, from, false);
        while !rest.is_empty() {
            let start = at / 8 * 8;
            let (now, later) = rest.split_at(rest.len().min(start + PIECE - at));
            is_changed |= match at + now.len() - start <= SMALL {
                true => self.write_piece::<SMALL>(frame, at, now, undo),
                false => self.write_piece::<PIECE>(frame, at, now, undo),
            };
            (at, rest) = (at + now.len(), later);
        }
        is_changed
    }

    /// With buffers of so many bytes, that suffice from the word in which it begins on.
    fn write_piece<const BYTES: usize>(&mut self, frame: u32, at: usize, from: &[u8], undo: bool) -> bool {
        let start = at / 8 * 8;
        let end = (at + from.len()).next_multiple_of(8);
        let place = self.frame_at(frame);
        let mut old = [0; BYTES];
        let old = &mut old[..end - start];
        self.memory.copy_out(place + start, old);
        let mut new = [0; BYTES];
        let new = &mut new[..end - start];
        new.copy_from_slice(old);
        new[at - start..at - start + from.len()].copy_from_slice(from);
        let (old, new) = (old.as_chunks::<8>().0, new.as_chunks::<8>().0);
        let Some(first) = old.iter().zip(new).position(|(old, new)| old != new) else { return false };
        let last = old.iter().zip(new).rposition(|(old, new)| old != new).unwrap_or(first);
        let (old, new) = (&old[first..=last], &new[first..=last]);
        let (index, sum) = (start / 8 + first, self.sum(frame));
        if undo {
            self.push_undo(frame, index, sum, old.as_flattened());
        }
        self.memory.copy_in(place + index * 8, new.as_flattened());
        crate::kept::step();
        let mut changed = sum;
        for (offset, (old, new)) in old.iter().zip(new).enumerate() {
            let difference = u64::from_le_bytes(*new).wrapping_sub(u64::from_le_bytes(*old));
            changed = changed.wrapping_add(difference.wrapping_mul(checksum::factor(index + offset)));
        }
        self.set_sum(frame, changed);
        crate::kept::step();
        true
    }

    fn push_undo(&mut self, frame: u32, first: usize, sum: u64, old: &[u8]) {
        let count = old.len() / 8;
        let at = self.undo_at(self.undo);
        let place = u64::from(frame) << 32 | (first as u64) << 16 | count as u64;
        for (index, word) in [self.next, place, sum].into_iter().enumerate() {
            self.memory.word_u64(at + index * 8).store(word, Ordering::Relaxed);
        }
        self.memory.copy_in(at + FIXED * 8, old);
        crate::kept::step();
        self.set_undo(self.undo + FIXED + count);
    }

    /// The entry at a word of the region. `None`: there is none that could be right.
    fn undo_entry(&self, at: usize, end: usize) -> Option<Entry> {
        let load = |word: usize| self.memory.load_u64(self.undo_at(at + word), Ordering::Relaxed);
        if end - at < FIXED {
            return None;
        }
        let place = load(1);
        let (frame, first, count) = ((place >> 32) as u32, (place >> 16) as usize & 0xffff, place as usize & 0xffff);
        let is_inside = frame < self.frames && (first + count) * 8 <= self.frame_bytes && FIXED + count <= end - at;
        is_inside.then(|| Entry { record: load(0), frame, first, count, sum: load(2), words: at + FIXED })
    }

    /// Takes back what was changed for the next record, and for any behind it. Error: `Damaged`.
    pub fn roll_back(&mut self) -> Result<(), LogError> {
        let (mut entries, mut at) = (alloc::vec::Vec::new(), 0);
        while at < self.undo {
            let entry = self.undo_entry(at, self.undo).ok_or(LogError::Damaged)?;
            at = entry.words + entry.count;
            if entry.record >= self.next {
                entries.push(entry);
            }
        }
        let Some(first) = entries.first() else { return Ok(()) };
        let length = first.words - FIXED;
        for entry in entries.iter().rev() {
            let (to, from) = (self.frame_at(entry.frame) + entry.first * 8, self.undo_at(entry.words));
            self.memory.copy_from(to, &self.memory, from, entry.count * 8);
            crate::kept::step();
            self.set_sum(entry.frame, entry.sum);
            crate::kept::step();
        }
        self.set_undo(length);
        Ok(())
    }

    /// What an earlier incarnation has changed for records that do not count is taken back.
    pub(super) fn roll_back_dead(&mut self) -> Result<(), LogError> {
        let length = self.memory.load_u64(LENGTH, Ordering::Acquire);
        if length > BYTES as u64 / 8 {
            return Err(LogError::Damaged);
        }
        self.undo = length as usize;
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
