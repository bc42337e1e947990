//! `filesystem`: a file system, as its server shows it: names below a directory.
//!
//! A session of a file-system server is a *directory* or an *open file*; its badge says which, and whether it may change anything.
//! Every session answers [`FileSystem`] (an open file: with `NotDirectory`) and [`super::File`]. The directory of a session is the root of its names:
//! nothing above it is to be had through the session.
//!
//! # Paths
//!
//! They are relative to the session's directory, in UTF-8, at most [`PATH_BYTES`] long, of names of at most [`NAME_BYTES`]; `/` between
//! names, at the start and at the end means nothing more; `.` is the directory itself, and so is the empty path. Names hold any characters but `/` and NUL.
//!
//! A server never follows a symbolic link and never leaves the directory of the session. Where the walk meets a link, or `..` above the
//! start, it ends with [`Walked::Link`]: the path as it has to be looked up in its place, by `libsys::fs` and from the namespace, at most [`LINKS`] times.
//! For the last name of a path each method says whether a link there is followed.
//!
//! # Death of the server
//!
//! Sessions stay what they are, roots of mounts, directories and open files, and each request is carried out once, where the file system keeps what it promised: those in memory do. Of the others a
//! session to a file that was opened before the death answers `BadSession`, and only roots that init or vfs handed out stay.

use crate::service::{Context, Reply};
use crate::{ExitStatus, Session};
use alloc::string::String;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// Most bytes of a path.
pub const PATH_BYTES: usize = 4096;

/// Bytes of paths that have room in one request, whatever else is in it. `libsys::fs` answers `NameTooLong` for what does not fit in a message; longer ones can be walked in parts, with [`FileSystem::subtree`].
pub const REQUEST_PATH_BYTES: usize = 3800;

/// Most bytes of a name.
pub const NAME_BYTES: usize = 255;

/// Most links that are followed for one path.
pub const LINKS: u32 = 40;

/// The names below a directory.
#[protocol]
pub trait FileSystem {
    /// Opens a file or directory; with the options that say so, makes the file. The session is that of the open file; for a device it goes straight
    /// to the device's server, and speaks the protocol that [`Opened::kind`] says. A link as the last name is followed, but with [`OpenFlags::NO_FOLLOW`] (then it is `Exists`
    /// for [`OpenFlags::EXCLUSIVE`], else `TooManyLinks`).
    ///
    /// Rights: any session; one that is read-only cannot open to write, create or truncate. Errors: `NotFound`, `Exists`, `NotDirectory`, `IsDirectory` (it is to be written),
    /// `BadName`, `NameTooLong`, `ReadOnly`, `NoSpace`, `Exhausted`, `Busy`, `Unsupported`, `Corrupt`, `Device`. *once*: it may make or empty a file.
    #[once]
    fn open(
        &mut self,
        cx: &Context,
        path: &str,
        options: OpenOptions,
    ) -> Result<(Walked<Opened>, Option<Session>), FileError>;

    /// What is known about a name. `follow_last`: of a link as the last name, what it points to.
    ///
    /// Rights: any session. Errors: `NotFound`, `NotDirectory`, `BadName`, `NameTooLong`, `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn status(&mut self, cx: &Context, path: &str, follow_last: bool) -> Result<Walked<Status>, FileError>;

    /// Makes an empty directory.
    ///
    /// Rights: a session that may change. Errors: `Exists`, `NotFound` (a name before the last), `NotDirectory`, `BadName`, `NameTooLong`, `ReadOnly`, `NoSpace`, `Corrupt`,
    /// `Device`. *once*: the second time it would exist.
    #[once]
    fn make_directory(&mut self, cx: &Context, path: &str, mode: u16) -> Result<Walked<()>, FileError>;

    /// Removes a name: of an empty directory with `directory`, else of anything but a directory. A link as the last name is itself removed. A file that is open lives on without
    /// a name until its last close.
    ///
    /// Rights: a session that may change. Errors: `NotFound`, `IsDirectory`, `NotDirectory`, `NotEmpty`, `Busy` (the session's own directory), `BadName`, `ReadOnly`, `Corrupt`,
    /// `Device`. *once*: by the second time another may have made the name anew.
    #[once]
    fn remove(&mut self, cx: &Context, path: &str, directory: bool) -> Result<Walked<()>, FileError>;

    /// Gives a file or directory another name, in place of what has that name, in one step: a file replaces a file, a directory an empty directory. Both
    /// paths are of this session. Links as last names are renamed and replaced themselves. `Walked` names the path that has the link: `from` before `to`.
    ///
    /// Rights: a session that may change. Errors: `NotFound`, `Exists` ([`RenameOptions::NO_REPLACE`]), `NotDirectory`, `IsDirectory`, `NotEmpty`, `OutOfRange` (a directory into
    /// itself), `Busy` (the session's own directory), `BadName`, `NameTooLong`, `ReadOnly`, `NoSpace`, `Corrupt`, `Device`. *once*: it changes names.
    #[once]
    fn rename(
        &mut self,
        cx: &Context,
        from: &str,
        to: &str,
        options: RenameOptions,
    ) -> Result<Walked<(), OfTwo>, FileError>;

    /// Gives a file one more name. A link as the last name of `from` gets it itself.
    ///
    /// Rights: a session that may change. Errors: as [`FileSystem::rename`]; `IsDirectory` (directories have one name), `Unsupported` (the file system has one name a file),
    /// `Exists`. *once*: it changes names.
    #[once]
    fn link(&mut self, cx: &Context, from: &str, to: &str) -> Result<Walked<(), OfTwo>, FileError>;

    /// Makes a symbolic link at `path` with this target, which is any text of 1 to [`PATH_BYTES`] that fits in a message.
    ///
    /// Rights: a session that may change. Errors: as [`FileSystem::make_directory`]; `Unsupported`. *once*: as there.
    #[once]
    fn symlink(&mut self, cx: &Context, target: &str, path: &str) -> Result<Walked<()>, FileError>;

    /// Changes what is known about a name. `follow_last` as for [`FileSystem::status`].
    ///
    /// Rights: a session that may change. Errors: `NotFound`, `NotDirectory`, `ReadOnly`, `Unsupported`, `BadName`, `Corrupt`, `Device`. *once*: another may have changed it since.
    #[once]
    fn set_status(
        &mut self,
        cx: &Context,
        path: &str,
        follow_last: bool,
        change: StatusChange,
    ) -> Result<Walked<()>, FileError>;

    /// The target of the link that is the last name.
    ///
    /// Rights: any session. Errors: `NotFound`, `OutOfRange` (it is no link), `NotDirectory`, `BadName`, `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn read_link(&mut self, cx: &Context, path: &str) -> Result<Walked<String>, FileError>;

    /// The whole file system: how large, how full.
    ///
    /// Rights: any session. Errors: `Corrupt`, `Device`. *replay*: it only reads.
    #[replay]
    fn statistics(&mut self, cx: &Context) -> Result<FileSystemStatistics, FileError>;

    /// Waits until everything that was written before is on the medium.
    ///
    /// Rights: any session. Errors: `NoSpace`, `Corrupt`, `Device`. *replay*: it only waits.
    #[replay]
    fn sync_all(&mut self, cx: &Context, reply: Reply<'_, Result<(), FileError>>);

    /// A session with the directory at `path` as its root; `read_only`, or of a read-only session, one that changes nothing. A link as the last name is followed.
    ///
    /// Rights: any session. Errors: `NotFound`, `NotDirectory`, `BadName`, `Exhausted`, `Corrupt`, `Device`. *replay*: a session that was made and never delivered is closed.
    #[replay]
    fn subtree(
        &mut self,
        cx: &Context,
        path: &str,
        read_only: bool,
    ) -> Result<(Walked<()>, Option<Session>), FileError>;
}

/// How a walk along a path ended. `W` says which path, where a method has two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Walked<T, W = ()> {
    /// At its end.
    Here(T),
    /// At a symbolic link or above the start: what is to be looked up in place of the path. It starts with `/` when it is absolute; else it is
    /// relative to the directory of the session, and may start with `..`.
    Link(W, String),
}

/// Which of two paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfTwo {
    /// The first.
    From,
    /// The second.
    To,
}

bitflags::bitflags! {
    /// How a file is opened.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenFlags: u16 {
        /// To read.
        const READ = 1 << 0;
        /// To write.
        const WRITE = 1 << 1;
        /// Writes at the open file's own position go to the end of the file; implies [`OpenFlags::WRITE`].
        const APPEND = 1 << 2;
        /// Made where it is not there. Only files are made so.
        const CREATE = 1 << 3;
        /// With [`OpenFlags::CREATE`]: `Exists` where it is there.
        const EXCLUSIVE = 1 << 4;
        /// Emptied where it is there. Needs [`OpenFlags::WRITE`].
        const TRUNCATE = 1 << 5;
        /// `NotDirectory` where it is none.
        const DIRECTORY = 1 << 6;
        /// A link as the last name is not followed.
        const NO_FOLLOW = 1 << 7;
    }

    /// How a name is changed.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RenameOptions: u16 {
        /// `Exists` where the new name is there.
        const NO_REPLACE = 1 << 0;
    }
}

/// Bits travel as their number; those of no meaning are dropped, so that a client that knows more of them is understood.
macro_rules! travels_as_bits {
    ($flags:ty) => {
        impl Serialize for $flags {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.bits().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $flags {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                u16::deserialize(deserializer).map(Self::from_bits_truncate)
            }
        }
    };
}

travels_as_bits!(OpenFlags);
travels_as_bits!(RenameOptions);

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOptions {
    /// What is to be done with it.
    pub flags: OpenFlags,
    /// Permission bits of a file that is made, as of POSIX; kept for other systems: what a session may do is in its rights.
    pub mode: u16,
}

/// A file that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// What it is, and so what its session speaks: [`super::File`] for files and directories (these also [`FileSystem`]), [`super::Character`], [`super::Console`],
    /// [`super::File`] for everything else that a file system holds.
    pub kind: NodeKind,
    /// Number of the file in its file system.
    pub id: u64,
    /// Its size now, in bytes.
    pub size: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeKind {
    /// Bytes.
    File,
    /// Names.
    Directory,
    /// A symbolic link.
    Link,
    /// A stream device: `character`.
    Character,
    /// A disk or partition: `block`.
    Block,
    /// A terminal: `console`.
    Console,
    /// A pipe: nothing in a file system is one yet, a process may be given one.
    Pipe,
}

/// A moment: since 1970-01-01 00:00:00 UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds on top, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// What is known about a file, directory, link or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is.
    pub kind: NodeKind,
    /// Its number in the file system, which no other node has at the same time.
    pub id: u64,
    /// Bytes; for a link, those of its target.
    pub size: u64,
    /// Bytes of storage that it takes.
    pub allocated: u64,
    /// Names that it has.
    pub links: u32,
    /// Permission bits, as of POSIX; nobody checks them.
    pub mode: u16,
    /// When it was read last; as coarse as the file system wants.
    pub accessed: Timestamp,
    /// When its contents changed last.
    pub modified: Timestamp,
    /// When anything about it changed last.
    pub changed: Timestamp,
    /// When it was made.
    pub created: Timestamp,
}

/// A change of what is known about a file; `None` leaves a thing as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusChange {
    /// Permission bits.
    pub mode: Option<u16>,
    /// When it was read last.
    pub accessed: Option<Timestamp>,
    /// When its contents changed last.
    pub modified: Option<Timestamp>,
}

/// A whole file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemStatistics {
    /// Bytes of storage.
    pub bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Files that it can hold; `u64::MAX` where only storage limits them.
    pub files: u64,
    /// How many more; `u64::MAX` as above.
    pub free_files: u64,
    /// The unit of storage, in bytes.
    pub block_bytes: u32,
    /// Nothing in it can be changed.
    pub read_only: bool,
    /// Files and directories that are open now; roots of subtrees are not counted.
    pub in_use: u32,
}

/// Why something was not done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileError {
    /// Nothing has this name.
    NotFound,
    /// Something has this name already.
    Exists,
    /// A name before the last, or one that has to be, is no directory.
    NotDirectory,
    /// It is a directory, and cannot be used so.
    IsDirectory,
    /// The directory has names in it.
    NotEmpty,
    /// A name is longer than [`NAME_BYTES`], or a path than [`PATH_BYTES`] or than a message has room for.
    NameTooLong,
    /// A name is empty, has a NUL, or is none that this file system can hold.
    BadName,
    /// The session or the file system changes nothing.
    ReadOnly,
    /// The file was not opened for this, or the session may not do it.
    Denied,
    /// There is no room for more data or names.
    NoSpace,
    /// The file would become larger than it can be.
    TooLarge,
    /// An account is exhausted: the caller's, or the server's.
    Exhausted,
    /// The two names are of different file systems.
    CrossDevice,
    /// More than [`LINKS`] links for one path.
    TooManyLinks,
    /// It is in use.
    Busy,
    /// It would have to wait.
    WouldBlock,
    /// The session's file is not open any more: its server was started anew.
    BadSession,
    /// No Memory of this number was lent, or not any more: lend it again.
    NotLent,
    /// A number or text means nothing here.
    OutOfRange,
    /// The file system cannot do this.
    Unsupported,
    /// The file system contradicts itself.
    Corrupt,
    /// The device failed.
    Device,
    /// It was interrupted before it had an effect.
    Interrupted,
}

impl FileError {
    /// Whether a file system that is right hardly ever says this: see [`Plausible`](crate::client::Plausible).
    pub const fn is_implausible(&self) -> bool {
        matches!(self, FileError::Corrupt)
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            FileError::NotFound => "no such file or directory",
            FileError::Exists => "it exists already",
            FileError::NotDirectory => "not a directory",
            FileError::IsDirectory => "is a directory",
            FileError::NotEmpty => "the directory is not empty",
            FileError::NameTooLong => "the name is too long",
            FileError::BadName => "not a name for a file",
            FileError::ReadOnly => "read-only",
            FileError::Denied => "not allowed",
            FileError::NoSpace => "no space left",
            FileError::TooLarge => "the file would be too large",
            FileError::Exhausted => "an account is exhausted",
            FileError::CrossDevice => "they are on different file systems",
            FileError::TooManyLinks => "too many symbolic links",
            FileError::Busy => "it is in use",
            FileError::WouldBlock => "it would have to wait",
            FileError::BadSession => "the file is not open any more: its server was started anew",
            FileError::NotLent => "no such buffer was lent",
            FileError::OutOfRange => "a number or text out of range",
            FileError::Unsupported => "the file system cannot do this",
            FileError::Corrupt => "the file system is corrupt",
            FileError::Device => "the device failed",
            FileError::Interrupted => "interrupted",
        }
    }
}

/// The first exit status that stands for an error.
const STATUSES: u8 = 64;

/// The errors with which a server may not be able to start.
const OF_START: [FileError; 8] = [
    FileError::Unsupported,
    FileError::Corrupt,
    FileError::Device,
    FileError::ReadOnly,
    FileError::Exhausted,
    FileError::Denied,
    FileError::Busy,
    FileError::OutOfRange,
];

impl FileError {
    /// The exit status of a server that cannot start because of this.
    pub fn exit_status(self) -> ExitStatus {
        match OF_START.iter().position(|error| *error == self) {
            Some(index) => ExitStatus(STATUSES + index as u8),
            None => ExitStatus::FAILURE,
        }
    }

    /// Why a server with this exit status could not start.
    pub fn of_exit_status(code: u64) -> Option<FileError> {
        let index = code.checked_sub(STATUSES.into())?;
        OF_START.get(usize::try_from(index).ok()?).copied()
    }
}

impl core::fmt::Display for FileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for FileError {}
