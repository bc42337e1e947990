//! What the servers of disk file systems stand on.
//!
//! | layer | module |
//! |---|---|
//! | file data in pages, read ahead and written back | [`page_cache`] |
//! | metadata blocks: one atomic record a request, drained to the disk in order | [`overlay`], [`drain`], [`log`] |
//! | what outlives the server | [`kept`] |
//! | how a volume is mounted, and in which memory; what an earlier incarnation has left | [`mounting`] |
//! | when data and records go to the disk | [`write_back`] |
//! | zeros for files without holes | [`zeros`] |
//! | requests in flight | [`requests`] |
//! | the disk below | [`disk`]; at once and without a cache: [`raw`] |
//! | what their servers share | [`served`] |
//!
//! `docs/storage.md` says how they work together.
#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

pub mod checksum;
pub mod disk;
pub mod drain;
pub mod file;
pub mod kept;
pub mod log;
pub mod machine;
pub mod mounting;
pub mod overlay;
pub mod page_cache;
pub mod raw;
pub mod requests;
pub mod served;
#[cfg(not(target_os = "none"))]
pub mod testing;
pub mod write_back;
pub mod zeros;

pub use disk::{Disk, DiskError, Geometry};
pub use file::{Entry, FileError, Kind, Statistics, Status};
pub use kept::{Counts, Kept};
pub use mounting::Options;
pub use overlay::{Overlay, OverlayError};
pub use page_cache::{Backing, DataError, PageCache, Run};
pub use requests::{Requests, SharedRequests};
pub use write_back::{Housekeeping, WriteBack};
pub use zeros::Zeros;
