//! The file systems ext2, ext3 and ext4.
//!
//! | part | module |
//! |---|---|
//! | a mounted volume: files, directories, names | [`volume`](mod@mounted) |
//! | the format crate, one atomic record a request, blocks for file data | [`format`] |
//! | what programs do with names most, without the crate | [`names`], over [`disk`], [`entries`], [`hash`] |
//! | freeing the blocks of files, without the crate | [`cut`](mod@cut) |
//! | where a file's blocks are | [`mapping`] |
//! | the journal on the disk | [`journal`] |
//! | open files without names, when the server is started again | [`orphans`] |
//! | what the format crate sees as its disk | [`blocks`], [`directories`], [`superblock`], [`raw`] |
//!
//! The format itself is the crate `rsext4`'s. `docs/storage.md` says how the parts work together.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod blocks;
pub mod crc32c;
pub mod cut;
pub mod directories;
pub mod disk;
pub mod entries;
pub mod format;
pub mod hash;
pub mod hints;
pub mod journal;
pub mod mapping;
pub mod mounted;
pub mod names;
pub mod orphans;
pub mod raw;
pub mod recent;
pub mod superblock;

pub use mounted::{Options, Volume};
