//! Memory that clients have lent: for reads and writes.
//!
//! It is not kept: a client whose buffer the server does not know any more lends it again. So that a number never means another buffer, numbers differ from one incarnation to the next.

use crate::volume::Result;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libsys::protocol::file::{BUFFER_BYTES, BUFFERS};
use libsys::protocol::filesystem::FileError;
use libsys::{Memory, WritableMapping};

/// A lent buffer.
#[derive(Debug)]
struct Lent {
    /// The process whose it is.
    client: u64,
    /// The session over which it was lent, with whose close it goes.
    badge: u64,
    mapping: Arc<WritableMapping>,
}

/// Buffers in all, and bits of a number below the incarnation's.
const PLACES: usize = 1 << 16;

/// All of them; a buffer's number is its place, and above that the incarnation's number.
#[derive(Debug)]
pub(crate) struct Buffers {
    lent: Vec<Option<Lent>>,
    incarnation: u32,
}

impl Buffers {
    /// None, in this incarnation.
    pub(crate) fn new(incarnation: u64) -> Buffers {
        Buffers { lent: Vec::new(), incarnation: (incarnation as u32).wrapping_mul(PLACES as u32) }
    }

    /// Takes a buffer: its number.
    pub(crate) fn lend(&mut self, client: u64, badge: u64, memory: &Memory) -> Result<u32> {
        let of_client = self.lent.iter().flatten().filter(|lent| lent.client == client).count();
        if of_client >= BUFFERS {
            return Err(FileError::Exhausted);
        }
        let bytes = memory.info().map_err(|_| FileError::OutOfRange)?.bytes;
        if bytes > BUFFER_BYTES {
            return Err(FileError::OutOfRange);
        }
        let mapping = memory.map_writable().map_err(|error| match error {
            libsys::Error::AccountExhausted => FileError::Exhausted,
            _ => FileError::OutOfRange,
        })?;
        let lent = Lent { client, badge, mapping: Arc::new(mapping) };
        let index = match self.lent.iter().position(Option::is_none) {
            Some(index) => index,
            None if self.lent.len() == PLACES => return Err(FileError::Exhausted),
            None => {
                self.lent.try_reserve(1).map_err(|_| FileError::Exhausted)?;
                self.lent.push(None);
                self.lent.len() - 1
            }
        };
        self.lent[index] = Some(lent);
        Ok(self.incarnation | index as u32)
    }

    /// The mapping of a client's buffer, of which a range is meant. Errors: `NotLent`, `OutOfRange`.
    #[inline]
    pub(crate) fn find(&self, client: u64, buffer: u32, at: u32, bytes: u32) -> Result<&Arc<WritableMapping>> {
        let index = (buffer ^ self.incarnation) as usize;
        let lent = self.lent.get(index).and_then(Option::as_ref).filter(|lent| lent.client == client);
        let mapping = &lent.ok_or(FileError::NotLent)?.mapping;
        if u64::from(at) + u64::from(bytes) > mapping.bytes() as u64 {
            return Err(FileError::OutOfRange);
        }
        Ok(mapping)
    }

    /// A client has closed a session.
    pub(crate) fn close(&mut self, badge: u64, client: u64) {
        for lent in &mut self.lent {
            if lent.as_ref().is_some_and(|lent| lent.client == client && lent.badge == badge) {
                *lent = None;
            }
        }
    }
}
