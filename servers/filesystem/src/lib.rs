//! The kit for file systems: a file system is a [`Volume`], nodes with data and names; [`FileServer`] makes of it a server of the protocols
//! `filesystem` and `file`: sessions, paths, open files and their positions, lent buffers, locks, notifications, waiting.
//!
//! | file | part |
//! |---|---|
//! | [`volume`] | what a file system implements, and the reference for it |
//! | [`data`] | the two ends of a copy: page cache and lent buffer |
//! | [`server`] | [`FileServer`], and what happens besides calls |
//! | `names`, `files` | the protocols: names, open files |
//! | `path` | the walk along a path |
//! | `opens`, `buffers`, `watched` | open files by badge; lent buffers; locks and who hears of changes |
//! | `kept` | what of it outlives the server |
//! | `waiting` | calls that wait for the volume or for a lock |
//! | [`clock`] | the time of day, for the times of files |
//! | [`listing`] | directories by cursor, for file systems that hold their names in memory |
//!
//! `docs/file-systems.md` has a small complete example.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod buffers;
pub mod clock;
pub mod data;
mod files;
mod kept;
pub mod listing;
mod names;
mod opens;
mod path;
pub mod server;
pub mod volume;
mod waiting;
mod watched;

/// Ends a server that cannot start because of its medium: who mounts it learns why.
pub fn refuse(error: FileError, why: &str) -> ! {
    libsys::error!("{why}");
    libsys::exit(error.exit_status())
}

pub use clock::Clock;
pub use data::{Destination, Source};
pub use libsys::protocol::file::DirectoryEntry;
pub use libsys::protocol::filesystem::{FileError, FileSystemStatistics, NodeKind, Status, StatusChange, Timestamp};
pub use listing::Listing;
pub use path::check_name;
pub use server::FileServer;
pub use volume::{Found, New, NodeId, RECORDS, Result, Volume};
