//! The class of stream devices: everything that [`Character`] asks for but the device itself.
//!
//! A driver implements [`StreamDevice`]: how bytes go from the device into a ring, from a ring into the device, and when it
//! interrupts. It is served as `Stream<Driver>`, which loops, acknowledges and looks after clients. Parameter of serial lines: `baud`,
//! the speed at the start (115200). The rings belong to whoever attached ones; otherwise they are the driver's own, and
//! clients read and write by calls. What is on its way when rings change hands is kept: input that the former client has not taken
//! goes to the next, and output that it left is sent first.
//!
//! All of this outlives the process (the manifest's line `state`): a driver that is started again goes on with the same rings at once.

mod device;
mod ring;
mod rings;

pub use device::{Done, Received, StreamDevice, divisor};
pub use ring::StreamRing;

use super::{Context, Driver, Env, Interrupt, Result, StartError};
use crate::client::Key;
use crate::protocol::character::{Character, CharacterError, Control, Line, Readiness};
use crate::service::{KeptSubscribers, Parked, Reply, Serve};
use crate::state::{RecordKey, Records};
use crate::time::{self, Duration, TimerId, Timers};
use crate::wire::{Answer, Method, Request, Shared};
use crate::{Account, Channel, Handle};
use alloc::vec::Vec;
use device::exchange;
use rings::Rings;
use serde::{Deserialize, Serialize};

// The records.
const RINGS: RecordKey = RecordKey::new(1, 0);
const LINE: RecordKey = RecordKey::new(2, 0);
const BREAK: RecordKey = RecordKey::new(3, 0);
const SUBSCRIBERS: u16 = 4;

/// The signal bit of the device's interrupt.
const INTERRUPT: u64 = 1;

/// Milliseconds.
const LONGEST_BREAK: u32 = 500;

/// The signal bit that clients wake a [`Stream`] by.
pub const WAKE: u64 = 1 << 63;

/// How often it is looked whether a device has become idle.
/// No device interrupts for that; it is about a character's time at 115,200 bits a second.
const IDLE_POLL: Duration = Duration::from_micros(100);

/// The last break: which request asked for it, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Break {
    client: u64,
    lane: u64,
    sequence: u64,
    until: u64,
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
    records: Records,
    rings: Rings,
    readers: Parked<core::result::Result<Vec<u8>, CharacterError>, usize>,
    flushing: Parked<core::result::Result<(), CharacterError>>,
    subscribers: KeptSubscribers,
    timers: Timers,
}

impl<D: StreamDevice> Stream<D> {
    /// Serves a device without an interrupt, from where the records say. Bits [`WAKE`] of `channel` are signalled by clients.
    pub fn new(device: D, channel: &Channel, account: &Account, records: Records) -> Result<Stream<D>> {
        let mut stream = Stream::quiet(device, channel, account, records)?;
        stream.begin();
        Ok(stream)
    }

    /// One that has not looked at its device yet.
    fn quiet(device: D, channel: &Channel, account: &Account, mut records: Records) -> Result<Stream<D>> {
        let rings = Rings::recover(RINGS, &mut records, account)?;
        let subscribers = KeptSubscribers::recover(SUBSCRIBERS, &records);
        records.commit();
        Ok(Stream {
            device,
            interrupt: None,
            enabled: None,
            line: None,
            wake: channel.signaller(WAKE)?,
            records,
            rings,
            readers: Parked::new(),
            flushing: Parked::new(),
            subscribers,
            timers: Timers::new(),
        })
    }

    /// Takes up work. The incarnation before may have died between a commit and what follows it, or before it told somebody.
    fn begin(&mut self) {
        self.rings.publish();
        self.pump();
        self.answer(true, true);
        while !self.records.is_clean() {
            self.records.commit();
            self.committed();
        }
    }

    /// The device.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    /// Moves bytes, and tells those who wait for that.
    fn pump(&mut self) {
        loop {
            if self.rings.forward(&mut self.records) {
                // It goes on when this is committed.
                return self.stage();
            }
            self.rings.drop_empty_outputs(&mut self.records);
            let (input, output, current) = (self.rings.input(), self.rings.first_output(), self.rings.output());
            let is_current = core::ptr::eq(output, current);
            let (before, half) = (output.available(), current.capacity() / 2);
            let receives = !self.rings.has_left_input();
            let done = exchange(&mut self.device, &mut self.enabled, receives, input, output);
            let served = done.received + done.sent > 0;
            let acknowledged = self.interrupt.as_ref().map_or(Ok(()), |interrupt| interrupt.acknowledge(served));
            if let Some(error) = done.failure.or(acknowledged.err()) {
                // Served on without its device nobody would find that out: the next incarnation is given it anew.
                panic!("the device is not to be reached: {error}");
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
            if done.broken && self.rings.give_up(&mut self.records) {
                crate::warn!("a client spoiled its rings: detached");
                continue;
            }
            if !is_current && after == 0 {
                continue;
            }
            let has_room = is_current && done.sent > 0 && (after == 0 || (before >= half && after < half));
            return self.answer(done.received > 0, has_room);
        }
    }

    /// Tells those who wait that input has come, or that there is room for output.
    fn answer(&mut self, has_input: bool, has_room: bool) {
        if let Some(owner) = self.rings.owner() {
            if has_input || has_room {
                owner.signal();
            }
        } else {
            while let Some(most) = self.readers.first().copied() {
                let bytes = self.rings.input().stage_taken(most);
                let Some((call, _)) = (!bytes.is_empty()).then(|| self.readers.pop()).flatten() else { break };
                let count = bytes.len();
                if call.reply(Ok(bytes)).is_err() {
                    self.rings.input().unstage_taken(count);
                }
            }
        }
        if has_input || has_room {
            self.subscribers.notify(&mut self.records);
        }
        self.end_flushes();
        self.stage();
    }

    /// Stages how far the rings are used.
    fn stage(&mut self) {
        if let Err(full) = self.rings.stage(RINGS, &mut self.records) {
            crate::critical!("what is read and written would not outlive the driver: {full}");
        }
    }

    fn end_flushes(&mut self) {
        if self.flushing.is_empty() {
            return;
        }
        let is_empty = self.rings.first_output().available() + self.rings.output().available() == 0;
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

    fn set_line(&mut self, line: Line) -> core::result::Result<(), CharacterError> {
        if !line.has_known_format() {
            return Err(CharacterError::OutOfRange);
        }
        self.device.set_line(line)?;
        self.line = Some(line);
        Ok(())
    }

    /// Holds the line in the break state. A request that comes again is one whose break has ended: at the latest at the start of this incarnation.
    fn hold_break(&mut self, cx: &Context, milliseconds: u32) -> core::result::Result<(), CharacterError> {
        self.line.ok_or(CharacterError::Unsupported)?;
        let Key { lane, sequence } = cx.key().ok_or(CharacterError::Denied)?;
        let until = time::now().saturating_add(u64::from(milliseconds) * 1_000_000);
        let now = Break { client: cx.client(), lane, sequence, until };
        let before: Option<Break> = self.records.get(BREAK);
        if before.is_some_and(|before| Break { until, ..before } == now) {
            return Ok(());
        }
        self.records.put(BREAK, &now).map_err(|_| CharacterError::Device)?;
        self.records.commit();
        self.end_break(now)
    }

    fn end_break(&mut self, held: Break) -> core::result::Result<(), CharacterError> {
        let left = held.until.saturating_sub(time::now()).min(u64::from(LONGEST_BREAK) * 1_000_000);
        if left > 0 {
            self.device.set_break(true)?;
            time::sleep(Duration::from_nanos(left));
        }
        self.device.set_break(false)
    }

    fn check_free(&self) -> core::result::Result<(), CharacterError> {
        if self.rings.owner().is_some() { Err(CharacterError::Attached) } else { Ok(()) }
    }
}

impl<D: StreamDevice> Driver for Stream<D> {
    fn start(env: &Env) -> Result<Self> {
        let interrupt = D::INTERRUPT.map(|name| env.interrupt(name, INTERRUPT)).transpose()?;
        let mut stream = Stream::quiet(D::start(env)?, env.channel(), env.account(), Records::open(env)?)?;
        stream.interrupt = interrupt;
        let kept: Option<Line> = stream.records.get(LINE);
        let line = kept.unwrap_or(Line::of_8_bits(env.parse("baud")?.unwrap_or(115_200)));
        match stream.set_line(line) {
            Ok(()) | Err(CharacterError::Unsupported) => {}
            Err(_) => return Err(StartError::Device("it cannot be set to this speed")),
        }
        if let Some(held) = stream.records.get(BREAK) {
            // What a device does that cannot end a break is not worse than before.
            let _ = stream.end_break(held);
        }
        stream.begin();
        Ok(stream)
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn committed(&mut self) {
        if self.rings.publish() {
            self.pump();
            if let Some(owner) = self.rings.owner() {
                owner.signal();
            }
        }
    }

    fn signal(&mut self, _: u64) {
        self.rings.check();
        self.pump();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.end_flushes();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        if last {
            self.subscribers.close(&mut self.records, badge, last);
            self.rings.detach(badge, &mut self.records);
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
        let bytes = self.rings.input().stage_taken(buffer.len());
        self.stage();
        buffer[..bytes.len()].copy_from_slice(&bytes);
        if bytes.is_empty() && !buffer.is_empty() { Err(CharacterError::WouldBlock) } else { Ok(bytes.len()) }
    }

    fn read_wait(&mut self, _: &Context, most: u32, reply: Reply<'_, core::result::Result<Vec<u8>, CharacterError>>) {
        let most = (most as usize).min(abi::PAYLOAD_BYTES - 16);
        if let Err(error) = self.check_free() {
            return reply.send(Err(error));
        }
        if most == 0 {
            return reply.send(Ok(Vec::new()));
        }
        // Where it cannot be kept the caller gets `Abandoned`, and asks again.
        let _ = self.readers.park(reply, most);
        self.pump();
    }

    fn write(&mut self, _: &Context, bytes: &[u8]) -> core::result::Result<u32, CharacterError> {
        self.check_free()?;
        let count = self.rings.output().stage(bytes);
        self.stage();
        if count == 0 && !bytes.is_empty() { Err(CharacterError::WouldBlock) } else { Ok(count as u32) }
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, core::result::Result<(), CharacterError>>) {
        let _ = self.flushing.park(reply, ());
        self.end_flushes();
    }

    fn poll(&mut self, _: &Context) -> Readiness {
        if self.rings.owner().is_some() {
            return Readiness::default();
        }
        let (input, output) = (self.rings.input(), self.rings.output());
        Readiness { readable: input.available() as u32, writable: output.room() as u32, hung_up: false }
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) -> core::result::Result<(), CharacterError> {
        let asked = self.subscribers.subscribe(&mut self.records, cx, channel, bits);
        let now = self.poll(cx);
        if now.readable > 0 || now.writable > 0 {
            self.subscribers.notify_one(&mut self.records, cx.badge());
        }
        asked.map_err(|_| CharacterError::Device)
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
        if self.rings.owner().is_some_and(|owner| owner.badge != cx.badge()) {
            return Err(CharacterError::Attached);
        }
        let wake = self.wake.signaller(WAKE).map_err(|_| CharacterError::Device)?;
        self.rings.attach((input, output), (cx.badge(), channel, bits), &mut self.records)?;
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
                self.rings.drop_input(&mut self.records);
            }
            Control::DropOutput => {
                self.check_free()?;
                self.rings.drop_output(&mut self.records);
            }
            Control::Line(line) => {
                self.set_line(line)?;
                self.records.put(LINE, &line).map_err(|_| CharacterError::Device)?;
            }
            Control::Break(milliseconds) if milliseconds <= LONGEST_BREAK => self.hold_break(cx, milliseconds)?,
            Control::Break(_) => return Err(CharacterError::OutOfRange),
        }
        self.pump();
        self.stage();
        Ok(())
    }

    fn line(&mut self, _: &Context) -> core::result::Result<Line, CharacterError> {
        self.line.ok_or(CharacterError::Unsupported)
    }
}
