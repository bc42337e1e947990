//! What was promised to clients, and outlives the server: which disks have which names, and what each session that was opened leads to. A record each:
//!
//! | kind | number | holds |
//! |---|---|---|
//! | [`DISK`] | index of the disk | [`KeptDisk`] |
//! | [`TABLE`] | the same | [`KeptTable`] |
//! | [`OPENED`] | badge | [`Opened`] |
//! | [`MINTED`] | | how many sessions were opened |
//! | [`WATCHER`] | badge | who hears of changes |
//! | [`FILE`] | any | a file that is about to become a disk, or to end as one: [`crate::files::Job`] |

use crate::partitions::Partition;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::block::Limits;
use libsys::protocol::block::BlockInfo;
use libsys::protocol::disks::{PartitionTable, Scheduler};
use libsys::service::GIVEN;
use libsys::state::{Full, Keepsake, RecordKey, Records};
use serde::{Deserialize, Serialize};

pub const DISK: u16 = 1;
pub const TABLE: u16 = 2;
pub const OPENED: u16 = 3;
const MINTED: RecordKey = RecordKey::new(4, 0);
pub const WATCHER: u16 = 5;
pub const FILE: u16 = 6;

/// A disk: its name, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDisk {
    /// Its name.
    pub name: String,
    /// The service that drives it.
    pub driver: String,
    /// Which unit of that it is.
    pub unit: u32,
    /// In which order its requests go.
    pub scheduler: Scheduler,
    /// The session of the driver's unit. The next incarnation takes the same one: then what this one has in flight ends at the driver before anything is submitted again.
    pub session: Option<Keepsake>,
    /// Memory with what is counted.
    pub counts: Option<Keepsake>,
}

/// What was found on a disk, and of what disk that is true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTable {
    /// As the driver described it.
    pub info: BlockInfo,
    /// The kind of partition table.
    pub table: PartitionTable,
    /// The partitions.
    pub partitions: Vec<Partition>,
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
    /// Nobody else writes there while it is open.
    pub exclusive: bool,
    /// Number of the process that opened it.
    pub client: u64,
}

impl Opened {
    /// What can be done with the part of the disk that it leads to, as the driver describes the disk now.
    pub fn limits(&self, info: &BlockInfo) -> Limits {
        let mut limits = Limits::of(info);
        limits.sectors = if self.partition == 0 { info.sectors } else { self.sectors };
        // The table may be of a time when the disk was larger.
        limits.sectors = limits.sectors.min(info.sectors.saturating_sub(self.start));
        limits.read_only |= !self.write;
        limits
    }

    /// Whether it and another one cannot be open at once: they have sectors in common, and one writes what the other has for itself, or what another process writes.
    fn conflicts_with(&self, other: &Opened) -> bool {
        let overlap = self.disk == other.disk
            && self.start < other.start.saturating_add(other.sectors)
            && other.start < self.start.saturating_add(self.sectors);
        let is_exclusive = self.exclusive && other.write || other.exclusive && self.write;
        overlap && (is_exclusive || self.write && other.write && self.client != other.client)
    }
}

/// All sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promises {
    /// Sessions that were opened so far.
    minted: u64,
    /// Those that are open.
    pub sessions: Vec<Opened>,
}

impl Promises {
    /// Those of the incarnation before that somebody still has.
    pub fn recover(records: &mut Records, is_live: impl Fn(u64) -> bool) -> Promises {
        let minted = records.bytes_of(MINTED).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        let mut sessions = Vec::new();
        for (key, opened) in records.all::<Opened>(OPENED) {
            if is_live(key.first) { sessions.push(opened) } else { records.remove(key) }
        }
        Promises { minted, sessions }
    }

    /// Opens a session, staged: its badge, which no session had before.
    pub fn open(&mut self, records: &mut Records, opened: Opened) -> Result<u64, Full> {
        let badge = GIVEN | (self.minted + 1);
        let opened = Opened { badge, ..opened };
        records.put(RecordKey::new(OPENED, badge), &opened)?;
        if let Err(full) = records.put_last(MINTED, &(self.minted + 1).to_le_bytes()) {
            records.remove(RecordKey::new(OPENED, badge));
            return Err(full);
        }
        self.minted += 1;
        self.sessions.push(opened);
        Ok(badge)
    }

    /// Closes a session, staged. Whether it was there.
    pub fn close(&mut self, records: &mut Records, badge: u64) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|session| session.badge != badge);
        let was_there = self.sessions.len() < before;
        if was_there {
            records.remove(RecordKey::new(OPENED, badge));
        }
        was_there
    }

    /// The session with a badge.
    pub fn of_badge(&self, badge: u64) -> Option<&Opened> {
        self.sessions.iter().find(|session| session.badge == badge)
    }

    /// Whether one that is open is in the way of this one.
    pub fn is_busy(&self, wanted: &Opened) -> bool {
        self.sessions.iter().any(|session| session.conflicts_with(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::{Memory, fake};

    fn records() -> Records {
        let memory = Memory::create(&fake::account(), 64 << 10).expect("memory");
        Records::of(memory.map_writable().expect("a mapping")).expect("records")
    }

    /// A session of process 7 that writes 50 sectors from 100 on.
    fn writer() -> Opened {
        let disk = "vda".into();
        Opened { badge: 0, disk, partition: 1, start: 100, sectors: 50, write: true, exclusive: false, client: 7 }
    }

    fn part(start: u64, sectors: u64) -> Opened {
        Opened { start, sectors, ..writer() }
    }

    fn of(client: u64, opened: Opened) -> Opened {
        Opened { client, ..opened }
    }

    #[test]
    fn one_process_writes_at_a_time() {
        let mut promises = Promises::default();
        let mut records = records();
        let badge = promises.open(&mut records, writer()).expect("room");
        let other = promises.open(&mut records, writer()).expect("room");
        assert!(badge != other && promises.close(&mut records, other) && !promises.close(&mut records, other));
        records.commit();
        assert_eq!(Promises::recover(&mut records, |_| true), promises);
        assert!(Promises::recover(&mut records, |_| false).sessions.is_empty());
        let is_busy = |client, part| promises.is_busy(&of(client, part));
        assert!(is_busy(8, part(0, 1000)) && is_busy(8, part(149, 1)) && is_busy(8, writer()));
        assert!(!is_busy(8, part(0, 100)) && !is_busy(8, part(150, 50)));
        assert!(!is_busy(7, writer()) && !is_busy(8, Opened { disk: "vdb".into(), ..writer() }));
        assert!(!is_busy(8, Opened { write: false, ..writer() }));
    }

    #[test]
    fn who_has_it_exclusively_is_alone_in_writing_even_of_its_process() {
        let mut records = records();
        let reader = || Opened { write: false, ..writer() };
        let alone = |opened| Opened { exclusive: true, ..opened };
        // What is open; what is asked for; whether it is busy.
        for (open, wanted, is_busy) in [
            (alone(writer()), writer(), true),
            (alone(writer()), alone(writer()), true),
            (alone(writer()), alone(reader()), true),
            (alone(writer()), reader(), false),
            (alone(writer()), part(0, 1000), true),
            (alone(writer()), alone(part(149, 10)), true),
            (alone(writer()), alone(part(150, 10)), false),
            (alone(reader()), writer(), true),
            (alone(reader()), alone(reader()), false),
            (writer(), alone(writer()), true),
            (writer(), alone(reader()), true),
            (reader(), alone(writer()), false),
        ] {
            let mut promises = Promises::default();
            promises.open(&mut records, open.clone()).expect("room");
            records.commit();
            let badge = promises.sessions[0].badge;
            // As the next incarnation sees it.
            let promises = Promises::recover(&mut records, |live| live == badge);
            for client in [7, 8] {
                assert_eq!(promises.is_busy(&of(client, wanted.clone())), is_busy, "{open:?} {wanted:?}");
            }
        }
    }
}
