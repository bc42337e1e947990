//! The class of stream devices: everything that [`Character`] asks for but the device itself.
//!
//! A driver implements [`StreamDevice`]: how bytes go from the device into a ring, from a ring into the device, and when it
//! interrupts. It is served as `Stream<Driver>`, which loops, acknowledges and looks after clients. Parameter of serial lines: `baud`,
//! the speed at the start (115200). The rings belong to whoever attached ones; otherwise they are the driver's own, and
//! clients read and write by calls. What is on its way when rings change hands is kept: input that the former client has not taken
//! goes to the next, and output that it left is sent first.

mod device;
mod ring;

pub use device::{Done, Received, StreamDevice, divisor};
pub use ring::StreamRing;

use super::{Context, Driver, Env, Interrupt, Result, StartError};
use crate::protocol::character::{Character, CharacterError, Control, Line, Readiness};
use crate::service::{Parked, Reply, Serve, Subscribers};
use crate::time::{self, Duration, TimerId, Timers};
use crate::wire::{Answer, Method, Request, Shared};
use crate::{Account, Channel, Handle};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use device::exchange;
use ring::copy;

/// The signal bit of the device's interrupt.
const INTERRUPT: u64 = 1;

/// Milliseconds.
const LONGEST_BREAK: u32 = 500;

/// The signal bit that clients wake a [`Stream`] by.
pub const WAKE: u64 = 1 << 63;

/// Rings of former clients with output left, at most.
const MOST_LEFT: usize = 4;

/// How often it is looked whether a device has become idle.
/// No device interrupts for that; it is about a character's time at 115,200 bits a second.
const IDLE_POLL: Duration = Duration::from_micros(100);

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
    interrupt: Option<Interrupt>,
    /// For what it interrupts: input, output. `None`: that is not known yet.
    enabled: Option<(bool, bool)>,
    /// How it works, if it is a serial line.
    line: Option<Line>,
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
    /// Serves a device without an interrupt. Bits [`WAKE`] of `channel` are signalled by clients.
    pub fn new(device: D, channel: &Channel, account: &Account) -> Result<Stream<D>> {
        let mut stream = Stream::quiet(device, channel, account)?;
        stream.pump();
        Ok(stream)
    }

    /// One that has not looked at its device yet.
    fn quiet(device: D, channel: &Channel, account: &Account) -> Result<Stream<D>> {
        Ok(Stream {
            device,
            interrupt: None,
            enabled: None,
            line: None,
            wake: channel.signaller(WAKE)?,
            input: StreamRing::own(account)?,
            output: StreamRing::own(account)?,
            attached: None,
            left: VecDeque::new(),
            readers: Parked::new(),
            flushing: Parked::new(),
            subscribers: Subscribers::new(),
            timers: Timers::new(),
        })
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
            let done = exchange(&mut self.device, &mut self.enabled, input, output);
            if let Some(interrupt) = &self.interrupt {
                // Fails only where the interrupt is gone, and then none comes.
                let _ = interrupt.acknowledge();
            }
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
        // Of a device that cannot be asked nothing is to be expected.
        if !is_empty || self.device.is_idle() == Ok(false) {
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

    fn set_line(&mut self, line: Line) -> core::result::Result<(), CharacterError> {
        if !line.has_known_format() {
            return Err(CharacterError::OutOfRange);
        }
        self.device.set_line(line)?;
        self.line = Some(line);
        Ok(())
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

impl<D: StreamDevice> Driver for Stream<D> {
    fn start(env: &Env) -> Result<Self> {
        let interrupt = D::INTERRUPT.map(|name| env.interrupt(name, INTERRUPT)).transpose()?;
        let mut stream = Stream::quiet(D::start(env)?, env.channel(), env.account())?;
        stream.interrupt = interrupt;
        let line = Line::of_8_bits(env.parse("baud")?.unwrap_or(115_200));
        match stream.set_line(line) {
            Ok(()) | Err(CharacterError::Unsupported) => {}
            Err(_) => return Err(StartError::Device("it cannot be set to this speed")),
        }
        stream.pump();
        Ok(stream)
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
            Control::Line(line) => self.set_line(line)?,
            Control::Break(milliseconds) if milliseconds <= LONGEST_BREAK => {
                self.device.set_break(true)?;
                time::sleep(Duration::from_millis(milliseconds.into()));
                self.device.set_break(false)?;
            }
            Control::Break(_) => return Err(CharacterError::OutOfRange),
        }
        self.pump();
        Ok(())
    }

    fn line(&mut self, _: &Context) -> core::result::Result<Line, CharacterError> {
        self.line.ok_or(CharacterError::Unsupported)
    }
}
