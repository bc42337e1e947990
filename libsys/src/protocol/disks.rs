//! `disks`: the disks and partitions that there are, as a server `block` knows them. An opened one speaks [`super::Block`]. The servers are the services of the class [`CLASS`]; there is one for
//! devices, and one for files as disks, as no server may wait for a file system that waits for it.
//!
//! A disk has a name (`vda`, `nvme0n1`, `ram0`) that stays as long as `block` knows its driver, through deaths of both; a partition
//! has its disk's name, a `p` where that ends in a digit, and its number (`vda1`, `nvme0n1p1`).

use super::block::BlockError;
use super::list::Listed;
use crate::service::{Context, Reply};
use crate::{Channel, Session};
use alloc::string::String;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// The class of the services that know disks.
pub const CLASS: &str = "disks";

/// Disks and partitions.
#[protocol]
pub trait Disks {
    /// Disks, each followed by its partitions, from the place `first` on, as many as a message holds ([`super::list`]); none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn list(&mut self, first: u64) -> Vec<DiskInfo>;

    /// Opens a disk or a partition: a session that speaks [`super::Block`]. It stays what it is when `block` restarts, and while its driver does.
    ///
    /// What one process has open for writing, no other can open for writing, nor anything that overlaps it: the disk of an open
    /// partition, the partitions of an open disk. `exclusive`: nobody else writes it while the session is open, nor what overlaps it, the same process included: a mount asks for it, to write or to read only. Reading is always allowed, but
    /// exclusively only what nobody writes.
    ///
    /// Rights: any session: the manifest says who gets one. Errors: `NoSuchDisk`, `ReadOnly`, `Busy`, `Exhausted`. *replay*: a session that was made and never
    /// delivered is closed.
    #[replay]
    fn open(&mut self, cx: &Context, name: &str, write: bool, exclusive: bool) -> Result<Session, BlockError>;

    /// Signals `bits` of `channel` whenever a disk or partition appears, disappears or changes, and once at once. It replaces what the session asked for before; `bits`
    /// of 0 end it.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. *replay*: asked twice it is the same. It outlives `block`, which signals everybody once when it is restarted.
    #[replay]
    fn watch(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), BlockError>;

    /// Says in which order a disk's requests go to its driver. It holds as long as the disk has its name, through deaths of `block` and the driver.
    ///
    /// Rights: any session. Errors: `NoSuchDisk`, `Unsupported` (it is a partition). *once*: another client may change it as well.
    #[once]
    fn set_scheduler(&mut self, name: &str, scheduler: Scheduler) -> Result<(), BlockError>;

    /// Asks the driver for the disk's size again and reads its partition table again. Open partitions stay what they are.
    ///
    /// Rights: any session. Errors: `NoSuchDisk`, `Unsupported` (it is a partition), `Busy` (a partition that is open would change or go), `Device`. *once*: others may write the table meanwhile.
    #[once]
    fn rescan(&mut self, name: &str) -> Result<(), BlockError>;

    /// Makes a disk of an open file: a driver is started for it, whose session `file` then is. Returned is the disk's name. It is answered when the disk is there, with its
    /// partitions. `path` is what is shown as the disk's model. `read_only`: the file was opened to be read only.
    ///
    /// Rights: any session, with a session of the file. Errors: `Unsupported` (this server makes no disks of files; or it is no regular file), `Nested` (the file lies on a disk of this
    /// server), `Busy` (it is a disk already), `Exhausted`, `Device`. *once*: a second disk would be another one.
    #[once]
    fn add_file(
        &mut self,
        cx: &Context,
        file: Session,
        path: &str,
        read_only: bool,
        reply: Reply<'_, Result<String, BlockError>>,
    );

    /// Takes the disk of a file away, and lets the file go. It is answered when the disk is gone.
    ///
    /// Rights: any session. Errors: `NoSuchDisk`, `Busy` (it, or a partition of it, is open), `Unsupported` (it is no disk of a file). *once*: another disk may have the name by then.
    #[once]
    fn remove_file(&mut self, cx: &Context, name: &str, reply: Reply<'_, Result<(), BlockError>>);

    /// What was counted for a disk or a partition since it was there first. A death of `block` loses nothing of it but what was in flight, which comes again.
    ///
    /// Rights: any session. Error: `NoSuchDisk`. *replay*: it only reads.
    #[replay]
    fn statistics(&mut self, name: &str) -> Result<DiskStatistics, BlockError>;
}

/// A disk or a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskInfo {
    /// Its name.
    pub name: String,
    /// The disk that it is a partition of.
    pub part_of: Option<String>,
    /// The service that drives it.
    pub driver: String,
    /// What it is.
    pub kind: DiskKind,
    /// First sector on its disk.
    pub start: u64,
    /// Size, in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a logical block.
    pub logical_block_bytes: u32,
    /// It cannot be written.
    pub read_only: bool,
    /// Sessions that have it open.
    pub opened: u32,
    /// It is open for writing.
    pub opened_to_write: bool,
    /// Order of its requests; that of its disk for a partition.
    pub scheduler: Scheduler,
    /// Its driver serves it.
    pub ready: bool,
    /// Where it is in the list.
    pub place: u64,
}

impl Listed for DiskInfo {
    fn place(&self) -> u64 {
        self.place
    }
}

/// What an entry of the list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskKind {
    /// A disk.
    Disk {
        /// Its model; may be empty.
        model: String,
        /// Its serial number; may be empty.
        serial: String,
        /// The kind of partition table that was found.
        table: PartitionTable,
    },
    /// A partition of an MBR, with its type.
    Mbr(u8),
    /// A partition of a GPT.
    Gpt {
        /// Type, as the 16 bytes on the disk.
        kind: [u8; 16],
        /// Its own identity, as the 16 bytes on the disk.
        identity: [u8; 16],
        /// Its label, cut to 36 characters.
        label: String,
    },
}

/// A kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionTable {
    /// None, or a broken one.
    None,
    /// Master boot record.
    Mbr,
    /// GUID partition table.
    Gpt,
    /// GUID partition table whose first copy is broken: the backup is used.
    GptBackup,
}

/// In which order a disk's requests go to its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheduler {
    /// As they come; adjacent ones are merged while they wait.
    None,
    /// By sector, reads before writes; but none waits longer than its deadline allows, and writes are not passed over for ever.
    Deadline,
}

impl Scheduler {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Scheduler::None => "none",
            Scheduler::Deadline => "deadline",
        }
    }
}

impl core::str::FromStr for Scheduler {
    type Err = ();

    fn from_str(text: &str) -> Result<Scheduler, ()> {
        [Scheduler::None, Scheduler::Deadline].into_iter().find(|one| one.name() == text).ok_or(())
    }
}

/// Counts of a disk or a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatistics {
    /// Reads.
    pub reads: OperationStatistics,
    /// Writes, discards and fills with zeros.
    pub writes: OperationStatistics,
    /// Flushes.
    pub flushes: OperationStatistics,
    /// Requests that are not answered yet.
    pub in_flight: u32,
    /// Nanoseconds in which some request was not answered yet.
    pub busy: u64,
    /// Requests that were submitted to the driver again, after it had died.
    pub resubmitted: u64,
}

/// Counts of one kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatistics {
    /// Requests that were answered.
    pub requests: u64,
    /// Sectors that they moved.
    pub sectors: u64,
    /// Requests that travelled to the driver with another one.
    pub merged: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Nanoseconds from their arrival to their answer, in all.
    pub nanoseconds: u64,
}
