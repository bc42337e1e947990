//! A disk whose driver is known: its requests on their way there and back, its partitions, and its counts.

use crate::counts::Counts;
use crate::opened::KeptTable;
use crate::partitions::{self, LARGEST_BLOCK, Medium, Partition, ReadError};
use crate::queue::{Device, Ended, Queue};
use alloc::vec::Vec;
use libsys::block::{Buffer, Disk, DiskError, Request, Ticket};
use libsys::protocol::block::{BlockInfo, BlockStatus, MOST_SEGMENTS, SECTOR_BYTES};
use libsys::protocol::disks::{DiskStatistics, PartitionTable, Scheduler};
use libsys::time::{self, Duration};
use libsys::{Account, Object, Rights, Session, WritableMapping};

/// Requests that a driver gets at a time, at most.
pub const DEPTH: u32 = 64;

/// How long reading a partition table may wait for one block.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose a request is: the client's ticket, and the partition that it came through (0: none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The ticket.
    pub ticket: Ticket,
    /// The partition's number.
    pub partition: u32,
}

/// A disk with its driver.
pub struct Live {
    /// The driver's client.
    pub disk: Disk,
    /// What is on its way.
    pub queue: Queue<Tag>,
    /// What the disk calls a batch that is at the driver, and its number in the queue.
    away: Vec<(u64, usize)>,
    statistics: Counts,
    of_partitions: Vec<(u32, Counts)>,
    /// Where the counts outlive the server.
    counts: Option<WritableMapping>,
}

/// What a driver with this description can do.
fn device(info: &BlockInfo) -> Device {
    Device {
        depth: info.queue_depth.clamp(1, DEPTH) as usize,
        most_sectors: (info.most_bytes / SECTOR_BYTES as u32).max(1),
        most_segments: (info.most_segments as usize).clamp(1, MOST_SEGMENTS),
        has_cache: info.flush,
        fua: info.fua,
    }
}

impl Live {
    /// A disk behind the session of a driver's unit, and what is on it. What is `kept` of its partitions is taken as it is, if the driver still describes the same disk; else
    /// the partition table is read. `open` attaches the disk to the server's loop.
    pub fn open(
        session: &Session,
        driver: &str,
        account: &Account,
        kept: Option<KeptTable>,
        counts: Option<WritableMapping>,
        open: impl Fn(Session) -> Result<Disk, DiskError>,
    ) -> Result<(Live, KeptTable), DiskError> {
        let same = || session.duplicate(Rights::all());
        let known = match kept {
            None => None,
            Some(kept) => Some((open(same()?)?, kept)).filter(|(disk, kept)| *disk.info() == kept.info),
        };
        let (disk, table) = match known {
            Some(known) => known,
            None => {
                let table = scan(same()?, driver, account)?;
                // The loop's queue takes the place of the one of the scan.
                (open(same()?)?, table)
            }
        };
        let of_partition = |one: &Partition| (one.number, Counts::recover(counts.as_ref(), one.number));
        let live = Live {
            disk,
            queue: Queue::new(device(&table.info), Scheduler::None),
            away: Vec::with_capacity(DEPTH as usize),
            statistics: Counts::recover(counts.as_ref(), 0),
            of_partitions: table.partitions.iter().map(of_partition).collect(),
            counts,
        };
        Ok((live, table))
    }

    /// Goes on with what a scan has found.
    pub fn rescanned(&mut self, KeptTable { info, partitions, .. }: &KeptTable) {
        self.queue.set_device(device(info));
        let known = core::mem::take(&mut self.of_partitions);
        let counts =
            |number| known.iter().find(|(other, _)| *other == number).map_or_else(Counts::default, |one| one.1);
        self.of_partitions = partitions.iter().map(|one| (one.number, counts(one.number))).collect();
    }

    /// Takes a request in.
    pub fn put(&mut self, tag: Tag, request: &crate::queue::Request, now: u64) {
        self.statistics.begin(now);
        if let Some(counts) = self.of_partition(tag.partition) {
            counts.begin(now);
        }
        self.queue.put(tag, request, now);
    }

    /// Takes in what the driver has done, and sends it what it can do next; `ended` gets what is to be answered.
    pub fn exchange(&mut self, ended: &mut Vec<Ended<Tag>>) {
        if self.queue.is_empty() {
            return;
        }
        let first = ended.len();
        while let Some(completion) = self.disk.poll() {
            if let Some(place) = self.away.iter().position(|(id, _)| *id == completion.id) {
                let (_, number) = self.away.swap_remove(place);
                self.queue.end(number, completion.status, |one| ended.push(one));
            }
        }
        let now = time::now();
        while let Some((number, batch)) = self.queue.take(now, |one| ended.push(one)) {
            let request = Request {
                operation: batch.request.operation,
                flags: batch.flags(),
                sector: batch.request.sector,
                sectors: batch.request.sectors,
                segments: batch.request.segments.as_slice(),
            };
            match self.disk.submit(&request) {
                Ok(id) => self.away.push((id, number)),
                Err(DiskError::Failed(status)) => self.queue.end(number, status, |one| ended.push(one)),
                // It is as deep as the queue lets in, and the buffers are checked: so this is the client's affair.
                Err(_) => self.queue.end(number, BlockStatus::BadBuffer, |one| ended.push(one)),
            }
        }
        self.disk.commit();
        for one in &ended[first..] {
            self.statistics.end(one, now);
            if let Some((number, counts)) =
                self.of_partitions.iter_mut().find(|(number, _)| *number == one.tag.partition)
            {
                counts.end(one, now);
                counts.keep(self.counts.as_ref(), *number);
            }
        }
        if ended.len() > first {
            self.statistics.keep(self.counts.as_ref(), 0);
        }
    }

    fn of_partition(&mut self, number: u32) -> Option<&mut Counts> {
        self.of_partitions.iter_mut().find(|(other, _)| *other == number).map(|(_, counts)| counts)
    }

    /// The counts of a partition, or of the disk (0).
    pub fn statistics(&self, partition: u32) -> Option<DiskStatistics> {
        let now = time::now();
        let of_partition = || self.of_partitions.iter().find(|(number, _)| *number == partition).map(|one| &one.1);
        let counts = if partition == 0 { Some(&self.statistics) } else { of_partition() };
        let resubmitted = self.disk.resubmitted();
        counts.map(|counts| DiskStatistics { resubmitted, ..counts.read(now) })
    }
}

/// Asks a driver for its description, and reads the partition table.
pub fn scan(session: Session, driver: &str, account: &Account) -> Result<KeptTable, DiskError> {
    let mut disk = Disk::open(session, driver, account)?;
    disk.set_timeout(Some(PATIENCE));
    let info = disk.info().clone();
    let block_bytes = info.logical_block_bytes as usize;
    if !block_bytes.is_power_of_two() || !(SECTOR_BYTES as usize..=LARGEST_BLOCK).contains(&block_bytes) {
        return Ok(KeptTable { info, table: PartitionTable::None, partitions: Vec::new() });
    }
    let buffer = disk.allocate(LARGEST_BLOCK as u64, account)?;
    let blocks = info.sectors / (block_bytes as u64 / SECTOR_BYTES);
    let mut medium = OnDisk { disk, buffer, block_bytes, blocks };
    let (table, partitions) = partitions::read(&mut medium).unwrap_or_else(|ReadError| {
        libsys::warn!("{driver}: its first block cannot be read");
        (PartitionTable::None, Vec::new())
    });
    Ok(KeptTable { info, table, partitions })
}

/// A disk as what a partition table is read from.
struct OnDisk {
    disk: Disk,
    buffer: Buffer,
    block_bytes: usize,
    blocks: u64,
}

impl Medium for OnDisk {
    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read(&mut self, block: u64, into: &mut [u8]) -> Result<(), ReadError> {
        let sector = block * (self.block_bytes as u64 / SECTOR_BYTES);
        self.disk.read_at(sector, &self.buffer, 0, self.block_bytes as u64).map_err(|_| ReadError)?;
        self.buffer.copy_out(0, &mut into[..self.block_bytes]);
        Ok(())
    }
}
