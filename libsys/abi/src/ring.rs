//! Rings in shared Memory: of bytes (between a port or a peer and a process) and of log records.

/// Header of a ring of bytes in Memory; `capacity` bytes of data follow it. The indices count
/// bytes since the ring was made and never wrap in practice; `head - tail` bytes are in the ring, and byte `n`
/// stands at `n & (capacity - 1)`.
#[repr(C)]
pub struct ByteRing {
    /// Bytes ever put in. Written by the producer alone.
    pub head: u64,
    /// Bytes ever taken out. Written by the consumer alone.
    pub tail: u64,
    /// A power of two, at most 1 MiB.
    pub capacity: u64,
    /// Bytes that the producer had to drop as the ring was full.
    pub lost: u64,
}

/// Bytes of a [`ByteRing`] before its data.
pub const BYTE_RING_HEADER: u64 = 32;

/// Largest capacity of a [`ByteRing`].
pub const BYTE_RING_LARGEST: u64 = 1 << 20;

/// Header of a log ring in Memory; `capacity` bytes of data follow it. One writer, any number of readers,
/// none of whom it waits for: old records are overwritten, and a reader sees from `head` and `oldest` what is whole.
///
/// A record is a [`LogRecord`] and its text, padded to 8 bytes; none wraps: a record with a level of
/// [`LOG_SKIP`] fills the end of the data.
#[repr(C)]
pub struct LogRing {
    /// [`LOG_MAGIC`].
    pub magic: u64,
    /// A power of two.
    pub capacity: u64,
    /// Bytes ever written; a record is whole before this passes it.
    pub head: u64,
    /// Where the oldest whole record starts; advanced before anything is overwritten.
    pub oldest: u64,
}

/// Marks a [`LogRing`].
pub const LOG_MAGIC: u64 = u64::from_le_bytes(*b"skinklog");

/// Bytes of a [`LogRing`] before its data.
pub const LOG_RING_HEADER: u64 = 32;

/// Behind the data of a process's log ring, where the Memory has room: when the process first answered a request, in nanoseconds of the
/// monotonic clock; 0: it or an earlier incarnation never did. Written by the process, as the ring is.
pub const LOG_ANSWERED_BYTES: u64 = 8;

/// Header of one log record; its text follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LogRecord {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Bytes of text that follow, at most [`LOG_TEXT_BYTES`], before the padding to 8.
    pub bytes: u16,
    /// syslog level (RFC 5424 §6.2.1), 0 emergency to 7 debug; or [`LOG_SKIP`].
    pub level: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of the thread that wrote, low half.
    pub thread: u32,
}

/// Bytes of a [`LogRecord`].
pub const LOG_RECORD_HEADER: u64 = 16;

/// Longest text of a record; longer ones are cut.
pub const LOG_TEXT_BYTES: usize = 1000;

/// Level of the record that fills the end of a log ring.
pub const LOG_SKIP: u8 = 0xff;
