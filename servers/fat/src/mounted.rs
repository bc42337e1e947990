//! A mounted volume: what a file-system server asks of it.
//!
//! Names are changed at once, each change one record; data goes through the page cache and gets its clusters when it is written back.

use crate::boot::{self, BOOT_BYTES, Layout, Refusal};
use crate::directory::Directory;
use crate::entry::{self, ARCHIVE, DIRECTORY, Entry, READ_ONLY};
use crate::format::{Format, LARGEST};
use crate::medium::Medium;
use crate::name;
pub use crate::nodes::ROOT;
use crate::table::Table;
use alloc::vec::Vec;
use libsys::{Account, Memory};
use volume::disk::{Request, SECTOR_BYTES};
use volume::page_cache::PAGE;
use volume::raw::RawDisk;
use volume::requests::Owner;
use volume::{DataError, Entry as Listed, FileError, Kind, Overlay, PageCache, SharedRequests, Statistics, Status};

/// How a volume is mounted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nothing is written.
    pub read_only: bool,
    /// Bytes of the overlay: sectors that are committed and not at home, and a cache of those that were read.
    pub overlay_bytes: u64,
    /// Bytes of the page cache.
    pub cache_bytes: u64,
    /// Bytes of the contiguous pieces that the page cache is made of.
    pub chunk_bytes: u64,
    /// Tells the time, in seconds since 1970.
    pub seconds: fn() -> u64,
}

/// Pages that have been dirty for so long are written back, in seconds.
const AGE: u64 = 5;
/// Files that are remembered although nobody uses them.
const REMEMBERED: usize = 1024;
/// Sectors that making a directory writes beside its cluster.
const BESIDES: usize = 64;
/// Bytes of zeros that are written at once where a file grows beyond its end.
const ZEROS: u64 = 1 << 20;
/// Permissions: of directories, of files, of those that are not to be written.
const OF_DIRECTORY: u16 = 0o755;
const OF_FILE: u16 = 0o755;
const WRITE: u16 = 0o222;

/// A mounted file system.
pub struct Volume {
    format: Format,
    cache: PageCache,
    requests: SharedRequests,
    options: Options,
    /// When records were last made durable.
    drained: u64,
    /// Data was written since the disk was last flushed.
    unflushed: bool,
}

impl core::fmt::Debug for Volume {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Volume").field("options", &self.options).finish_non_exhaustive()
    }
}

fn device(error: volume::DiskError) -> FileError {
    DataError::from(error).into()
}

fn kind(entry: &Entry) -> Kind {
    if entry.is_directory() { Kind::Directory } else { Kind::File }
}

impl Volume {
    /// Mounts the file system on a disk. Memory is charged to the account. Errors: `Unsupported` (no FAT), `Corrupt`, `Device`, `Exhausted` (the overlay is too small among others).
    pub fn mount(account: &Account, requests: SharedRequests, options: Options) -> Result<Volume, FileError> {
        let geometry = requests.borrow().geometry();
        let raw = RawDisk::new(account, requests.clone()).map_err(device)?;
        let mut options = options;
        options.read_only |= geometry.read_only;
        let first = u64::from(geometry.block_bytes).max(BOOT_BYTES as u64) as usize;
        let mut bytes = alloc::vec![0; first];
        raw.read_at(0, &mut bytes).map_err(|error| match error {
            volume::DiskError::OutOfRange => FileError::Unsupported,
            error => device(error),
        })?;
        let mut boot = [0; BOOT_BYTES];
        boot.copy_from_slice(&bytes[..BOOT_BYTES]);
        if !boot::is_bootable(&boot) {
            return Err(FileError::Unsupported);
        }
        let layout = Layout::of(&boot, geometry.sectors * SECTOR_BYTES).map_err(|refusal| match refusal {
            Refusal::Foreign => FileError::Unsupported,
            Refusal::Corrupt => FileError::Corrupt,
        })?;
        // Requests are whole blocks of the disk.
        if layout.sector_bytes < geometry.block_bytes as usize {
            return Err(FileError::Unsupported);
        }
        let table = Table::open(&layout, &raw)?;
        let memory = Memory::create_dma(account, options.overlay_bytes).map_err(|_| FileError::Exhausted)?;
        let overlay = Overlay::create(&memory, requests.clone(), layout.sector_bytes)?;
        if overlay.most_of_request() < layout.cluster_sectors as usize + BESIDES {
            return Err(FileError::Exhausted);
        }
        let is_marked = layout.is_marked(&boot);
        let mut medium = Medium::new(layout, table, overlay, options.read_only);
        medium.is_left_dirty = is_marked || !medium.table.is_clean(&mut medium.overlay)?;
        let cache =
            PageCache::new(account, requests.clone(), options.cache_bytes, options.chunk_bytes).map_err(device)?;
        let drained = (options.seconds)();
        let format = Format::new(medium, options.seconds);
        Ok(Volume { format, cache, requests, options, drained, unflushed: false })
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.options.read_only
    }

    /// Whether somebody has written to it and not unmounted it: it stays marked so.
    pub fn is_left_dirty(&self) -> bool {
        self.format.medium.is_left_dirty
    }

    // ---- names -------------------------------------------------------------------------------------------------

    /// What a name in a directory stands for. Errors: `NotDirectory`, `Corrupt`, `Device`.
    pub fn lookup(&mut self, directory: u64, name: &str) -> Result<Option<(u64, Kind)>, FileError> {
        let found = match self.format.with_directory(directory, |medium, directory| directory.find(medium, name)) {
            // It was removed while somebody has it open.
            Err(FileError::NotFound) => None,
            result => result?,
        };
        Ok(found.map(|found| (self.format.nodes.number_of(found.position), kind(&found.entry))))
    }

    /// What is known about a file.
    pub fn status(&mut self, number: u64) -> Result<Status, FileError> {
        let node = self.format.nodes.get(number);
        let is_nameless = node.is_some_and(|node| node.position.is_none());
        let mut entry = match number {
            ROOT => Entry::new([0; 11], DIRECTORY, 0),
            _ if is_nameless => {
                Entry::new([0; 11], if node.is_some_and(|node| node.is_directory) { DIRECTORY } else { 0 }, 0)
            }
            _ => self.format.entry(number)?.1,
        };
        let mut size = u64::from(entry.size());
        if let Some(node) = self.format.nodes.get(number) {
            size = node.size;
            if let Some(modified) = node.modified {
                entry.set_modified(modified);
            }
        }
        let cluster_bytes = self.format.medium.layout.cluster_bytes();
        let is_directory = entry.is_directory();
        let mode = match (is_directory, entry.attributes() & READ_ONLY) {
            (true, _) => OF_DIRECTORY,
            (false, 0) => OF_FILE,
            (false, _) => OF_FILE & !WRITE,
        };
        if is_directory {
            size = 0;
        }
        Ok(Status {
            inode: number,
            kind: kind(&entry),
            mode,
            owner: 0,
            group: 0,
            links: if is_nameless { 0 } else { 1 },
            size,
            allocated: size.next_multiple_of(cluster_bytes),
            accessed: entry.accessed(),
            modified: entry.modified(),
            changed: entry.modified(),
            created: entry.created(),
        })
    }

    /// Sets permissions, of which only that to write a file is kept, and times in seconds since 1970.
    pub fn set_status(
        &mut self,
        number: u64,
        mode: Option<u16>,
        accessed: Option<i64>,
        modified: Option<i64>,
    ) -> Result<(), FileError> {
        // The root has nothing that could be set.
        if number == ROOT {
            return if self.options.read_only { Err(FileError::ReadOnly) } else { Ok(()) };
        }
        self.format.record(number, 0)?;
        let (position, mut entry) = self.format.entry(number)?;
        if let Some(mode) = mode.filter(|_| !entry.is_directory()) {
            let attributes = entry.attributes() & !READ_ONLY;
            entry.set_attributes(if mode & WRITE == 0 { attributes | READ_ONLY } else { attributes });
        }
        if let Some(accessed) = accessed {
            entry.set_accessed(accessed);
        }
        if let Some(modified) = modified {
            entry.set_modified(modified);
        }
        self.format.change(0, |format| format.medium.set_entry(position, &entry))
    }

    /// Makes an empty file. Errors: `NoSpace`, `BadName`, `NameTooLong`, `NotFound` (the directory was removed).
    pub fn create(&mut self, directory: u64, name: &str, mode: u16) -> Result<u64, FileError> {
        let attributes = if mode & WRITE == 0 { READ_ONLY } else { 0 };
        let entry = Entry::new([b' '; 11], ARCHIVE | attributes, self.format.now());
        self.insert(directory, name, entry, false)
    }

    /// Makes an empty directory.
    pub fn make_directory(&mut self, directory: u64, name: &str) -> Result<u64, FileError> {
        let entry = Entry::new([b' '; 11], DIRECTORY, self.format.now());
        self.insert(directory, name, entry, true)
    }

    fn insert(&mut self, directory: u64, name: &str, entry: Entry, is_directory: bool) -> Result<u64, FileError> {
        name::check(name)?;
        if self.lookup(directory, name)?.is_some() {
            return Err(FileError::Exists);
        }
        let parent = self.format.first_cluster(directory)?;
        let clusters = Directory::GROWTH + u32::from(is_directory);
        let available = self.format.available();
        let position = self.format.change(clusters, |format| {
            let mut entry = entry;
            let free = format.medium.table.free();
            if is_directory {
                let cluster = format.medium.table.take(&mut format.medium.overlay, None)?;
                format.medium.clear(cluster)?;
                format.put_dots(cluster, parent, &entry)?;
                entry.set_cluster(cluster, format.medium.layout.width);
            }
            let position =
                format.with_directory(directory, |medium, directory| directory.insert(medium, name, entry))?;
            // What is promised to files is theirs.
            if u64::from(free - format.medium.table.free()) > available {
                return Err(FileError::NoSpace);
            }
            Ok(position)
        })?;
        Ok(self.format.nodes.number_of(position))
    }

    /// Takes away a name. The file stays until [`Volume::release`]. Errors: `NotFound`, `NotEmpty`.
    pub fn remove(&mut self, directory: u64, name: &str) -> Result<u64, FileError> {
        let found = self.format.with_directory(directory, |medium, directory| directory.find(medium, name))?;
        let found = found.ok_or(FileError::NotFound)?;
        let number = self.format.nodes.number_of(found.position);
        self.check_empty(number, &found.entry)?;
        self.format.node(number)?;
        self.format.change(0, |format| {
            format.with_directory(directory, |medium, directory| directory.remove(medium, &found))
        })?;
        self.format.nodes.move_entry(number, None);
        Ok(number)
    }

    /// Error: `NotEmpty`, of a directory with names.
    fn check_empty(&mut self, number: u64, entry: &Entry) -> Result<(), FileError> {
        if !entry.is_directory() {
            return Ok(());
        }
        match self.format.with_directory(number, |_, directory| Ok(directory.count())) {
            Ok(0) => Ok(()),
            Ok(_) => Err(FileError::NotEmpty),
            Err(error) => Err(error),
        }
    }

    /// Moves a name; what the new one stood for until then has no name any more. Errors: `NotFound`, `NotEmpty`, `NoSpace`, `BadName`, `NameTooLong`.
    pub fn rename(&mut self, from: (u64, &str), to: (u64, &str), replace: bool) -> Result<Option<u64>, FileError> {
        name::check(to.1)?;
        let source = self.format.with_directory(from.0, |medium, directory| directory.find(medium, from.1))?;
        let source = source.ok_or(FileError::NotFound)?;
        let target = self.format.with_directory(to.0, |medium, directory| directory.find(medium, to.1))?;
        // Another spelling of the same name replaces nothing.
        let target = target.filter(|target| target.position != source.position);
        let number = self.format.nodes.number_of(source.position);
        let mut replaced = None;
        if let Some(target) = &target {
            if !replace {
                return Err(FileError::Exists);
            }
            let number = self.format.nodes.number_of(target.position);
            self.check_empty(number, &target.entry)?;
            self.format.node(number)?;
            replaced = Some(number);
        }
        let parent = self.format.first_cluster(to.0)?;
        let available = self.format.available();
        let position = self.format.change(Directory::GROWTH, |format| {
            let free = format.medium.table.free();
            let entry = format.medium.entry(source.position)?;
            format.with_directory(from.0, |medium, directory| directory.remove(medium, &source))?;
            let position = match &target {
                // Where the name is spelled like that, its entry is made to stand for the other file: a name that is replaced is there all the time.
                Some(target) if target.text == to.1 => {
                    let mut moved = entry;
                    moved.take_name(&target.entry);
                    format.medium.set_entry(target.position, &moved)?;
                    target.position
                }
                target => format.with_directory(to.0, |medium, directory| {
                    if let Some(target) = target {
                        directory.remove(medium, target)?;
                    }
                    directory.insert(medium, to.1, entry)
                })?,
            };
            if entry.is_directory() && from.0 != to.0 {
                format.set_parent(entry.cluster(format.medium.layout.width), parent)?;
            }
            if u64::from(free - format.medium.table.free()) > available {
                return Err(FileError::NoSpace);
            }
            Ok(position)
        })?;
        if let Some(replaced) = replaced {
            self.format.nodes.move_entry(replaced, None);
        }
        self.format.nodes.move_entry(number, Some(position));
        Ok(replaced)
    }

    /// Somebody uses a file from now on: it keeps its number until [`Volume::release`].
    pub fn hold(&mut self, number: u64) -> Result<(), FileError> {
        self.format.node(number)?.is_held = true;
        Ok(())
    }

    /// Nobody uses a file any more: without a name it is gone.
    pub fn release(&mut self, number: u64) -> Result<(), FileError> {
        let Some(node) = self.format.nodes.get_mut(number) else { return Ok(()) };
        node.is_held = false;
        node.chain.shrink();
        if node.position.is_none() {
            let (first, is_directory) = (node.chain.first(), node.is_directory);
            node.size = 0;
            self.cache.discard(number, 0);
            self.forget(number);
            return self.format.free_all(first, is_directory);
        }
        if self.format.nodes.len() > 2 * REMEMBERED {
            self.forget_some();
        }
        Ok(())
    }

    fn forget(&mut self, number: u64) {
        if let Some(node) = self.format.nodes.get_mut(number) {
            node.size = 0;
        }
        self.format.settle_promise(number);
        self.format.nodes.remove(number);
    }

    /// Forgets files that nobody uses, with their pages.
    fn forget_some(&mut self) {
        for number in self.format.nodes.oldest() {
            if self.format.nodes.len() <= REMEMBERED {
                return;
            }
            let idle = self.format.nodes.get(number).is_some_and(|node| {
                !node.is_held && node.position.is_some() && node.modified.is_none() && number != ROOT
            });
            if idle && !self.cache.is_busy(number) {
                self.cache.discard(number, 0);
                self.forget(number);
            }
        }
    }

    /// Names of a directory from a cursor on; 0 is the start. `add` says whether it took the entry.
    pub fn read_directory(
        &mut self,
        directory: u64,
        from: u64,
        add: &mut dyn FnMut(Listed) -> bool,
    ) -> Result<(), FileError> {
        let mut slot = u32::try_from(from).map_err(|_| FileError::OutOfRange)?;
        loop {
            let next = match self.format.with_directory(directory, |medium, directory| directory.next(medium, slot)) {
                Err(FileError::NotFound) => return Ok(()),
                result => result?,
            };
            let Some(next_name) = next else { return Ok(()) };
            slot = next_name.slot + 1;
            let inode = self.format.nodes.number_of(next_name.position);
            let (name, kind) = (next_name.text, kind(&next_name.entry));
            if !add(Listed { name, inode, kind, next: u64::from(slot) }) {
                return Ok(());
            }
        }
    }

    // ---- data --------------------------------------------------------------------------------------------------

    /// A file's size.
    pub fn size(&mut self, number: u64) -> Result<u64, FileError> {
        Ok(self.format.node(number)?.size)
    }

    /// Reads a range: `piece` gets a mapping, where and how much of it, and where that is in the range. Returns the bytes, less than asked for at the end. Waits for the disk.
    pub fn read(
        &mut self,
        number: u64,
        offset: u64,
        bytes: u64,
        piece: impl FnMut(&libsys::WritableMapping, usize, usize, u64),
    ) -> Result<u64, FileError> {
        Ok(self.cache.read(&mut self.format, number, offset, bytes, piece)?)
    }

    /// Writes a range, as [`Volume::read`] reads one: `piece` fills the memory. Returns the bytes written, as many as there is room for. Errors: `NoSpace`, `TooLarge`, `Corrupt`.
    pub fn write(
        &mut self,
        number: u64,
        offset: u64,
        bytes: u64,
        piece: impl FnMut(&libsys::WritableMapping, usize, usize, u64),
    ) -> Result<u64, FileError> {
        if self.options.read_only {
            return Err(FileError::ReadOnly);
        }
        if bytes == 0 {
            return Ok(0);
        }
        if offset >= LARGEST {
            return Err(FileError::TooLarge);
        }
        self.cache.set_time((self.options.seconds)());
        self.format.complete(number)?;
        let bytes = bytes.min(self.format.reach(number).saturating_sub(offset));
        if bytes == 0 {
            return Err(FileError::NoSpace);
        }
        let size = self.format.node(number)?.size;
        if offset > size {
            self.fill(number, size, offset)?;
        }
        let written = self.cache.write(&mut self.format, number, offset, bytes, piece);
        self.format.settle_promise(number);
        let written = written?;
        self.throttle()?;
        Ok(written)
    }

    /// Makes a file longer by zeros, for which there is room. If that fails it is as long as before.
    fn fill(&mut self, number: u64, from: u64, to: u64) -> Result<(), FileError> {
        let mut at = from;
        while at < to {
            let piece = (to - at).min(ZEROS);
            let zero = |mapping: &libsys::WritableMapping, at: usize, part: usize, _| mapping.zero(at, part);
            let written = self.cache.write(&mut self.format, number, at, piece, zero);
            self.format.settle_promise(number);
            let result = written.map_err(FileError::from).and_then(|written| self.throttle().map(|()| written));
            match result {
                Ok(written) => at += written,
                Err(error) => {
                    self.truncate(number, from)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Starts writing back when much is dirty, so that who writes faster than the disk waits for it, and not all at once.
    fn throttle(&mut self) -> Result<(), FileError> {
        let (dirty, pages) = self.cache.load();
        if dirty > pages / 8 {
            self.unflushed = true;
            self.cache.write_back_some(&mut self.format, dirty - pages / 16)?;
        }
        Ok(())
    }

    /// Makes a file so long. Errors: as [`Volume::write`].
    pub fn truncate(&mut self, number: u64, bytes: u64) -> Result<(), FileError> {
        if self.options.read_only {
            return Err(FileError::ReadOnly);
        }
        if bytes > LARGEST {
            return Err(FileError::TooLarge);
        }
        let size = self.format.node(number)?.size;
        if bytes > size {
            self.format.complete(number)?;
            if bytes > self.format.reach(number) {
                return Err(FileError::NoSpace);
            }
            self.cache.set_time((self.options.seconds)());
            self.cache.clean_tail(&mut self.format, number, size)?;
            return self.fill(number, size, bytes);
        }
        // The pages of the rest go first: nothing may be on its way to clusters that are freed.
        self.cache.discard(number, bytes.div_ceil(PAGE));
        self.cache.clean_tail(&mut self.format, number, bytes)?;
        let keep = bytes.div_ceil(self.format.medium.layout.cluster_bytes()) as u32;
        let node = self.format.node(number)?;
        node.size = bytes;
        let recorded = node.recorded.min(bytes);
        let result = self.format.cut(number, keep, recorded);
        self.format.settle_promise(number);
        result
    }

    // ---- the medium --------------------------------------------------------------------------------------------

    /// Puts a file on the medium, with what describes it; `data_only`: without its times. Waits. Error: what went wrong since the last time.
    pub fn sync(&mut self, number: u64, data_only: bool) -> Result<(), FileError> {
        if self.options.read_only {
            return Ok(());
        }
        let wrote = self.cache.is_busy(number);
        let result = self.cache.write_back_all(&mut self.format, number).map_err(FileError::from);
        if !data_only {
            self.format.record(number, 0)?;
        }
        self.settle(wrote)?;
        result
    }

    /// Makes all records durable, and data that was written.
    fn settle(&mut self, wrote: bool) -> Result<(), FileError> {
        let overlay = &mut self.format.medium.overlay;
        if overlay.has_fresh() {
            overlay.make_durable()?;
        } else if wrote || self.unflushed {
            self.requests.borrow_mut().run(Owner::Overlay, Request::flush()).map_err(device)?;
        }
        self.unflushed = false;
        self.drained = (self.options.seconds)();
        Ok(())
    }

    /// Puts everything on the medium, which is as if it was unmounted then, until something changes.
    pub fn sync_all(&mut self) -> Result<(), FileError> {
        if self.options.read_only {
            return Ok(());
        }
        let mut result = Ok(());
        let files: Vec<u64> = self.format.nodes.iter().map(|(number, _)| number).collect();
        for file in files {
            if let Err(error) = self.cache.write_back_all(&mut self.format, file) {
                result = Err(error.into());
            }
            self.format.record(file, 0)?;
        }
        self.settle(true)?;
        self.format.medium.come_home()?;
        result
    }

    /// Takes completions and goes on with what is to be done: once a second. Does not wait.
    pub fn tick(&mut self) -> Result<(), FileError> {
        let now = (self.options.seconds)();
        self.cache.set_time(now);
        self.cache.advance();
        if self.options.read_only {
            return Ok(());
        }
        for (file, since) in self.cache.dirty_files() {
            if now >= since + AGE {
                self.unflushed = true;
                self.cache.write_back(&mut self.format, file, usize::MAX);
                self.format.record(file, 0)?;
            }
        }
        let overlay = &mut self.format.medium.overlay;
        if overlay.has_fresh() && now >= self.drained + AGE {
            overlay.want_durable();
            self.drained = now;
        }
        overlay.advance();
        if self.format.nodes.len() > 2 * REMEMBERED {
            self.forget_some();
        }
        Ok(())
    }

    /// How large, how full.
    pub fn statistics(&mut self) -> Statistics {
        let layout = &self.format.medium.layout;
        Statistics {
            block_bytes: layout.cluster_bytes() as u32,
            blocks: u64::from(layout.clusters),
            free_blocks: self.format.available(),
            files: 0,
            free_files: 0,
        }
    }

    /// Files that are known at the moment.
    pub fn known(&self) -> usize {
        self.format.nodes.len()
    }

    /// Puts everything on the medium and leaves the disk clean. Files without names are freed, whoever has them open. The volume is not to be used then.
    pub fn end(&mut self) -> Result<(), FileError> {
        if self.options.read_only {
            return Ok(());
        }
        let nameless = self.format.nodes.iter().filter(|(_, node)| node.position.is_none());
        let nameless: Vec<u64> = nameless.map(|(number, _)| number).collect();
        for number in nameless {
            self.release(number)?;
        }
        self.sync_all()
    }

    /// The same.
    pub fn unmount(mut self) -> Result<(), FileError> {
        self.end()
    }
}

impl Format {
    /// The first two entries of a new directory: itself and the one above, as which the root is 0.
    fn put_dots(&mut self, cluster: u32, parent: u32, like: &Entry) -> Result<(), FileError> {
        let width = self.medium.layout.width;
        let parent = if parent == self.medium.layout.root_cluster() { 0 } else { parent };
        let first = self.medium.layout.sector_of(cluster) * (self.medium.layout.sector_bytes / entry::BYTES) as u64;
        for (index, (name, cluster)) in [(*b".          ", cluster), (*b"..         ", parent)].into_iter().enumerate()
        {
            let mut entry = *like;
            entry.set_short(name);
            entry.set_cluster(cluster, width);
            self.medium.set_entry(first + index as u64, &entry)?;
        }
        Ok(())
    }

    /// A directory is in another one now.
    fn set_parent(&mut self, cluster: u32, parent: u32) -> Result<(), FileError> {
        if !self.medium.layout.has(cluster) {
            return Err(FileError::Corrupt);
        }
        let parent = if parent == self.medium.layout.root_cluster() { 0 } else { parent };
        let first = self.medium.layout.sector_of(cluster) * (self.medium.layout.sector_bytes / entry::BYTES) as u64;
        let mut entry = self.medium.entry(first + 1)?;
        if entry.is_dots() {
            entry.set_cluster(parent, self.medium.layout.width);
            self.medium.set_entry(first + 1, &entry)?;
        }
        Ok(())
    }
}
