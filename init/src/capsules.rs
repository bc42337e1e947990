//! The crash capsules: what is left of services' deaths, a bounded number in kept Memory, and a copy for the host.
//!
//! A capsule is written when init learns of the death, and again when the next incarnation serves; what it costs to
//! show it (names of functions) is spent when somebody looks. Where there is an emulator's debug console, each goes
//! there as well, once it is complete: so the host has them whatever becomes of the machine.

use crate::record::Phase;
use crate::supervisor::Supervisor;
use crate::table::{HEADER_BYTES, SlotNumber, Storage, Table};
use alloc::vec::Vec;
use libsys::abi::{ExitReason, PAGE_BYTES};
use libsys::crash::{Crash, CrashSummary, MOST_BYTES};
use libsys::log::LogReader;
use libsys::resource::ResourceKind;
use libsys::time;
use libsys::{Account, Handle, Memory, Object, Ports, WritableMapping};
use serde::{Deserialize, Serialize};

/// Most capsules.
const MOST: usize = 16;

/// Capsules of kills that stay when there is no more room, so that a fault is not lost among them, nor they among faults.
const LEAST_KILLS: usize = MOST / 4;

/// Nanoseconds after a death at which the host gets the capsule, complete or not.
const PATIENCE: u64 = 5_000_000_000;

/// The port of the debug console of Bochs and QEMU (`isa-debugcon`); it reads as its own number.
const CONSOLE_PORT: u16 = 0xe9;

/// What each capsule starts with there; its length in 4 bytes follows, little-endian.
pub const MARK: [u8; 4] = *b"\xc5RSH";

/// Memory with large copies.
#[derive(Debug)]
struct Pages(WritableMapping);

impl Storage for Pages {
    const COPY_BYTES: usize = PAGE_BYTES;

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        self.0.copy_out(offset, into);
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        self.0.copy_in(offset, from);
    }
}

const _: () = assert!(MOST_BYTES + 16 <= PAGE_BYTES - HEADER_BYTES);

/// A record of the table.
#[derive(Debug, Serialize, Deserialize)]
struct Capsule {
    crash: Crash,
    /// The host has it.
    is_told: bool,
}

/// All capsules.
#[derive(Debug, Default)]
pub(crate) struct Capsules {
    memory: u64,
    table: Option<Table<Pages>>,
    /// In order of their numbers.
    all: Vec<(SlotNumber, CrashSummary, bool)>,
    last: u64,
    console: Option<Option<Ports>>,
}

impl Capsules {
    /// None yet, in new kept Memory. Where there is not enough of it, there are never any.
    pub(crate) fn create(account: &Account) -> Capsules {
        let create = || {
            let memory = Memory::create(account, (2 * MOST * PAGE_BYTES) as u64)?;
            memory.set_kept(true)?;
            let mapping = memory.map_writable()?;
            Ok::<_, libsys::Error>((memory.into_handle().0, Table::new(Pages(mapping))))
        };
        match create() {
            Ok((memory, table)) => Capsules { memory, table: Some(table), ..Capsules::default() },
            Err(_) => Capsules::default(),
        }
    }

    /// Those that an earlier init kept.
    pub(crate) fn recover(handle: u64) -> Capsules {
        if handle == 0 {
            return Capsules::default();
        }
        let memory = Memory::from_handle(Handle(handle));
        let mapping = memory.map_writable();
        memory.into_handle();
        let Ok(mapping) = mapping else { return Capsules { memory: handle, ..Capsules::default() } };
        let (table, records) = Table::open(Pages(mapping));
        let decoded = records.into_iter().filter_map(|(slot, bytes)| Some((slot, decode(&bytes)?)));
        let mut all: Vec<_> = decoded.map(|(slot, capsule)| (slot, capsule.crash.summary(), capsule.is_told)).collect();
        all.sort_by_key(|(_, summary, _)| summary.number);
        let last = all.last().map_or(0, |(_, summary, _)| summary.number);
        Capsules { memory: handle, table: Some(table), all, last, console: None }
    }

    /// The handle of the Memory; 0: there is none.
    pub(crate) fn handle(&self) -> u64 {
        self.memory
    }

    /// Lines of a list, from a number on.
    pub(crate) fn list(&self, first: u64) -> impl Iterator<Item = CrashSummary> {
        self.all.iter().map(|(_, summary, _)| summary.clone()).filter(move |summary| summary.number >= first)
    }

    /// A capsule.
    pub(crate) fn get(&self, number: u64) -> Option<Crash> {
        Some(self.read(self.place(number)?)?.crash)
    }

    /// Adds one, under the next number, in the place of an old one if need be.
    pub(crate) fn add(&mut self, mut crash: Crash) {
        if self.table.as_ref().is_none_or(|table| table.free() == 0) {
            self.drop_one();
        }
        let Some(table) = &mut self.table else { return };
        self.last += 1;
        crash.number = self.last;
        let summary = crash.summary();
        // What one capsule holds always fits; a table without room drops the newest.
        if let Ok(slot) = table.add(&encode(Capsule { crash, is_told: false })) {
            self.all.push((slot, summary, false));
        }
    }

    /// The last capsule of a service.
    pub(crate) fn last_of(&self, service: &str) -> Option<&CrashSummary> {
        self.all.iter().rev().map(|(_, summary, _)| summary).find(|summary| summary.service == service)
    }

    /// Changes a capsule.
    pub(crate) fn change(&mut self, number: u64, change: impl FnOnce(&mut Crash)) {
        let Some(place) = self.place(number) else { return };
        let Some(mut capsule) = self.read(place) else { return };
        change(&mut capsule.crash);
        self.put(place, capsule);
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.all.iter().position(|(_, summary, _)| summary.number == number)
    }

    fn read(&self, place: usize) -> Option<Capsule> {
        decode(&self.table.as_ref()?.get(self.all[place].0))
    }

    fn put(&mut self, place: usize, capsule: Capsule) {
        let (slot, summary, is_told) = &mut self.all[place];
        (*summary, *is_told) = (capsule.crash.summary(), capsule.is_told);
        if let Some(table) = &mut self.table {
            let _ = table.set(*slot, &encode(capsule));
        }
    }

    fn drop_one(&mut self) {
        let is_kill = |summary: &CrashSummary| !ExitReason::from_number(summary.reason).is_fault();
        let kills = self.all.iter().filter(|(_, summary, _)| is_kill(summary)).count();
        let oldest = self.all.iter().position(|(_, summary, _)| kills <= LEAST_KILLS || is_kill(summary));
        if let (Some(oldest), Some(table)) = (oldest, &mut self.table) {
            table.remove(self.all.remove(oldest).0);
        }
    }

    /// The debug console, looked for once.
    fn console(&mut self, find: impl FnOnce() -> Option<Ports>) -> Option<&Ports> {
        self.console.get_or_insert_with(find).as_ref()
    }
}

fn decode(bytes: &[u8]) -> Option<Capsule> {
    postcard::from_bytes(bytes).ok()
}

/// A capsule's bytes. What is too much is left out: first the oldest lines of the log, then the calls, then the rest of what was said.
fn encode(mut capsule: Capsule) -> Vec<u8> {
    loop {
        // Only an allocation could fail, and that does not return.
        let bytes = postcard::to_allocvec(&capsule).unwrap_or_default();
        let crash = &mut capsule.crash;
        match &mut crash.message {
            _ if bytes.len() <= MOST_BYTES => return bytes,
            _ if !crash.log.is_empty() => drop(crash.log.remove(0)),
            _ if !crash.calls.is_empty() => drop(crash.calls.pop()),
            Some(message) if !message.is_empty() => {
                let half = (0..=message.len() / 2).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
                message.truncate(half);
            }
            _ => return bytes,
        }
    }
}

impl Supervisor {
    /// A service is ready: its last death is over.
    pub(crate) fn note_ready(&mut self, index: usize) {
        let (name, incarnation) = (&self.manifest.services[index].name, self.services[index].record.incarnation);
        let last = self.capsules.last_of(name).filter(|last| last.ready.is_none() && last.incarnation < incarnation);
        if let Some(number) = last.map(|last| last.number) {
            self.capsules.change(number, |crash| crash.ready = Some(time::now()));
        }
    }

    /// Notes in a service's last capsule, of this number, when the incarnation after it first answered, if that is known by now.
    pub(crate) fn note_answer(&mut self, number: u64) {
        let Some(crash) = self.capsules.get(number).filter(|crash| crash.answered.is_none()) else { return };
        let is_last = self.capsules.last_of(&crash.service).is_some_and(|last| last.number == number);
        let Some(index) = self.manifest.find(&crash.service).filter(|_| is_last) else { return };
        let Some(objects) = &self.services[index].objects else { return };
        let answered = objects.log.map().ok().and_then(LogReader::open).and_then(|reader| reader.answered());
        if let Some(answered) = answered.filter(|answered| *answered > crash.time) {
            self.capsules.change(number, |crash| crash.answered = Some(answered));
        }
    }

    /// Gives the host the oldest capsule that is complete, or will not be so soon. Whether there was one.
    pub(crate) fn tell_host(&mut self) -> bool {
        let (now, is_over) = (time::now(), self.going_down.is_some());
        let is_due = |summary: &CrashSummary| {
            let index = self.manifest.find(&summary.service);
            let is_gone =
                index.is_none_or(|index| matches!(self.services[index].record.phase, Phase::Stopped | Phase::GivenUp));
            is_over || is_gone || summary.ready.is_some() || now > summary.time.saturating_add(PATIENCE)
        };
        let due = self.capsules.all.iter().position(|(_, summary, is_told)| !is_told && is_due(summary));
        let Some(place) = due else { return false };
        self.note_answer(self.capsules.all[place].1.number);
        let Some(capsule) = self.capsules.read(place) else { return false };
        let machine = self.machine;
        let find = || {
            let resource = machine.resource(ResourceKind::Ports);
            let ports = Ports::create(resource, CONSOLE_PORT, 1, &machine.account).ok()?;
            (ports.read_u8(0) == Ok(CONSOLE_PORT as u8)).then_some(ports)
        };
        if let Some(console) = self.capsules.console(find) {
            let bytes = postcard::to_allocvec(&capsule.crash).unwrap_or_default();
            let length = (bytes.len() as u32).to_le_bytes();
            for byte in MARK.iter().chain(&length).chain(&bytes) {
                let _ = console.write_u8(0, *byte);
            }
        }
        self.capsules.put(place, Capsule { is_told: true, ..capsule });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::crash::{HeldCall, LogLine};
    use libsys::fake::FakeProcess;

    fn crash(service: &str, reason: ExitReason) -> Crash {
        Crash { service: service.into(), reason: reason as u32, ..Crash::default() }
    }

    fn create() -> Capsules {
        Capsules::create(&libsys::fake::account())
    }

    #[test]
    fn the_oldest_go_first_and_faults_are_not_lost_among_kills() {
        FakeProcess::new().run(|| {
            let mut capsules = create();
            for _ in 0..5 {
                capsules.add(crash("uart", ExitReason::Panic));
            }
            for _ in 0..3 * MOST {
                capsules.add(crash("log", ExitReason::Killed));
            }
            assert_eq!(capsules.all.len(), MOST);
            let numbers: Vec<u64> = capsules.list(0).map(|summary| summary.number).collect();
            assert!(numbers.starts_with(&[1, 2, 3, 4, 5]) && numbers.is_sorted());
            for _ in 0..3 * MOST {
                capsules.add(crash("uart", ExitReason::PageFault));
            }
            let kills = capsules.list(0).filter(|summary| summary.reason == ExitReason::Killed as u32).count();
            assert!(capsules.all.len() == MOST && kills <= LEAST_KILLS, "{kills}");
            assert_eq!(capsules.get(1), None);

            // The next init finds them.
            let number = capsules.last;
            capsules.change(number, |crash| crash.ready = Some(77));
            let again = Capsules::recover(capsules.handle());
            assert!(again.list(0).eq(capsules.list(0)));
            assert_eq!(again.get(number).and_then(|crash| crash.ready), Some(77));
            assert_eq!(again.last_of("uart").map(|last| last.number), Some(number));
        });
    }

    #[test]
    fn a_capsule_that_is_too_long_loses_its_log_first() {
        let mut crash = crash("uart", ExitReason::Panic);
        crash.message = Some("ä".repeat(5000));
        crash.calls = alloc::vec![HeldCall { client: 1, ..HeldCall::default() }; 4];
        crash.log = alloc::vec![LogLine { time: 1, level: 3, text: "x".repeat(100) }; 90];
        crash.stack = alloc::vec![u64::MAX; 16];
        crash.registers = [u64::MAX; 18];
        let short = decode(&encode(Capsule { crash: crash.clone(), is_told: false })).expect("decodes").crash;
        assert!(short.log.is_empty() && short.message.is_some_and(|message| message.len() > 1000));
        crash.message = None;
        let bytes = encode(Capsule { crash, is_told: false });
        let long = decode(&bytes).expect("decodes").crash;
        assert!(bytes.len() <= MOST_BYTES && long.log.len() > 20 && long.calls.len() == 4);
    }
}
