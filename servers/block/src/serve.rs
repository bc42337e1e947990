//! The calls.

use crate::opened::{KeptTable, Opened};
use crate::partitions::Partition;
use crate::{Attaching, BlockServer, DOORBELL, Known, Lent, names};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::protocol::block::{Block, BlockError, BlockInfo, DiskName};
use libsys::protocol::disks::{DiskInfo, DiskKind, DiskStatistics, Disks, Scheduler};
use libsys::service::{Context, Reply};
use libsys::state::Full;
use libsys::wire::Shared;
use libsys::{Channel, Memory, Session, env};

type Answer<T> = Result<T, BlockError>;

/// Entries of the list in one answer: each is at most about 300 bytes.
const LISTED_AT_ONCE: usize = 10;

/// Longest model and serial number that are shown.
pub const LONGEST_TEXT: usize = 64;

/// Where a disk is in the list, or a partition, which follows it.
fn place(index: usize, partition: Option<&Partition>) -> u64 {
    (index as u64) << 32 | partition.map_or(0, |one| u64::from(one.number))
}

impl BlockServer {
    /// All disks and partitions, those included whose driver is about to come back: the disk's index, what is on it, and the partition, if it is one.
    fn all(&self) -> impl Iterator<Item = (usize, &KeptTable, Option<&Partition>)> {
        let disks = self.disks.iter().enumerate().filter_map(|(index, known)| Some((index, known.table.as_ref()?)));
        disks.flat_map(|(index, table)| {
            core::iter::once(None).chain(table.partitions.iter().map(Some)).map(move |part| (index, table, part))
        })
    }

    /// The name of a disk or partition.
    fn name_of(&self, index: usize, partition: Option<&Partition>) -> String {
        let disk = &self.disks[index].name;
        partition.map_or_else(|| disk.clone(), |one| names::partition(disk, one.number))
    }

    /// The disk or partition with a name: the disk's index, and the partition's number, or 0.
    pub fn find(&self, name: &str) -> Answer<(usize, u32)> {
        let (index, _, partition) = self.find_part(name)?;
        Ok((index, partition.map_or(0, |one| one.number)))
    }

    /// The same, with what is on the disk.
    fn find_part(&self, name: &str) -> Answer<(usize, &KeptTable, Option<&Partition>)> {
        let found = self.all().find(|(index, _, partition)| self.name_of(*index, *partition) == name);
        found.ok_or(BlockError::NoSuchDisk)
    }

    fn find_disk(&self, name: &str) -> Answer<usize> {
        match self.find(name)? {
            (index, 0) => Ok(index),
            _ => Err(BlockError::Unsupported),
        }
    }

    /// What a session leads to.
    fn opened(&self, cx: &Context) -> Answer<(&Opened, usize, &Known)> {
        let opened = self.promises.of_badge(cx.badge()).ok_or(BlockError::NoSuchDisk)?;
        let found = self.disks.iter().enumerate().find(|(_, known)| known.name == opened.disk);
        let (index, known) = found.ok_or(BlockError::NoSuchDisk)?;
        Ok((opened, index, known))
    }

    /// A session that leads where this says.
    fn mint(&mut self, opened: Opened) -> Answer<Session> {
        let badge = self.promises.open(&mut self.records, opened).map_err(|Full| BlockError::Exhausted)?;
        let env = env::get();
        let session = env.channel().mint(badge, env.account()).map_err(|_| {
            self.promises.close(&mut self.records, badge);
            BlockError::Exhausted
        })?;
        self.aim();
        Ok(session)
    }

    /// Attaches those that waited for a driver.
    pub fn attach_waiting(&mut self) {
        for attaching in core::mem::take(&mut self.attaching) {
            let is_live = self.targets.iter().any(|target| target.badge == attaching.badge);
            if is_live {
                let Attaching { badge, queue, channel, bits, call } = attaching;
                self.queues.attach_kept(badge, queue, channel, bits, call);
            } else {
                self.attaching.push(attaching);
            }
        }
    }

    fn describe(&self, index: usize, on_disk: &KeptTable, partition: Option<&Partition>) -> DiskInfo {
        let known = &self.disks[index];
        let info = &on_disk.info;
        let number = partition.map_or(0, |partition| partition.number);
        let text = |text: &str| text.chars().take(LONGEST_TEXT).collect();
        let (start, sectors) = partition.map_or((0, info.sectors), |one| (one.start, one.sectors));
        let is_it = |session: &&Opened| session.disk == known.name && session.partition == number;
        let sessions = || self.promises.sessions.iter().filter(is_it);
        DiskInfo {
            name: self.name_of(index, partition),
            part_of: partition.map(|_| known.name.clone()),
            driver: known.driver.clone(),
            kind: partition.map_or_else(
                || DiskKind::Disk { model: text(&info.model), serial: text(&info.serial), table: on_disk.table },
                |one| one.kind.clone(),
            ),
            start,
            sectors,
            logical_block_bytes: info.logical_block_bytes,
            read_only: info.read_only,
            opened: sessions().count() as u32,
            opened_to_write: sessions().any(|session| session.write),
            scheduler: known.scheduler,
            ready: known.live.as_ref().is_some_and(|live| live.disk.is_attached()),
            place: place(index, partition),
        }
    }
}

impl Disks for BlockServer {
    fn list(&mut self, first: u64) -> Vec<DiskInfo> {
        let rest = self.all().filter(|(index, _, partition)| place(*index, *partition) >= first);
        rest.take(LISTED_AT_ONCE).map(|(index, on_disk, partition)| self.describe(index, on_disk, partition)).collect()
    }

    fn open(&mut self, cx: &Context, name: &str, write: bool, exclusive: bool) -> Answer<Session> {
        let (index, KeptTable { info, .. }, partition) = self.find_part(name)?;
        let known = &self.disks[index];
        let (start, sectors) = partition.map_or((0, info.sectors), |one| (one.start, one.sectors));
        let number = partition.map_or(0, |one| one.number);
        if write && info.read_only {
            return Err(BlockError::ReadOnly);
        }
        let (disk, partition, client) = (known.name.clone(), number, cx.client());
        let wanted = Opened { badge: 0, disk, partition, start, sectors, write, exclusive, client };
        if self.promises.is_busy(&wanted) {
            return Err(BlockError::Busy);
        }
        self.mint(wanted)
    }

    fn watch(&mut self, cx: &Context, channel: Channel, bits: u64) -> Answer<()> {
        let kept = self.watchers.subscribe(&mut self.records, cx, channel, bits);
        self.watchers.notify_one(&mut self.records, cx.badge());
        kept.map_err(|Full| BlockError::Exhausted)
    }

    fn set_scheduler(&mut self, name: &str, scheduler: Scheduler) -> Answer<()> {
        let index = self.find_disk(name)?;
        let before = core::mem::replace(&mut self.disks[index].scheduler, scheduler);
        if let Err(Full) = self.keep(index) {
            self.disks[index].scheduler = before;
            return Err(BlockError::Exhausted);
        }
        if let Some(live) = &mut self.disks[index].live {
            live.queue.set_scheduler(scheduler);
        }
        Ok(())
    }

    fn rescan(&mut self, name: &str) -> Answer<()> {
        let index = self.find_disk(name)?;
        self.rescan_disk(index)
    }

    fn add_file(&mut self, cx: &Context, file: Session, path: &str, read_only: bool, reply: Reply<'_, Answer<String>>) {
        self.begin_to_add(cx, file, path, read_only, reply);
    }

    fn remove_file(&mut self, cx: &Context, name: &str, reply: Reply<'_, Answer<()>>) {
        self.begin_to_remove(cx, name, reply);
    }

    fn statistics(&mut self, name: &str) -> Answer<DiskStatistics> {
        let (index, number) = self.find(name)?;
        Ok(self.disks[index].statistics(number))
    }
}

impl Block for BlockServer {
    fn info(&mut self, cx: &Context) -> Answer<BlockInfo> {
        let (opened, _, known) = self.opened(cx)?;
        let mut info = known.table.as_ref().map(|table| table.info.clone()).ok_or(BlockError::NoSuchDisk)?;
        let name = match opened.partition {
            0 => known.name.clone(),
            number => names::partition(&known.name, number),
        };
        let limits = opened.limits(&info);
        info.name = DiskName::Exact(name);
        info.sectors = limits.sectors;
        info.read_only = limits.read_only;
        // Where the device cannot, a flush follows.
        info.fua = true;
        info.units = 1;
        Ok(info)
    }

    fn unit(&mut self, cx: &Context, index: u32) -> Answer<Session> {
        let (opened, ..) = self.opened(cx)?;
        if index != 0 {
            return Err(BlockError::OutOfRange);
        }
        let opened = opened.clone();
        self.mint(opened)
    }

    fn attach(
        &mut self,
        cx: &Context,
        queue: Shared,
        channel: Channel,
        bits: u64,
        reply: Reply<'_, Answer<(Channel, u64)>>,
    ) {
        match self.opened(cx) {
            Err(error) => return reply.send(Err(error)),
            Ok((_, _, known)) if known.live.is_some() => {
                self.queues.attach(cx.badge(), queue, channel, bits, reply);
            }
            // Its driver comes back, or it is restarted as well: until then there is nothing to attach to.
            Ok(_) => {
                if let Ok(call) = reply.keep()
                    && call.park().is_ok()
                {
                    self.attaching.push(Attaching { badge: cx.badge(), queue, channel, bits, call });
                }
            }
        }
        // The queue may have something in it already.
        let _ = env::channel().signal(DOORBELL);
    }

    fn lend(&mut self, cx: &Context, memory: Memory) -> Answer<u32> {
        let client = self.queues.check_lend(cx.badge())?;
        let bytes = memory.info().map_err(|_| BlockError::BadBuffer)?.bytes;
        let (_, disk, _) = self.opened(cx)?;
        let known = &mut self.disks[disk];
        let life = known.life;
        let live = known.live.as_mut().ok_or(BlockError::NoSuchDisk)?;
        let number = live.disk.lend(memory).map_err(|error| match error {
            libsys::block::DiskError::Refused(error) => error,
            _ => BlockError::Device,
        })?;
        self.queues.lend(client, Lent { disk, life, number }, bytes)
    }

    fn take_back(&mut self, cx: &Context, buffer: u32, reply: Reply<'_, Answer<()>>) {
        self.queues.take_back(cx.badge(), buffer, reply);
        self.return_buffers();
    }
}
