//! The terminal between programs and a stream device: lines, echo, keys that mean something. Serves `console`; needs a
//! session that controls the device, `device`, whose service the parameter `device` names (`uart`).
//!
//! [`discipline`] makes lines of what is typed, [`device`] has the rings that are shared with the driver; this file answers
//! calls, and [`kept`] has what outlives it. Input is treated by the modes of the session that reads first, or that was first last; before there is one,
//! it stays with the device.
//!
//! What is taken from the device is committed with what was made of it, and what is given to it with the answer to the writer; the device sees both
//! after that ([`Server::committed`]).
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod device;
mod discipline;
mod kept;

use alloc::string::String;
use alloc::vec::Vec;
use device::Device;
use discipline::{Discipline, Effect, LONGEST_LINE};
use kept::{Held, Interrupted, Kept, State};
use libsys::driver::{Context, Env, Result};
use libsys::protocol::CharacterClient;
use libsys::protocol::console::{Console, ConsoleError, Mode};
use libsys::protocol::registry;
use libsys::service::{KeptSubscribers, Parked, Reply, Server, Sessions};
use libsys::state::Records;
use libsys::{Account, Channel, Handle};

/// Signal bits: the device's rings changed; its service changed its state.
const RINGS: u64 = 1 << 0;
const SERVICE: u64 = 1 << 1;

/// Echo that waits for room; beyond it, keys are not shown.
const MOST_ECHO: usize = 2048;

type Answer<T> = core::result::Result<T, ConsoleError>;

struct Terminal {
    kept: Kept,
    device: Device,
    /// Name of the device's service, and which incarnation of it has the rings.
    service: String,
    incarnation: Option<u64>,
    discipline: Discipline,
    echo: Vec<u8>,
    modes: Sessions<Mode>,
    /// Badge of the session that reads first, or that was first last, if it is still there.
    reader: Option<u64>,
    readers: Parked<Answer<Vec<u8>>, (u64, usize)>,
    held: Option<Held>,
    flushing: Parked<Answer<()>>,
    interrupts: Option<Interrupted>,
    /// Ctrl-C was typed, and nobody was told yet.
    is_interrupting: bool,
    subscribers: KeptSubscribers,
    /// All input was taken when it was last looked for, and more is welcome.
    is_hungry: bool,
    /// A writer met a ring without room.
    is_blocked: bool,
    size: (u16, u16),
}

impl Server for Terminal {
    fn start(env: &Env) -> Result<Terminal> {
        let service = String::from(env.parameter("device").unwrap_or("uart"));
        let mut terminal =
            Terminal::new(Records::open(env)?, env.client("device")?, env.account(), env.channel(), service)?;
        // Without init's help a device that restarts is not noticed.
        let watched = env.registry().watch(&terminal.service, &env.channel().signaller(SERVICE)?, SERVICE);
        terminal.incarnation = watched.ok().and_then(|_| terminal.running_incarnation());
        Ok(terminal)
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.kept.records)
    }

    fn committed(&mut self) {
        debug_assert_eq!(self.kept.state().positions, self.device.positions(), "all that was moved is committed");
        let has_more = self.device.publish(self.is_hungry, self.is_blocked || !self.echo.is_empty());
        if core::mem::take(&mut self.is_interrupting) {
            if let Some(Interrupted { channel, bits, .. }) = &self.interrupts {
                // A shell that is gone is not interrupted.
                let _ = channel.signal(*bits);
            }
            // A death before this is committed signals again: the console reads nothing to a shell in between that could be interrupted by it.
            self.stage();
        }
        if has_more {
            self.pump();
        }
    }

    fn signal(&mut self, bits: u64) {
        if bits & SERVICE != 0 {
            self.follow_service();
        }
        self.pump();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        if last {
            self.modes.close(badge, last);
            self.kept.close(badge);
            self.subscribers.close(&mut self.kept.records, badge, last);
            self.end_interrupts(badge);
            self.let_go(badge);
            self.reader.take_if(|reader| *reader == badge);
            self.pump();
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        if !self.readers.withdraw(call) {
            self.flushing.withdraw(call);
        }
        self.pump();
    }
}

impl Terminal {
    /// A terminal that goes on where the one before has died.
    fn new(
        records: Records,
        client: CharacterClient,
        account: &Account,
        channel: &Channel,
        service: String,
    ) -> Result<Terminal> {
        let mut kept = Kept::new(records);
        let state = kept.state();
        let signal = (channel.signaller(RINGS)?, RINGS);
        let device = Device::attach(client, account, (&mut kept.records, kept::RINGS), state.positions, signal)?;
        let mut terminal = Terminal {
            device,
            service,
            incarnation: None,
            discipline: kept.discipline(),
            echo: kept.echo().to_vec(),
            modes: kept.modes(),
            reader: state.reader,
            readers: Parked::new(),
            held: kept.held(),
            flushing: Parked::new(),
            interrupts: kept.interrupts(),
            is_interrupting: state.is_interrupting,
            subscribers: KeptSubscribers::recover(kept::SUBSCRIBERS, &kept.records),
            is_hungry: false,
            is_blocked: false,
            size: state.size,
            kept,
        };
        terminal.take_input();
        terminal.subscribers.notify(&mut terminal.kept.records);
        terminal.kept.records.commit();
        terminal.committed();
        Ok(terminal)
    }

    /// Stages what has changed, after anything that may have changed something.
    fn stage(&mut self) {
        let state = State {
            positions: self.device.positions(),
            reader: self.reader,
            mode: self.discipline.mode(),
            shown: self.discipline.shown(),
            size: self.size,
            is_interrupting: self.is_interrupting,
        };
        self.kept.stage(state, &self.discipline, &self.echo);
    }

    /// Everything that follows from a change of the rings.
    fn pump(&mut self) {
        self.take_input();
        if self.is_blocked && self.device.room() > 0 {
            self.is_blocked = false;
            self.subscribers.notify(&mut self.kept.records);
        }
        if !self.flushing.is_empty() && self.device.is_drained() {
            self.device.flush();
            while let Some((call, ())) = self.flushing.pop() {
                let _ = call.reply(Ok(()));
            }
        }
    }

    /// Takes what was typed, shows it, and answers those who wait for it.
    fn take_input(&mut self) {
        let was_readable = self.discipline.is_readable();
        let mut bytes = [0; 256];
        loop {
            self.apply_mode();
            if self.discipline.is_full() {
                self.look_for_interrupt();
            }
            // What nobody is there for stays with the device: nobody knows yet how it is to be treated.
            let is_taken = self.active().is_some() && !self.discipline.is_full();
            let count = if is_taken { self.device.read(&mut bytes) } else { 0 };
            for byte in &bytes[..count] {
                let effect = self.discipline.input(*byte, &mut self.echo);
                self.take_effect(effect);
            }
            self.answer_readers();
            self.send_echo();
            if count == 0 {
                // What is not taken now is when somebody reads.
                self.is_hungry = is_taken;
                break;
            }
        }
        if self.discipline.is_readable() && !was_readable {
            self.subscribers.notify(&mut self.kept.records);
        }
        self.stage();
    }

    fn take_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Readable if self.active_mode().canonical => self.answer_readers(),
            Effect::Readable => {}
            Effect::Interrupted => self.is_interrupting = true,
        }
    }

    /// Ctrl-C is noticed even when nobody reads what was typed before it.
    fn look_for_interrupt(&mut self) {
        let (mut bytes, mut skipped) = ([0; 256], 0);
        loop {
            let count = self.device.peek(skipped, &mut bytes);
            if count == 0 {
                return;
            }
            if let Some(at) = bytes[..count].iter().position(|byte| self.discipline.interrupts(*byte)) {
                self.device.skip(skipped + at + 1);
                self.discipline.interrupt(&mut self.echo);
                return self.take_effect(Effect::Interrupted);
            }
            skipped += count;
        }
    }

    /// Answers readers in order of arrival, each in its own modes.
    fn answer_readers(&mut self) {
        while let Some((_, most)) = self.readers.first().copied() {
            self.apply_mode();
            let Some(bytes) = self.discipline.read(most) else {
                break;
            };
            let Some((call, _)) = self.readers.pop() else {
                break;
            };
            if call.reply(Ok(bytes.clone())).is_err() {
                self.discipline.unread(bytes);
            }
        }
        self.apply_mode();
    }

    /// The session that reads first, or that was first last, or that is told of Ctrl-C.
    fn active(&mut self) -> Option<u64> {
        let first = self.readers.first().map(|(badge, _)| *badge);
        self.reader = first.or(self.reader);
        self.reader.or(self.interrupts.as_ref().map(|interrupts| interrupts.badge))
    }

    fn end_interrupts(&mut self, badge: u64) {
        if let Some(former) = self.interrupts.take_if(|interrupts| interrupts.badge == badge) {
            self.kept.end_interrupts(former);
        }
    }

    /// Lets go what was held for a session.
    fn let_go(&mut self, badge: u64) {
        if self.held.take_if(|held| held.badge == badge).is_some() {
            self.kept.hold(None);
        }
    }

    fn active_mode(&mut self) -> Mode {
        let mode = self.active().and_then(|badge| self.modes.of_badge(badge));
        mode.copied().unwrap_or_default()
    }

    fn apply_mode(&mut self) {
        let mode = self.active_mode();
        let effect = self.discipline.set_mode(mode, &mut self.echo);
        if effect == Effect::Interrupted {
            self.take_effect(effect);
        }
    }

    fn send_echo(&mut self) {
        let sent = self.device.write(&self.echo);
        self.echo.drain(..sent);
        self.echo.truncate(MOST_ECHO);
    }

    /// The incarnation of the device's service, if it serves.
    fn running_incarnation(&self) -> Option<u64> {
        let service = libsys::env::get().registry().info(&self.service).ok()?;
        (service.state == registry::State::Ready).then_some(service.incarnation)
    }

    /// Attaches the rings to a device that has restarted.
    fn follow_service(&mut self) {
        let running = self.running_incarnation();
        if running.is_some() && running != self.incarnation {
            match self.device.attach_again() {
                Ok(()) => self.incarnation = running,
                Err(error) => {
                    libsys::error!("{} does not take the rings again: {error}", self.service)
                }
            }
        }
    }
}

impl Console for Terminal {
    fn read(&mut self, cx: &Context, most: u32, reply: Reply<'_, Answer<Vec<u8>>>) {
        if most == 0 {
            return reply.send(Ok(Vec::new()));
        }
        // Where it cannot be kept the caller gets `Abandoned`.
        let _ = self.readers.park(reply, (cx.badge(), (most as usize).min(LONGEST_LINE)));
        self.take_input();
    }

    fn read_now(&mut self, cx: &Context, buffer: &mut [u8]) -> Answer<usize> {
        if self.readers.is_empty() {
            self.reader = Some(cx.badge());
        }
        self.take_input();
        let bytes = if self.readers.is_empty() { self.discipline.read(buffer.len()) } else { None };
        let bytes = bytes.ok_or(ConsoleError::WouldBlock)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.stage();
        Ok(bytes.len())
    }

    fn read_noted(&mut self, cx: &Context, noted: u64, buffer: &mut [u8]) -> Answer<usize> {
        let badge = cx.badge();
        if noted != 0
            && let Some(held) = self.held.as_ref().filter(|held| held.badge == badge && held.noted >= noted)
            && let Some(room) = buffer.get_mut(..held.bytes.len())
        {
            room.copy_from_slice(&held.bytes);
            return Ok(held.bytes.len());
        }
        self.let_go(badge);
        let count = self.read_now(cx, buffer)?;
        let held = Held { badge, noted, bytes: buffer[..count].to_vec() };
        self.kept.hold(Some(&held));
        self.held = Some(held);
        Ok(count)
    }

    fn write(&mut self, cx: &Context, bytes: &[u8]) -> Answer<u32> {
        self.send_echo();
        let mode = self.modes.get(cx).copied().unwrap_or_default();
        let room = if self.echo.is_empty() { self.device.room() } else { 0 };
        let mut out = Vec::with_capacity(bytes.len().min(room) + 64);
        let mut count = 0;
        for byte in bytes {
            let is_newline = *byte == b'\n' && mode.newline_out;
            if out.len() + 1 + usize::from(is_newline) > room {
                break;
            }
            if is_newline {
                out.push(b'\r');
            }
            out.push(*byte);
            count += 1;
        }
        self.device.write(&out);
        self.stage();
        self.is_blocked |= count < bytes.len();
        if count == 0 && !bytes.is_empty() { Err(ConsoleError::WouldBlock) } else { Ok(count as u32) }
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, Answer<()>>) {
        let _ = self.flushing.park(reply, ());
        self.pump();
    }

    fn set_mode(&mut self, cx: &Context, mode: Mode) -> Mode {
        let before = self.modes.insert(cx.badge(), mode).unwrap_or_default();
        self.kept.set_mode(cx.badge(), mode);
        self.reader.get_or_insert(cx.badge());
        self.take_input();
        before
    }

    fn mode(&mut self, cx: &Context) -> Mode {
        self.modes.get(cx).copied().unwrap_or_default()
    }

    fn interrupts(&mut self, cx: &Context, channel: Channel, bits: u64) -> Answer<()> {
        if !cx.may_control() {
            return Err(ConsoleError::Denied);
        }
        if bits == 0 {
            self.end_interrupts(cx.badge());
            return Ok(());
        }
        let asked = self.kept.set_interrupts(cx.badge(), channel, bits).map_err(|_| ConsoleError::Exhausted)?;
        if let Some(former) = self.interrupts.replace(asked) {
            former.channel.release(&mut self.kept.records);
        }
        Ok(())
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64) {
        let asked = self.subscribers.subscribe(&mut self.kept.records, cx, channel, bits);
        self.kept.note_room(asked.is_ok());
        if self.discipline.is_readable() || self.device.room() > 0 {
            self.subscribers.notify_one(&mut self.kept.records, cx.badge());
        }
    }

    fn size(&mut self) -> (u16, u16) {
        self.size
    }

    fn set_size(&mut self, columns: u16, rows: u16) {
        self.size = (columns, rows);
        self.stage();
    }
}

libsys::serve!(Terminal: Console);

#[cfg(test)]
mod tests;
