//! `file`: an open file or directory. Sessions come from [`super::FileSystem::open`].
//!
//! # Data
//!
//! Large data does not travel in messages. A process lends Memory to the server once ([`File::lend`], over any session of that server: the mount's, as `libsys::fs` does), and
//! [`File::read`] and [`File::write`] name a range of it: a call of scalars, and one copy between page cache and buffer. What was lent belongs to the *process*, as the kernel
//! stamps it: no other can name it; it can be named over every session of the process to that server, until the session over which it was lent is closed by the process. What
//! else the process does with the buffer meanwhile is its own affair: it can spoil its own data only.
//!
//! # Position
//!
//! An open file has a position of its own, which all who share the session share: [`File::read_next`], and writes at [`NEXT`]. Reads at an offset leave it alone.
//!
//! # Death of the server
//!
//! See [`super::filesystem`]. Where open files outlive the server, so do their positions, locks and notifications. Buffers have to be lent again (`NotLent` says so; nothing was done then).

use super::filesystem::{FileError, NodeKind, Status, StatusChange};
use crate::service::{Context, Reply};
use crate::{Channel, Memory};
use alloc::string::String;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// As the offset of a write: the position of the open file, or the end of a file that was opened to append; the position is then
/// behind what was written.
pub const NEXT: u64 = u64::MAX;

/// An open file or directory.
#[protocol]
pub trait File {
    /// Reads at most `bytes` at `offset` into lent Memory `buffer`, from its byte `at` on; returns how many: less only where the file ends, 0 at and behind its end.
    ///
    /// Rights: a file opened to read. Errors: `Denied`, `IsDirectory`, `NotLent`, `OutOfRange` (not inside of the buffer), `BadSession`, `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn read(
        &mut self,
        cx: &Context,
        offset: u64,
        bytes: u32,
        buffer: u32,
        at: u32,
        reply: Reply<'_, Result<u32, FileError>>,
    );

    /// The same at the open file's position, which moves behind what was read.
    ///
    /// Rights and errors: as [`File::read`]. *once*: it moves the position.
    #[once]
    fn read_next(&mut self, cx: &Context, bytes: u32, buffer: u32, at: u32, reply: Reply<'_, Result<u32, FileError>>);

    /// Reads what fits a message: for who has lent nothing. [`NEXT`] is no offset here.
    ///
    /// Rights and errors: as [`File::read`]; `WouldBlock` (the data is not at hand, and only the others wait). *replay*: it only reads.
    #[replay]
    fn read_inline(&mut self, cx: &Context, offset: u64, buffer: &mut [u8]) -> Result<usize, FileError>;

    /// Writes `bytes` of lent Memory `buffer`, from its byte `at` on, at `offset` or at [`NEXT`]; returns how many: less only where there is no more room. Between the end of the
    /// file and an offset behind it there are zeros. A write at [`NEXT`] of a file opened to append is at the end, whoever else writes there.
    ///
    /// Rights: a file opened to write. Errors: `Denied`, `NoSpace`, `TooLarge`, `NotLent`, `OutOfRange`, `BadSession`, `Corrupt`, `Device`. *once*: another may write there as well.
    #[once]
    fn write(
        &mut self,
        cx: &Context,
        offset: u64,
        bytes: u32,
        buffer: u32,
        at: u32,
        reply: Reply<'_, Result<u32, FileError>>,
    );

    /// Writes what fits a message.
    ///
    /// Rights and errors: as [`File::write`]; `WouldBlock` as for [`File::read_inline`]. *once*: as there.
    #[once]
    fn write_inline(&mut self, cx: &Context, offset: u64, bytes: &[u8]) -> Result<u32, FileError>;

    /// Moves the open file's position; returns it. It may be behind the end. Errors: `OutOfRange` (before the start), `IsDirectory`, `BadSession`.
    ///
    /// Rights: any open file. *once*: it moves from where it is.
    #[once]
    fn seek(&mut self, cx: &Context, from: Whence, offset: i64) -> Result<u64, FileError>;

    /// Makes the file so long: cuts it off, or adds zeros.
    ///
    /// Rights: a file opened to write. Errors: `Denied`, `NoSpace`, `TooLarge`, `BadSession`, `Corrupt`, `Device`. *once*: another may have written since.
    #[once]
    fn truncate(&mut self, cx: &Context, bytes: u64, reply: Reply<'_, Result<(), FileError>>);

    /// What is known about the file. (`status` of a directory's session is that of [`super::FileSystem`] with an empty path; this one is shorter.)
    ///
    /// Rights: any session. Errors: `BadSession`, `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn status(&mut self, cx: &Context) -> Result<Status, FileError>;

    /// Changes what is known about it.
    ///
    /// Rights: a session that may change. Errors: `ReadOnly`, `Unsupported`, `BadSession`, `Corrupt`, `Device`. *once*: another may have changed it since.
    #[once]
    fn set_status(&mut self, cx: &Context, change: StatusChange) -> Result<(), FileError>;

    /// Waits until what was written to the file is on the medium; `data_only`: without what only [`File::status`] shows.
    ///
    /// Rights: any session. Errors: `NoSpace`, `BadSession`, `Corrupt`, `Device`. *replay*: it only waits.
    #[replay]
    fn sync(&mut self, cx: &Context, data_only: bool, reply: Reply<'_, Result<(), FileError>>);

    /// Names in a directory, from `cursor` on (0 at first, then what the call before returned), as many as fit a message; none at the end. Without `.` and `..`. What is there
    /// all the time is listed exactly once, whatever else comes and goes.
    ///
    /// Rights: any session of a directory. Errors: `NotDirectory`, `OutOfRange` (no such cursor), `BadSession`, `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn read_directory(&mut self, cx: &Context, cursor: u64) -> Result<(Vec<DirectoryEntry>, u64), FileError>;

    /// Locks the whole file, advisory: many sessions at once share it, or one has it exclusively. A session that has a lock changes it so. `wait`: until the others let go; else `WouldBlock`.
    /// The lock goes with the last close of the session.
    ///
    /// Rights: any open file. Errors: `WouldBlock`, `Exhausted`, `BadSession`. *replay*: the lock that a session has it may ask for again; while it waits it is parked.
    #[replay]
    fn lock(&mut self, cx: &Context, exclusive: bool, wait: bool, reply: Reply<'_, Result<(), FileError>>);

    /// Lets go of the session's lock.
    ///
    /// Rights: any open file. Error: `BadSession`. *replay*: a lock that is not there is let go of.
    #[replay]
    fn unlock(&mut self, cx: &Context) -> Result<(), FileError>;

    /// Signals `bits` of `channel` whenever the file's contents or the directory's names are changed by anybody. (Reading and writing a file never wait for another process, so
    /// there is no other readiness.) It replaces what the session asked for before; `bits` of 0 end it.
    ///
    /// Rights: any open file or directory; the channel with `SIGNAL` for the bits. Error: `BadSession`. *replay*: asked twice it is the same.
    #[replay]
    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), FileError>;

    /// Read-only Memory with a range of the file, and where in it the range starts; the offset is a multiple of the page size where it can be mapped in place. Sealed Memory of a file that nobody
    /// can write may be executed.
    ///
    /// Rights: a file opened to read. Errors: `Unsupported` (it has to be read), `OutOfRange`, `Denied`, `BadSession`. *replay*: it only reads.
    #[replay]
    fn map(&mut self, cx: &Context, offset: u64, bytes: u64) -> Result<(Memory, u64), FileError>;

    /// Lends Memory for [`File::read`] and [`File::write`]; returns its number, of which [`incarnation_of`] is another one in each incarnation. At most [`BUFFERS`] a process and server.
    ///
    /// Rights: any session; the Memory, not sealed, with `READ`, `WRITE` and `INSPECT`, of at most [`BUFFER_BYTES`]. Errors: `OutOfRange`, `Exhausted`. *replay*: what an
    /// incarnation was lent goes with it.
    #[replay]
    fn lend(&mut self, cx: &Context, memory: Memory) -> Result<u32, FileError>;
}

/// Most buffers that one process lends to one server.
pub const BUFFERS: usize = 8;

/// What tells the incarnation in a buffer's number: its upper half. Two that follow each other differ in it.
pub const fn incarnation_of(buffer: u32) -> u16 {
    (buffer >> 16) as u16
}

/// Most bytes of a lent buffer.
pub const BUFFER_BYTES: u64 = 4 << 20;

/// From where a position is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whence {
    /// The start of the file.
    Start,
    /// Where it is.
    Current,
    /// The end of the file.
    End,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub kind: NodeKind,
    /// Number of the node.
    pub id: u64,
}
