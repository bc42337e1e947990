//! Shared buffers: a range of Memory that travels as a handle and two numbers.

use crate::Memory;

/// A range of Memory, an argument or a result of its own. The receiver of a request gets a handle
/// of its own to the whole Memory; the range says which part is meant.
#[derive(Debug)]
pub struct Shared {
    /// The Memory.
    pub memory: Memory,
    /// First byte of the range.
    pub offset: u64,
    /// Bytes in the range.
    pub bytes: u64,
}

impl Shared {
    /// All of a Memory of this size.
    pub const fn whole(memory: Memory, bytes: u64) -> Shared {
        Shared { memory, offset: 0, bytes }
    }

    /// The range that a peer named; `None` unless it lies inside the Memory.
    pub fn checked(memory: Memory, offset: u64, bytes: u64) -> Option<Shared> {
        let size = memory.info().ok()?.bytes;
        let end = offset.checked_add(bytes)?;
        (end <= size).then_some(Shared { memory, offset, bytes })
    }
}
