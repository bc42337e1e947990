//! A mounted volume: what a file-system server asks of it.
//!
//! Names and inodes are changed at once, each change one record; data goes through the page cache. Blocks for data are found when it is written back, until then they are
//! promised, so a full disk is noticed by who writes.

mod mounting;

use crate::format::{FileErrorOf, Format, Fs, file_name, number};
use crate::names::Removed;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
pub(crate) use mounting::mount_crate;
use rsext4::bmalloc::InodeNumber;
use rsext4::dir::FileName;
use rsext4::{
    DirectoryCursor, DirectoryEntryType, Ext4ErrorKind, Ext4Result, Ext4Timestamp, FilePermissions,
    InodeMetadataUpdate, MutationContext, RenameOptions,
};
pub use volume::Options;
use volume::{Counts, DataError, Entry, FileError, Housekeeping, Kept, Kind, Statistics, Status, WriteBack};

/// The inode of the root directory.
pub const ROOT: u64 = 2;
/// Files that are remembered although nobody uses them.
const REMEMBERED: usize = 1024;
/// Entries that are read from a directory at once, and the most with one hash.
const ENTRIES: usize = 64;
const SAME_HASH: usize = 4096;
/// The cursor behind the last entry.
const END: u64 = u64::MAX;
/// The bit of a cursor into a directory with an index.
const INDEXED: u64 = 1 << 63;

/// A mounted file system.
pub struct Volume {
    format: Format,
    data: WriteBack,
    options: Options,
    label: String,
    /// Files without names that nobody uses any more, to be freed when the request that says so is committed.
    left: Vec<u64>,
    /// Files that somebody has open.
    held: BTreeSet<u64>,
}

fn device(error: volume::DiskError) -> FileError {
    FileError::from(DataError::from(error))
}

fn entry_kind(kind: DirectoryEntryType) -> Kind {
    match kind {
        DirectoryEntryType::RegularFile | DirectoryEntryType::Unknown => Kind::File,
        DirectoryEntryType::Directory => Kind::Directory,
        DirectoryEntryType::CharacterDevice => Kind::Character,
        DirectoryEntryType::BlockDevice => Kind::Block,
        DirectoryEntryType::Fifo => Kind::Pipe,
        DirectoryEntryType::Socket => Kind::Socket,
        DirectoryEntryType::Symlink => Kind::Link,
    }
}

fn context() -> MutationContext {
    MutationContext::new(0, 0, 0, 0)
}

fn permissions(mode: u16) -> Result<FilePermissions, FileError> {
    FilePermissions::new(mode).map_err(|_| FileError::OutOfRange)
}

/// Sees to it that a directory has room for a name: it has it, and loses it again.
fn make_room(fs: &mut Fs, directory: InodeNumber, name: FileName<'_>) -> Ext4Result<()> {
    let made = fs.create_regular_file(context(), directory, name, FilePermissions::new(0o600)?)?.number;
    let _ = fs.unlink(directory, name)?;
    fs.reap_unlinked_inode(made)
}

/// What is read of a directory with this cursor.
fn cursor(cursor: u64) -> DirectoryCursor {
    match cursor {
        0 => DirectoryCursor::Start,
        END => DirectoryCursor::End,
        cursor if cursor & INDEXED != 0 => {
            DirectoryCursor::HTree { major: (cursor >> 32 << 1) as u32, minor: cursor as u32, collision: 0 }
        }
        offset => DirectoryCursor::Linear { offset },
    }
}

/// The cursor of a place; `None`: among entries with the same hash, where nobody can go on.
fn cookie(cursor: DirectoryCursor) -> Option<u64> {
    match cursor {
        DirectoryCursor::Start => Some(0),
        DirectoryCursor::Linear { offset } => Some(offset),
        DirectoryCursor::HTree { major, minor, collision: 0 } => {
            Some(INDEXED | u64::from(major >> 1) << 32 | u64::from(minor)).filter(|cookie| *cookie != END)
        }
        DirectoryCursor::HTree { .. } => None,
        DirectoryCursor::End => Some(END),
    }
}

impl core::fmt::Debug for Volume {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Volume").field("label", &self.label).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Volume {
    /// The volume's name.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    // ---- names -------------------------------------------------------------------------------------------------

    /// What a name in a directory stands for. Errors: `NotDirectory`, `Corrupt`, `Device`.
    pub fn lookup(&mut self, directory: u64, name: &[u8]) -> Result<Option<(u64, Kind)>, FileError> {
        self.format.lookup(directory, name)
    }

    /// What is known about a file.
    pub fn status(&mut self, inode: u64) -> Result<Status, FileError> {
        let info = self.format.inode(inode)?;
        Ok(Status {
            inode,
            kind: info.kind,
            mode: info.mode & 0o7777,
            owner: info.owner,
            group: info.group,
            links: u32::from(info.links),
            size: info.size,
            allocated: info.allocated,
            accessed: i64::from(info.accessed),
            modified: i64::from(info.modified),
            changed: i64::from(info.changed),
            created: i64::from(info.created),
        })
    }

    /// Sets permissions, and times in seconds since 1970.
    pub fn set_status(
        &mut self,
        inode: u64,
        mode: Option<u16>,
        accessed: Option<i64>,
        modified: Option<i64>,
    ) -> Result<(), FileError> {
        let update = InodeMetadataUpdate {
            permissions: mode.map(permissions).transpose()?,
            atime: accessed.map(|seconds| Ext4Timestamp::new(seconds, 0)),
            mtime: modified.map(|seconds| Ext4Timestamp::new(seconds, 0)),
            ..InodeMetadataUpdate::default()
        };
        let number = number(inode)?;
        self.format.change(|fs| fs.update_inode_metadata(number, update))?;
        if modified.is_some()
            && let Some(node) = self.format.nodes.get_mut(&inode)
        {
            node.touched = false;
        }
        Ok(())
    }

    /// Makes an empty file. Errors: `Exists`, `NoSpace`, `BadName`, `NameTooLong`.
    pub fn create(&mut self, directory: u64, name: &[u8], mode: u16) -> Result<u64, FileError> {
        let mode = permissions(mode)?;
        if let Some(inode) = self.format.create(directory, name, mode.bits())? {
            return Ok(self.fresh(inode));
        }
        let (directory, name) = (number(directory)?, file_name(name)?);
        let info = self.format.add_name(directory, |fs| fs.create_regular_file(context(), directory, name, mode))?;
        Ok(self.fresh(info.number.raw().into()))
    }

    /// Makes an empty directory.
    pub fn make_directory(&mut self, directory: u64, name: &[u8], mode: u16) -> Result<u64, FileError> {
        let (directory, name, mode) = (number(directory)?, file_name(name)?, permissions(mode)?);
        let info = self.format.add_name(directory, |fs| fs.create_directory(context(), directory, name, mode))?;
        Ok(self.fresh(info.number.raw().into()))
    }

    /// Makes a symbolic link.
    pub fn symlink(&mut self, directory: u64, name: &[u8], target: &[u8]) -> Result<u64, FileError> {
        let (directory, name) = (number(directory)?, file_name(name)?);
        if target.is_empty() || target.len() >= self.format.layout.block_bytes {
            return Err(FileError::NameTooLong);
        }
        let info = self.format.add_name(directory, |fs| fs.create_symlink(context(), directory, name, target))?;
        Ok(self.fresh(info.number.raw().into()))
    }

    /// A file that was just made: nothing is known about one that had its number before.
    fn fresh(&mut self, inode: u64) -> u64 {
        self.format.release_reserve(inode);
        self.format.nodes.remove(&inode);
        self.format.forget_size(inode);
        inode
    }

    /// The target of a symbolic link.
    pub fn read_link(&mut self, inode: u64) -> Result<Vec<u8>, FileError> {
        let mut shared = self.format.shared.borrow_mut();
        let layout = &self.format.layout;
        let inner = layout.inode(&mut shared.overlay, inode as u32).map_err(|error| FileErrorOf::from(error).0)?;
        if inner.mode & 0o170_000 != 0o120_000 {
            return Err(FileError::OutOfRange);
        }
        if inner.has_target_inside(layout.block_bytes) {
            return Ok(inner.block[..inner.size as usize].to_vec());
        }
        if inner.size == 0 || inner.size > layout.block_bytes as u64 {
            return Err(FileError::Corrupt);
        }
        let window = layout.window(&mut shared.overlay, inode as u32, 0, 1);
        let window = window.map_err(|error| FileErrorOf::from(error).0)?;
        let place = window.extents(0, 1).first().ok_or(FileError::Corrupt)?.physical;
        let mut target = vec![0; inner.size as usize];
        shared.overlay.read_part(place, 0, &mut target).map_err(FileError::from)?;
        Ok(target)
    }

    /// Gives a file one more name. Errors: `Exists`, `IsDirectory`, `TooManyLinks`, `NoSpace`.
    pub fn link(&mut self, inode: u64, directory: u64, name: &[u8]) -> Result<(), FileError> {
        let (inode, directory, name) = (number(inode)?, number(directory)?, file_name(name)?);
        self.format.add_name(directory, |fs| fs.hard_link(inode, directory, name)).map(drop)
    }

    /// Takes away a name. If that was its last one, the file stays until [`Volume::release`], or is gone at once if nobody [holds](Volume::hold) it. Errors: `NotFound`, `NotEmpty`, `IsDirectory`, `NotDirectory`.
    pub fn remove(&mut self, directory: u64, name: &[u8], is_directory: bool) -> Result<u64, FileError> {
        if !is_directory && let Some(inode) = self.remove_at_once(directory, name)? {
            return Ok(inode);
        }
        let (directory, name) = (number(directory)?, file_name(name)?);
        let outcome = self.format.change(|fs| match is_directory {
            true => fs.remove_empty_directory(directory, name),
            false => fs.unlink(directory, name),
        })?;
        let inode = u64::from(outcome.inode.raw());
        if outcome.requires_reap() {
            self.without_name(inode);
        }
        Ok(inode)
    }

    /// Takes away a name without the format crate, and the file with it where nobody has it open: one record in place of two. `None`: that cannot be done.
    fn remove_at_once(&mut self, directory: u64, name: &[u8]) -> Result<Option<u64>, FileError> {
        let Some(Removed { inode, is_last }) = self.format.remove(directory, name, &self.held)? else {
            return Ok(None);
        };
        if is_last {
            self.data.cache.discard(inode, 0);
            self.format.release_reserve(inode);
            self.format.nodes.remove(&inode);
            self.format.forget_size(inode);
            if !self.format.kept.is_some() {
                self.data.cache.settle();
            }
        }
        Ok(Some(inode))
    }

    /// Where changes that the format crate makes alternate with others, it makes more of them, as it has to be mounted anew after others: so many in a row at most.
    pub fn set_patience(&mut self, most: u32) {
        self.format.set_patience(most);
    }

    /// Somebody has a file open, until [`Volume::release`].
    pub fn hold(&mut self, inode: u64) {
        self.held.insert(inode);
    }

    /// Moves a name; what the new one stood for until then is as if removed, and returned if that was its last name.
    pub fn rename(&mut self, from: (u64, &[u8]), to: (u64, &[u8]), replace: bool) -> Result<Option<u64>, FileError> {
        let (old, new) = (number(from.0)?, number(to.0)?);
        let (old_name, new_name) = (file_name(from.1)?, file_name(to.1)?);
        let options = if replace { RenameOptions::REPLACE } else { RenameOptions::NO_REPLACE };
        let outcome = self.format.add_name(new, |fs| match fs.rename(old, old_name, new, new_name, options) {
            // The crate takes the old name from where it was before the new one had a block split, and undoes all when it is not there any more. Where there is room for the new
            // one, nothing is split.
            Err(error) if error.kind() == Ext4ErrorKind::NotFound && fs.lookup_child(old, old_name)?.is_some() => {
                make_room(fs, new, new_name)?;
                fs.rename(old, old_name, new, new_name, options)
            }
            result => result,
        })?;
        let replaced = outcome.replaced.filter(|replaced| replaced.requires_reap());
        let replaced = replaced.map(|replaced| u64::from(replaced.inode.raw()));
        if let Some(inode) = replaced {
            self.without_name(inode);
        }
        Ok(replaced)
    }

    fn without_name(&mut self, inode: u64) {
        if let Ok(node) = self.format.node(inode) {
            node.unlinked = true;
        }
    }

    /// Nobody uses a file any more: without a name it is gone.
    pub fn release(&mut self, inode: u64) -> Result<(), FileError> {
        self.held.remove(&inode);
        let unlinked = self.format.nodes.get(&inode).is_some_and(|node| node.unlinked);
        if unlinked && self.format.prepared().is_some() {
            // That it has no name is not committed.
            self.left.push(inode);
            return Ok(());
        }
        if unlinked {
            self.data.cache.discard(inode, 0);
            self.format.release_reserve(inode);
            self.format.nodes.remove(&inode);
            self.format.freed = true;
            let number = number(inode)?;
            let result = self.format.cut_off(inode, 0, Counts::AtOnce);
            let result = result.and_then(|_| self.format.keep_house(|fs| fs.reap_unlinked_inode(number)));
            self.format.forget_size(inode);
            self.data.cache.settle();
            return result;
        }
        if self.format.nodes.len() > REMEMBERED {
            self.forget_some();
        }
        Ok(())
    }

    /// The records are committed, with what was staged.
    pub fn committed(&mut self) {
        self.format.settle();
        if self.format.prepared().is_some() {
            return;
        }
        self.data.cache.settle();
        for inode in core::mem::take(&mut self.left) {
            if let Err(error) = self.release(inode) {
                libsys::error!("file {inode} is not freed: {error:?}");
            }
        }
    }

    /// The server has started: files without names of an earlier incarnation are freed that nobody has open.
    pub fn reclaim(&mut self, is_open: &dyn Fn(u64) -> bool) -> Result<(), FileError> {
        let nameless = self.format.nodes.iter().filter(|(inode, node)| node.unlinked && !is_open(**inode));
        let nameless: Vec<u64> = nameless.map(|(inode, _)| *inode).collect();
        if self.options.read_only || nameless.is_empty() {
            return Ok(());
        }
        for inode in nameless {
            self.release(inode)?;
        }
        self.format.kept.commit();
        self.committed();
        Ok(())
    }

    /// What outlives the server.
    pub fn kept(&mut self) -> &mut Kept {
        &mut self.format.kept
    }

    /// Forgets what is known about files without pages.
    fn forget_some(&mut self) {
        let idle: Vec<u64> = {
            let nodes =
                self.format.nodes.iter().filter(|(_, node)| node.opens == 0 && !node.unlinked && !node.is_needed());
            nodes.map(|(inode, _)| *inode).filter(|inode| !self.data.cache.is_busy(*inode)).collect()
        };
        for inode in idle {
            self.format.nodes.remove(&inode);
        }
    }

    /// Names of a directory from a cursor on; 0 is the start. `add` says whether it took the entry. `.` and `..` are left out.
    pub fn read_directory(
        &mut self,
        directory: u64,
        from: u64,
        add: &mut dyn FnMut(Entry) -> bool,
    ) -> Result<(), FileError> {
        let directory = number(directory)?;
        let mut at = from;
        loop {
            let mut most = ENTRIES;
            let (entries, usable) = loop {
                let entries = self.format.look(|fs| fs.read_directory(directory, cursor(at), most))?;
                // A batch ends where somebody can go on.
                let usable = entries.iter().rposition(|entry| cookie(entry.next_cursor).is_some());
                match usable {
                    Some(last) => break (entries, last + 1),
                    None if entries.is_empty() => return Ok(()),
                    None if most >= SAME_HASH => return Err(FileError::Corrupt),
                    None => most *= 4,
                }
            };
            for (index, entry) in entries.iter().take(usable).enumerate() {
                // In a run with the same hash, only the whole run can be skipped: the cursor is that of its beginning until its end.
                let next = cookie(entry.next_cursor).unwrap_or_else(|| {
                    entries[..index].iter().rev().find_map(|entry| cookie(entry.next_cursor)).unwrap_or(at)
                });
                if entry.name == b"." || entry.name == b".." {
                    continue;
                }
                let Ok(name) = core::str::from_utf8(&entry.name) else { continue };
                let inode = u64::from(entry.inode.raw());
                let kind = match entry.file_type {
                    DirectoryEntryType::Unknown => self.status(inode)?.kind,
                    known => entry_kind(known),
                };
                if !add(Entry { name: String::from(name), inode, kind, next }) {
                    return Ok(());
                }
            }
            let next = entries.get(usable - 1).and_then(|entry| cookie(entry.next_cursor));
            at = match next {
                Some(next) if next != END && next != at => next,
                _ => return Ok(()),
            };
        }
    }

    // ---- data --------------------------------------------------------------------------------------------------

    /// A file's size.
    pub fn size(&mut self, inode: u64) -> Result<u64, FileError> {
        Ok(self.format.node(inode)?.size)
    }

    /// Starts reading a range that is not in memory. True: it is there, [`Volume::read`] does not wait.
    pub fn prepare(&mut self, inode: u64, offset: u64, bytes: u64) -> Result<bool, FileError> {
        Ok(self.data.cache.prepare(&mut self.format, inode, offset, bytes)?)
    }

    /// Reads a range: `piece` gets a mapping, where and how much of it, and where that is in the range. Returns the bytes, less than asked for at the end. Waits for the disk.
    pub fn read(
        &mut self,
        inode: u64,
        offset: u64,
        bytes: u64,
        piece: impl FnMut(&libsys::WritableMapping, usize, usize, u64),
    ) -> Result<u64, FileError> {
        Ok(self.data.cache.read(&mut self.format, inode, offset, bytes, piece)?)
    }

    /// Writes a range, as [`Volume::read`] reads one: `piece` fills the memory. Returns the bytes written. Errors: `NoSpace`, `TooLarge`.
    pub fn write(
        &mut self,
        inode: u64,
        offset: u64,
        bytes: u64,
        piece: impl FnMut(&libsys::WritableMapping, usize, usize, u64),
    ) -> Result<u64, FileError> {
        if self.options.read_only {
            return Err(FileError::ReadOnly);
        }
        let most = (u64::from(u32::MAX) - 1) * self.format.layout.block_bytes as u64;
        if offset.checked_add(bytes).is_none_or(|end| end > most) {
            return Err(FileError::TooLarge);
        }
        self.data.set_time();
        // Before the request has done anything: only what is committed is written back.
        self.data.throttle(&mut self.format)?;
        let old = self.format.node(inode)?.size;
        let wanted = old.max(if bytes == 0 { 0 } else { offset + bytes });
        self.format.keep_size(inode, wanted)?;
        let written = self.data.cache.write(&mut self.format, inode, offset, bytes, piece);
        let size = self.format.node(inode)?.size;
        self.format.keep_size(inode, size)?;
        Ok(written?)
    }

    /// Makes a file so long.
    pub fn truncate(&mut self, inode: u64, bytes: u64) -> Result<(), FileError> {
        if self.options.read_only {
            return Err(FileError::ReadOnly);
        }
        let old = self.format.node(inode)?.size;
        if bytes == 0 && old == 0 && self.format.prepared().is_some() {
            // It was made in this request.
            return Ok(());
        }
        if bytes < old {
            // The pages of the rest go first: nothing may be on its way to blocks that are freed.
            self.data.cache.discard(inode, bytes.div_ceil(volume::page_cache::PAGE));
        }
        self.data.cache.clean_tail(&mut self.format, inode, bytes.min(old))?;
        let truncated = self.format.truncate(inode, bytes);
        if truncated.is_err() || !self.format.kept.is_some() {
            self.data.cache.settle();
        }
        truncated?;
        if bytes == 0 {
            self.format.release_reserve(inode);
        }
        Ok(())
    }

    // ---- the medium --------------------------------------------------------------------------------------------

    /// Puts a file on the medium, with what describes it; `data_only`: without its times. Waits. Error: what went wrong since the last time.
    pub fn sync(&mut self, inode: u64, data_only: bool) -> Result<(), FileError> {
        if self.options.read_only { Ok(()) } else { self.data.sync(&mut self.format, inode, data_only) }
    }

    /// Puts everything on the medium, and everything at home there: the disk is as if it was unmounted, until something changes.
    pub fn sync_all(&mut self) -> Result<(), FileError> {
        if self.options.read_only { Ok(()) } else { self.data.sync_all(&mut self.format) }
    }

    /// Takes completions and goes on with what is to be done: after a signal of the disk, and once a second. Does not wait.
    pub fn tick(&mut self) -> Result<(), FileError> {
        self.data.tick(&mut self.format)
    }

    /// How large, how full.
    pub fn statistics(&mut self) -> Statistics {
        let crate_statistics = self.format.fs.statfs();
        Statistics {
            block_bytes: crate_statistics.block_size as u32,
            blocks: crate_statistics.total_blocks,
            free_blocks: self.format.available_blocks(),
            files: u64::from(crate_statistics.total_inodes),
            free_files: self.format.free_inodes(),
        }
    }

    /// What the drain has done so far.
    pub fn counts(&self) -> volume::drain::Counts {
        self.format.shared.borrow().overlay.counts()
    }

    /// Files that are known at the moment.
    pub fn known(&self) -> usize {
        self.format.nodes.len()
    }

    /// Puts everything on the medium and leaves the disk clean. Files without names are freed, whoever has them open.
    pub fn unmount(mut self) -> Result<(), FileError> {
        self.end()
    }

    /// The same; the volume is not to be used then.
    pub fn end(&mut self) -> Result<(), FileError> {
        if self.options.read_only {
            return Ok(());
        }
        let nameless = self.format.nodes.iter().filter(|(_, node)| node.unlinked);
        let nameless: Vec<u64> = nameless.map(|(inode, _)| *inode).collect();
        for inode in nameless {
            self.release(inode)?;
        }
        self.sync_all()?;
        self.format.unmount()?;
        self.format.come_home()
    }
}
