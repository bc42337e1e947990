//! The client of a block device: a disk or partition of `block`, or a driver.
//!
//! ```no_run
//! use libsys::block::Disk;
//! use libsys::env;
//! use libsys::protocol::DisksClient;
//!
//! fn first_sector(disks: &DisksClient) -> Result<[u8; 512], Box<dyn std::error::Error>> {
//!     let mut disk = Disk::open(disks.open("vda", false, false)?, "block", env::account())?;
//!     let buffer = disk.allocate(4096, env::account())?;
//!     disk.read_at(0, &buffer, 0, 512)?;
//!     let mut sector = [0; 512];
//!     buffer.copy_out(0, &mut sector);
//!     Ok(sector)
//! }
//! ```
//!
//! Requests are made one at a time ([`Disk::read_at`], [`Disk::write_at`], [`Disk::flush`]), or many side by side: [`Disk::submit`] them, [`Disk::commit`], and
//! take the completions with [`Disk::poll`] or [`Disk::wait`]. Whatever happens to the server meanwhile, a request is answered
//! once: when the server is restarted, the disk attaches its queue to the next incarnation, lends its Memory again, and submits in the same order what was not
//! answered. Only when the service is given up do requests end with [`BlockStatus::Gone`]. A server that lives and has forgotten a request, or a call that it had put off, is found by
//! waiting: it is complained of to init, which replaces it.

mod error;
mod recovery;

pub use error::DiskError;

use super::lookout::Lookout;
use super::outstanding::Outstanding;
use super::ring::{self, ClientRing, Segment, Submission};
use crate::client::{self, CallError};
use crate::protocol::block::{
    BlockClient, BlockError, BlockInfo, BlockStatus, Flags, MOST_SEGMENTS, Operation, SECTOR_BYTES,
};
use crate::thread::parking;
use crate::time::{self, Duration};
use crate::{Account, Channel, Error, Memory, Object, Session, WritableMapping};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Deref;

/// Requests that a disk can have outstanding, unless it is opened with another number.
pub const DEPTH: u32 = 64;

/// How long a server may take, unless [`Disk::set_patience`] says otherwise: for the answer to a call, and from one look at the oldest request to the next. The third look has it replaced, so late that
/// `block`, which has more than one driver to wait for, has long had one replaced that does not get on.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Bit of a disk's own channel: completions.
const COMPLETIONS: u64 = 1 << 0;

/// Bit of a disk's own channel: its service's state has changed.
const SERVICE: u64 = 1 << 1;

/// Attempts to get on with an incarnation of the server, without a good completion between them, after which it is not trusted any more: rings that make no sense, attachments that fail.
const MOST_BROKEN: u32 = 3;

/// What the server calls a buffer that it has not been lent: a number that it never gives.
const NOT_LENT: u32 = u32::MAX;

/// A request. Its sectors follow from the segments for reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What to do.
    pub operation: Operation,
    /// How.
    pub flags: Flags,
    /// First sector, of 512 bytes.
    pub sector: u64,
    /// Sectors, of discards and fills with zeros.
    pub sectors: u32,
    /// Where the data is: buffers by [`Buffer::number`] or as [`Disk::lend`] said.
    pub segments: &'a [Segment],
}

/// A request that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What [`Disk::submit`] returned.
    pub id: u64,
    /// How it ended.
    pub status: BlockStatus,
}

/// Memory that was made for a disk and lent to it.
#[derive(Debug)]
pub struct Buffer {
    number: u32,
    mapping: WritableMapping,
}

impl Buffer {
    /// By which requests name it.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Deref for Buffer {
    type Target = WritableMapping;

    fn deref(&self) -> &WritableMapping {
        &self.mapping
    }
}

/// Lent Memory, and its number at the server of the moment.
#[derive(Debug)]
struct Lent {
    memory: Memory,
    number: u32,
}

/// A block device, open.
#[derive(Debug)]
pub struct Disk {
    block: BlockClient,
    info: BlockInfo,
    lookout: Lookout,
    /// Its own, for blocking calls; or none, where the owner's loop is signalled.
    own: Option<Channel>,
    /// Signals whoever waits.
    signaller: Channel,
    completions: u64,
    service: u64,
    queue: Memory,
    ring: ClientRing,
    /// Where the server is signalled; `None`: not attached.
    doorbell: Option<(Channel, u64)>,
    buffers: Vec<Option<Lent>>,
    outstanding: Outstanding,
    ended: VecDeque<Completion>,
    /// Of the blocking call that is under way: its number, requests not answered, and the first failure.
    call: u64,
    waited_for: usize,
    failure: Option<BlockStatus>,
    /// Attempts that came to nothing, and of which incarnation.
    broken: (u32, u64),
    /// The oldest request when progress was looked for the last time, if this server had it then.
    oldest: Option<u64>,
    /// Its service was given up.
    is_gone: bool,
    resubmitted: u64,
    timeout: Option<Duration>,
    patience: Duration,
    /// Since the last signal, in whole times of patience.
    waited: Duration,
}

impl Disk {
    /// Opens the block device behind a session, with a channel of its own to wait on. `service` is whose session it is, to be watched. It waits until that
    /// serves. Errors: it is no block device; `account` has no room.
    pub fn open(session: Session, service: &str, account: &Account) -> Result<Disk, DiskError> {
        let channel = Channel::create(account)?;
        let mut disk = Disk::with(session, service, account, &channel, COMPLETIONS, SERVICE, DEPTH)?;
        disk.own = Some(channel);
        Ok(disk)
    }

    /// The same for the loop of a server: bits `completions` and `service` of its `channel` are signalled, for [`Disk::signal`]. There is no blocking then.
    #[allow(clippy::too_many_arguments)]
    pub fn with(
        session: Session,
        service: &str,
        account: &Account,
        channel: &Channel,
        completions: u64,
        watch: u64,
        depth: u32,
    ) -> Result<Disk, DiskError> {
        let queue = Memory::create(account, ring::memory_bytes(depth))?;
        let ring = ClientRing::new(queue.map_writable()?, depth)?;
        let lookout = Lookout::new(service, channel, watch)?;
        let block: BlockClient = client::with_timeout(client::open(session)?, PATIENCE);
        let info = block.info()?;
        let mut disk = Disk {
            block,
            info,
            lookout,
            own: None,
            signaller: channel.signaller(completions)?,
            completions,
            service: watch,
            queue,
            ring,
            doorbell: None,
            buffers: Vec::new(),
            outstanding: Outstanding::new(depth),
            ended: VecDeque::with_capacity(depth as usize),
            call: 0,
            waited_for: 0,
            failure: None,
            broken: (0, 0),
            oldest: None,
            is_gone: false,
            resubmitted: 0,
            timeout: None,
            patience: PATIENCE,
            waited: Duration::ZERO,
        };
        disk.check_server();
        Ok(disk)
    }

    /// What the device is and can do, as of the last attachment.
    pub fn info(&self) -> &BlockInfo {
        &self.info
    }

    /// Whether a server is attached now. Requests are taken all the same.
    pub fn is_attached(&self) -> bool {
        self.doorbell.is_some()
    }

    /// Lets waiting end with the error `Kernel(TimedOut)` when nothing happens for a while; `None`: it waits for ever.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// How long the server may take, in place of [`PATIENCE`].
    pub fn set_patience(&mut self, patience: Duration) {
        client::Client::link_mut(&mut self.block).set_timeout(Some(patience));
        self.patience = patience;
    }

    /// Whether its server will not come back: every request fails.
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Requests that are not answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Requests that were submitted again, after a death of the server.
    pub fn resubmitted(&self) -> u64 {
        self.resubmitted
    }

    /// The session that it was opened with.
    pub fn session(&self) -> &Session {
        client::Client::link(&self.block).session()
    }

    /// Makes Memory for data, contiguous for devices, and lends it.
    pub fn allocate(&mut self, bytes: u64, account: &Account) -> Result<Buffer, DiskError> {
        let memory = Memory::create_dma(account, bytes)?;
        let mapping = memory.map_writable()?;
        let number = self.lend(memory)?;
        Ok(Buffer { number, mapping })
    }

    /// Lends Memory: the number by which requests name it, whichever server there is. The Memory needs `READ`, `WRITE` and `INSPECT`.
    pub fn lend(&mut self, memory: Memory) -> Result<u32, DiskError> {
        let number = match self.doorbell {
            None => NOT_LENT,
            Some(_) => match self.lend_to_server(&memory) {
                Ok(number) => number,
                // Another incarnation than the one that is known: it gets everything when it is attached.
                Err(CallError::Failed(BlockError::NotAttached)) => NOT_LENT,
                Err(error) => return Err(error.into()),
            },
        };
        let lent = Some(Lent { memory, number });
        let free = self.buffers.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.buffers.push(None);
            self.buffers.len() - 1
        });
        self.buffers[index] = lent;
        if number == NOT_LENT {
            self.check_server();
        }
        Ok(index as u32)
    }

    /// Takes Memory back. Error: `Refused(BadBuffer)` (it was not lent), `Refused(Busy)` (an outstanding request names it).
    pub fn take_back(&mut self, buffer: u32) -> Result<Memory, DiskError> {
        if self.outstanding.names(buffer) {
            return Err(DiskError::Refused(BlockError::Busy));
        }
        let lent = self.buffers.get_mut(buffer as usize).and_then(Option::take);
        let lent = lent.ok_or(DiskError::Refused(BlockError::BadBuffer))?;
        if self.doorbell.is_some() && lent.number != NOT_LENT {
            match self.ask(|block| block.take_back(lent.number)) {
                // A server that does not know it does not use it either.
                Ok(()) | Err(CallError::Failed(BlockError::NotAttached | BlockError::BadBuffer)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lent.memory)
    }

    /// Submits a request, to be sent with the next [`Disk::commit`], [`Disk::poll`] or [`Disk::wait`]: what its completion will say. Errors: `Full`;
    /// `Failed(BadBuffer)` (too many segments, or one that was not lent).
    pub fn submit(&mut self, request: &Request<'_>) -> Result<u64, DiskError> {
        self.enter(request, 0)
    }

    /// Sends what was submitted.
    pub fn commit(&mut self) {
        if let Some((channel, bits)) = &self.doorbell
            && self.ring.publish()
        {
            // Where the server's channel is closed, the registry says so as well.
            let _ = channel.signal(*bits);
        }
    }

    /// Takes a completion, if there is one. What was submitted is sent when there is none: so what is submitted for each of a batch of completions goes as one
    /// batch.
    pub fn poll(&mut self) -> Option<Completion> {
        // Where no request is outstanding nothing was submitted either. Asked for each batch, of every disk.
        if self.ended.is_empty() && self.outstanding.len() > 0 {
            self.take();
            if self.ended.is_empty() {
                self.commit();
            }
        }
        self.ended.pop_front()
    }

    /// Waits for a completion; `None`: no request is outstanding, or it took too long.
    pub fn wait(&mut self) -> Option<Completion> {
        loop {
            if let Some(completion) = self.poll() {
                return Some(completion);
            }
            if self.outstanding.len() == 0 {
                return None;
            }
            match self.sleep() {
                Ok(()) => {}
                Err(DiskError::Kernel(Error::TimedOut)) => return None,
                Err(error) => {
                    crate::error!("waiting for a disk: {error}");
                    self.give_up();
                }
            }
        }
    }

    /// Takes notice of signals, in the loop of a server. Then [`Disk::poll`] until there is nothing, and [`Disk::arm`].
    pub fn signal(&mut self, bits: u64) {
        if bits & self.service != 0 {
            self.check_server();
        }
    }

    /// Asks for a signal at the next completion: whether there is none yet. A loop calls it before it waits.
    #[must_use]
    pub fn arm(&mut self) -> bool {
        if self.outstanding.len() == 0 {
            return self.ended.is_empty();
        }
        self.commit();
        self.ended.is_empty() && (self.doorbell.is_none() || self.ring.sleep())
    }

    /// Sees whether the server ends requests: one that still has the request that was the oldest at the last look may have forgotten it, and is complained of to init, which replaces it when that is said
    /// again ([`client::ask_again`]). The next incarnation gets what is outstanding. For the loop of a server, every few seconds while there is something: so long may a request take. Who waits here
    /// looks itself.
    pub fn look_for_progress(&mut self) {
        let oldest = self.outstanding.first();
        let before = core::mem::replace(&mut self.oldest, oldest);
        if oldest.is_none() || oldest != before {
            return;
        }
        if self.doorbell.is_some() {
            crate::warn!("a disk does not end a request; {} are outstanding", self.outstanding.len());
            self.complain();
        }
        // Whoever had to tell of another incarnation may have forgotten it.
        self.check_server();
    }

    /// Reads `bytes`, whole blocks, from a sector on into a buffer, however many requests that takes.
    pub fn read_at(&mut self, sector: u64, buffer: &Buffer, offset: u64, bytes: u64) -> Result<(), DiskError> {
        self.transfer(Operation::Read, Flags::NONE, sector, buffer.number, offset, bytes)
    }

    /// Writes `bytes`, whole blocks, from a buffer to a sector and those behind it, however many requests that takes.
    pub fn write_at(&mut self, sector: u64, buffer: &Buffer, offset: u64, bytes: u64) -> Result<(), DiskError> {
        self.transfer(Operation::Write, Flags::NONE, sector, buffer.number, offset, bytes)
    }

    /// The same, answered when the data is on the medium.
    pub fn write_through(&mut self, sector: u64, buffer: &Buffer, offset: u64, bytes: u64) -> Result<(), DiskError> {
        self.transfer(Operation::Write, Flags::FUA, sector, buffer.number, offset, bytes)
    }

    /// Waits until every write that was answered is on the medium.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.perform(Operation::Flush, 0, 0)
    }

    /// Discards sectors, or fills them with zeros.
    pub fn perform(&mut self, operation: Operation, sector: u64, sectors: u32) -> Result<(), DiskError> {
        self.begin_to_wait()?;
        let request = Request { operation, flags: Flags::NONE, sector, sectors, segments: &[] };
        while let Err(error) = self.enter(&request, self.call) {
            self.make_room(error)?;
        }
        self.wait_for_all()
    }

    fn transfer(
        &mut self,
        operation: Operation,
        flags: Flags,
        sector: u64,
        buffer: u32,
        offset: u64,
        bytes: u64,
    ) -> Result<(), DiskError> {
        self.begin_to_wait()?;
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(DiskError::Failed(BlockStatus::OutOfRange));
        }
        let most = u64::from(self.info.most_bytes.max(self.info.logical_block_bytes));
        let mut done = 0;
        while done < bytes && self.failure.is_none() {
            let part = most.min(bytes - done);
            let segment = Segment { buffer, bytes: part as u32, offset: offset + done };
            let sector = sector.saturating_add(done / SECTOR_BYTES);
            let request = Request { operation, flags, sector, sectors: 0, segments: &[segment] };
            match self.enter(&request, self.call) {
                Ok(_) => done += part,
                Err(error) => {
                    if let Err(error) = self.make_room(error) {
                        let _ = self.wait_for_all();
                        return Err(error);
                    }
                }
            }
        }
        self.wait_for_all()
    }

    fn begin_to_wait(&mut self) -> Result<(), DiskError> {
        self.failure = None;
        self.waited_for = 0;
        self.call += 1;
        if self.own.is_some() { Ok(()) } else { Err(DiskError::Kernel(Error::Unsupported)) }
    }

    /// Waits until a request can be submitted; every other error stays one.
    fn make_room(&mut self, error: DiskError) -> Result<(), DiskError> {
        if error != DiskError::Full {
            return Err(error);
        }
        let before = self.outstanding.len();
        while self.outstanding.len() >= before {
            self.commit();
            if !self.take() {
                self.sleep()?;
            }
        }
        Ok(())
    }

    fn wait_for_all(&mut self) -> Result<(), DiskError> {
        self.commit();
        while self.waited_for > 0 {
            if !self.take() {
                self.sleep()?;
            }
        }
        self.failure.take().map_or(Ok(()), |status| Err(DiskError::Failed(status)))
    }

    /// Notes a request, and puts it into the ring, if there is one.
    fn enter(&mut self, request: &Request<'_>, call: u64) -> Result<u64, DiskError> {
        if self.is_gone {
            return Err(DiskError::Failed(BlockStatus::Gone));
        }
        let bad = DiskError::Failed(BlockStatus::BadBuffer);
        let mut bytes = 0;
        for segment in request.segments {
            let lent = self.buffers.get(segment.buffer as usize).and_then(Option::as_ref);
            if lent.is_none() {
                return Err(bad);
            }
            bytes += u64::from(segment.bytes);
        }
        let sectors = if request.operation.has_data() { bytes / SECTOR_BYTES } else { request.sectors.into() };
        let sectors = u32::try_from(sectors).map_err(|_| bad)?;
        if request.segments.len() > MOST_SEGMENTS {
            return Err(bad);
        }
        let fill = |submission: &mut Submission| {
            (submission.operation, submission.flags) = (request.operation, request.flags);
            (submission.sector, submission.sectors) = (request.sector, sectors);
            // There is room for so many.
            let _ = submission.set_segments(request.segments);
        };
        let submission = self.outstanding.add(call, fill).ok_or(DiskError::Full)?;
        self.waited_for += usize::from(call != 0);
        if self.doorbell.is_some() {
            send(&mut self.ring, &self.buffers, submission);
        }
        Ok(submission.id)
    }

    /// Takes completions out of the ring: whether anything has ended.
    fn take(&mut self) -> bool {
        let before = self.outstanding.len();
        while self.doorbell.is_some() {
            match self.ring.pop() {
                Ok(None) => break,
                Ok(Some((id, status))) if status != BlockStatus::Done && self.is_doubtful(id, status) => {
                    self.doubt(status)
                }
                Ok(Some((id, status))) if self.end(id, status) => self.broken.0 = 0,
                _ => self.distrust(),
            }
        }
        self.outstanding.len() < before
    }

    /// Ends a request, if it is outstanding.
    fn end(&mut self, id: u64, status: BlockStatus) -> bool {
        match self.outstanding.remove(id) {
            None => return false,
            Some(0) => self.ended.push_back(Completion { id, status }),
            // Of a call that has given up.
            Some(call) if call != self.call => {}
            Some(_) => {
                self.waited_for -= 1;
                if let Err(status) = status.result() {
                    self.failure.get_or_insert(status);
                }
            }
        }
        true
    }

    /// Waits for the next signal, unless there is a completion.
    fn sleep(&mut self) -> Result<(), DiskError> {
        let Some(channel) = &self.own else { return Err(DiskError::Kernel(Error::Unsupported)) };
        if self.doorbell.is_some() && !self.ring.sleep() {
            return Ok(());
        }
        let left = self.timeout.map(|timeout| timeout.saturating_sub(self.waited));
        let is_last = left.is_some_and(|left| left <= self.patience);
        let deadline = time::deadline_after(left.unwrap_or(self.patience).min(self.patience));
        // A server waits for its disk with a call in hand.
        match parking::receive(channel.handle(), Some(deadline)) {
            Err(Error::TimedOut) if !is_last => {
                self.waited += self.patience;
                self.look_for_progress();
            }
            came => {
                self.waited = Duration::ZERO;
                if came? & self.service != 0 {
                    self.check_server();
                }
            }
        }
        Ok(())
    }
}

/// Puts a request into the ring, under the numbers that the server gave its buffers. The ring is as deep as there are
/// requests, so there is room.
fn send(ring: &mut ClientRing, buffers: &[Option<Lent>], submission: &Submission) {
    let _ = ring.submit_as(submission, |buffer| {
        buffers.get(buffer as usize).and_then(Option::as_ref).map_or(NOT_LENT, |lent| lent.number)
    });
}
