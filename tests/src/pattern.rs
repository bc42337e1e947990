//! What the guest's `storage write` fills files with, compared on the host.

use anyhow::{Result, ensure};
use guest::pattern::{PIECE, fill};

/// Checks that a file is what `storage write FILE MIB SEED` made.
///
/// # Errors
/// How it differs.
pub fn check_pattern(found: &[u8], mebibytes: u64, seed: u64) -> Result<()> {
    let mut expected = vec![0; PIECE];
    for (piece, found) in found.chunks(PIECE).enumerate() {
        fill(seed, piece as u64, &mut expected);
        if let Some(at) = found.iter().zip(&expected).position(|(found, expected)| found != expected) {
            let (found, expected) = (found[at], expected[at]);
            anyhow::bail!("at {} the host reads {found:#x}, not {expected:#x}", piece * PIECE + at);
        }
    }
    let (bytes, wanted) = (found.len() as u64, mebibytes << 20);
    ensure!(bytes == wanted, "the host reads {bytes} bytes, not {wanted}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found() {
        let mut bytes = vec![0; 1 << 20];
        for (piece, bytes) in bytes.chunks_mut(PIECE).enumerate() {
            fill(5, piece as u64, bytes);
        }
        check_pattern(&bytes, 1, 5).unwrap();
        assert!(check_pattern(&bytes, 1, 6).is_err());
        assert!(check_pattern(&bytes, 2, 5).is_err());
        bytes[200_000] ^= 1;
        let error = check_pattern(&bytes, 1, 5).unwrap_err();
        assert!(error.to_string().contains("at 200000 "), "{error}");
    }
}
