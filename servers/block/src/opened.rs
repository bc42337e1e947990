//! What was promised to clients: which disks have which names, and what each session that was opened leads to. It is all that the next
//! incarnation has to know, and so it is what [`libsys::state`] keeps.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::service::GIVEN;
use serde::{Deserialize, Serialize};

/// A disk's name, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The service that drives it.
    pub driver: String,
    /// Which unit of that it is.
    pub unit: u32,
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Its badge.
    pub badge: u64,
    /// Name of the disk.
    pub disk: String,
    /// Number of the partition; 0: the disk itself.
    pub partition: u32,
    /// First sector on the disk.
    pub start: u64,
    /// Sectors; of a whole disk those that it had at the time.
    pub sectors: u64,
    /// It may write.
    pub write: bool,
    /// Number of the process that opened it.
    pub client: u64,
}

impl Opened {
    fn overlaps(&self, start: u64, sectors: u64) -> bool {
        self.start < start.saturating_add(sectors) && start < self.start.saturating_add(self.sectors)
    }
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises {
    /// Sessions that were opened so far.
    minted: u64,
    /// Disks by name, in the order of their appearance.
    pub disks: Vec<Named>,
    /// Open sessions.
    pub sessions: Vec<Opened>,
}

impl Promises {
    /// The session with a badge.
    pub fn of_badge(&self, badge: u64) -> Option<&Opened> {
        self.sessions.iter().find(|session| session.badge == badge)
    }

    /// Whether somebody else than this process writes these sectors of a disk.
    pub fn is_written(&self, disk: &str, start: u64, sectors: u64, client: u64) -> bool {
        let conflicts = |session: &&Opened| session.write && session.client != client && session.disk == disk;
        self.sessions.iter().filter(conflicts).any(|session| session.overlaps(start, sectors))
    }

    /// A badge that no session had before.
    pub fn next_badge(&mut self) -> u64 {
        self.minted += 1;
        GIVEN | self.minted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_writes_at_a_time() {
        let mut promises = Promises::default();
        let badge = promises.next_badge();
        assert_ne!(badge, promises.next_badge());
        let (disk, start, sectors) = ("vda".into(), 100, 50);
        promises.sessions.push(Opened { badge, disk, partition: 1, start, sectors, write: true, client: 7 });
        let is_written = |disk, start, sectors, client| promises.is_written(disk, start, sectors, client);
        assert!(is_written("vda", 0, 1000, 8) && is_written("vda", 149, 1, 8) && is_written("vda", 100, 50, 8));
        assert!(!is_written("vda", 0, 100, 8) && !is_written("vda", 150, 50, 8));
        assert!(!is_written("vda", 100, 50, 7) && !is_written("vdb", 100, 50, 8));
    }
}
