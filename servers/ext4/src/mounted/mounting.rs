//! Mounting: of what is on the disk, or of what an earlier incarnation has left.

use super::{Volume, device};
use crate::blocks::{Blocks, Shared};
use crate::directories::Directories;
use crate::disk::Disk;
use crate::format::{self, FileErrorOf, Format, Fs, show_superblock};
use crate::journal::{self, Jbd2, JournalError};
use crate::mapping::Layout;
use crate::names::Names;
use crate::orphans;
use crate::raw::RawDisk;
use crate::superblock::{self, Refusal, Superblock};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use libsys::{Account, Memory};
use rsext4::{Clock, Ext4, Ext4Result, Ext4Timestamp, MountOptions, MountServices, NoopObserver};
use volume::disk::SECTOR_BYTES;
use volume::mounting::recover_data;
use volume::{DataError, FileError, Kept, Options, Overlay, SharedRequests, WriteBack};

/// The largest journal that is used, in blocks: what is beyond stays empty.
const MOST_JOURNAL: u64 = 65536;

struct Time(fn() -> u64);

impl Clock for Time {
    fn now(&self) -> Ext4Result<Ext4Timestamp> {
        Ok(Ext4Timestamp::new((self.0)() as i64, 0))
    }
}

/// A volume whose overlay is there.
struct Mounting {
    options: Options,
    superblock: Superblock,
    layout: Layout,
    overlay: Overlay,
    journal: Vec<(u64, u64)>,
    is_again: bool,
}

impl Mounting {
    /// Mounts the format crate over it, and finds file data that is not on the disk.
    fn finish(self, account: &Account, requests: SharedRequests, mut kept: Kept) -> Result<Volume, FileError> {
        let Mounting { options, superblock, layout, mut overlay, journal, is_again } = self;
        let has_journal = superblock.has_journal();
        let padded_bitmaps = layout.padded_bitmaps(&mut overlay).map_err(|error| FileErrorOf::from(error).0)?;
        let directories = Directories::of(&superblock, &layout, &mut overlay);
        let directories = directories.map_err(|error| FileErrorOf::from(error).0)?;
        let head = superblock.last_orphan();
        let mut nameless = match is_again {
            true => orphans::chain(&layout, &mut overlay, head)?,
            false => Vec::new(),
        };
        if !is_again && head != 0 && !options.read_only {
            orphans::cut_off(&superblock, &layout, &mut overlay, (options.seconds)())?;
        }
        let shared = Rc::new(RefCell::new(Shared {
            overlay,
            journal: has_journal,
            recover: has_journal && !options.read_only,
            padded_bitmaps,
            orphans: None,
            directories,
            mounts: None,
            is_of_blocks: superblock.is_of_blocks(),
            has_index: superblock.has_index(),
            filling: false,
            error: None,
        }));
        let fs = match nameless.is_empty() || options.read_only {
            true => mount_crate(&shared, &options)?,
            false => orphans::mount_beside(&shared, &layout, &options, head).or_else(|error| {
                libsys::error!("{} files without names are lost: {error:?}", nameless.len());
                nameless.clear();
                {
                    let overlay = &mut shared.borrow_mut().overlay;
                    overlay.abandon();
                    orphans::cut_off(&superblock, &layout, overlay, (options.seconds)())?;
                }
                mount_crate(&shared, &options)
            })?,
        };
        shared.borrow_mut().overlay.commit().map_err(FileError::from)?;
        let names = {
            let mut shared = shared.borrow_mut();
            shared.mounts = Some(format::read_superblock(&mut shared.overlay)?.mounts());
            let disk = Disk::of(&superblock, &layout, &mut shared.overlay);
            disk.map_err(|error| FileErrorOf::from(error).0)?.map(Names::new)
        };
        let mut cache = options.open_cache(account, &requests, &mut kept)?;
        let label = String::from_utf8_lossy(superblock.label()).into_owned();
        let mut format = Format::new(fs, shared, layout, journal, &options, kept, names);
        for inode in nameless {
            format.node(inode)?.unlinked = true;
        }
        if is_again {
            cache.set_time((options.seconds)());
            // What the incarnation before has freed may not be durable.
            format.freed = true;
            recover_data(&mut format, &mut cache)?;
        } else {
            let what = [format.layout.block_bytes.trailing_zeros() as u8, options.read_only.into()];
            format.kept.set_mounted(&what).map_err(device)?;
        }
        let data = WriteBack::new(cache, requests, options, is_again);
        Ok(Volume { format, data, options, label, left: Vec::new(), held: BTreeSet::new() })
    }
}

/// Mounts the format crate.
pub(crate) fn mount_crate(shared: &Rc<RefCell<Shared>>, options: &Options) -> Result<Fs, FileError> {
    let mount = match options.read_only {
        true => MountOptions::read_only_no_journal_replay(),
        false => MountOptions::read_write(),
    };
    let services = MountServices::new(Time(options.seconds), (), NoopObserver);
    Ext4::mount(Blocks(shared.clone()), services, mount).map_err(|error| {
        let below = shared.borrow_mut().error.take();
        below.map_or_else(|| crate::format::file_error(error), FileError::from)
    })
}

fn refusal(refusal: Refusal) -> FileError {
    match refusal {
        Refusal::Foreign => FileError::Unsupported,
        Refusal::Corrupt => FileError::Corrupt,
    }
}

impl Volume {
    /// Mounts the file system on a disk. Memory is charged to the account. Errors: `Unsupported` (no ext2, ext3 or ext4, or with features that are not
    /// known), `Corrupt`, `ReadOnly` (the journal has to be replayed, and the disk cannot be written), `Device`, `Exhausted`.
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
        if let Some(what) = kept.mounted() {
            let again = Volume::mount_again(account, requests.clone(), options, &mut kept, &what);
            match again {
                Ok(mounting) => return mounting.finish(account, requests, kept),
                Err(error) => {
                    libsys::error!("what was kept cannot be used ({error:?}): what was not on the disk is lost");
                    kept.start_over();
                }
            }
        }
        let mounting = Volume::mount_anew(account, requests.clone(), options, &mut kept)?;
        mounting.finish(account, requests, kept)
    }

    /// Of what is on the disk.
    fn mount_anew(
        account: &Account,
        requests: SharedRequests,
        mut options: Options,
        kept: &mut Kept,
    ) -> Result<Mounting, FileError> {
        let geometry = requests.borrow().geometry();
        let raw = RawDisk::new(account, requests.clone()).map_err(device)?;
        options.read_only |= geometry.read_only;
        let mut superblock = read_superblock(&raw)?;
        // What is wrong with it must not become worse.
        options.read_only |= superblock.has_errors();
        let mended = superblock.mend() || mend_torn(account, &requests, &mut superblock);
        if mended && !geometry.read_only {
            raw.write_at(superblock::OFFSET / SECTOR_BYTES, &superblock.0).map_err(device)?;
        }
        superblock.check(geometry.sectors * SECTOR_BYTES).map_err(refusal)?;
        if superblock.has_journal() && superblock.needs_recovery() {
            if geometry.read_only {
                return Err(FileError::ReadOnly);
            }
            replay(&raw, options.seconds)?;
            superblock = read_superblock(&raw)?;
            superblock.check(geometry.sectors * SECTOR_BYTES).map_err(refusal)?;
            superblock.show_journal(false);
            raw.write_at(superblock::OFFSET / SECTOR_BYTES, &superblock.0).map_err(device)?;
        }
        let layout = Layout::of(&superblock).ok_or(FileError::Corrupt)?;
        if (layout.block_bytes as u64) < u64::from(geometry.block_bytes) {
            return Err(FileError::Unsupported);
        }
        let mut overlay = options.create_overlay(account, &requests, layout.block_bytes, kept)?;
        let journal = match superblock.has_journal() {
            true => open_journal(&layout, &mut overlay, &superblock, &options, false)?,
            false => Vec::new(),
        };
        Ok(Mounting { options, superblock, layout, overlay, journal, is_again: false })
    }

    /// Of what an earlier incarnation has left: no journal is replayed, and nothing is looked for.
    fn mount_again(
        account: &Account,
        requests: SharedRequests,
        mut options: Options,
        kept: &mut Kept,
        what: &[u8],
    ) -> Result<Mounting, FileError> {
        let &[log, read_only] = what else { return Err(FileError::Corrupt) };
        options.read_only = read_only != 0;
        // The disk answers when it has ended everything else.
        read_superblock(&RawDisk::new(account, requests.clone()).map_err(device)?)?;
        let block_bytes = 1usize.checked_shl(log.into()).ok_or(FileError::Corrupt)?;
        let mut overlay = options.open_overlay(account, &requests, block_bytes, kept)?;
        let superblock = format::read_superblock(&mut overlay)?;
        let layout = Layout::of(&superblock).ok_or(FileError::Corrupt)?;
        let journal = match superblock.has_journal() {
            true => open_journal(&layout, &mut overlay, &superblock, &options, true)?,
            false => Vec::new(),
        };
        Ok(Mounting { options, superblock, layout, overlay, journal, is_again: true })
    }
}

fn read_superblock(raw: &RawDisk) -> Result<Superblock, FileError> {
    let mut bytes = [0; superblock::BYTES];
    match raw.read_at(superblock::OFFSET / SECTOR_BYTES, &mut bytes) {
        Ok(()) => Ok(Superblock(bytes)),
        Err(volume::DiskError::OutOfRange) => Err(FileError::Unsupported),
        Err(error) => Err(DataError::from(error).into()),
    }
}

/// Bytes of the overlay that only looks for the journal.
const LOOKOUT: u64 = 256 << 10;

/// Mends a superblock whose checksum is wrong, if the journal is in use: whoever writes the superblock home has it in the journal, so a replay puts it right. Whether it is so.
fn mend_torn(account: &Account, requests: &SharedRequests, superblock: &mut Superblock) -> bool {
    if !superblock.may_be_torn() {
        return false;
    }
    let mut mended = superblock.clone();
    mended.show_journal(true);
    let disk = requests.borrow().geometry().sectors * SECTOR_BYTES;
    let in_use = || {
        mended.check(disk).ok()?;
        let layout = Layout::of(&mended)?;
        let memory = Memory::create_dma(account, LOOKOUT).ok()?;
        let mut overlay = Overlay::create(&memory, requests.clone(), layout.block_bytes).ok()?;
        let window = layout.window(&mut overlay, mended.journal_inode(), 0, 1).ok()?;
        let place = window.extents(0, 1).first()?.physical;
        let mut bytes = [0; 64];
        overlay.read_part(place, 0, &mut bytes).ok()?;
        journal::is_in_use(&bytes).then_some(())
    };
    let in_use = in_use().is_some();
    if in_use {
        *superblock = mended;
    }
    in_use
}

/// To have the journal replayed, and nothing else done.
const REPLAY: MountOptions = MountOptions { readonly: true, ..MountOptions::read_write() };

/// Lets the format crate replay the journal on the bare disk.
fn replay(raw: &RawDisk, seconds: fn() -> u64) -> Result<(), FileError> {
    let services = MountServices::new(Time(seconds), (), NoopObserver);
    let result = Ext4::mount(raw.clone(), services, REPLAY).and_then(|mut fs| fs.unmount());
    let below = raw.take_error();
    result
        .map_err(|error| below.map_or_else(|| crate::format::file_error(error), |error| DataError::from(error).into()))
}

/// Finds the journal; if the volume is to be written, gives it to the overlay, and notes on the disk that there may be something in it. Returns the ranges of its blocks.
fn open_journal(
    layout: &Layout,
    overlay: &mut Overlay,
    superblock: &Superblock,
    options: &Options,
    is_again: bool,
) -> Result<Vec<(u64, u64)>, FileError> {
    let corrupt = |error| FileErrorOf::from(error).0;
    let inode = superblock.journal_inode();
    let blocks = layout.inode(overlay, inode).map_err(corrupt)?.size / layout.block_bytes as u64;
    let mut places = Vec::new();
    let mut ranges = Vec::new();
    while (places.len() as u64) < blocks.min(MOST_JOURNAL) {
        let first = places.len() as u64;
        let end = (first + 4096).min(blocks.min(MOST_JOURNAL));
        let window = layout.window(overlay, inode, first, end).map_err(corrupt)?;
        for extent in window.extents(first, end) {
            if extent.logical > places.len() as u64 {
                return Err(FileError::Corrupt);
            }
            let skip = places.len() as u64 - extent.logical;
            let to = extent.blocks.min(end - extent.logical);
            places.extend(extent.physical + skip..extent.physical + to);
            ranges.push((extent.physical + skip, extent.physical + to));
        }
        if places.len() as u64 != end {
            return Err(FileError::Corrupt);
        }
    }
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(FileError::Corrupt);
    }
    let first = places.first().copied().ok_or(FileError::Corrupt)?;
    let mut bytes = vec![0; layout.block_bytes];
    overlay.read(first, &mut bytes).map_err(FileError::from)?;
    let journal = Jbd2::open(bytes, places, options.seconds);
    let mut journal = journal.map_err(|error| match error {
        JournalError::Corrupt => FileError::Corrupt,
        JournalError::Unsupported => FileError::Unsupported,
    })?;
    if !options.read_only && is_again {
        overlay.set_journal(Box::new(journal));
    } else if !options.read_only {
        let (place, bytes) = journal.superblock(true);
        overlay.write_through(place, &bytes).map_err(FileError::from)?;
        show_superblock(overlay, true)?;
        overlay.set_journal(Box::new(journal));
    }
    Ok(ranges)
}
