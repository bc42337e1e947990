//! The class of block devices: everything that [`Block`] asks for but the device itself.
//!
//! A driver implements [`BlockDevice`], and is served as `BlockServer<Driver>`. The kit attaches queues and keeps lent Memory, takes
//! requests out of rings, checks them against what the device said of itself, and gives them to the device, no more at a time than it can take, each with a
//! [`Tag`]; the device says, from its interrupt, which tags have ended. Clients are signalled only where they sleep, once a batch; nothing is
//! allocated for a request.
//!
//! `docs/block-drivers.md` shows a complete driver.

use super::{Context, Driver, Env, Result};
use crate::block::{Client, Limits, Queues, Submission, Ticket};
use crate::protocol::block::{Block, BlockError, BlockInfo, BlockStatus, Operation};
use crate::service::{Reply, Serve};
use crate::time::{TimerId, Timers};
use crate::wire::{Answer, Method, Request as Call, Shared};
use crate::{Channel, Error, Handle, Memory, Session};
use alloc::vec::Vec;

pub use crate::protocol::block::{DiskName, Flags, SECTOR_BYTES};

/// A block device.
pub trait BlockDevice: Sized {
    /// What the driver knows of Memory that a client lent: a mapping, or where the device sees it.
    type Buffer;

    /// Finds the device, **resets it**, so that nothing of an earlier incarnation is in flight any more, and makes it
    /// ready. Its interrupts may be any bits of the channel but [`DOORBELL`].
    fn start(env: &Env) -> Result<Self>;

    /// What a unit is and can do; requests are checked against it. There are `units` of them, as unit 0 says. It is asked for at
    /// the start, and when [`Completions::info_changed`] was called.
    fn info(&self, unit: u32) -> BlockInfo;

    /// Requests that it takes at a time, of all units: tags are smaller.
    fn depth(&self) -> usize;

    /// Makes Memory known to the device. Errors: `BadBuffer` (not of a kind that it can use), `Exhausted`, `Device`.
    fn lend(&mut self, memory: Memory) -> core::result::Result<Self::Buffer, BlockError>;

    /// No request names the Memory any more.
    fn take_back(&mut self, buffer: Self::Buffer) {
        drop(buffer);
    }

    /// Starts a request that was checked.
    fn submit(&mut self, tag: Tag, request: &Request<'_, Self::Buffer>) -> Submitted;

    /// The last of a batch was submitted: the place to tell the device, once for all of them.
    fn commit(&mut self) {}

    /// Interrupts arrived, of the bits that are not [`DOORBELL`]: says what has ended, and acknowledges them. All bits come once at first
    /// after a restart, so it looks, and bears that there is nothing.
    fn interrupt(&mut self, bits: u64, completions: &mut Completions) {
        let _ = (bits, completions);
    }

    /// The driver's timers, if it has any.
    fn timers(&mut self) -> Option<&mut Timers> {
        None
    }

    /// A timer has expired.
    fn timer(&mut self, timer: TimerId, completions: &mut Completions) {
        let _ = (timer, completions);
    }
}

/// The signal bit that clients wake a driver by.
pub const DOORBELL: u64 = 1 << 63;

/// A request that the device works on: a number below [`BlockDevice::depth`] that no other one has meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(Ticket);

impl Tag {
    /// The number.
    pub fn number(self) -> usize {
        self.0.number()
    }

    /// The tag with a number, as the device names it; one that is not in flight does nothing.
    pub fn from_number(number: usize) -> Tag {
        Tag(Ticket::from_number(number))
    }
}

/// What became of a request that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// The device works on it, and says later how it ended.
    Started,
    /// It has ended.
    Ended(BlockStatus),
    /// The device can take no more: it comes again when another one has ended.
    Busy,
}

/// A request, checked: its sectors are there and whole logical blocks, its segments lie in lent Memory and hold just these
/// sectors, and it asks for nothing that the device's description denies.
#[derive(Debug)]
pub struct Request<'a, B> {
    /// The unit.
    pub unit: u32,
    /// What to do.
    pub operation: Operation,
    /// The write is to be on the medium when it ends. Only where the device says that it can.
    pub fua: bool,
    /// First sector, of 512 bytes.
    pub sector: u64,
    /// Sectors.
    pub sectors: u32,
    submission: &'a Submission,
    queues: &'a Queues<B>,
    client: Client,
}

impl<B> Request<'_, B> {
    /// Where the data is: Memory, first byte in it, and bytes. In order; none but for reads and writes.
    pub fn segments(&self) -> impl Iterator<Item = (&B, u64, u32)> {
        let count = if self.operation.has_data() { usize::MAX } else { 0 };
        self.submission.segments().iter().take(count).filter_map(|segment| {
            // Checked: none is left out.
            let (buffer, _) = self.queues.buffer(self.client, segment.buffer)?;
            Some((buffer, segment.offset, segment.bytes))
        })
    }
}

/// What a device reports.
#[derive(Debug, Default)]
pub struct Completions {
    ended: Vec<(Tag, BlockStatus)>,
    info_changed: bool,
}

impl Completions {
    /// A request has ended.
    pub fn end(&mut self, tag: Tag, status: BlockStatus) {
        self.ended.push((tag, status));
    }

    /// What [`BlockDevice::info`] says has changed.
    pub fn info_changed(&mut self) {
        self.info_changed = true;
    }
}

/// A block device as a server.
#[derive(Debug)]
pub struct BlockServer<D: BlockDevice> {
    device: D,
    queues: Queues<D::Buffer>,
    units: Vec<(BlockInfo, Limits)>,
    depth: usize,
    completions: Completions,
    /// Number of the session that was minted last.
    minted: u64,
}

/// Requests that are started before calls are looked at.
const AT_ONCE: usize = 256;

/// Requests that are started before clients see what has ended: what they saw is not done again after a death.
const ROUND: usize = 16;

/// Bit of a badge: it was minted here, for a unit.
const UNIT: u64 = crate::service::GIVEN;

/// Where in such a badge the unit's number is; below it is the session's.
const UNIT_SHIFT: u32 = 40;

const _: () = assert!(UNIT >> UNIT_SHIFT >= MOST_UNITS as u64);

/// Most units of a device.
const MOST_UNITS: u32 = 1 << 16;

impl<D: BlockDevice> BlockServer<D> {
    /// Serves a device. Bits [`DOORBELL`] of `channel` are signalled by clients.
    pub fn new(device: D, channel: &Channel) -> core::result::Result<BlockServer<D>, Error> {
        let depth = device.depth().max(1);
        // Sessions outlive this incarnation, and two of them must not have the same badge.
        let numbers = channel.sessions()?.into_iter().filter(|session| session.badge & UNIT != 0);
        let minted = numbers.map(|session| session.badge & ((1 << UNIT_SHIFT) - 1)).max().unwrap_or(0);
        let completions = Completions { ended: Vec::with_capacity(depth), info_changed: false };
        let queues = Queues::new(channel, DOORBELL)?;
        let mut server = BlockServer { device, queues, units: Vec::new(), depth, completions, minted };
        server.describe();
        Ok(server)
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    fn describe(&mut self) {
        let units = self.device.info(0).units.clamp(1, MOST_UNITS);
        let device = &self.device;
        let describe = |unit| {
            let info = device.info(unit);
            let limits = Limits::of(&info);
            (info, limits)
        };
        self.units = (0..units).map(describe).collect();
    }

    /// Moves requests to the device and completions to the clients, until there are none, or it is time to look at calls.
    fn pump(&mut self) {
        let mut left = AT_ONCE;
        loop {
            self.end_requests();
            let is_busy = self.start_requests(&mut left);
            self.queues.publish();
            while let Some(buffer) = self.queues.returned() {
                self.device.take_back(buffer);
            }
            // A device that is busy interrupts when it is not.
            if is_busy || self.queues.sleep() {
                return;
            }
            if left == 0 {
                return self.queues.ring_doorbell();
            }
        }
    }

    fn end_requests(&mut self) {
        for (Tag(ticket), status) in self.completions.ended.drain(..) {
            self.queues.end(ticket, status);
        }
        if core::mem::take(&mut self.completions.info_changed) {
            self.describe();
        }
    }

    /// Starts requests, as many as are `left`: whether the device can take no more.
    fn start_requests(&mut self, left: &mut usize) -> bool {
        let (mut is_any, mut of_round) = (false, ROUND);
        let is_busy = loop {
            if self.queues.in_flight() >= self.depth {
                break true;
            }
            if *left == 0 || of_round == 0 {
                break false;
            }
            of_round -= 1;
            let Some(client) = self.queues.next_client() else { break false };
            *left -= 1;
            match self.start_request(client) {
                Submitted::Started => is_any = true,
                Submitted::Busy if self.queues.in_flight() > 0 => break true,
                // Nothing that could end would make room.
                Submitted::Busy => self.queues.refuse(client, BlockStatus::Device),
                Submitted::Ended(_) => {}
            }
        };
        if is_any {
            self.device.commit();
        }
        is_busy
    }

    fn start_request(&mut self, client: Client) -> Submitted {
        let unit = unit_of(self.queues.badge(client).unwrap_or(0));
        let queues = &mut self.queues;
        let status = match (self.units.get(unit as usize), queues.request(client)) {
            (Some((info, limits)), Some(submission)) => {
                let bytes = |number| queues.buffer(client, number).map(|(_, bytes)| bytes);
                match limits.check(submission, bytes) {
                    Ok(()) if submission.operation == Operation::Flush && !info.flush => BlockStatus::Done,
                    Ok(()) if submission.flags.contains(Flags::FUA) && info.flush && !info.fua => {
                        BlockStatus::Unsupported
                    }
                    Ok(()) => {
                        let fua = submission.flags.contains(Flags::FUA) && info.fua;
                        return self.submit(client, unit, fua);
                    }
                    Err(status) => status,
                }
            }
            _ => BlockStatus::Gone,
        };
        queues.refuse(client, status);
        Submitted::Ended(status)
    }

    fn submit(&mut self, client: Client, unit: u32, fua: bool) -> Submitted {
        let Some(ticket) = self.queues.next_ticket() else { return Submitted::Busy };
        let Some(submission) = self.queues.request(client) else { return Submitted::Busy };
        let request = Request {
            unit,
            operation: submission.operation,
            fua,
            sector: submission.sector,
            sectors: submission.sectors,
            submission,
            queues: &self.queues,
            client,
        };
        let submitted = self.device.submit(Tag(ticket), &request);
        match submitted {
            Submitted::Started => {
                self.queues.begin(client);
            }
            Submitted::Ended(status) => self.queues.refuse(client, status),
            Submitted::Busy => {}
        }
        submitted
    }
}

/// The unit that a session leads to.
fn unit_of(badge: u64) -> u32 {
    if badge & UNIT == 0 { 0 } else { ((badge & !UNIT) >> UNIT_SHIFT) as u32 & (MOST_UNITS - 1) }
}

impl<D: BlockDevice> Driver for BlockServer<D> {
    fn start(env: &Env) -> Result<Self> {
        Ok(BlockServer::new(D::start(env)?, env.channel())?)
    }

    fn signal(&mut self, bits: u64) {
        if bits & !DOORBELL != 0 {
            self.device.interrupt(bits & !DOORBELL, &mut self.completions);
        }
        self.pump();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        self.device.timers()
    }

    fn timer(&mut self, timer: TimerId) {
        self.device.timer(timer, &mut self.completions);
        self.pump();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        if last {
            self.queues.close(badge);
            self.pump();
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        self.queues.withdrawn(call);
    }
}

impl<D: BlockDevice> Serve for BlockServer<D> {
    const PROTOCOLS: &'static [&'static [Method]] = &[<dyn Block>::METHODS];

    fn dispatch(&mut self, call: &Call) -> Answer {
        <dyn Block>::dispatch(self, call)
    }
}

impl<D: BlockDevice> Block for BlockServer<D> {
    fn info(&mut self, cx: &Context) -> core::result::Result<BlockInfo, BlockError> {
        let unit = self.units.get(unit_of(cx.badge()) as usize);
        unit.map(|(info, _)| info.clone()).ok_or(BlockError::NoSuchDisk)
    }

    fn unit(&mut self, _: &Context, index: u32) -> core::result::Result<Session, BlockError> {
        if index as usize >= self.units.len() {
            return Err(BlockError::OutOfRange);
        }
        let env = crate::env::get();
        let badge = UNIT | u64::from(index) << UNIT_SHIFT | (self.minted + 1);
        let session = env.channel().mint(badge, env.account()).map_err(|_| BlockError::Exhausted)?;
        self.minted += 1;
        Ok(session)
    }

    fn attach(
        &mut self,
        cx: &Context,
        queue: Shared,
        channel: Channel,
        bits: u64,
        reply: Reply<'_, core::result::Result<(Channel, u64), BlockError>>,
    ) {
        self.queues.attach(cx.badge(), queue, channel, bits, reply);
        self.pump();
    }

    fn lend(&mut self, cx: &Context, memory: Memory) -> core::result::Result<u32, BlockError> {
        let client = self.queues.check_lend(cx.badge())?;
        let bytes = memory.info().map_err(|_| BlockError::BadBuffer)?.bytes;
        let buffer = self.device.lend(memory)?;
        self.queues.lend(client, buffer, bytes)
    }

    fn take_back(&mut self, cx: &Context, buffer: u32, reply: Reply<'_, core::result::Result<(), BlockError>>) {
        self.queues.take_back(cx.badge(), buffer, reply);
        self.pump();
    }
}
