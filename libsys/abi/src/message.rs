//! The message pages of a thread: one for calls that it makes (request out, reply in), one for
//! calls that it serves (request in, reply out). The kernel made and pinned both.

use crate::{Handle, PAGE_BYTES};

/// Words of a message that travel in registers.
pub const WORDS: usize = 8;

/// Handles that a message can carry.
pub const HANDLES: usize = 4;

/// Payload bytes that a message page holds.
pub const PAYLOAD_BYTES: usize = PAGE_BYTES - 128;

/// A message page. The kernel reads from it what the header says is there, copies, and only
/// then acts: a thread that changes the page meanwhile harms itself alone.
#[repr(C, align(4096))]
pub struct MessagePage {
    /// The handles that travel with the message. Delivered: numbers in the receiver's table.
    /// A slot whose handle could not be delivered is [`Handle::NONE`].
    pub handles: [Handle; HANDLES],
    /// Nanoseconds of the monotonic clock at which to give up; read when the header says so.
    pub deadline: u64,
    /// Key of a `once` request: which of the client process's sequences.
    pub lane: u64,
    /// Key of a `once` request: its number in the lane.
    pub sequence: u64,
    /// Delivered request: the client process, stamped by the kernel.
    pub client: u64,
    /// Delivered request: how often a fault of the server struck while this call was current.
    pub faults: u32,
    /// Delivered request: how often the server was killed for hanging while it was current.
    pub hangs: u32,
    /// Reply that mints: the channel of the session (`MINT`). It comes to the caller in the place of the first handle, and is charged as one that
    /// was minted before and is moved.
    pub channel: Handle,
    /// Reply that mints: the badge of the session.
    pub badge: u64,
    reserved: [u64; 5],
    /// The payload.
    pub payload: [u8; PAYLOAD_BYTES],
}

const _: () = assert!(core::mem::size_of::<MessagePage>() == PAGE_BYTES);
const _: () = assert!(core::mem::offset_of!(MessagePage, payload) == 128);
