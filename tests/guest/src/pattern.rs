//! What `storage write` fills files with: the host knows it too, and compares.

use crate::random::Random;

/// Bytes of a piece, and of a sequential request.
pub const PIECE: usize = 128 * 1024;

/// The piece of a pattern that is at this place of a file.
pub fn fill(seed: u64, piece: u64, bytes: &mut [u8]) {
    let mut random = Random::new(seed << 32 | (piece + 1));
    for word in bytes.chunks_mut(8) {
        let value = random.number().to_le_bytes();
        word.copy_from_slice(&value[..word.len()]);
    }
}
