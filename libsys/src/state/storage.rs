//! Memory that outlives the process, as the records see it: tests stop it at any store.

use crate::WritableMapping;
use core::sync::atomic::Ordering;

/// Memory that outlives the process. Offsets of words are multiples of 8.
pub trait Storage {
    /// Its size.
    fn bytes(&self) -> usize;
    /// Copies bytes out.
    fn read(&self, offset: usize, into: &mut [u8]);
    /// Copies bytes in, in any order, after all that was stored before.
    fn write(&mut self, offset: usize, from: &[u8]);
    /// Reads a word.
    fn word(&self, offset: usize) -> u64;
    /// Stores a word at once, after all that was stored before.
    fn set_word(&mut self, offset: usize, value: u64);
}

impl Storage for WritableMapping {
    fn bytes(&self) -> usize {
        (**self).bytes()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        self.copy_out(offset, into);
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        core::sync::atomic::fence(Ordering::Release);
        self.copy_in(offset, from);
    }

    fn word(&self, offset: usize) -> u64 {
        self.load_u64(offset, Ordering::Acquire)
    }

    fn set_word(&mut self, offset: usize, value: u64) {
        self.word_u64(offset).store(value, Ordering::Release);
    }
}
