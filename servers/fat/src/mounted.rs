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
use libsys::Account;
pub use volume::Options;
use volume::disk::{Geometry, SECTOR_BYTES};
use volume::mounting::recover_data;
use volume::page_cache::PAGE;
use volume::raw::RawDisk;
use volume::{
    Backing, Counts, DataError, Entry as Listed, FileError, Housekeeping, Kept, Kind, SharedRequests, Statistics,
    Status, WriteBack, Zeros,
};

/// Files that are remembered although nobody uses them.
const REMEMBERED: usize = 1024;
/// Sectors that making a directory writes beside its cluster.
const BESIDES: usize = 64;
/// Bytes of zeros that go through the page cache where a file grows beyond its end; more are written to the disk, so many in one step.
const GAP: u64 = 64 << 10;
const STEP: u64 = 1 << 20;
/// Permissions: of directories, of files, of those that are not to be written.
const OF_DIRECTORY: u16 = 0o755;
const OF_FILE: u16 = 0o755;
const WRITE: u16 = 0o222;

/// A mounted file system.
pub struct Volume {
    format: Format,
    data: WriteBack,
    zeros: Zeros,
    options: Options,
    /// Files without names that nobody uses any more, to be freed when the request that says so is committed.
    left: Vec<u64>,
}

/// A volume whose overlay is there.
struct Mounting {
    options: Options,
    medium: Medium,
    is_again: bool,
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

impl Mounting {
    /// Of what is on the disk.
    fn anew(
        account: &Account,
        requests: &SharedRequests,
        raw: &RawDisk,
        mut options: Options,
        kept: &mut Kept,
    ) -> Result<Mounting, FileError> {
        let geometry = raw.geometry();
        options.read_only |= geometry.read_only;
        let boot = read_boot(raw)?;
        if !boot::is_bootable(&boot) {
            return Err(FileError::Unsupported);
        }
        let layout = layout(&boot, &geometry)?;
        let overlay = options.create_overlay(account, requests, layout.sector_bytes, kept)?;
        if overlay.most_of_request() < layout.cluster_sectors as usize + BESIDES {
            return Err(FileError::Exhausted);
        }
        let table = Table::open(&layout, raw, &overlay)?;
        let is_marked = layout.is_marked(&boot);
        let mut medium = Medium::new(layout, table, overlay, options.read_only);
        medium.is_left_dirty = is_marked || !medium.table.is_clean(&mut medium.overlay)?;
        Ok(Mounting { options, medium, is_again: false })
    }

    /// Of what an earlier incarnation has left.
    fn again(
        account: &Account,
        requests: &SharedRequests,
        raw: &RawDisk,
        mut options: Options,
        kept: &mut Kept,
        what: &[u8],
    ) -> Result<Mounting, FileError> {
        let &[log, read_only, is_left_dirty] = what else { return Err(FileError::Corrupt) };
        options.read_only = read_only != 0;
        // The disk answers when it has ended everything else.
        read_boot(raw)?;
        let sector_bytes = 1usize.checked_shl(log.into()).ok_or(FileError::Corrupt)?;
        let mut overlay = options.open_overlay(account, requests, sector_bytes, kept)?;
        let mut boot = [0; BOOT_BYTES];
        overlay.read_part(0, 0, &mut boot)?;
        let layout = layout(&boot, &raw.geometry())?;
        let table = Table::open(&layout, raw, &overlay)?;
        let is_marked = layout.is_marked(&boot);
        let mut medium = Medium::new(layout, table, overlay, options.read_only);
        medium.is_left_dirty = is_left_dirty != 0;
        medium.clean = !is_marked;
        Ok(Mounting { options, medium, is_again: true })
    }

    /// Finds file data that is not on the disk.
    fn finish(self, account: &Account, requests: SharedRequests, mut kept: Kept) -> Result<Volume, FileError> {
        let Mounting { options, medium, is_again } = self;
        let mut cache = options.open_cache(account, &requests, &mut kept)?;
        let zeros = Zeros::new(account, requests.clone()).map_err(device)?;
        let mut format = Format::new(medium, options.seconds, kept);
        if is_again {
            cache.set_time((options.seconds)());
            format.restore()?;
            recover_data(&mut format, &mut cache)?;
            if !options.read_only {
                // Behind the data that was on its way. What was freed is nobody's from now on, and that somebody writes is on the disk.
                format.medium.overlay.make_durable()?;
                format.free_rests()?;
            }
        } else {
            let Medium { layout, is_left_dirty, .. } = &format.medium;
            let log = layout.sector_bytes.trailing_zeros() as u8;
            let what = [log, options.read_only.into(), (*is_left_dirty).into()];
            format.kept.set_mounted(&what).map_err(device)?;
        }
        let data = WriteBack::new(cache, requests, options, is_again);
        Ok(Volume { format, data, zeros, options, left: Vec::new() })
    }
}

fn read_boot(raw: &RawDisk) -> Result<[u8; BOOT_BYTES], FileError> {
    let mut boot = [0; BOOT_BYTES];
    raw.read_at(0, &mut boot).map_err(|error| match error {
        volume::DiskError::OutOfRange => FileError::Unsupported,
        error => device(error),
    })?;
    Ok(boot)
}

fn layout(boot: &[u8; BOOT_BYTES], geometry: &Geometry) -> Result<Layout, FileError> {
    let layout = Layout::of(boot, geometry.sectors * SECTOR_BYTES).map_err(|refusal| match refusal {
        Refusal::Foreign => FileError::Unsupported,
        Refusal::Corrupt => FileError::Corrupt,
    })?;
    // Requests are whole blocks of the disk.
    if layout.sector_bytes < geometry.block_bytes as usize { Err(FileError::Unsupported) } else { Ok(layout) }
}

impl Volume {
    /// Mounts the file system on a disk. Memory is charged to the account. Errors: `Unsupported` (no FAT), `Corrupt`, `Device`, `Exhausted` (the overlay is too small among others).
    pub fn mount(account: &Account, requests: SharedRequests, options: Options) -> Result<Volume, FileError> {
        Volume::mount_kept(account, requests, options, Kept::nothing())
    }

    /// The same, outliving the server: what an earlier incarnation has kept is there as it was. Nothing that it had started on the disk is in flight when the first request is answered.
    /// After each commit of the records [`Volume::committed`] is to be called.
    pub fn mount_kept(
        account: &Account,
        requests: SharedRequests,
        options: Options,
        mut kept: Kept,
    ) -> Result<Volume, FileError> {
        let raw = RawDisk::new(account, requests.clone()).map_err(device)?;
        if let Some(what) = kept.mounted() {
            match Mounting::again(account, &requests, &raw, options, &mut kept, &what) {
                Ok(mounting) => return mounting.finish(account, requests, kept),
                Err(error) => {
                    libsys::error!("what was kept cannot be used ({error:?}): what was not on the disk is lost");
                    kept.start_over();
                }
            }
        }
        Mounting::anew(account, &requests, &raw, options, &mut kept)?.finish(account, requests, kept)
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
        let number = self.format.nodes.number_of(position);
        // Nothing is known of one that had its place before, or was to have it.
        if self.format.nodes.get(number).is_some() {
            self.data.cache.discard(number, 0);
            self.forget(number);
        }
        self.format.forget_size(number);
        Ok(number)
    }

    /// Takes away a name. The file stays until [`Volume::release`]. Errors: `NotFound`, `NotEmpty`.
    pub fn remove(&mut self, directory: u64, name: &str) -> Result<u64, FileError> {
        let found = self.format.with_directory(directory, |medium, directory| directory.find(medium, name))?;
        let found = found.ok_or(FileError::NotFound)?;
        let number = self.format.nodes.number_of(found.position);
        self.check_empty(number, &found.entry)?;
        self.format.node(number)?;
        self.format.change(0, |format| {
            format.with_directory(directory, |medium, directory| directory.remove(medium, &found))?;
            format.note(number, true, |noted| noted.position = None)
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
        let is_used = self.is_used(number);
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
            if let Some(replaced) = replaced {
                format.note(replaced, true, |noted| noted.position = None)?;
            }
            format.note(number, is_used, |noted| noted.position = Some(position))?;
            Ok(position)
        })?;
        if let Some(replaced) = replaced {
            self.format.nodes.move_entry(replaced, None);
        }
        self.format.nodes.move_entry(number, Some(position));
        Ok(replaced)
    }

    /// Whether somebody has a file open, or something of it is not on the disk: its number means something.
    fn is_used(&self, number: u64) -> bool {
        self.format.nodes.get(number).is_some_and(|node| node.is_held || node.is_needed())
            || self.data.cache.is_busy(number)
    }

    /// Somebody uses a file from now on: it keeps its number until [`Volume::release`]. Error besides: `Exhausted`.
    pub fn hold(&mut self, number: u64) -> Result<(), FileError> {
        self.format.node(number)?;
        self.format.keep_number(number)?;
        self.format.node(number)?.is_held = true;
        Ok(())
    }

    /// Nobody uses a file any more: without a name it is gone.
    pub fn release(&mut self, number: u64) -> Result<(), FileError> {
        let is_prepared = self.format.medium.overlay.prepared().is_some();
        let Some(node) = self.format.nodes.get_mut(number) else { return Ok(()) };
        node.is_held = false;
        node.chain.shrink();
        if is_prepared && (node.position.is_none() || node.zeroed.is_some()) {
            // That it has no name is not committed.
            self.left.push(number);
            return Ok(());
        }
        if node.position.is_none() {
            let (first, is_directory) = (node.chain.first(), node.is_directory);
            node.size = 0;
            // Nobody takes its pages for those of a file that gets its number.
            self.data.cache.discard(number, 0);
            self.data.cache.settle();
            self.forget(number);
            self.format.forget_size(number);
            return self.format.free_all(number, first, is_directory);
        }
        self.trim(number)?;
        if self.format.nodes.len() > 2 * REMEMBERED {
            self.forget_some()?;
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

    fn is_idle(&self, number: u64) -> bool {
        let is_named = self.format.nodes.get(number).is_some_and(|node| node.position.is_some());
        is_named && number != ROOT && !self.is_used(number)
    }

    /// Forgets files that nobody uses, with their pages.
    fn forget_some(&mut self) -> Result<(), FileError> {
        for number in self.format.nodes.oldest() {
            if self.format.nodes.len() <= REMEMBERED {
                break;
            }
            self.forget_idle(number)?;
        }
        Ok(())
    }

    fn forget_idle(&mut self, number: u64) -> Result<(), FileError> {
        if self.is_idle(number) {
            self.format.forget_noted(number)?;
            self.data.cache.discard(number, 0);
            self.forget(number);
        }
        Ok(())
    }

    /// The records are committed, with what was staged.
    pub fn committed(&mut self) {
        if !self.format.settle() {
            return;
        }
        self.data.cache.settle();
        for number in core::mem::take(&mut self.left) {
            if let Err(error) = self.release(number) {
                libsys::error!("file {number} is not freed: {error:?}");
            }
        }
        if let Err(error) = self.format.free_rests() {
            libsys::error!("clusters are not freed: {error:?}");
        }
    }

    /// The server has started: files without names of an earlier incarnation are freed that nobody has open. Those that somebody has open are [held](Volume::hold) before.
    pub fn reclaim(&mut self, is_open: &dyn Fn(u64) -> bool) -> Result<(), FileError> {
        for number in self.format.noted().into_iter().filter(|number| !is_open(*number)) {
            if !self.options.read_only {
                self.release(number)?;
            }
        }
        self.format.kept.commit();
        self.committed();
        Ok(())
    }

    /// What outlives the server.
    pub fn kept(&mut self) -> &mut Kept {
        &mut self.format.kept
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
        Ok(self.data.cache.read(&mut self.format, number, offset, bytes, piece)?)
    }

    /// Writes a range, as [`Volume::read`] reads one: `piece` fills the memory. Returns the bytes written, as many as there is room for. Errors: `NoSpace`, `TooLarge`, `Corrupt`; `WouldBlock`: zeros are written before it, again.
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
        self.data.set_time();
        // Before the request has done anything: only what is committed is written back.
        self.data.throttle(&mut self.format)?;
        self.format.complete(number)?;
        let bytes = bytes.min(self.format.reach(number).saturating_sub(offset));
        if bytes == 0 {
            self.trim(number)?;
            return Err(FileError::NoSpace);
        }
        let size = self.format.node(number)?.size;
        if let Err(error) = self.zero(number, offset) {
            if error != FileError::WouldBlock {
                self.trim(number)?;
            }
            return Err(error);
        }
        self.format.keep_number(number)?;
        self.format.keep_size(number, size.max(offset + bytes))?;
        let filled = self.fill(number, offset);
        let written =
            filled.and_then(|()| Ok(self.data.cache.write(&mut self.format, number, offset, bytes, piece)?));
        self.format.settle_promise(number);
        if written.is_err() && offset > size {
            self.truncate(number, size)?;
        }
        let size = self.format.node(number)?.size;
        self.format.keep_size(number, size)?;
        written
    }

    /// One step of writing zeros between the end of a file and an offset, if that is far behind. There is room. Error besides: `WouldBlock`: not the last one.
    fn zero(&mut self, number: u64, to: u64) -> Result<(), FileError> {
        let node = self.format.node(number)?;
        let from = node.zeroed.unwrap_or(0).max(node.size.next_multiple_of(PAGE));
        if to.saturating_sub(from) <= GAP {
            return Ok(());
        }
        // All before is zero, and known to be when the clusters for more are there.
        node.zeroed = Some(from);
        let end = (from + STEP).min(to / PAGE * PAGE);
        let clusters = end.div_ceil(self.format.medium.layout.cluster_bytes()) as u32;
        self.format.grow(number, clusters)?;
        let mut runs = Vec::new();
        self.format.map(number, from, end - from, &mut runs)?;
        for run in runs {
            let place = run.place.ok_or(FileError::Corrupt)?;
            self.zeros.write(place, run.bytes).map_err(device)?;
        }
        self.format.node(number)?.zeroed = Some(end);
        if to - end <= GAP { Ok(()) } else { Err(FileError::WouldBlock) }
    }

    /// Makes a file longer by zeros, most of which are on the disk.
    fn fill(&mut self, number: u64, to: u64) -> Result<(), FileError> {
        let node = self.format.node(number)?;
        let (size, zeroed) = (node.size, node.zeroed);
        if to <= size {
            return Ok(());
        }
        self.data.cache.clean_tail(&mut self.format, number, size)?;
        if let Some(zeroed) = zeroed.filter(|zeroed| *zeroed > size) {
            self.format.written(number, zeroed.min(to));
        }
        let mut at = self.format.node(number)?.size;
        while at < to {
            let zero = |mapping: &libsys::WritableMapping, at: usize, part: usize, _| mapping.zero(at, part);
            at += self.data.cache.write(&mut self.format, number, at, to - at, zero)?;
        }
        Ok(())
    }

    /// Takes clusters back that were to become part of a file.
    fn trim(&mut self, number: u64) -> Result<(), FileError> {
        let Some(node) = self.format.nodes.get(number) else { return Ok(()) };
        let (size, recorded) = (node.size, node.recorded);
        if node.zeroed.is_none_or(|zeroed| zeroed < size) || self.options.read_only {
            return Ok(());
        }
        let keep = size.div_ceil(self.format.medium.layout.cluster_bytes()) as u32;
        self.format.cut(number, keep, recorded, Counts::AtOnce)?;
        self.format.settle_promise(number);
        self.format.free_rests()
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
            // As if its last byte was written.
            let zero = |mapping: &libsys::WritableMapping, at: usize, part: usize, _| mapping.zero(at, part);
            return match self.write(number, bytes - 1, 1, zero) {
                Ok(1) => Ok(()),
                Ok(_) => Err(FileError::NoSpace),
                Err(error) => Err(error),
            };
        }
        if bytes == 0 && size == 0 && self.format.medium.overlay.prepared().is_some() {
            // It was made in this request.
            return Ok(());
        }
        // The pages of the rest go first: nothing may be on its way to clusters that are freed.
        self.data.cache.discard(number, bytes.div_ceil(PAGE));
        self.data.cache.clean_tail(&mut self.format, number, bytes)?;
        let keep = bytes.div_ceil(self.format.medium.layout.cluster_bytes()) as u32;
        let recorded = self.format.node(number)?.recorded.min(bytes);
        if recorded < bytes {
            self.format.keep_size(number, bytes)?;
        }
        let cut = self.format.cut(number, keep, recorded, Counts::WithReply);
        if cut.is_err() || !self.format.kept.is_some() {
            self.data.cache.settle();
        }
        if let Err(error) = cut {
            self.format.keep_size(number, size)?;
            return Err(error);
        }
        self.format.node(number)?.size = bytes;
        self.format.resized(number);
        self.format.forget_size(number);
        self.format.settle_promise(number);
        self.format.free_rests()
    }

    // ---- the medium --------------------------------------------------------------------------------------------

    /// Puts a file on the medium, with what describes it; `data_only`: without its times. Waits. Error: what went wrong since the last time.
    pub fn sync(&mut self, number: u64, data_only: bool) -> Result<(), FileError> {
        if self.options.read_only { Ok(()) } else { self.data.sync(&mut self.format, number, data_only) }
    }

    /// Puts everything on the medium, which is as if it was unmounted then, until something changes.
    pub fn sync_all(&mut self) -> Result<(), FileError> {
        if self.options.read_only {
            return Ok(());
        }
        for number in self.format.files() {
            self.trim(number)?;
        }
        self.data.sync_all(&mut self.format)
    }

    /// Takes completions and goes on with what is to be done: once a second. Does not wait.
    pub fn tick(&mut self) -> Result<(), FileError> {
        self.data.tick(&mut self.format)?;
        // What was noted of those of which nothing more is to be written.
        for number in self.format.noted() {
            self.forget_idle(number)?;
        }
        if self.format.nodes.len() > 2 * REMEMBERED {
            self.forget_some()?;
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
