//! A mounted volume as the file-system kit serves it.

use alloc::string::String;
use fat::{Options, Volume};
use filesystem::volume::Result;
use filesystem::{
    Destination, FileError, FileSystemStatistics, Found, New, NodeId, Source, Status, StatusChange, Timestamp,
};
use libsys::env::Env;
use libsys::protocol::filesystem::RenameOptions;
use libsys::service;
use libsys::state::Records;
use libsys::time::{Duration, TimerId, Timers};
use volume::{Entry, Kept, served};

/// Between two looks at what is to be written back.
const OFTEN: Duration = Duration::from_secs(1);
/// Between two steps of one call, for others.
const STEP: Duration = Duration::from_micros(100);
/// Bytes of a contiguous piece of the page cache.
const CHUNK: u64 = 1 << 20;

/// A file system that is served.
#[derive(Debug)]
pub struct Served {
    volume: Volume,
    timers: Timers,
    /// When calls that take several steps go on.
    step: Option<TimerId>,
}

impl Served {
    /// A call that takes one more step is tried again, after others that wait now.
    fn go_on_soon<T>(&mut self, result: &core::result::Result<T, volume::FileError>) {
        if self.step.is_none() && matches!(result, Err(volume::FileError::WouldBlock)) {
            self.step = Some(self.timers.after(STEP));
        }
    }
}

/// Why a volume cannot be mounted, for people.
fn refusal(error: volume::FileError) -> &'static str {
    use volume::FileError as Of;
    match error {
        Of::Unsupported => "no file system FAT12, FAT16 or FAT32",
        Of::Corrupt => "the file system contradicts itself or the disk: fsck.fat may repair it",
        Of::Exhausted => "the account is too small for the caches, or the overlay for the clusters",
        _ => "the disk cannot be read",
    }
}

impl filesystem::Volume for Served {
    fn start(env: &Env) -> service::Result<Self> {
        served::set_clock(env);
        let options = Options {
            read_only: env.parameter("read-only") == Some("true"),
            overlay_bytes: served::mebibytes(env, "overlay", 4),
            cache_bytes: served::mebibytes(env, "cache", 8),
            chunk_bytes: CHUNK,
            seconds: served::seconds,
        };
        let kept = Kept::new(Records::open(env)?);
        let volume = Volume::mount_kept(env.account(), served::open_disk(env)?, options, kept);
        let volume = volume.unwrap_or_else(|why| served::refuse(why, refusal(why)));
        if volume.is_left_dirty() {
            libsys::warn!("it was not unmounted where it was written last: fsck.fat may find something");
        }
        let mut timers = Timers::default();
        timers.after(OFTEN);
        Ok(Served { volume, timers, step: None })
    }

    fn root(&self) -> NodeId {
        fat::mounted::ROOT
    }

    fn is_read_only(&self) -> bool {
        self.volume.is_read_only()
    }

    fn records(&mut self) -> Option<&mut Records> {
        self.volume.kept().records()
    }

    fn reclaim(&mut self, is_open: &dyn Fn(NodeId) -> bool) {
        if let Err(error) = self.volume.reclaim(is_open) {
            libsys::error!("files without names are not freed: {error:?}");
        }
    }

    fn committed(&mut self) {
        self.volume.committed();
    }

    fn is_same_name(&self, one: &str, two: &str) -> bool {
        fat::name::same(one, two)
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        Ok(self.volume.status(node)?.into())
    }

    fn size(&mut self, node: NodeId) -> Result<u64> {
        Ok(self.volume.size(node)?)
    }

    fn set_status(&mut self, node: NodeId, change: &StatusChange) -> Result<()> {
        let seconds = |moment: Option<Timestamp>| moment.map(|moment| moment.seconds);
        Ok(self.volume.set_status(node, change.mode, seconds(change.accessed), seconds(change.modified))?)
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        let found = self.volume.lookup(directory, name)?;
        Ok(found.map(|(node, of)| Found { node, kind: served::node_kind(of) }))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        let mut each = |entry: Entry| add(&entry.name, served::found(&entry), entry.next);
        Ok(self.volume.read_directory(directory, cursor, &mut each)?)
    }

    /// There are no links.
    fn read_link(&mut self, _: NodeId) -> Result<String> {
        Err(FileError::OutOfRange)
    }

    fn read(&mut self, node: NodeId, offset: u64, into: &mut Destination<'_>) -> Result<()> {
        let room = into.room() as u64;
        let read = self.volume.read(node, offset, room, |mapping, at, bytes, _| {
            into.put_mapped(mapping, at, bytes);
        });
        Ok(read.map(drop)?)
    }

    fn write(&mut self, node: NodeId, offset: u64, from: &mut Source<'_>) -> Result<()> {
        let left = from.left() as u64;
        let written = self.volume.write(node, offset, left, |mapping, at, bytes, _| {
            from.take_mapped(mapping, at, bytes);
        });
        self.go_on_soon(&written);
        Ok(written.map(drop)?)
    }

    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        let truncated = self.volume.truncate(node, bytes);
        self.go_on_soon(&truncated);
        Ok(truncated?)
    }

    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        Ok(match new {
            New::File(mode) => self.volume.create(directory, name, mode)?,
            New::Directory(_) => self.volume.make_directory(directory, name)?,
            New::Link(_) => return Err(FileError::Unsupported),
        })
    }

    fn remove(&mut self, directory: NodeId, name: &str, _: Found) -> Result<()> {
        Ok(self.volume.remove(directory, name).map(drop)?)
    }

    fn rename(
        &mut self,
        from: (NodeId, &str),
        _: Found,
        to: (NodeId, &str),
        replaced: Option<Found>,
        _: RenameOptions,
    ) -> Result<()> {
        Ok(self.volume.rename(from, to, replaced.is_some()).map(drop)?)
    }

    fn hold(&mut self, node: NodeId) -> Result<()> {
        Ok(self.volume.hold(node)?)
    }

    fn release(&mut self, node: NodeId) {
        if let Err(error) = self.volume.release(node) {
            libsys::error!("file {node} is not freed: {error:?}");
        }
    }

    fn sync(&mut self, node: Option<NodeId>, data_only: bool) -> Result<()> {
        Ok(match node {
            Some(node) => self.volume.sync(node, data_only),
            None => self.volume.sync_all(),
        }?)
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.volume.end()?)
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        let statistics = self.volume.statistics();
        let bytes = u64::from(statistics.block_bytes);
        Ok(FileSystemStatistics {
            bytes: statistics.blocks * bytes,
            free_bytes: statistics.free_blocks * bytes,
            files: u64::MAX,
            free_files: u64::MAX,
            block_bytes: statistics.block_bytes,
            read_only: self.volume.is_read_only(),
            in_use: 0,
        })
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, timer: TimerId) -> bool {
        if self.step == Some(timer) {
            self.step = None;
            return true;
        }
        self.timers.after(OFTEN);
        if let Err(error) = self.volume.tick() {
            libsys::error!("writing back: {error:?}");
        }
        false
    }
}
