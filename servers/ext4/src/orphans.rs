//! Files without names, the orphans of the disk's chain: those that are open while the format crate is mounted anew, as the server starts again or a long file was cut off; and those that a disk was left with.
//!
//! The format crate frees every orphan when it mounts, and those here are still used. So it is shown a superblock without a chain ([`Shared::orphans`]), and learns of the chain afterwards: a file of its own
//! becomes the only orphan that it knows; in the overlay this is made to lead to the chain, and when it is freed, the crate takes what comes behind it for its chain. All of that is one record.

use crate::blocks::Shared;
use crate::disk::{Disk, Left};
use crate::format::{FileErrorOf, Fs, file_error};
use crate::mapping::Layout;
use crate::mounted::mount_crate;
use crate::names::Names;
use crate::superblock::Superblock;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use rsext4::dir::FileName;
use rsext4::{Ext4Error, FilePermissions, INODE_CACHE_MAX, MutationContext};
use volume::{FileError, Options, Overlay};

/// The directory and the name of the file that leads to the chain, for a moment.
const DIRECTORY: &[u8] = b"lost+found";
const NAME: &[u8] = b"#skink";

/// Where an inode says when it was deleted, or, in the chain, which is the next.
const NEXT: usize = 0x14;

/// All inodes of the chain that begins at `head`. Error: `Corrupt`.
pub fn chain(layout: &Layout, overlay: &mut Overlay, head: u32) -> Result<Vec<u64>, FileError> {
    let (mut all, mut next) = (Vec::new(), head);
    while next != 0 {
        if all.contains(&u64::from(next)) {
            return Err(FileError::Corrupt);
        }
        all.push(u64::from(next));
        let (block, at) = layout.place_of_inode(overlay, next).map_err(|error| FileErrorOf::from(error).0)?;
        let mut bytes = [0; 4];
        overlay.read_part(block, at + NEXT, &mut bytes)?;
        next = u32::from_le_bytes(bytes);
    }
    Ok(all)
}

/// Mounts the crate without its freeing the files of the chain that begins at `head`. What it writes is pending in the overlay. Errors: `NoSpace` (of inodes) among others; all of it is to be given up
/// then.
pub fn mount_beside(
    shared: &Rc<RefCell<Shared>>,
    layout: &Layout,
    options: &Options,
    head: u32,
) -> Result<Fs, FileError> {
    shared.borrow_mut().orphans = Some(head);
    let mounted = mount_crate(shared, options).and_then(|mut fs| {
        take_over(&mut fs, shared, layout, head)?;
        Ok(fs)
    });
    if mounted.is_err() {
        let mut shared = shared.borrow_mut();
        (shared.orphans, shared.error) = (None, None);
    }
    mounted
}

/// Frees the blocks of the files of the chain that the disk was left with, as the crate would take each by itself when it mounts: of files that have names, those behind their ends. What cannot be freed
/// here is left to the crate. Errors: `Corrupt` (the chain), `Device`.
pub fn cut_off(superblock: &Superblock, layout: &Layout, overlay: &mut Overlay, seconds: u64) -> Result<(), FileError> {
    let disk = Disk::of(superblock, layout, overlay).map_err(|error| FileErrorOf::from(error).0)?;
    let Some(mut names) = disk.map(Names::new) else { return Ok(()) };
    for inode in chain(layout, overlay, superblock.last_orphan())? {
        loop {
            overlay.make_room_for_request()?;
            let cut = names.info(overlay, inode).and_then(|info| {
                let bytes = if info.links == 0 { 0 } else { info.size };
                match names.is_worth_cutting(overlay, inode, bytes)? {
                    true => names.cut_off(overlay, inode, bytes, seconds).map(|(cut, _)| cut),
                    false => Err(Left::ToCrate),
                }
            });
            let Ok(cut) = cut else {
                overlay.abandon();
                break;
            };
            overlay.commit()?;
            if cut.is_done || cut.blocks == 0 {
                break;
            }
        }
        names.abandoned();
    }
    Ok(())
}

/// Makes the chain that the superblock hides the crate's. What it writes is pending in the overlay. Errors: `NoSpace` (of inodes) among others; all of it is to be given up then.
fn take_over(fs: &mut Fs, shared: &Rc<RefCell<Shared>>, layout: &Layout, head: u32) -> Result<(), FileError> {
    let failed = |error: Ext4Error| file_error(error);
    let name = |bytes| FileName::new(bytes).map_err(failed);
    let directory = fs.lookup_child(fs.root_inode(), name(DIRECTORY)?).map_err(failed)?;
    let directory = directory.ok_or(FileError::NotFound)?.number;
    let mode = FilePermissions::new(0).map_err(failed)?;
    let context = MutationContext::new(0, 0, 0, 0);
    let made = fs.create_regular_file(context, directory, name(NAME)?, mode).map_err(failed)?.number;
    let _ = fs.unlink(directory, name(NAME)?).map_err(failed)?;
    fs.sync().map_err(failed)?;
    {
        let overlay = &mut shared.borrow_mut().overlay;
        let (block, at) = layout.place_of_inode(overlay, made.raw()).map_err(|error| FileErrorOf::from(error).0)?;
        let mut bytes = vec![0; layout.block_bytes];
        overlay.read(block, &mut bytes)?;
        bytes[at + NEXT..at + NEXT + 4].copy_from_slice(&head.to_le_bytes());
        overlay.write(block, &bytes)?;
    }
    // The crate remembers inodes: it has to forget this one.
    let mut seen = 0;
    for number in (1..=layout.inodes()).filter(|number| *number != made.raw()) {
        let number = rsext4::bmalloc::InodeNumber::new(number).map_err(failed)?;
        // Behind the end of any file: it is loaded, and nothing of it is read.
        seen += usize::from(fs.read_inode(number, u64::MAX, &mut [0]).is_ok());
        if seen > INODE_CACHE_MAX {
            break;
        }
    }
    shared.borrow_mut().orphans = None;
    fs.reap_unlinked_inode(made).map_err(failed)?;
    fs.sync().map_err(failed)?;
    let found = crate::format::last_orphan(&mut shared.borrow_mut().overlay)?;
    if found == head { Ok(()) } else { Err(FileError::Corrupt) }
}
