//! [`Volume`]: a file system below its paths and sessions: nodes, which have numbers, data and, in directories, names.
//!
//! [`FileServer`](crate::FileServer) has checked everything before it asks: names are whole and good ([`check_name`](crate::check_name)), nodes are of the kind that an operation wants, the session may do it, a read-only
//! volume is never asked to change. What the volume alone can know it says: whether a directory is empty, whether there is room. Each method either
//! does all of what it says or nothing.
//!
//! # Data
//!
//! The volume owns the page cache: pages on its heap, as tmpfs has them, or in Memory that devices read and write, as those of file systems on disks. [`Volume::read`] and
//! [`Volume::write`] get the other end of the copy, the client's lent buffer, as a [`Destination`] or [`Source`], and move the bytes between it and the cached pages: one copy, and no
//! intermediate buffer.
//!
//! # Waiting
//!
//! Where data is not in memory, a method may start what brings it there, and answer `WouldBlock` ([`Volume::read`], [`Volume::write`], [`Volume::truncate`], [`Volume::sync`]: each says so). The server parks the call and asks
//! the same again after [`Volume::signal`] or [`Volume::timer`] has said that something has moved. Until then other clients are served. The second time the volume does the whole
//! again, what it had done already included. Methods on names may wait for the disk where they stand.
//!
//! # Life of a node
//!
//! A number means the same node from the moment [`Volume::lookup`] or [`Volume::create`] has said it until its last name is gone and nobody has it open: the server calls
//! [`Volume::release`] when nobody uses it any more, and only then a node without names may be freed.

//!
//! # Deaths
//!
//! A volume that says so in [`Volume::outlives`] promises that a node has the same number in the next incarnation, as long as it has a name or is open: then open files outlive the server,
//! as their badges say which node they are of. Each start of the server ends with [`Volume::reclaim`], which says what is open, so that nodes without names are not freed too early, and not forgotten.
//!
//! What a volume writes down of its changes it stages in [`Volume::records`], each method its own part before it changes what is only in memory. The server stages there, too: positions, locks and notifications.
//! All of it is committed together with the reply: the volume's effect, that on the open file, and the answer are true at once or not at all. After an error, `WouldBlock` included, nothing of the volume's is staged.
//! What cannot be undone, or is seen by others at once, is done in [`Volume::committed`]; at a start, what was committed has to be done again.

use crate::data::{Destination, Source};
use alloc::string::String;
use libsys::env::Env;
use libsys::protocol::filesystem::{FileError, FileSystemStatistics, NodeKind, RenameOptions, Status, StatusChange};
use libsys::service;
use libsys::state::Records;
use libsys::time::{TimerId, Timers};
use libsys::{Memory, Session};

/// Kinds of records from this one on are the server's.
pub const RECORDS: u16 = 0xff00;

/// Number of a node: an inode number, or whatever else finds it.
pub type NodeId = u64;

/// What the methods of a volume return.
pub type Result<T> = core::result::Result<T, FileError>;

/// A node that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub kind: NodeKind,
}

/// A node that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New<'a> {
    /// An empty file, with permission bits.
    File(u16),
    /// An empty directory, with permission bits.
    Directory(u16),
    /// A symbolic link to this text.
    Link(&'a str),
}

/// A file system.
pub trait Volume: Sized {
    /// Makes the volume from what the manifest gave its server: a session named `device`, parameters. An error is one line in the log and ends the process.
    fn start(env: &Env) -> service::Result<Self>;

    /// The root directory.
    fn root(&self) -> NodeId;

    /// Whether it changes nothing: then no changing method is ever called.
    fn is_read_only(&self) -> bool {
        false
    }

    /// What the volume keeps from one incarnation to the next, if it does. Without it requests that change something end with an error when the server dies, and positions and
    /// locks are lost.
    fn records(&mut self) -> Option<&mut Records> {
        None
    }

    /// Whether a node's number means the same to the next incarnation, so that files that are open stay so.
    fn outlives(&mut self) -> bool {
        self.records().is_some()
    }

    /// The server has started: nodes without names are freed that nobody has open. Later ones are [released](Volume::release).
    fn reclaim(&mut self, is_open: &dyn Fn(NodeId) -> bool) {
        let _ = is_open;
    }

    /// What was staged is committed.
    fn committed(&mut self) {}

    /// Whether two texts are spellings of one name: of a file system to which case does not matter.
    fn is_same_name(&self, one: &str, two: &str) -> bool {
        one == two
    }

    /// What is known about a node.
    fn status(&mut self, node: NodeId) -> Result<Status>;

    /// The size of a file, in bytes: what [`Volume::status`] says, and quicker.
    fn size(&mut self, node: NodeId) -> Result<u64> {
        Ok(self.status(node)?.size)
    }

    /// Changes permission bits or times. Error: `Unsupported`.
    fn set_status(&mut self, node: NodeId, change: &StatusChange) -> Result<()> {
        let _ = (node, change);
        Err(FileError::Unsupported)
    }

    /// The node of a name in a directory; `None` where there is no such name.
    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>>;

    /// Names of a directory from `cursor` on, in any order that stays: 0 is the start; `add` gets a name, what it stands for, and the cursor behind it, and says whether there was room for it: after `false` nothing more is
    /// added. Neither `.` nor `..` are names. Error: `OutOfRange` (no such cursor).
    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()>;

    /// The target of a link.
    fn read_link(&mut self, node: NodeId) -> Result<String>;

    /// Copies a file's bytes from `offset` on, as many as there is room for or up to its end. Error besides: `WouldBlock`.
    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()>;

    /// The same for an open file, by a number that is its own until it is closed: for a volume of which each reader sees a moment of his own.
    fn read_open(&mut self, open: u64, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let _ = open;
        self.read(node, offset, into)
    }

    /// An open file is closed, before its node is released if nobody else uses that.
    fn closed(&mut self, open: u64) {
        let _ = open;
    }

    /// Copies bytes into a file from `offset` on, which may be behind its end. Where room ends it takes what fits: an error is one only if it took nothing. Errors: `NoSpace`, `TooLarge`,
    /// `WouldBlock`, `Unsupported`.
    fn write(&mut self, node: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        let _ = (node, offset, from);
        Err(FileError::Unsupported)
    }

    /// Makes a file so long. Errors: as [`Volume::write`].
    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        let _ = (node, bytes);
        Err(FileError::Unsupported)
    }

    /// Makes a node under a name that is not there. Errors: `NoSpace`, `Unsupported`, `BadName` (none that this file system can hold).
    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        let _ = (directory, name, new);
        Err(FileError::Unsupported)
    }

    /// Gives a node that is no directory one more name, which is not there. Errors: `NoSpace`, `Unsupported`, `BadName`.
    fn link(&mut self, node: NodeId, directory: NodeId, name: &str) -> Result<()> {
        let _ = (node, directory, name);
        Err(FileError::Unsupported)
    }

    /// Takes away a name, which stands for `found`. Error: `NotEmpty` (of a directory).
    fn remove(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        let _ = (directory, name, found);
        Err(FileError::Unsupported)
    }

    /// Moves `found` from one name to another, which stands for `replaced` until then: of the same kind, or neither a directory. The new name is not below a directory that is moved. Errors: `NotEmpty` (what
    /// is replaced), `NoSpace`, `BadName`. Where two spellings are one name ([`Volume::is_same_name`]), the second may be another spelling of the first: then nothing is replaced.
    fn rename(
        &mut self,
        from: (NodeId, &str),
        found: Found,
        to: (NodeId, &str),
        replaced: Option<Found>,
        options: RenameOptions,
    ) -> Result<()> {
        let _ = (from, found, to, replaced, options);
        Err(FileError::Unsupported)
    }

    /// Somebody opens the node: until [`Volume::release`] its number means this node, whatever becomes of its name.
    fn hold(&mut self, node: NodeId) -> Result<()> {
        let _ = node;
        Ok(())
    }

    /// Whether [`Volume::release`] would leave the node as it is: every close asks. A volume that cannot tell says no.
    fn stays(&self, node: NodeId) -> bool {
        let _ = node;
        false
    }

    /// Nobody uses the node any more: if it has no names it is freed. What is kept for open files only can go.
    fn release(&mut self, node: NodeId) {
        let _ = node;
    }

    /// Brings what was written to the medium: of a file, of its data only, or of the whole volume. Error: `WouldBlock`, until it is there.
    fn sync(&mut self, node: Option<NodeId>, data_only: bool) -> Result<()> {
        let _ = (node, data_only);
        Ok(())
    }

    /// The server ends for good, and in order: what is in memory goes to the medium, which is left as if nobody had it mounted. Until the deadline that the manifest's line `quiesce` sets.
    fn end(&mut self) -> Result<()> {
        self.sync(None, false)
    }

    /// How large, how full. The server fills in how many nodes are in use.
    fn statistics(&mut self) -> Result<FileSystemStatistics>;

    /// Memory with a range of a file, to be read, and where in it the range starts: see `file::map`.
    fn map(&mut self, node: NodeId, offset: u64, bytes: u64) -> Result<(Memory, u64)> {
        let _ = (node, offset, bytes);
        Err(FileError::Unsupported)
    }

    /// A session to what is behind a node of another kind than [`NodeKind::File`] and [`NodeKind::Directory`]; `write`: not only to be read.
    fn connect(&mut self, node: NodeId, write: bool) -> Result<Session> {
        let _ = (node, write);
        Err(FileError::Unsupported)
    }

    /// Signals arrived on the server's channel. Whether calls that wait may go on.
    fn signal(&mut self, bits: u64) -> bool {
        let _ = bits;
        false
    }

    /// The volume's timers.
    fn timers(&mut self) -> Option<&mut Timers> {
        None
    }

    /// A timer has expired. Whether calls that wait may go on.
    fn timer(&mut self, timer: TimerId) -> bool {
        let _ = timer;
        false
    }
}
