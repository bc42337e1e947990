//! A mounted volume as the file-system kit serves it.

use alloc::string::String;
use ext4::{Options, Volume};
use filesystem::volume::Result;
use filesystem::{
    Destination, FileError, FileSystemStatistics, Found, New, NodeId, NodeKind, Source, Status, StatusChange, Timestamp,
};
use libsys::env::Env;
use libsys::protocol::filesystem::RenameOptions;
use libsys::service;
use libsys::state::Records;
use libsys::time::{Duration, TimerId, Timers};
use volume::{Entry, Kept, served};

/// Between two looks at what is to be written back.
const OFTEN: Duration = Duration::from_secs(1);
/// Bytes of a contiguous piece of the page cache.
const CHUNK: u64 = 1 << 20;

/// A file system that is served.
#[derive(Debug)]
pub struct Served {
    volume: Volume,
    timers: Timers,
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
        let requests = served::open_disk(env)?;
        let writable = !requests.borrow().geometry().read_only && !options.read_only;
        let kept = Kept::new(Records::open(env)?);
        let volume = Volume::mount_kept(env.account(), requests, options, kept);
        let volume = volume.unwrap_or_else(|why| served::refuse(why, refusal(why)));
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

    fn status(&mut self, node: NodeId) -> Result<Status> {
        Ok(self.volume.status(node)?.into())
    }

    fn size(&mut self, node: NodeId) -> Result<u64> {
        Ok(self.volume.size(node)?)
    }

    fn set_status(&mut self, node: NodeId, change: &StatusChange) -> Result<()> {
        let seconds = |moment: Option<Timestamp>| moment.map(|moment| moment.seconds);
        let (accessed, modified) = (seconds(change.accessed), seconds(change.modified));
        Ok(self.volume.set_status(node, change.mode, accessed, modified)?)
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        let found = self.volume.lookup(directory, name.as_bytes())?;
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

    fn read_link(&mut self, node: NodeId) -> Result<String> {
        let target = self.volume.read_link(node)?;
        // Names that are no UTF-8 cannot be said here.
        String::from_utf8(target).map_err(|_| FileError::Unsupported)
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
        Ok(written.map(drop)?)
    }

    fn truncate(&mut self, node: NodeId, bytes: u64) -> Result<()> {
        Ok(self.volume.truncate(node, bytes)?)
    }

    fn create(&mut self, directory: NodeId, name: &str, new: New<'_>) -> Result<NodeId> {
        let name = name.as_bytes();
        let made = match new {
            New::File(mode) => self.volume.create(directory, name, mode),
            New::Directory(mode) => self.volume.make_directory(directory, name, mode),
            New::Link(target) => self.volume.symlink(directory, name, target.as_bytes()),
        };
        Ok(made?)
    }

    fn link(&mut self, node: NodeId, directory: NodeId, name: &str) -> Result<()> {
        Ok(self.volume.link(node, directory, name.as_bytes())?)
    }

    fn remove(&mut self, directory: NodeId, name: &str, found: Found) -> Result<()> {
        let is_directory = found.kind == NodeKind::Directory;
        Ok(self.volume.remove(directory, name.as_bytes(), is_directory).map(drop)?)
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
        Ok(self.volume.rename(from, to, replaced.is_some()).map(drop)?)
    }

    fn hold(&mut self, node: NodeId) -> Result<()> {
        self.volume.hold(node);
        Ok(())
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
