//! The startup block: what a parent leaves in a child's memory, read-only.
//!
//! A [`Prefix`] of plain words, enough to have a stack, message pages and a heap, and behind it the [`Startup`] in postcard.

use crate::env::Startup;
use crate::program::LoadError;
use abi::Handle;
use alloc::vec::Vec;

/// Marks a startup block.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"skinkrun");

/// Largest startup block, in bytes.
pub(crate) const LARGEST: usize = 256 * 1024;

/// Bytes that most startup blocks fit in.
const USUAL: usize = 1024;

/// The start of a startup block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Prefix {
    /// [`MAGIC`].
    pub(crate) magic: u64,
    /// Bytes of postcard that follow.
    pub(crate) bytes: u64,
    /// Where the main thread's message pages are.
    pub(crate) pages: u64,
    /// Lowest address of the main thread's stack.
    pub(crate) stack_start: u64,
    /// End of the stack.
    pub(crate) stack_end: u64,
    /// The account that the process may charge, or none.
    pub(crate) account: u64,
}

/// Bytes of a [`Prefix`].
pub(crate) const PREFIX_BYTES: usize = size_of::<Prefix>();

impl Prefix {
    /// Puts the prefix of a main thread with these pages and this stack at the start of a block that [`encode`] made.
    pub(crate) fn write(block: &mut [u8], pages: u64, stack: core::ops::Range<u64>, account: Handle) {
        let bytes = block.len().saturating_sub(PREFIX_BYTES) as u64;
        let prefix =
            Prefix { magic: MAGIC, bytes, pages, stack_start: stack.start, stack_end: stack.end, account: account.0 };
        let words = [prefix.magic, prefix.bytes, prefix.pages, prefix.stack_start, prefix.stack_end, prefix.account];
        for (place, word) in block.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// A block with the startup data, and room for the prefix. Error: `TooLarge`.
pub(crate) fn encode(startup: &Startup) -> Result<Vec<u8>, LoadError> {
    let too_large = LoadError::TooLarge("the startup block");
    let mut block = Vec::with_capacity(USUAL);
    block.resize(PREFIX_BYTES, 0);
    let block = postcard::to_extend(startup, block).map_err(|_| too_large)?;
    if block.len() > LARGEST { Err(too_large) } else { Ok(block) }
}

/// The startup data behind a prefix. An error means that the parent was built with other types.
#[cfg(any(target_os = "none", test))]
pub(crate) fn decode(bytes: &[u8]) -> Result<Startup, postcard::Error> {
    postcard::from_bytes(bytes)
}
