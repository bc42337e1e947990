//! I/O ports, as `IoPorts` objects use them.

/// Reads `width` bytes, 1, 2 or 4.
pub use super::processor::port_read as read;
/// Writes `width` bytes, 1, 2 or 4.
pub use super::processor::port_write as write;
