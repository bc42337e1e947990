//! The class of stream devices: everything that [`Character`] asks for but the device itself.
//!
//! A driver implements [`StreamDevice`], whose heart is one method that moves bytes between the device and two rings,
//! and is served as `Stream<Driver>`. The rings belong to whoever attached ones; otherwise they are the driver's own, and
//! clients read and write by calls. What is on its way when rings change hands is kept: input that the former client has not taken
//! goes to the next, and output that it left is sent first.

use super::{Context, Driver, Env, Result};
use crate::protocol::character::{Character, CharacterError, Control, Line, Readiness};
use crate::ring::{self, BadRing, Consumer, Producer};
use crate::service::{Parked, Reply, Serve, Subscribers};
use crate::time::{Duration, TimerId, Timers};
use crate::wire::{Answer, Method, Request, Shared};
use crate::{Account, Channel, Error, Handle, Memory, Object, WritableMapping, sys};
use abi::ring::ByteRing;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::offset_of;
use core::sync::atomic::Ordering;

/// A device that is a stream of bytes.
pub trait StreamDevice: Sized {
    /// Finds the device and makes it ready. Its interrupts may be any bits of the channel but [`WAKE`].
    fn start(env: &Env) -> Result<Self>;

    /// Moves what can be moved, and leaves the device such that it interrupts when more can be: when it has input and there
    /// is room for it, when it can send and there is output. It acknowledges the device's interrupt.
    fn exchange(&mut self, input: &StreamRing, output: &StreamRing) -> Exchanged;

    /// Whether everything that it took has left.
    fn is_idle(&mut self) -> bool;

    /// Changes how it works. Dropping input and output is done by [`Stream`].
    fn control(&mut self, control: Control) -> core::result::Result<(), CharacterError> {
        let _ = control;
        Err(CharacterError::Unsupported)
    }

    /// Speed and format, of a serial line.
    fn line(&self) -> core::result::Result<Line, CharacterError> {
        Err(CharacterError::Unsupported)
    }
}

/// What an exchange did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Bytes that came in.
    pub received: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Times the device said that it had lost input.
    pub overruns: u64,
    /// There is more to do: call again soon.
    pub unfinished: bool,
    /// A ring makes no sense any more.
    pub broken: bool,
}

/// The signal bit that clients wake a [`Stream`] by.
pub const WAKE: u64 = 1 << 63;

/// Bytes of the driver's own rings: for the time before somebody attaches larger ones.
const OWN_CAPACITY: u64 = 2048;

/// Rings of former clients with output left, at most.
const MOST_LEFT: usize = 4;

/// How often it is looked whether a device has become idle.
const IDLE_POLL: Duration = Duration::from_millis(1);

/// One ring of a device: the Memory that it is in, for [`Ports::drain`](crate::Ports::drain) and
/// [`Ports::fill`](crate::Ports::fill), and how full it is.
#[derive(Debug)]
pub struct StreamRing {
    memory: Memory,
    offset: u64,
    mapping: Arc<WritableMapping>,
}

impl StreamRing {
    /// The ring in a range of Memory. Errors: `OutOfRange` (it is none), `Device` (it cannot be mapped).
    fn shared(shared: Shared) -> core::result::Result<StreamRing, CharacterError> {
        let Shared { memory, offset, bytes } = shared;
        let mapping = Arc::new(memory.map_writable().map_err(|_| CharacterError::Device)?);
        let capacity_at = offset as usize + offset_of!(ByteRing, capacity);
        let is_inside = offset.is_multiple_of(8) && bytes >= abi::ring::BYTE_RING_HEADER;
        if !is_inside || ring::memory_bytes(mapping.load_u64(capacity_at, Ordering::Relaxed).min(1 << 32)) > bytes {
            return Err(CharacterError::OutOfRange);
        }
        let ring = StreamRing { memory, offset, mapping };
        ring.consumer().map_err(|BadRing| CharacterError::OutOfRange)?;
        Ok(ring)
    }

    fn own(account: &Account) -> core::result::Result<StreamRing, Error> {
        let memory = ring::create(account, OWN_CAPACITY)?;
        let mapping = Arc::new(memory.map_writable()?);
        Ok(StreamRing { memory, offset: 0, mapping })
    }

    /// The Memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where in it the ring starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes for which there is room; none in a ring that makes no sense.
    pub fn room(&self) -> usize {
        self.producer().and_then(|producer| producer.room()).unwrap_or(0)
    }

    /// Bytes that are there; none in a ring that makes no sense.
    pub fn available(&self) -> usize {
        self.consumer().and_then(|consumer| consumer.available()).unwrap_or(0)
    }

    fn capacity(&self) -> usize {
        self.available() + self.room()
    }

    fn lose(&self, bytes: u64) {
        let lost = self.mapping.word_u64(self.offset as usize + offset_of!(ByteRing, lost));
        lost.fetch_add(bytes, Ordering::Relaxed);
    }

    /// This side of the ring as it stands: the kernel moves the indices too, so nobody keeps them.
    fn producer(&self) -> core::result::Result<Producer, BadRing> {
        Producer::attach(self.mapping.clone(), self.offset as usize)
    }

    fn consumer(&self) -> core::result::Result<Consumer, BadRing> {
        Consumer::attach(self.mapping.clone(), self.offset as usize)
    }

    /// Puts bytes in, as the device whose input it is: how many there was room for.
    pub fn put(&self, bytes: &[u8]) -> usize {
        self.producer().and_then(|mut producer| producer.write(bytes)).map_or(0, |moved| moved.bytes)
    }

    /// Takes bytes out, as the device whose output it is: how many there were.
    pub fn take(&self, into: &mut [u8]) -> usize {
        self.consumer().and_then(|mut consumer| consumer.read(into)).map_or(0, |moved| moved.bytes)
    }

    fn is_same(&self, other: &StreamRing) -> bool {
        let number = |ring: &StreamRing| sys::handle_inspect(ring.memory.handle()).map(|info| info.object).ok();
        self.offset == other.offset && number(self).is_some() && number(self) == number(other)
    }
}

/// Rings that a client attached.
#[derive(Debug)]
struct Attached {
    badge: u64,
    input: StreamRing,
    output: StreamRing,
    channel: Channel,
    bits: u64,
}

/// A stream device as a server.
#[derive(Debug)]
pub struct Stream<D> {
    device: D,
    wake: Channel,
    input: StreamRing,
    output: StreamRing,
    attached: Option<Attached>,
    /// Output of former clients, which goes first.
    left: VecDeque<StreamRing>,
    readers: Parked<core::result::Result<Vec<u8>, CharacterError>, usize>,
    flushing: Parked<core::result::Result<(), CharacterError>>,
    subscribers: Subscribers,
    timers: Timers,
}

impl<D: StreamDevice> Stream<D> {
    /// Serves a device. Bits [`WAKE`] of `channel` are signalled by clients.
    pub fn new(device: D, channel: &Channel, account: &Account) -> Result<Stream<D>> {
        let mut stream = Stream {
            device,
            wake: channel.signaller(WAKE)?,
            input: StreamRing::own(account)?,
            output: StreamRing::own(account)?,
            attached: None,
            left: VecDeque::new(),
            readers: Parked::new(),
            flushing: Parked::new(),
            subscribers: Subscribers::new(),
            timers: Timers::new(),
        };
        stream.pump();
        Ok(stream)
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Moves bytes, and tells those who wait for that.
    fn pump(&mut self) {
        loop {
            let own = (&self.input, &self.output);
            let (input, current) = self.attached.as_ref().map_or(own, |attached| (&attached.input, &attached.output));
            let is_left = self.attached.is_some() && self.output.available() > 0;
            let output = self.left.front().unwrap_or(if is_left { &self.output } else { current });
            let is_current = core::ptr::eq(output, current);
            let (before, half) = (output.available(), current.capacity() / 2);
            let done = self.device.exchange(input, output);
            let after = output.available();
            if done.overruns > 0 {
                input.lose(done.overruns);
                crate::warn!("the device lost input {} times", done.overruns);
            }
            if done.unfinished {
                // Nothing but the bit itself could be refused.
                let _ = self.wake.signal(WAKE);
            }
            if done.broken && self.left.pop_front().is_none() && self.attached.take().is_some() {
                crate::warn!("a client spoiled its rings: detached");
                continue;
            }
            if !is_current && after == 0 {
                self.left.pop_front();
                continue;
            }
            let has_room = is_current && done.sent > 0 && (after == 0 || (before >= half && after < half));
            return self.answer(done.received > 0, has_room);
        }
    }

    /// Tells those who wait that input has come, or that there is room for output.
    fn answer(&mut self, has_input: bool, has_room: bool) {
        if let Some(attached) = &self.attached {
            // A client that cannot be signalled is dead: it attaches again when it lives again.
            if has_input || has_room {
                let _ = attached.channel.signal(attached.bits);
            }
        } else {
            while let Some(most) = self.readers.first().copied() {
                let bytes = self.take(most);
                let Some((call, _)) = (!bytes.is_empty()).then(|| self.readers.pop()).flatten() else { break };
                // Who is gone meanwhile was withdrawn, or will be; what it read is gone with it.
                let _ = call.reply(Ok(bytes));
            }
        }
        if has_input || has_room {
            self.subscribers.notify();
        }
        self.end_flushes();
    }

    fn take(&self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most.min(self.input.available())];
        let count = self.input.take(&mut bytes);
        bytes.truncate(count);
        bytes
    }

    fn end_flushes(&mut self) {
        if self.flushing.is_empty() {
            return;
        }
        let is_empty = self.left.is_empty() && self.output.available() + self.current_output().available() == 0;
        if !is_empty || !self.device.is_idle() {
            if self.timers.next_deadline().is_none() {
                self.timers.after(IDLE_POLL);
            }
            return;
        }
        while let Some((call, ())) = self.flushing.pop() {
            let _ = call.reply(Ok(()));
        }
    }

    fn current_output(&self) -> &StreamRing {
        self.attached.as_ref().map_or(&self.output, |attached| &attached.output)
    }

    fn check_free(&self) -> core::result::Result<(), CharacterError> {
        if self.attached.is_some() { Err(CharacterError::Attached) } else { Ok(()) }
    }

    /// Keeps what a client leaves in its rings.
    fn leave(&mut self, former: Attached) {
        copy(&former.input, &self.input);
        self.keep_output(former.output);
    }

    fn keep_output(&mut self, output: StreamRing) {
        if output.available() > 0 {
            self.left.push_back(output);
            self.left.truncate(MOST_LEFT);
        }
    }
}

/// Moves what fits.
fn copy(from: &StreamRing, to: &StreamRing) {
    let mut bytes = [0; 256];
    loop {
        let room = to.room().min(bytes.len());
        match from.take(&mut bytes[..room]) {
            0 => return,
            count => to.put(&bytes[..count]),
        };
    }
}

impl<D: StreamDevice> Driver for Stream<D> {
    fn start(env: &Env) -> Result<Self> {
        Stream::new(D::start(env)?, env.channel(), env.account())
    }

    fn signal(&mut self, _: u64) {
        self.pump();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.end_flushes();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        self.subscribers.close(badge, last);
        if last && let Some(former) = self.attached.take_if(|attached| attached.badge == badge) {
            self.leave(former);
            self.pump();
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        let _ = self.readers.withdraw(call) || self.flushing.withdraw(call);
    }
}

impl<D: StreamDevice> Serve for Stream<D> {
    const PROTOCOLS: &'static [&'static [Method]] = &[<dyn Character>::METHODS];

    fn dispatch(&mut self, request: &Request) -> Answer {
        <dyn Character>::dispatch(self, request)
    }
}

impl<D: StreamDevice> Character for Stream<D> {
    fn read(&mut self, _: &Context, buffer: &mut [u8]) -> core::result::Result<usize, CharacterError> {
        self.check_free()?;
        let was_full = self.input.room() == 0;
        let count = self.input.take(buffer);
        if was_full {
            self.pump();
        }
        if count == 0 && !buffer.is_empty() { Err(CharacterError::WouldBlock) } else { Ok(count) }
    }

    fn read_wait(&mut self, _: &Context, most: u32, reply: Reply<'_, core::result::Result<Vec<u8>, CharacterError>>) {
        let most = (most as usize).min(abi::PAYLOAD_BYTES - 16);
        if let Err(error) = self.check_free() {
            return reply.send(Err(error));
        }
        if most == 0 {
            return reply.send(Ok(Vec::new()));
        }
        if self.readers.is_empty() && self.input.available() > 0 {
            reply.send(Ok(self.take(most)));
        } else {
            // Where it cannot be kept the caller gets `Abandoned`, and asks again.
            let _ = self.readers.park(reply, most);
        }
        self.pump();
    }

    fn write(&mut self, _: &Context, bytes: &[u8]) -> core::result::Result<u32, CharacterError> {
        self.check_free()?;
        let count = self.output.put(bytes);
        self.pump();
        if count == 0 && !bytes.is_empty() { Err(CharacterError::WouldBlock) } else { Ok(count as u32) }
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, core::result::Result<(), CharacterError>>) {
        let _ = self.flushing.park(reply, ());
        self.end_flushes();
    }

    fn poll(&mut self, _: &Context) -> Readiness {
        if self.attached.is_some() {
            return Readiness::default();
        }
        Readiness { readable: self.input.available() as u32, writable: self.output.room() as u32, hung_up: false }
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> core::result::Result<(), CharacterError> {
        self.subscribers.subscribe(cx, channel, bits);
        let now = self.poll(cx);
        if now.readable > 0 || now.writable > 0 {
            self.subscribers.notify_one(cx.badge());
        }
        Ok(())
    }

    fn attach(
        &mut self,
        cx: &Context,
        input: Shared,
        output: Shared,
        channel: Channel,
        bits: u64,
    ) -> core::result::Result<(Channel, u64), CharacterError> {
        if !cx.may_control() {
            return Err(CharacterError::Denied);
        }
        if self.attached.as_ref().is_some_and(|attached| attached.badge != cx.badge()) {
            return Err(CharacterError::Attached);
        }
        let wake = self.wake.signaller(WAKE).map_err(|_| CharacterError::Device)?;
        let (input, output) = (StreamRing::shared(input)?, StreamRing::shared(output)?);
        if let Some(former) = self.attached.take() {
            if !former.input.is_same(&input) {
                copy(&former.input, &input);
            }
            if !former.output.is_same(&output) {
                self.keep_output(former.output);
            }
        }
        copy(&self.input, &input);
        self.attached = Some(Attached { badge: cx.badge(), input, output, channel, bits });
        while let Some((call, _)) = self.readers.pop() {
            let _ = call.reply(Err(CharacterError::Attached));
        }
        self.pump();
        self.answer(true, true);
        Ok((wake, WAKE))
    }

    fn control(&mut self, cx: &Context, control: Control) -> core::result::Result<(), CharacterError> {
        if !cx.may_control() {
            return Err(CharacterError::Denied);
        }
        match control {
            Control::DropInput => {
                self.check_free()?;
                while !self.take(usize::MAX).is_empty() {}
            }
            Control::DropOutput => {
                self.check_free()?;
                self.left.clear();
                while self.output.take(&mut [0; 256]) > 0 {}
            }
            other => return self.device.control(other),
        }
        self.pump();
        Ok(())
    }

    fn line(&mut self, _: &Context) -> core::result::Result<Line, CharacterError> {
        self.device.line()
    }
}
