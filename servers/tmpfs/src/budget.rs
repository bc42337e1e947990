//! How much memory files may take.

use filesystem::{FileError, Result};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// What all files together may take.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    /// Nothing is used of `limit` bytes.
    pub fn new(limit: u64) -> Budget {
        Budget { limit, used: 0 }
    }

    /// Bytes in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Takes bytes. Error: `NoSpace`.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.left() {
            return Err(FileError::NoSpace);
        }
        self.used += bytes;
        Ok(())
    }

    /// Takes bytes that were taken in an earlier incarnation.
    pub fn retake(&mut self, bytes: u64) {
        self.used += bytes;
    }

    /// Gives bytes back.
    pub fn give(&mut self, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
    }
}
