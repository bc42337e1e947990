//! `namespace`: which file system serves which paths. Served by vfs, whose sessions each are a namespace: the whole one, or a subtree of it.
//!
//! A process has a session under the name `namespace`. `libsys::fs` asks it rarely: it reads the list of mounts ([`Namespace::mounts`]) and fetches the session of each that it uses
//! ([`Namespace::resolve`]) once, and again only when the counter in the page of [`Namespace::changes`] has moved. Data and names never pass through vfs.
//!
//! A path of a namespace is absolute, without symbolic links, `.` and `..` (as `libsys::path::normalise` makes it).

use super::filesystem::FileError;
use super::list::Listed;
use crate::service::{Context, Reply};
use crate::{Memory, Session};
use alloc::string::String;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// A namespace.
#[protocol]
pub trait Namespace {
    /// The mount that a path belongs to, and a session of the directory where it is mounted (a [`super::FileSystem`]): the rest of the path goes there.
    ///
    /// Rights: any session; one that is read-only gets a read-only session. Errors: `BadPath`, `NotFound` (no mount covers it), `Exhausted`, `File`. *replay*: a session that was made and never delivered is closed.
    #[replay]
    fn resolve(&mut self, cx: &Context, path: &str) -> Result<(Resolved, Session), NamespaceError>;

    /// Read-only Memory whose first 64-bit word is a counter that grows with every change of the mounts.
    ///
    /// Rights: any session. Error: `Exhausted`. *replay*: it only reads.
    #[replay]
    fn changes(&mut self, cx: &Context) -> Result<Memory, NamespaceError>;

    /// Mounts, older ones first, from the place `first` on, as many as a message holds ([`super::list`]); none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn mounts(&mut self, cx: &Context, first: u64) -> Vec<Mount>;

    /// Mounts a file system at a directory: of `kind` (`ext4`, `fat`, `tmpfs`: a template of the manifest, or another name that vfs's parameter `aliases` has for one; `auto`: the first of those that vfs's parameter `kinds` names that knows what is on the disk; `bind`: another directory of the namespace) on `source` (a disk, as `/dev/vda1`; for `bind` a directory; for a file system in memory anything).
    ///
    /// A disk that cannot be written is mounted to be read only, and so is a file system that is known to have errors.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `BadPath`, `NotFound`, `NotDirectory`, `Busy` (there is a mount there, or the disk is in use), `NoDisk`, `UnknownKind`, `UnknownOption`,
    /// `NoFileSystem`, `NotReady`, `Died`, `Exhausted`, `File` (what the file system says: `Corrupt`, `Device`; `ReadOnly` if the journal has to be replayed and the disk cannot be written). *once*: it makes a process.
    #[once]
    fn mount(
        &mut self,
        cx: &Context,
        source: &str,
        target: &str,
        kind: &str,
        options: MountOptions,
        reply: Reply<'_, Result<(), NamespaceError>>,
    );

    /// Takes a mount away, after everything that was written is on its medium. Answered when its server has ended, and another may have the disk.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `BadPath`, `NotFound` (no mount there), `Busy` (something below it is open, or mounted; [`UnmountOptions::force`] goes over the first), `File`. *once*: another may be there
    /// the second time.
    #[once]
    fn unmount(
        &mut self,
        cx: &Context,
        target: &str,
        options: UnmountOptions,
        reply: Reply<'_, Result<(), NamespaceError>>,
    );

    /// A namespace with the directory at `path` as its root; `read_only`: all sessions that come from it change nothing.
    ///
    /// Rights: any session. Errors: `BadPath`, `NotFound`, `NotDirectory`, `Exhausted`, `File`. *replay*: a session that was made and never delivered is closed.
    #[replay]
    fn subtree(&mut self, cx: &Context, path: &str, read_only: bool) -> Result<Session, NamespaceError>;
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// Bytes of the path that the mount's own path takes; what follows is for the file system.
    pub prefix: u32,
    /// Number of the mount: [`Mount::id`].
    pub mount: u64,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Its number, which no other mount has had.
    pub id: u64,
    /// Where it is, in this namespace.
    pub path: String,
    /// What is mounted: a disk, a service, a directory.
    pub source: String,
    /// The kind of file system.
    pub kind: String,
    /// Name of its service: whom to watch.
    pub service: String,
    /// Nothing in it can be changed through this namespace.
    pub read_only: bool,
}

impl Listed for Mount {
    fn place(&self) -> u64 {
        self.id
    }
}

/// The parameter by which a file system's server is told what service the disk in its session `device` is of, to be watched.
pub const DISKS_PARAMETER: &str = "disks";

/// How a file system is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountOptions {
    /// It is not to be changed.
    pub read_only: bool,
    /// Parameters for its server: of those that vfs's parameter `options` names.
    pub parameters: Vec<(String, String)>,
}

/// How a mount is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmountOptions {
    /// Also where something is open: those files are lost to their users.
    pub force: bool,
}

/// Why a namespace did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceError {
    /// The path is not absolute, or not without `.` and `..`.
    BadPath,
    /// No mount covers or is at the path.
    NotFound,
    /// It is no directory.
    NotDirectory,
    /// There is a mount at or below it, or something is open.
    Busy,
    /// There is no such disk.
    NoDisk,
    /// The manifest has no file system of this kind.
    UnknownKind,
    /// File systems of this kind have no option of such a name.
    UnknownOption,
    /// There is no file system of this kind on the disk.
    NoFileSystem,
    /// What should be the file system's server answers as none does.
    NotReady,
    /// The session may not do this.
    Denied,
    /// An account is exhausted: the caller's, or the server's.
    Exhausted,
    /// What a file system said.
    File(FileError),
    /// The file system's server died, over and over or of this very request.
    Died,
}

impl NamespaceError {
    /// Whether it is hardly ever true: see [`Plausible`](crate::client::Plausible). Clients send no paths that are not absolute, and the servers of file systems are such.
    pub const fn is_implausible(&self) -> bool {
        matches!(self, NamespaceError::BadPath | NamespaceError::NotReady)
    }
}

impl core::fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            NamespaceError::BadPath => "not an absolute path",
            NamespaceError::NotFound => "nothing is mounted there",
            NamespaceError::NotDirectory => "not a directory",
            NamespaceError::Busy => "it is in use",
            NamespaceError::NoDisk => "there is no such disk",
            NamespaceError::NoFileSystem => "there is no file system of this kind on it",
            NamespaceError::UnknownKind => "no such kind of file system",
            NamespaceError::UnknownOption => "this kind of file system has no such option",
            NamespaceError::NotReady => "the file system's server is none",
            NamespaceError::Denied => "not allowed",
            NamespaceError::Exhausted => "an account is exhausted",
            NamespaceError::File(error) => error.text(),
            NamespaceError::Died => "the file system's server died",
        })
    }
}

impl core::error::Error for NamespaceError {}
