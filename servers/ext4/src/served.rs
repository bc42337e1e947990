//! A mounted volume as the file-system kit serves it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicI64, Ordering};
use ext4::{Options, Volume};
use filesystem::volume::Result;
use filesystem::{
    Clock, Destination, FileError, FileSystemStatistics, Found, New, NodeId, NodeKind, Source, Status, StatusChange,
    Timestamp,
};
use libsys::block::Disk;
use libsys::env::Env;
use libsys::protocol::filesystem::RenameOptions;
use libsys::service::{self, StartError};
use libsys::time::{self, Duration, TimerId, Timers};
use volume::machine::MachineDisk;
use volume::{Kind, Requests};

/// The service whose disks are mounted.
const BLOCK: &str = "block";
/// Between two looks at what is to be written back.
const OFTEN: Duration = Duration::from_secs(1);
/// Bytes of a contiguous piece of the page cache.
const CHUNK: u64 = 1 << 20;

/// Seconds from 1970 to the start of the machine.
static BOOT: AtomicI64 = AtomicI64::new(0);

fn seconds() -> u64 {
    let uptime = (time::now() / 1_000_000_000) as i64;
    BOOT.load(Ordering::Relaxed).saturating_add(uptime).max(0) as u64
}

/// A file system that is served.
#[derive(Debug)]
pub struct Served {
    volume: Volume,
    timers: Timers,
}

/// MiB that a parameter says, in bytes.
fn mebibytes(env: &Env, name: &str, default: u64) -> service::Result<u64> {
    let number = match env.parameter(name) {
        None => default,
        Some(text) => {
            let number = text.parse().ok().filter(|number| (1..=4096).contains(number));
            number.ok_or_else(|| StartError::Peer(format!("{name}={text}: not a number of MiB")))?
        }
    };
    Ok(number << 20)
}

fn error(error: volume::FileError) -> FileError {
    use volume::FileError as Of;
    match error {
        Of::NotFound => FileError::NotFound,
        Of::Exists => FileError::Exists,
        Of::NotDirectory => FileError::NotDirectory,
        Of::IsDirectory => FileError::IsDirectory,
        Of::NotEmpty => FileError::NotEmpty,
        Of::NameTooLong => FileError::NameTooLong,
        Of::BadName => FileError::BadName,
        Of::ReadOnly => FileError::ReadOnly,
        Of::Denied => FileError::Denied,
        Of::NoSpace => FileError::NoSpace,
        Of::TooLarge => FileError::TooLarge,
        Of::Exhausted => FileError::Exhausted,
        // The field's word for it: `TooManyLinks` of the protocol are symbolic ones.
        Of::TooManyLinks => FileError::NoSpace,
        Of::Busy => FileError::Busy,
        Of::OutOfRange => FileError::OutOfRange,
        Of::Unsupported => FileError::Unsupported,
        Of::Corrupt => FileError::Corrupt,
        Of::Device => FileError::Device,
    }
}

/// Why a volume cannot be mounted, for people.
fn refusal(error: volume::FileError) -> &'static str {
    use volume::FileError as Of;
    match error {
        Of::Unsupported => "no file system ext2, ext3 or ext4, or one with features that are not known",
        Of::Corrupt => "the file system contradicts itself: e2fsck may repair it",
        Of::ReadOnly => "the journal has to be replayed, and the disk cannot be written",
        Of::Exhausted => "the account is too small for the caches",
        _ => "the disk cannot be read",
    }
}

fn kind(kind: Kind) -> NodeKind {
    match kind {
        Kind::File => NodeKind::File,
        Kind::Directory => NodeKind::Directory,
        Kind::Link => NodeKind::Link,
        Kind::Character => NodeKind::Character,
        Kind::Block => NodeKind::Block,
        Kind::Pipe | Kind::Socket => NodeKind::Pipe,
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

impl filesystem::Volume for Served {
    fn start(env: &Env) -> service::Result<Self> {
        let uptime = (time::now() / 1_000_000_000) as i64;
        BOOT.store(Clock::of(env).now().seconds - uptime, Ordering::Relaxed);
        let options = Options {
            read_only: env.parameter("read-only") == Some("true"),
            overlay_bytes: mebibytes(env, "overlay", 4)?,
            cache_bytes: mebibytes(env, "cache", 8)?,
            chunk_bytes: CHUNK,
            seconds,
        };
        let disk = Disk::open(env.take_session("device")?, BLOCK, env.account());
        let disk = disk.unwrap_or_else(|why| filesystem::refuse(FileError::Device, &format!("the disk: {why}")));
        let writable = !disk.info().read_only && !options.read_only;
        let requests = Requests::new(Box::new(MachineDisk::new(disk)));
        let volume = Volume::mount(env.account(), requests, options);
        let volume = volume.unwrap_or_else(|why| filesystem::refuse(error(why), refusal(why)));
        if writable && volume.is_read_only() {
            libsys::warn!(
                "it is noted on the disk that the file system has errors: it is read-only until e2fsck has repaired them"
            );
        }
        let mut timers = Timers::default();
        timers.after(OFTEN);
        Ok(Served { volume, timers })
    }

    fn root(&self) -> NodeId {
        ext4::mounted::ROOT
    }

    fn is_read_only(&self) -> bool {
        self.volume.is_read_only()
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let status = self.volume.status(node).map_err(error)?;
        Ok(Status {
            kind: kind(status.kind),
            id: node,
            size: status.size,
            allocated: status.allocated,
            links: status.links,
            mode: status.mode,
            accessed: moment(status.accessed),
            modified: moment(status.modified),
            changed: moment(status.changed),
            created: moment(status.created),
        })
    }

    fn size(&mut self, node: NodeId) -> Result<u64> {
        self.volume.size(node).map_err(error)
    }

    fn set_status(&mut self, node: NodeId, change: &StatusChange) -> Result<()> {
        let seconds = |moment: Option<Timestamp>| moment.map(|moment| moment.seconds);
        let (accessed, modified) = (seconds(change.accessed), seconds(change.modified));
        self.volume.set_status(node, change.mode, accessed, modified).map_err(error)
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        let found = self.volume.lookup(directory, name.as_bytes()).map_err(error)?;
        Ok(found.map(|(node, of)| Found { node, kind: kind(of) }))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        let mut each =
            |entry: volume::Entry| add(&entry.name, Found { node: entry.inode, kind: kind(entry.kind) }, entry.next);
        self.volume.read_directory(directory, cursor, &mut each).map_err(error)
    }

    fn read_link(&mut self, node: NodeId) -> Result<String> {
        let target = self.volume.read_link(node).map_err(error)?;
        // Names that are no UTF-8 cannot be said here.
        String::from_utf8(target).map_err(|_| FileError::Unsupported)
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let room = into.room() as u64;
        let read = self.volume.read(node, offset, room, |mapping, at, bytes, _| {
            into.put_mapped(mapping, at, bytes);
        });
        read.map(drop).map_err(error)
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        let left = from.left() as u64;
        let written = self.volume.write(node, offset, left, |mapping, at, bytes, _| {
            from.take_mapped(mapping, at, bytes);
        });
        written.map(drop).map_err(error)
    }

    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        self.volume.truncate(node, bytes).map_err(error)
    }

    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        let name = name.as_bytes();
        let made = match new {
            New::File(mode) => self.volume.create(directory, name, mode),
            New::Directory(mode) => self.volume.make_directory(directory, name, mode),
            New::Link(target) => self.volume.symlink(directory, name, target.as_bytes()),
        };
        made.map_err(error)
    }

    fn link(&mut self, node: NodeId, directory: NodeId, name: &str) -> Result<()> {
        self.volume.link(node, directory, name.as_bytes()).map_err(error)
    }

    fn remove(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        let is_directory = found.kind == NodeKind::Directory;
        self.volume.remove(directory, name.as_bytes(), is_directory).map(drop).map_err(error)
    }

    fn rename(
        &mut self,
        from: (NodeId, &str),
        _found: Found,
        to: (NodeId, &str),
        replaced: Option<Found>,
        _options: RenameOptions,
    ) -> Result<()> {
        let (from, to) = ((from.0, from.1.as_bytes()), (to.0, to.1.as_bytes()));
        self.volume.rename(from, to, replaced.is_some()).map(drop).map_err(error)
    }

    fn release(&mut self, node: NodeId) {
        if let Err(error) = self.volume.release(node) {
            libsys::error!("file {node} is not freed: {error:?}");
        }
    }

    fn sync(&mut self, node: Option<NodeId>, data_only: bool) -> Result<()> {
        match node {
            Some(node) => self.volume.sync(node, data_only),
            None => self.volume.sync_all(),
        }
        .map_err(error)
    }

    fn end(&mut self) -> Result<()> {
        self.volume.end().map_err(error)
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        let statistics = self.volume.statistics();
        let bytes = u64::from(statistics.block_bytes);
        Ok(FileSystemStatistics {
            bytes: statistics.blocks * bytes,
            free_bytes: statistics.free_blocks * bytes,
            files: statistics.files,
            free_files: statistics.free_files,
            block_bytes: statistics.block_bytes,
            read_only: self.volume.is_read_only(),
            in_use: 0,
        })
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) -> bool {
        self.timers.after(OFTEN);
        if let Err(error) = self.volume.tick() {
            libsys::error!("writing back: {error:?}");
        }
        false
    }
}
