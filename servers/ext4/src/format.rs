//! The format crate over the overlay: every change is one atomic record, and file data gets its blocks here.
//!
//! What a request changes is prepared, and counts with the commit of the records with its reply ([`Format::settle`]); what is done besides (blocks for data that is written back, times, the end of files without
//! names) stands by itself.
//!
//! Three rules keep the disk right after a power cut:
//! - A block gets to a file in a record that is committed before the data is submitted to the disk, and becomes durable after it (the drain
//!   waits for the data), so no file ever shows what was in its blocks before.
//! - What was freed is used for file data again only when the record that frees it is durable: until then it may still be the old file's.
//! - A block whose image is in the journal is used for file data only when everything in the journal is at home, as a replay would write the
//!   image over the data.

use crate::blocks::{Blocks, FILL, Shared};
use crate::disk::{Info, Left, kind_of};
use crate::mapping::{Layout, MappingError, Window};
use crate::mounted::mount_crate;
use crate::names::{Freed, Names, Removed};
use crate::orphans;
use crate::superblock::{self, Superblock};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use rsext4::bmalloc::InodeNumber;
use rsext4::dir::FileName;
use rsext4::{
    Ext4, Ext4Error, Ext4ErrorKind, Ext4Result, Ext4Timestamp, InodeMetadataUpdate, MountedServices, NoopObserver,
};
use volume::{Backing, Counts, DataError, FileError, Housekeeping, Kept, Kind, Options, Overlay, Run};

/// The crate's file system.
pub type Fs = Ext4<Blocks, MountedServices<(), NoopObserver, ()>>;

/// The most that is allocated at once.
const ALLOCATION: u64 = 1 << 20;
/// Blocks that are left for what describes files, beside one in 64 of what is promised.
const SPARE: u64 = 32;

/// A file that is in use.
#[derive(Default)]
pub struct Node {
    /// Bytes; ahead of the disk while there is data to write back.
    pub size: u64,
    /// Sessions that have it open.
    pub opens: u32,
    /// It has no name left.
    pub unlinked: bool,
    /// Its data changed since the inode's time was set.
    pub touched: bool,
    window: Window,
    /// The size that the inode says.
    recorded: u64,
    /// The size that is committed.
    settled: u64,
    /// The size that is kept, if it is: while the inode does not say it, or not the time.
    kept: Option<u64>,
    /// Blocks that are promised to it.
    reserved: u64,
}

impl Node {
    /// Whether something is known of it that its inode does not say.
    pub fn is_needed(&self) -> bool {
        self.touched || self.kept.is_some() || self.recorded != self.size || self.settled != self.size
    }
}

/// The crate, and what is around it.
pub struct Format {
    /// The crate.
    pub fs: Fs,
    /// The overlay, which is the crate's disk.
    pub shared: Rc<RefCell<Shared>>,
    /// Where inodes and blocks are.
    pub layout: Layout,
    /// The files that are in use, and some that were.
    pub nodes: BTreeMap<u64, Node>,
    /// Ranges of the journal's blocks, in order.
    pub journal: Vec<(u64, u64)>,
    /// Blocks may have been freed by a record that is not durable.
    pub freed: bool,
    /// Nothing is written.
    pub read_only: bool,
    /// Memory and disk have come apart: nothing is written any more.
    pub failed: bool,
    /// What outlives the server.
    pub kept: Kept,
    /// What is done without the crate, where the disk is plain.
    names: Option<Names>,
    options: Options,
    /// Files whose size is not committed.
    unsettled: Vec<u64>,
    reserved: u64,
    fill: Vec<u8>,
    seconds: fn() -> u64,
}

/// The crate's number of an inode.
pub fn number(inode: u64) -> Result<InodeNumber, FileError> {
    let number = u32::try_from(inode).map_err(|_| FileError::OutOfRange)?;
    InodeNumber::new(number).map_err(|_| FileError::OutOfRange)
}

/// Whether a name can be in a directory. Errors: `NameTooLong`, `BadName`.
fn check_name(name: &[u8]) -> Result<(), FileError> {
    let is_good = |byte: &u8| !matches!(byte, 0 | b'/');
    match name {
        _ if name.len() > 255 => Err(FileError::NameTooLong),
        b"" | b"." | b".." => Err(FileError::BadName),
        _ if name.iter().all(is_good) => Ok(()),
        _ => Err(FileError::BadName),
    }
}

/// The same, as the crate wants it.
pub fn file_name(name: &[u8]) -> Result<FileName<'_>, FileError> {
    check_name(name)?;
    FileName::new(name).map_err(|_| FileError::BadName)
}

/// A block of a directory without names: one entry that is none, as long as the block. `None`: that cannot be said in its 16 bits.
fn empty_directory(block_bytes: usize) -> Option<Vec<u8>> {
    let length = u16::try_from(block_bytes).ok()?;
    let mut block = vec![0; block_bytes];
    block[4..6].copy_from_slice(&length.to_le_bytes());
    Some(block)
}

/// What an error of the crate means to the client.
pub fn file_error(error: Ext4Error) -> FileError {
    match error.kind() {
        Ext4ErrorKind::Io | Ext4ErrorKind::Timeout | Ext4ErrorKind::JournalAborted => FileError::Device,
        Ext4ErrorKind::UnsupportedFeature | Ext4ErrorKind::UnsupportedCapability | Ext4ErrorKind::Unsupported => {
            FileError::Unsupported
        }
        Ext4ErrorKind::ReadOnly => FileError::ReadOnly,
        Ext4ErrorKind::NoSpace | Ext4ErrorKind::QuotaExceeded => FileError::NoSpace,
        Ext4ErrorKind::NoMemory => FileError::Exhausted,
        Ext4ErrorKind::TooManyLinks => FileError::TooManyLinks,
        Ext4ErrorKind::PermissionDenied => FileError::Denied,
        Ext4ErrorKind::NotFound => FileError::NotFound,
        Ext4ErrorKind::AlreadyExists => FileError::Exists,
        Ext4ErrorKind::NotDirectory => FileError::NotDirectory,
        Ext4ErrorKind::IsDirectory => FileError::IsDirectory,
        Ext4ErrorKind::NotEmpty => FileError::NotEmpty,
        Ext4ErrorKind::Busy => FileError::Busy,
        Ext4ErrorKind::BadFileDescriptor | Ext4ErrorKind::InvalidInput => FileError::OutOfRange,
        Ext4ErrorKind::FileTooLarge => FileError::TooLarge,
        Ext4ErrorKind::Corrupted
        | Ext4ErrorKind::ChecksumMismatch
        | Ext4ErrorKind::Overflow
        | Ext4ErrorKind::BadSuperblock
        | Ext4ErrorKind::InvalidMagic => FileError::Corrupt,
    }
}

impl From<MappingError> for FileErrorOf {
    fn from(error: MappingError) -> FileErrorOf {
        FileErrorOf(match error {
            MappingError::Corrupt => FileError::Corrupt,
            MappingError::Overlay(error) => error.into(),
        })
    }
}

/// A [`FileError`] that errors of this server convert to.
pub struct FileErrorOf(pub FileError);

impl Format {
    /// Around a mounted crate.
    pub fn new(
        fs: Fs,
        shared: Rc<RefCell<Shared>>,
        layout: Layout,
        journal: Vec<(u64, u64)>,
        options: &Options,
        kept: Kept,
        names: Option<Names>,
    ) -> Format {
        Format {
            names,
            options: *options,
            fs,
            shared,
            layout,
            nodes: BTreeMap::new(),
            journal,
            freed: false,
            read_only: options.read_only,
            failed: false,
            kept,
            unsettled: Vec::new(),
            reserved: 0,
            fill: FILL.repeat(ALLOCATION as usize / FILL.len()),
            seconds: options.seconds,
        }
    }

    /// Has the crate know of everything that was done without it.
    fn catch_up(&mut self) -> Result<(), FileError> {
        if self.names.as_ref().is_some_and(Names::is_ahead) { self.mount_again() } else { Ok(()) }
    }

    /// Mounts the crate anew. What it needs of the stack is not below what is done without it.
    #[inline(never)]
    fn mount_again(&mut self) -> Result<(), FileError> {
        self.fs = mount_crate(&self.shared, &self.options)?;
        if let Some(names) = &mut self.names {
            names.caught_up();
        }
        Ok(())
    }

    /// Looks at something without the crate. `None`: it is for the crate.
    fn see<T>(
        &mut self,
        operation: impl FnOnce(&mut Names, &mut Overlay) -> Result<T, Left>,
    ) -> Result<Option<T>, FileError> {
        let Some(names) = &mut self.names else { return Ok(None) };
        match operation(names, &mut self.shared.borrow_mut().overlay) {
            Ok(seen) => Ok(Some(seen)),
            Err(Left::ToCrate) => Ok(None),
            Err(Left::Failed(error)) => Err(error),
        }
    }

    /// Changes something without the crate: one record of the request that is carried out, or nothing. `None`: it is for the crate. Errors besides: `ReadOnly`, `Device`, `Exhausted`.
    fn make<T>(
        &mut self,
        operation: impl FnOnce(&mut Names, &mut Overlay, u64) -> Result<(T, Freed), Left>,
    ) -> Result<Option<T>, FileError> {
        if self.names.is_none() {
            return Ok(None);
        }
        self.prepare(Counts::WithReply)?;
        let seconds = (self.seconds)();
        let made = self.see(|names, overlay| operation(names, overlay, seconds));
        let names = self.names.as_mut().ok_or(FileError::Corrupt)?;
        let Ok(Some((made, freed))) = made else {
            names.abandoned();
            self.shared.borrow_mut().overlay.abandon();
            return made.map(|_| None);
        };
        names.committed(freed);
        self.freed |= freed.blocks > 0;
        self.commit(Counts::WithReply)?;
        Ok(Some(made))
    }

    /// What a name in a directory stands for, and of which kind it is. Errors: `NotDirectory`, `Corrupt`, `Device`, `BadName`, `NameTooLong`.
    pub fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Option<(u64, Kind)>, FileError> {
        check_name(name)?;
        if let Some(found) = self.see(|names, overlay| names.lookup(overlay, directory, name))? {
            return Ok(found);
        }
        let (directory, name) = (number(directory)?, file_name(name)?);
        let found = self.look(|fs| fs.lookup_child(directory, name))?;
        Ok(found.map(|info| (u64::from(info.number.raw()), kind_of(info.mode))))
    }

    /// Makes an empty file, if that can be done without the crate.
    pub fn create(&mut self, directory: u64, name: &[u8], mode: u16) -> Result<Option<u64>, FileError> {
        check_name(name)?;
        let taken = Freed { blocks: 0, inodes: -1 };
        self.make(|names, overlay, seconds| Ok((names.create(overlay, directory, name, mode, seconds)?, taken)))
    }

    /// Takes a name away, if that can be done without the crate, and the file with it, if that was its last and it is not `held`. Errors: `NotFound`, `Exhausted`, `NoSpace`, `Device`, `Corrupt`.
    pub fn remove(&mut self, directory: u64, name: &[u8], held: &BTreeSet<u64>) -> Result<Option<Removed>, FileError> {
        check_name(name)?;
        self.make(|names, overlay, seconds| names.remove(overlay, directory, name, held, seconds))
    }

    /// Cuts a file off behind so many bytes without the crate, if that is worth it: in several records, if it is long, of which only the last one waits for the request. Returns whether it is done:
    /// otherwise the crate can do it.
    pub fn cut_off(&mut self, inode: u64, bytes: u64, counts: Counts) -> Result<bool, FileError> {
        if self.see(|names, overlay| names.is_worth_cutting(overlay, inode, bytes))? != Some(true) {
            return Ok(false);
        }
        loop {
            self.prepare(counts)?;
            let may_stand = self.prepared().is_none();
            let seconds = (self.seconds)();
            let cut = self.see(|names, overlay| names.cut_off(overlay, inode, bytes, seconds));
            // The crate is mounted anew before it is asked the next time, and frees files without names then: at once where there are some, so that they are kept from it.
            let cut = match cut {
                Ok(Some((cut, freed))) if cut.is_done || may_stand && cut.blocks > 0 => {
                    self.mount_beside_orphans().map(|is_mounted| Some((cut, freed, is_mounted)))
                }
                other => other.map(|_| None),
            };
            let names = self.names.as_mut().ok_or(FileError::Corrupt)?;
            let Ok(Some((cut, freed, is_mounted))) = cut else {
                names.abandoned();
                self.shared.borrow_mut().overlay.abandon();
                return cut.map(|_| false);
            };
            if is_mounted {
                names.passed();
                names.caught_up();
            } else {
                names.committed(freed);
            }
            self.freed = true;
            self.commit(if cut.is_done { counts } else { Counts::AtOnce })?;
            self.forget_window(inode);
            if cut.is_done {
                return Ok(true);
            }
        }
    }

    /// Mounts the crate anew, in the record that is pending, if there are files without names: they are kept from it while it mounts. Returns whether it did.
    #[inline(never)]
    fn mount_beside_orphans(&mut self) -> Result<bool, FileError> {
        let head = last_orphan(&mut self.shared.borrow_mut().overlay)?;
        if head == 0 {
            return Ok(false);
        }
        self.fs = orphans::mount_beside(&self.shared, &self.layout, &self.options, head)?;
        Ok(true)
    }

    /// How many changes are left to the crate at most, where changes with and without it alternate.
    pub fn set_patience(&mut self, most: u32) {
        if let Some(names) = &mut self.names {
            names.set_patience(most);
        }
    }

    /// Inodes that are free.
    pub fn free_inodes(&self) -> u64 {
        let freed = self.names.as_ref().map_or(0, |names| names.freed().inodes);
        u64::from(self.fs.statfs().free_inodes).saturating_add_signed(freed)
    }

    /// Reads through the crate, whose buffers would lengthen the stack of all that is done without it.
    #[inline(never)]
    pub fn look<T>(&mut self, operation: impl FnOnce(&mut Fs) -> Ext4Result<T>) -> Result<T, FileError> {
        self.catch_up()?;
        let result = operation(&mut self.fs);
        let below = self.shared.borrow_mut().error.take();
        result.map_err(|error| below.map_or_else(|| file_error(error), FileError::from))
    }

    /// Changes something through the crate: one record, or nothing, of the request that is carried out. Errors besides the crate's: `ReadOnly`, `Device`, `Exhausted`.
    pub fn change<T>(&mut self, operation: impl FnOnce(&mut Fs) -> Ext4Result<T>) -> Result<T, FileError> {
        let result = self.prepare_change(Counts::WithReply, operation)?;
        self.commit(Counts::WithReply)?;
        result
    }

    /// Changes something by which a directory gets a name. One that is full, and has blocks in place of extents, gets a block: beyond 12 the crate does not do that itself, but it writes to any inode.
    pub fn add_name<T>(
        &mut self,
        directory: InodeNumber,
        operation: impl Fn(&mut Fs) -> Ext4Result<T>,
    ) -> Result<T, FileError> {
        let empty = if self.shared.borrow().is_of_blocks { empty_directory(self.layout.block_bytes) } else { None };
        self.change(|fs| match (operation(fs), empty) {
            (Err(error), Some(empty)) if error.kind() == Ext4ErrorKind::Unsupported => {
                let end = fs.inode(directory)?.size;
                fs.write_inode(directory, end, &empty)?;
                operation(fs)
            }
            (result, _) => result,
        })
    }

    /// The same of what is no request's: it counts at once.
    pub fn keep_house<T>(&mut self, operation: impl FnOnce(&mut Fs) -> Ext4Result<T>) -> Result<T, FileError> {
        let result = self.prepare_change(Counts::AtOnce, operation)?;
        self.commit(Counts::AtOnce)?;
        result
    }

    /// The same without the commit: the caller has more to say in the record. The inner result is the operation's.
    fn prepare_change<T>(
        &mut self,
        counts: Counts,
        operation: impl FnOnce(&mut Fs) -> Ext4Result<T>,
    ) -> Result<Result<T, FileError>, FileError> {
        self.prepare(counts)?;
        self.catch_up()?;
        if let Some(names) = &mut self.names {
            names.passed();
        }
        let result = self.look(operation);
        // The crate undoes what fails half-way; what it has done is in its caches until they are written here.
        if let Err(error) = self.look(Fs::sync) {
            self.failed = true;
            return Err(error);
        }
        Ok(result)
    }

    /// Before a change: there is room for it, and to say that it counts.
    fn prepare(&mut self, counts: Counts) -> Result<(), FileError> {
        if self.read_only {
            return Err(FileError::ReadOnly);
        }
        if self.failed {
            return Err(FileError::Device);
        }
        self.begin()?;
        if counts == Counts::WithReply {
            let prepared = self.prepared();
            self.kept.reserve(prepared).map_err(|_| FileError::Exhausted)?;
        }
        Ok(())
    }

    /// The newest record that waits for the commit of its request.
    pub fn prepared(&self) -> Option<u64> {
        self.shared.borrow().overlay.prepared()
    }

    /// Before something changes: there is room, and the disk does not say that it is clean.
    fn begin(&mut self) -> Result<(), FileError> {
        if self.shared.borrow().overlay.is_closed() {
            self.mark(false)?;
        }
        self.shared.borrow_mut().overlay.make_room_for_request().map_err(FileError::from)
    }

    /// Notes on the disk that everything is at home, which it is, or that it may not be.
    fn mark(&mut self, clean: bool) -> Result<(), FileError> {
        let overlay = &mut self.shared.borrow_mut().overlay;
        let journal = if clean { overlay.closed_journal() } else { overlay.opened_journal() };
        let Some((place, bytes)) = journal else { return Ok(()) };
        if clean {
            overlay.set_closed(true);
        }
        // Who sees the flag in the superblock looks at the journal, so that is right before and after.
        overlay.write_through(place, &bytes).map_err(FileError::from)?;
        show_superblock(overlay, !clean)?;
        if !clean {
            overlay.set_closed(false);
        }
        Ok(())
    }

    fn commit(&mut self, counts: Counts) -> Result<(), FileError> {
        let recorded = self.kept.record(&mut self.shared.borrow_mut().overlay, counts);
        self.failed |= recorded.is_err();
        Ok(recorded.map(drop)?)
    }

    /// What was staged is committed.
    pub fn settle(&mut self) {
        if !self.kept.settle(&mut self.shared.borrow_mut().overlay) {
            return;
        }
        for inode in core::mem::take(&mut self.unsettled) {
            if let Some(node) = self.nodes.get_mut(&inode) {
                node.settled = node.size;
            }
        }
    }

    // ---- sizes that the disk does not say ----------------------------------------------------------------------

    /// Stages how long a file will be when this request has ended. Error: `Exhausted`.
    pub fn keep_size(&mut self, inode: u64, size: u64) -> Result<(), FileError> {
        if !self.kept.is_some() {
            return Ok(());
        }
        let Some(node) = self.nodes.get_mut(&inode) else { return Ok(()) };
        if node.kept != Some(size) {
            self.kept.put_size(inode, size).map_err(|_| FileError::Exhausted)?;
            node.kept = Some(size);
        }
        Ok(())
    }

    /// Stages that the inode says how long it is, and when it changed, if it does.
    pub fn forget_size(&mut self, inode: u64) {
        let Some(node) = self.nodes.get_mut(&inode) else { return self.kept.forget_size(inode) };
        if node.kept.is_some() && node.recorded == node.size && !node.touched {
            node.kept = None;
            self.kept.forget_size(inode);
        }
    }

    fn missing(&mut self, file: u64, offset: u64, bytes: u64) -> Result<u64, FileError> {
        let block = self.layout.block_bytes as u64;
        let runs = self.runs(file, offset / block, (offset + bytes).div_ceil(block))?;
        Ok(runs.iter().filter(|run| run.place.is_none()).map(|run| run.bytes / block).sum())
    }

    /// Ends the crate's work: the file system is marked clean, in a record. Error besides: `Busy` (files without names are there).
    pub fn unmount(&mut self) -> Result<(), FileError> {
        self.begin()?;
        self.look(Fs::unmount)?;
        self.commit(Counts::AtOnce)
    }

    /// What the inode says, with the size that the file has here.
    pub fn inode(&mut self, inode: u64) -> Result<Info, FileError> {
        let mut info = self.on_disk(inode)?;
        if let Some(node) = self.nodes.get(&inode) {
            info.size = node.size;
        }
        Ok(info)
    }

    /// What the inode says.
    fn on_disk(&mut self, inode: u64) -> Result<Info, FileError> {
        if let Some(info) = self.see(|names, overlay| names.info(overlay, inode))? {
            return Ok(info);
        }
        let number = number(inode)?;
        let info = self.look(|fs| fs.inode(number))?;
        Ok(Info {
            number: inode,
            kind: kind_of(info.mode),
            mode: info.mode,
            owner: info.uid,
            group: info.gid,
            links: info.links,
            size: info.size,
            allocated: info.blocks * 512,
            accessed: info.atime,
            changed: info.ctime,
            modified: info.mtime,
            created: info.btime,
        })
    }

    /// The node of a file, from its inode if it is not here yet.
    pub fn node(&mut self, inode: u64) -> Result<&mut Node, FileError> {
        if !self.nodes.contains_key(&inode) {
            let info = self.inode(inode)?;
            self.nodes
                .insert(inode, Node { size: info.size, recorded: info.size, settled: info.size, ..Node::default() });
        }
        self.nodes.get_mut(&inode).ok_or(FileError::NotFound)
    }

    /// Whether blocks are promised to it: [`Format::release_reserve`] takes that back.
    pub fn release_reserve(&mut self, inode: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            self.reserved = self.reserved.saturating_sub(core::mem::take(&mut node.reserved));
        }
    }

    /// Free blocks that data can have.
    pub fn available_blocks(&self) -> u64 {
        self.free_blocks().saturating_sub(SPARE)
    }

    /// Free blocks that are promised to nobody.
    fn free_blocks(&self) -> u64 {
        let promised = self.reserved + self.reserved / 64;
        let freed = self.names.as_ref().map_or(0, |names| names.freed().blocks);
        self.fs.statfs().free_blocks.saturating_add_signed(freed).saturating_sub(promised)
    }

    /// The extents of a file are to be looked up anew.
    pub fn forget_window(&mut self, inode: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.window = Window::default();
        }
    }

    /// The runs that cover blocks of a file.
    fn runs(&mut self, inode: u64, first: u64, end: u64) -> Result<Vec<Run>, FileError> {
        let bytes = self.layout.block_bytes as u64;
        self.node(inode)?;
        let layout = &self.layout;
        let node = self.nodes.get_mut(&inode).ok_or(FileError::NotFound)?;
        if !node.window.covers(first, end) {
            let overlay = &mut self.shared.borrow_mut().overlay;
            let window = layout.window(overlay, inode as u32, first, end);
            node.window = window.map_err(|error| FileErrorOf::from(error).0)?;
        }
        let mut runs = Vec::new();
        let mut at = first;
        let run = |from: u64, to: u64, place: Option<u64>| Run {
            offset: from * bytes,
            bytes: (to - from) * bytes,
            place: place.map(|block| block * bytes),
        };
        for extent in node.window.extents(first, end) {
            let from = extent.logical.max(first);
            let to = (extent.logical + extent.blocks).min(end);
            if at < from {
                runs.push(run(at, from, None));
            }
            let physical = extent.physical + (from - extent.logical);
            let index = self.journal.partition_point(|(_, end)| *end <= physical);
            if self.journal.get(index).is_some_and(|(start, _)| *start < physical + (to - from)) {
                return Err(FileError::Corrupt);
            }
            runs.push(run(from, to, Some(physical)));
            at = to;
        }
        if at < end {
            runs.push(run(at, end, None));
        }
        Ok(runs)
    }

    /// The block of a file that holds a byte, if it is on the disk.
    fn block_of(&mut self, inode: u64, offset: u64) -> Result<Option<u64>, FileError> {
        let bytes = self.layout.block_bytes as u64;
        let runs = self.runs(inode, offset / bytes, offset / bytes + 1)?;
        Ok(runs.first().and_then(|run| run.place).map(|place| place / bytes))
    }

    /// Sets a file's size. The crate would clear the rest of the last block on the disk: that is the page cache's, so its block is left out of the record.
    pub fn truncate(&mut self, inode: u64, size: u64) -> Result<(), FileError> {
        self.set_size(inode, size, Counts::WithReply)?;
        if let Some(node) = self.nodes.get_mut(&inode) {
            (node.size, node.touched) = (size, false);
            if !self.kept.is_some() {
                node.settled = size;
            }
        }
        self.unsettled.push(inode);
        self.forget_size(inode);
        Ok(())
    }

    fn set_size(&mut self, inode: u64, size: u64, counts: Counts) -> Result<(), FileError> {
        let number = number(inode)?;
        let old = self.on_disk(inode)?.size;
        if size < old && self.cut_off(inode, size, counts)? {
            if let Some(node) = self.nodes.get_mut(&inode) {
                node.recorded = size;
            }
            return Ok(());
        }
        let bytes = self.layout.block_bytes as u64;
        let mut tails = Vec::new();
        for end in [old, size] {
            if end % bytes != 0 {
                tails.extend(self.block_of(inode, end)?);
            }
        }
        let result = self.prepare_change(counts, |fs| fs.truncate_inode(number, size))?;
        for block in tails {
            self.shared.borrow_mut().overlay.forget(block);
        }
        self.freed |= size < old;
        self.commit(counts)?;
        self.forget_window(inode);
        if let (Ok(()), Some(node)) = (result, self.nodes.get_mut(&inode)) {
            node.recorded = size;
        }
        result
    }

    fn allocate_piece(&mut self, inode: u64, offset: u64, bytes: u64) -> Result<(), FileError> {
        let number = number(inode)?;
        let block_bytes = self.layout.block_bytes as u64;
        let (first, end) = (offset / block_bytes, (offset + bytes).div_ceil(block_bytes));
        let holes = |runs: &[Run]| -> u64 {
            runs.iter().filter(|run| run.place.is_none()).map(|run| run.bytes / block_bytes).sum()
        };
        let missing = holes(&self.runs(inode, first, end)?);
        let fill = core::mem::take(&mut self.fill);
        self.shared.borrow_mut().filling = true;
        let result = self.prepare_change(Counts::AtOnce, |fs| fs.write_inode(number, offset, &fill[..bytes as usize]));
        self.shared.borrow_mut().filling = false;
        self.fill = fill;
        let result = result?;
        self.forget_window(inode);
        let runs = self.runs(inode, first, end)?;
        let blocks = runs.iter().filter_map(|run| Some((run.place?, run.bytes)));
        let blocks = blocks.flat_map(|(place, bytes)| place / block_bytes..(place + bytes) / block_bytes);
        {
            let overlay = &mut self.shared.borrow_mut().overlay;
            if blocks.clone().any(|block| overlay.is_logged(block)) {
                overlay.empty().map_err(FileError::from)?;
            }
            for block in blocks {
                overlay.forget(block);
            }
        }
        self.commit(Counts::AtOnce)?;
        let gained = missing - holes(&runs).min(missing);
        if let Some(node) = self.nodes.get_mut(&inode) {
            if result.is_ok() {
                node.recorded = node.recorded.max(offset + bytes);
            }
            let used = gained.min(node.reserved);
            node.reserved -= used;
            self.reserved = self.reserved.saturating_sub(used);
        }
        result
    }
}

impl Backing for Format {
    fn block_bytes(&self) -> u64 {
        self.layout.block_bytes as u64
    }

    fn written(&mut self, file: u64, end: u64) {
        let Some(node) = self.nodes.get_mut(&file) else { return };
        node.touched = true;
        if node.size < end {
            node.size = end;
            if self.kept.is_some() {
                self.unsettled.push(file);
            } else {
                node.settled = end;
            }
        }
    }

    fn settled(&mut self, file: u64) -> Result<u64, DataError> {
        self.node(file).map(|node| node.settled).map_err(DataError::from)
    }

    fn size(&mut self, file: u64) -> Result<u64, DataError> {
        self.node(file).map(|node| node.size).map_err(DataError::from)
    }

    fn map(&mut self, file: u64, offset: u64, bytes: u64, runs: &mut Vec<Run>) -> Result<(), DataError> {
        let block = self.block_bytes();
        let found = self.runs(file, offset / block, (offset + bytes).div_ceil(block)).map_err(DataError::from)?;
        runs.extend(found);
        Ok(())
    }

    fn reserve(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        if self.read_only {
            return Err(DataError::ReadOnly);
        }
        let missing = self.missing(file, offset, bytes).map_err(DataError::from)?;
        if missing == 0 {
            return Ok(());
        }
        if self.available_blocks() < missing {
            return Err(DataError::NoSpace);
        }
        if let Some(node) = self.nodes.get_mut(&file) {
            node.reserved += missing;
            self.reserved += missing;
        }
        Ok(())
    }

    fn allocate(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), DataError> {
        if self.freed {
            let durable = self.shared.borrow_mut().overlay.make_durable();
            durable.map_err(|error| DataError::from(FileError::from(error)))?;
            self.freed = false;
        }
        let mut done = 0;
        while done < bytes {
            let part = (bytes - done).min(ALLOCATION);
            self.allocate_piece(file, offset + done, part).map_err(DataError::from)?;
            done += part;
        }
        Ok(())
    }

    fn extend(&mut self, file: u64, end: u64) -> Result<(), DataError> {
        match self.nodes.get(&file) {
            Some(node) if node.recorded < end => self.set_size(file, end, Counts::AtOnce).map_err(DataError::from),
            _ => Ok(()),
        }
    }
}

impl Housekeeping for Format {
    fn with_overlay<T>(&mut self, operation: impl FnOnce(&mut Overlay) -> T) -> T {
        operation(&mut self.shared.borrow_mut().overlay)
    }

    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }

    fn files(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    fn settle_time(&mut self, inode: u64) -> Result<(), FileError> {
        let Some(node) = self.nodes.get_mut(&inode) else { return Ok(()) };
        if !core::mem::take(&mut node.touched) {
            return Ok(());
        }
        let update = InodeMetadataUpdate {
            mtime: Some(Ext4Timestamp::new((self.seconds)() as i64, 0)),
            ..InodeMetadataUpdate::default()
        };
        let number = number(inode)?;
        self.keep_house(|fs| fs.update_inode_metadata(number, update))?;
        self.forget_size(inode);
        Ok(())
    }

    fn durable(&mut self) {
        self.freed = false;
    }

    fn come_home(&mut self) -> Result<(), FileError> {
        if self.shared.borrow().overlay.is_closed() {
            return Ok(());
        }
        self.shared.borrow_mut().overlay.empty().map_err(FileError::from)?;
        self.mark(true)?;
        self.freed = false;
        Ok(())
    }

    fn restore_size(&mut self, inode: u64, size: u64) -> bool {
        if self.node(inode).is_err() {
            return false;
        }
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.kept = Some(size);
            node.size = node.size.max(size);
            node.settled = node.size;
            node.touched = true;
        }
        true
    }

    fn restore_data(&mut self, file: u64) -> Option<u64> {
        let node = self.node(file).ok()?;
        node.touched = true;
        Some(node.size)
    }

    fn promise_again(&mut self, file: u64, offset: u64, bytes: u64) -> Result<(), FileError> {
        let missing = self.missing(file, offset, bytes)?;
        if let Some(node) = self.nodes.get_mut(&file) {
            node.reserved += missing;
            self.reserved += missing;
        }
        Ok(())
    }
}

/// The first orphan of the chain.
pub fn last_orphan(overlay: &mut Overlay) -> Result<u32, FileError> {
    read_superblock(overlay).map(|superblock| superblock.last_orphan())
}

/// The superblock, with what is not at home.
pub fn read_superblock(overlay: &mut Overlay) -> Result<Superblock, FileError> {
    let size = overlay.block_bytes();
    let mut bytes = [0; superblock::BYTES];
    overlay.read_part(superblock::OFFSET / size as u64, superblock::OFFSET as usize % size, &mut bytes)?;
    Ok(Superblock(bytes))
}

/// Writes the superblock at its home place, with the journal shown.
pub fn show_superblock(overlay: &mut Overlay, recover: bool) -> Result<(), FileError> {
    let size = overlay.block_bytes();
    let (block, at) = (superblock::OFFSET / size as u64, superblock::OFFSET as usize % size);
    let mut bytes = vec![0; size];
    overlay.read(block, &mut bytes).map_err(FileError::from)?;
    let mut copy = [0; superblock::BYTES];
    copy.copy_from_slice(&bytes[at..at + superblock::BYTES]);
    let mut superblock = Superblock(copy);
    superblock.show_journal(recover);
    bytes[at..at + superblock::BYTES].copy_from_slice(&superblock.0);
    overlay.write_through(block, &bytes).map_err(FileError::from)
}
