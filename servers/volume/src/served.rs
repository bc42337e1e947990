//! What the servers of disk file systems share: parameters, the disk, the time, and the words of the file-system kit for what a volume says.

use crate::file::{Entry, FileError, Kind, Status};
use crate::machine::MachineDisk;
use crate::requests::{Requests, SharedRequests};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicI64, Ordering};
use filesystem::{Clock, Found, NodeKind, Timestamp};
use libsys::block::Disk;
use libsys::env::Env;
use libsys::protocol::namespace::DISKS_PARAMETER;
use libsys::service;
use libsys::time::{self, Duration};

/// Seconds from 1970 to the start of the machine.
static BOOT: AtomicI64 = AtomicI64::new(0);

/// Sets the clock that [`seconds`] reads: by the session `rtc`, if there is one.
pub fn set_clock(env: &Env) {
    let uptime = (time::now() / 1_000_000_000) as i64;
    BOOT.store(Clock::of(env).now().seconds - uptime, Ordering::Relaxed);
}

/// Now, in seconds since 1970.
pub fn seconds() -> u64 {
    let uptime = (time::now() / 1_000_000_000) as i64;
    BOOT.load(Ordering::Relaxed).saturating_add(uptime).max(0) as u64
}

/// MiB that a parameter says, in bytes. Where it is no number of MiB the server ends, and says so: a mount may have set it.
pub fn mebibytes(env: &Env, name: &str, default: u64) -> u64 {
    let number = match env.parameter(name) {
        None => default,
        Some(text) => {
            let number = text.parse().ok().filter(|number| (1..=4096).contains(number));
            number.unwrap_or_else(|| {
                filesystem::refuse(filesystem::FileError::OutOfRange, &format!("{name}={text}: not a number of MiB"))
            })
        }
    };
    number << 20
}

/// The disk that the session `device` is of, of the service that the parameter [`DISKS_PARAMETER`] names. Without it the server ends, and says why. The parameter `patience`, in milliseconds, is
/// that of [`Disk::set_patience`].
pub fn open_disk(env: &Env) -> service::Result<SharedRequests> {
    let service: String = env.require(DISKS_PARAMETER)?;
    let patience: Option<NonZeroU64> = env.parse("patience")?;
    let disk = Disk::open(env.take_session("device")?, &service, env.account());
    let mut disk =
        disk.unwrap_or_else(|why| filesystem::refuse(filesystem::FileError::Device, &format!("the disk: {why}")));
    if let Some(patience) = patience {
        disk.set_patience(Duration::from_millis(patience.get()));
    }
    Ok(Requests::new(Box::new(MachineDisk::new(disk))))
}

/// The server ends, as there is nothing that it can serve, and says why. That another file system or none is on the disk is the answer to a question, and whoever asked is told: no error of this server.
pub fn refuse(error: FileError, why: &str) -> ! {
    let kit = filesystem::FileError::from(error);
    if error != FileError::Unsupported {
        filesystem::refuse(kit, why);
    }
    libsys::info!("{why}");
    libsys::exit(kit.exit_status())
}

/// What a name leads to, in the kit's word.
pub fn node_kind(kind: Kind) -> NodeKind {
    match kind {
        Kind::File => NodeKind::File,
        Kind::Directory => NodeKind::Directory,
        Kind::Link => NodeKind::Link,
        Kind::Character => NodeKind::Character,
        Kind::Block => NodeKind::Block,
        Kind::Pipe | Kind::Socket => NodeKind::Pipe,
    }
}

/// What an entry stands for.
pub fn found(entry: &Entry) -> Found {
    Found { node: entry.inode, kind: node_kind(entry.kind) }
}

impl From<FileError> for filesystem::FileError {
    fn from(error: FileError) -> filesystem::FileError {
        use filesystem::FileError as To;
        match error {
            FileError::NotFound => To::NotFound,
            FileError::Exists => To::Exists,
            FileError::NotDirectory => To::NotDirectory,
            FileError::IsDirectory => To::IsDirectory,
            FileError::NotEmpty => To::NotEmpty,
            FileError::NameTooLong => To::NameTooLong,
            FileError::BadName => To::BadName,
            FileError::ReadOnly => To::ReadOnly,
            FileError::Denied => To::Denied,
            FileError::NoSpace => To::NoSpace,
            FileError::TooLarge => To::TooLarge,
            FileError::Exhausted => To::Exhausted,
            // The field's word for it: `TooManyLinks` of the protocol are symbolic ones.
            FileError::TooManyLinks => To::NoSpace,
            FileError::Busy => To::Busy,
            FileError::OutOfRange => To::OutOfRange,
            FileError::Unsupported => To::Unsupported,
            FileError::Corrupt => To::Corrupt,
            FileError::Device => To::Device,
            FileError::WouldBlock => To::WouldBlock,
        }
    }
}

impl From<Status> for filesystem::Status {
    fn from(status: Status) -> filesystem::Status {
        let moment = |seconds| Timestamp { seconds, nanoseconds: 0 };
        filesystem::Status {
            kind: node_kind(status.kind),
            id: status.inode,
            size: status.size,
            allocated: status.allocated,
            links: status.links,
            mode: status.mode,
            accessed: moment(status.accessed),
            modified: moment(status.modified),
            changed: moment(status.changed),
            created: moment(status.created),
        }
    }
}
