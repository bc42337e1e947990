//! A 64-bit checksum of records in memory. It finds damage by chance (a wild write, a record cut short), not
//! by intent: nobody but the server writes there.
//!
//! Frames have a *sum* instead, which need not be made anew when a part of them changes: each word times a factor of its own, added up.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The sum of no words, or of zeros.
pub const NO_SUM: u64 = 0x736b_696e_6b21_0001;

/// The factor of the word with this index: odd, so that no change of a single word leaves the sum as it was.
#[inline]
pub fn factor(index: usize) -> u64 {
    MULTIPLIER.wrapping_mul(2 * index as u64 + 1)
}

/// The sum of a frame's words.
#[inline]
pub fn sum(words: impl Iterator<Item = u64>) -> u64 {
    let (mut sum, mut factor) = (NO_SUM, factor(0));
    for word in words {
        sum = sum.wrapping_add(word.wrapping_mul(factor));
        factor = factor.wrapping_add(MULTIPLIER.wrapping_mul(2));
    }
    sum
}

/// The checksum of what was added so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// Of nothing yet. The seed tells uses apart.
    pub fn new(seed: u64) -> Checksum {
        Checksum(seed ^ MULTIPLIER)
    }

    /// Adds a word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(MULTIPLIER);
    }

    /// Adds bytes; what does not fill a word is filled up with zeros.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.word(u64::from_le_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(last));
        }
    }

    /// The value.
    pub fn value(self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
