//! What outlives vfs. A record each:
//!
//! | kind | number | holds |
//! |---|---|---|
//! | [`PAGE`], [`CHANGES`] | | the page that clients have mapped, and what it says |
//! | [`MOUNT`] | of the mount | [`KeptMount`] |
//! | [`NAMESPACE`] | badge | the root that its sessions see |
//! | [`JOB`] | any | a mount or an unmount that is under way: [`Job`](crate::jobs::Job) |
//! | [`DEVICE`] | of its node | what a number in /dev means |
//! | [`STARTED`] | | the time that everything in /dev bears |
//!
//! Positions, locks and notifications of /dev are records of its [`filesystem::FileServer`].

use crate::mounts::Wanted;
use alloc::string::String;
use libsys::state::{Keepsake, RecordKey};
use serde::{Deserialize, Serialize};

pub const PAGE: RecordKey = RecordKey::new(1, 0);
pub const CHANGES: RecordKey = RecordKey::new(2, 0);
pub const MOUNT: u16 = 3;
pub const NAMESPACE: u16 = 4;
pub const JOB: u16 = 5;
pub const DEVICE: u16 = 6;
pub const STARTED: RecordKey = RecordKey::new(7, 0);

/// A mount, for the next incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptMount {
    /// What is mounted, and where.
    pub what: Wanted,
    /// Name of its service.
    pub service: String,
    /// The service was made for the mount.
    pub is_instance: bool,
    /// The session of the directory that is mounted; `None`: that of /dev.
    pub root: Option<Keepsake>,
}
