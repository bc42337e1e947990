//! The generator: a key, and nothing else. Pure.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// A generator with fast key erasure.
pub struct Generator {
    key: [u8; 32],
}

impl Generator {
    /// A generator with a key.
    pub fn new(key: [u8; 32]) -> Generator {
        Generator { key }
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut stream = ChaCha20Rng::from_seed(self.key);
        stream.fill_bytes(&mut self.key);
        stream.fill_bytes(buffer);
    }

    /// Stirs bytes in: whoever knows them, but not the key, knows no more than before.
    pub fn stir(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(self.key.len()) {
            // The length too, so that bytes that follow zeros are not the same as bytes alone.
            self.key[31] ^= chunk.len() as u8;
            self.erase();
            for (key, byte) in self.key.iter_mut().zip(chunk) {
                *key ^= byte;
            }
            self.erase();
        }
    }

    fn erase(&mut self) {
        self.fill(&mut []);
    }
}
