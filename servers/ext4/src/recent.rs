//! What was used last of a volume, as it is in the overlay: a file that was just made is looked at and removed without reading it again.

use crate::disk::{Disk, Group, Here, Record};
use alloc::boxed::Box;
use volume::Overlay;

/// What is remembered. Whatever may have changed without it makes all of it void.
#[derive(Default)]
pub struct Recent {
    /// An inode that is in use.
    inode: Option<Box<Record>>,
    group: Option<Group>,
    is_without_orphans: bool,
}

impl Recent {
    /// The inode with this number, which is in use, if it was the last one.
    pub fn take_inode(&mut self, number: u32) -> Option<Box<Record>> {
        self.inode.take_if(|inode| inode.number == number)
    }

    /// Remembers an inode, which is in use.
    pub fn keep_inode(&mut self, inode: Box<Record>) {
        self.inode = Some(inode);
    }

    /// The descriptor of a group.
    pub fn group(&mut self, disk: &Disk, overlay: &mut Overlay, number: u32) -> Here<Group> {
        if let Some(group) = self.group.as_ref().filter(|group| group.number == number) {
            return Ok(group.clone());
        }
        let group = disk.group(overlay, number)?;
        self.group = Some(group.clone());
        Ok(group)
    }

    /// Remembers a descriptor, as it was written.
    pub fn keep_group(&mut self, group: Group) {
        self.group = Some(group);
    }

    /// Whether there are files without names. Only the crate makes some.
    pub fn has_orphans(&mut self, disk: &Disk, overlay: &mut Overlay) -> Here<bool> {
        self.is_without_orphans = self.is_without_orphans || !disk.has_orphans(overlay)?;
        Ok(!self.is_without_orphans)
    }
}
