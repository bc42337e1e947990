//! The file systems FAT12, FAT16 and FAT32, with long names.
//!
//! | part | module |
//! |---|---|
//! | a mounted volume: files, directories, names | [`mounted`] |
//! | files in use, clusters for their data, what of that outlives the server | [`format`](mod@format), [`nodes`], [`chain`], [`noted`] |
//! | directories, their entries, names, times | [`directory`], [`entry`], [`name`], [`time`] |
//! | the disk: one record an operation, the file allocation table, the boot sector | [`medium`], [`table`], [`boot`] |
//!
//! `docs/storage.md` says what it stands on, and what it promises.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod boot;
pub mod chain;
pub mod directory;
pub mod entry;
pub mod format;
pub mod medium;
pub mod mounted;
pub mod name;
pub mod nodes;
pub mod noted;
pub mod table;
pub mod time;

pub use mounted::{Options, Volume};
