//! Disks and partitions, over whatever drivers of a class there are. Serves `disks`, and `block` on the sessions that it opens.
//! Needs the Memory `state`, and to `connect` to the drivers. Parameters: `class`, of the drivers (`block`); `scheduler`, of new disks (`none`); `patience`, milliseconds that a driver may be busy with one request until init hears of it (5000), and at most as long again until it is replaced; `files`, the template of drivers for files as
//! disks, of which it then has to be allowed `instances`.
//!
//! | file | holds |
//! |---|---|
//! | `main.rs` | the loop: between the clients' queues and the disks |
//! | `serve.rs` | the calls |
//! | `discover.rs` | drivers that come and go |
//! | `files.rs` | files that become disks |
//! | `live.rs` | a disk with its driver |
//! | `queue.rs`, `schedule.rs` | which request goes next, with which others, and what must wait |
//! | `partitions.rs` | partition tables |
//! | `counts.rs` | what is counted of a disk |
//! | `opened.rs` | what the next incarnation has to know |
//!
//! No data passes through: clients' Memory is lent on to the driver. A death of a driver is the affair of [`libsys::block::Disk`], one of this server that of its
//! clients' `Disk`s.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod counts;
mod discover;
mod files;
mod live;
mod names;
mod opened;
mod partitions;
mod queue;
mod schedule;
mod serve;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use counts::Counts;
use files::Files;
use libsys::block::{Client, Limits, Queues};
use libsys::driver::{Driver, Env, Result};
use libsys::protocol::block::{Block, BlockError, BlockStatus, SECTOR_BYTES};
use libsys::protocol::disks::{DiskStatistics, Disks, Scheduler};
use libsys::service::{Kept, KeptSubscribers};
use libsys::state::{Full, Keepsake, RecordKey, Records, Retained};
use libsys::time::{Duration, TimerId, Timers};
use libsys::wire::Shared;
use libsys::{Channel, Handle, Memory, Session};
use live::{Live, Tag};
use opened::{DISK, KeptDisk, KeptTable, Promises, TABLE, WATCHER};
use queue::{Ended, Request};

/// Signal bit: a client has submitted something.
const DOORBELL: u64 = 1 << 63;

/// Signal bit: a driver has come, gone, or changed its state.
const DRIVERS: u64 = 1 << 62;

/// Signal bits of the disks' completions: disk *n* has bit *n* modulo 32.
const COMPLETIONS: u32 = 32;

/// Most buffers that a client may lend.
const MOST_BUFFERS: usize = 64;

/// Requests that are taken before calls are looked at.
const AT_ONCE: usize = 256;

/// Milliseconds from one look whether drivers end requests to the next: a driver whose oldest request is seen three times is replaced. One that is replaced in the middle of a long flush costs no more
/// than that the next one is asked for it again.
const PATIENCE: u64 = 5000;

/// A disk that is known.
struct Known {
    name: String,
    driver: String,
    unit: u32,
    scheduler: Scheduler,
    /// Of the driver's unit; `None`: the driver is gone.
    session: Option<Retained<Session>>,
    /// Where its counts are, if there was room for them.
    counts: Option<Retained<Memory>>,
    /// What is on it, as the last driver that served found it; `None`: the driver is gone.
    table: Option<KeptTable>,
    /// `None`: its driver has not served since this incarnation started, or is gone.
    live: Option<Live>,
    /// How manieth live one it is.
    life: u64,
}

impl Known {
    /// A disk of the incarnation before, until its driver is looked at.
    fn recover(kept: KeptDisk, table: Option<KeptTable>) -> Known {
        let KeptDisk { name, driver, unit, scheduler, session, counts } = kept;
        fn retained<O: libsys::Object>(kept: Option<Keepsake>) -> Option<Retained<O>> {
            Retained::recover(kept?).ok()
        }
        let (session, counts) = (retained(session), retained(counts));
        let table = table.filter(|_| session.is_some());
        Known { name, driver, unit, scheduler, session, counts, table, live: None, life: 0 }
    }

    /// The counts of a partition, or of the disk (0).
    fn statistics(&self, partition: u32) -> DiskStatistics {
        let live = self.live.as_ref().and_then(|live| live.statistics(partition));
        live.unwrap_or_else(|| {
            let memory = self.counts.as_ref().and_then(|counts| counts.map_writable().ok());
            Counts::recover(memory.as_ref(), partition).read(libsys::time::now())
        })
    }

    fn kept(&self) -> KeptDisk {
        KeptDisk {
            name: self.name.clone(),
            driver: self.driver.clone(),
            unit: self.unit,
            scheduler: self.scheduler,
            session: self.session.as_ref().map(Retained::keepsake),
            counts: self.counts.as_ref().map(Retained::keepsake),
        }
    }
}

/// What a client lent, at the disk's driver.
#[derive(Clone, Copy, Debug)]
struct Lent {
    disk: usize,
    life: u64,
    number: u32,
}

/// What a session leads to.
#[derive(Clone, Copy, Debug)]
struct Target {
    badge: u64,
    disk: usize,
    partition: u32,
    start: u64,
    limits: Limits,
}

/// A call of attach that waits for the disk's driver.
struct Attaching {
    badge: u64,
    queue: Shared,
    channel: Channel,
    bits: u64,
    call: Kept<core::result::Result<(Channel, u64), BlockError>>,
}

/// The server.
struct BlockServer {
    queues: Queues<Lent>,
    disks: Vec<Known>,
    records: Records,
    promises: Promises,
    /// In the order of their badges.
    targets: Vec<Target>,
    attaching: Vec<Attaching>,
    watchers: KeptSubscribers,
    scheduler: Scheduler,
    /// Class of the drivers.
    class: String,
    files: Files,
    /// The request that is being taken.
    request: Request,
    /// Requests that have ended, on their way to the clients.
    ended: Vec<Ended<Tag>>,
    lives: u64,
    timers: Timers,
    /// While a driver has requests: when it is looked whether it ends them.
    look: Option<TimerId>,
    /// From one such look to the next.
    patience: Duration,
}

impl Driver for BlockServer {
    fn start(env: &Env) -> Result<Self> {
        let mut records = Records::open(env)?;
        let live: BTreeSet<u64> = env.channel().sessions()?.into_iter().map(|session| session.badge).collect();
        let promises = Promises::recover(&mut records, |badge| live.contains(&badge));
        let disks = records.all::<KeptDisk>(DISK).into_iter();
        let table = |index| records.get::<KeptTable>(RecordKey::new(TABLE, index));
        let disks = disks.map(|(key, kept)| Known::recover(kept, table(key.first))).collect();
        let watchers = KeptSubscribers::recover(WATCHER, &records);
        let files = Files::recover(env.parameter("files"), &records);
        let mut server = BlockServer {
            queues: Queues::new(env.channel(), DOORBELL)?.limit_buffers(MOST_BUFFERS),
            disks,
            records,
            promises,
            targets: Vec::new(),
            attaching: Vec::new(),
            watchers,
            scheduler: env.parse::<SchedulerWord>("scheduler")?.map_or(Scheduler::None, |word| word.0),
            class: env.parameter("class").unwrap_or(discover::CLASS).into(),
            files,
            request: Request::default(),
            ended: Vec::new(),
            lives: 0,
            timers: Timers::new(),
            look: None,
            patience: Duration::from_millis(env.parse::<NonZeroU64>("patience")?.map_or(PATIENCE, NonZeroU64::get)),
        };
        if server.disks.is_empty() {
            discover::await_drivers(env, &server.class)?;
        }
        env.registry().watch_class(&server.class, &env.channel().signaller(DRIVERS)?, DRIVERS)?;
        server.discover();
        server.records.commit();
        Ok(server)
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn committed(&mut self) {
        self.look_at_files();
    }

    fn signal(&mut self, bits: u64) {
        if bits & DRIVERS != 0 {
            self.disks.iter_mut().filter_map(|known| known.live.as_mut()).for_each(|live| live.disk.signal(DRIVERS));
            self.discover();
            self.look_at_files();
        }
        self.pump();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.look = None;
        self.disks.iter_mut().filter_map(|known| known.live.as_mut()).for_each(|live| live.disk.look_for_progress());
        self.pump();
    }

    fn close(&mut self, badge: u64, client: u64, last: bool) {
        self.watchers.close(&mut self.records, badge, last);
        self.files.closed(&mut self.records, badge, client);
        if last {
            self.forget(badge);
            self.pump();
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        self.queues.withdrawn(call);
        self.attaching.retain(|attaching| !attaching.call.is(call));
        self.files.withdrawn(&mut self.records, call);
    }
}

/// A scheduler as a parameter.
struct SchedulerWord(Scheduler);

impl core::str::FromStr for SchedulerWord {
    type Err = ();

    fn from_str(text: &str) -> core::result::Result<SchedulerWord, ()> {
        text.parse().map(SchedulerWord)
    }
}

impl BlockServer {
    /// Moves requests from the clients to the drivers, and what has ended back, until there is nothing, or it is time to look at calls.
    fn pump(&mut self) {
        let mut left = AT_ONCE;
        loop {
            while left > 0
                && let Some(client) = self.queues.next_client()
            {
                self.take(client);
                left -= 1;
            }
            self.exchange();
            self.queues.publish();
            self.return_buffers();
            let mut disks = self.disks.iter_mut().filter_map(|known| known.live.as_mut()).map(|live| &mut live.disk);
            if self.look.is_none() && disks.any(|disk| disk.outstanding() > 0) {
                self.look = Some(self.timers.after(self.patience));
            }
            let is_quiet = self.disks.iter_mut().filter_map(|known| known.live.as_mut()).all(|live| live.disk.arm());
            if is_quiet && self.queues.sleep() {
                return;
            }
            if left == 0 {
                return self.queues.ring_doorbell();
            }
        }
    }

    /// Takes a client's request to its disk, or refuses it.
    fn take(&mut self, client: Client) {
        if let Err(status) = self.try_take(client) {
            self.queues.refuse(client, status);
        }
    }

    fn try_take(&mut self, client: Client) -> core::result::Result<(), BlockStatus> {
        let badge = self.queues.badge(client).ok_or(BlockStatus::Gone)?;
        let target = self.targets.binary_search_by_key(&badge, |target| target.badge);
        let target = self.targets[target.map_err(|_| BlockStatus::Gone)?];
        let known = &mut self.disks[target.disk];
        let (life, live) = (known.life, known.live.as_mut().ok_or(BlockStatus::Gone)?);
        let submission = self.queues.request(client).ok_or(BlockStatus::Gone)?;
        target.limits.check(submission, |number| self.queues.buffer(client, number).map(|(_, bytes)| bytes))?;
        let request = &mut self.request;
        request.segments.clear();
        if submission.operation.has_data() {
            for segment in submission.segments() {
                let lent = self.queues.buffer(client, segment.buffer).map(|(lent, _)| *lent);
                let lent = lent.filter(|lent| lent.life == life && lent.disk == target.disk);
                let mut named = *segment;
                named.buffer = lent.ok_or(BlockStatus::BadBuffer)?.number;
                if !request.segments.push(named, usize::MAX) {
                    return Err(BlockStatus::BadBuffer);
                }
            }
        }
        request.operation = submission.operation;
        request.fua = submission.flags.contains(libsys::protocol::block::Flags::FUA);
        request.sector = target.start.checked_add(submission.sector).ok_or(BlockStatus::OutOfRange)?;
        request.sectors = submission.sectors;
        let ticket = self.queues.begin(client).ok_or(BlockStatus::Gone)?;
        live.put(Tag { ticket, partition: target.partition }, request, libsys::time::now());
        Ok(())
    }

    /// Lets all disks exchange with their drivers, and answers what has ended.
    fn exchange(&mut self) {
        for live in self.disks.iter_mut().filter_map(|known| known.live.as_mut()) {
            live.exchange(&mut self.ended);
        }
        for one in self.ended.drain(..) {
            self.queues.end(one.tag.ticket, one.status);
        }
    }

    /// Takes back from drivers what clients do not lend any more.
    fn return_buffers(&mut self) {
        while let Some(Lent { disk, life, number }) = self.queues.returned() {
            let known = &mut self.disks[disk];
            if known.life == life
                && let Some(live) = &mut known.live
                && let Err(error) = live.disk.take_back(number)
            {
                libsys::warn!("{}: a buffer does not come back: {error}", known.name);
            }
        }
    }

    /// Notes what the sessions lead to.
    fn aim(&mut self) {
        self.targets.clear();
        for session in &self.promises.sessions {
            let found = self.disks.iter().enumerate().find(|(_, known)| known.name == session.disk);
            let found = found.filter(|(_, known)| known.live.is_some());
            let Some((disk, KeptTable { info, .. })) =
                found.and_then(|(index, known)| Some((index, known.table.as_ref()?)))
            else {
                continue;
            };
            let limits = session.limits(info);
            let (badge, partition, start) = (session.badge, session.partition, session.start);
            self.targets.push(Target { badge, disk, partition, start, limits });
        }
        self.targets.sort_by_key(|target| target.badge);
    }

    /// Forgets a session.
    fn forget(&mut self, badge: u64) {
        self.queues.close(badge);
        self.attaching.retain(|attaching| attaching.badge != badge);
        if self.promises.close(&mut self.records, badge) {
            self.aim();
        }
    }

    /// Stages what is known of a disk.
    fn keep(&mut self, index: usize) -> core::result::Result<(), Full> {
        self.records.put(RecordKey::new(DISK, index as u64), &self.disks[index].kept())
    }
}

const _: () = assert!(SECTOR_BYTES == 512);

libsys::serve!(BlockServer: Block, Disks);
