//! From the kernel's gifts to a running supervisor, and the one line that says why there is none.

use crate::capsules::Capsules;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::manifest::{Grant, Granted, Kind, MOST_WITH_INSTANCES, Manifest, Service as Entry};
use crate::record::{Phase, Record};
use crate::recover;
use crate::rings::{self, Rings};
use crate::service::GrantedObject;
use crate::supervisor::Supervisor;
use crate::table::{SLOT_BYTES, Table};
use crate::watch;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use core::convert::Infallible;
use core::fmt;
use core::mem::ManuallyDrop;
use libsys::abi::{ExitReason, boot};
use libsys::archive::Archive;
use libsys::env::Env;
use libsys::log::Level;
use libsys::resource::{Power, ResourceKind};
use libsys::service::{self, Server, StartError};
use libsys::time::{TimerId, Timers};
use libsys::{Channel, Error, Handle, Memory, Object, Ports};

/// Records that the table holds.
const RECORDS: usize = 2 * MOST_WITH_INSTANCES + 2 * watch::MOST + rings::MOST_ADDED + 8;

/// Bytes of the table.
pub(crate) const TABLE_BYTES: u64 = (RECORDS * SLOT_BYTES).next_multiple_of(libsys::abi::PAGE_BYTES) as u64;

/// The one thing that is known by number here: there is no manifest yet, or a broken one.
const FIRST_SERIAL_PORT: u16 = 0x3f8;

/// Why there is no supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BootError(String);

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What init does, for ever.
pub fn run() -> Infallible {
    let machine = Machine::take().unwrap_or_else(|error| panic!("no boot information: {error}"));
    // Its handles are the next init's as well: they are never closed.
    let machine: &'static Machine = Box::leak(Box::new(machine));
    let supervisor = supervise(machine).unwrap_or_else(|error| end(machine, None, &error));
    let channel = ManuallyDrop::new(Channel::from_handle(boot::CHANNEL));
    let ended = service::run(supervisor, &channel);
    panic!("init's channel: {ended:?}")
}

/// The supervisor, with what an earlier one left.
fn supervise(machine: &'static Machine) -> Result<Supervisor, BootError> {
    let wrong = |what: &str, error: Error| BootError(format!("{what}: {error}"));
    let bytes = machine.archive_bytes().map_err(|error| wrong("the boot archive", error))?;
    let archive = Archive::read(&bytes).map_err(|reason| BootError(reason.to_string()))?;
    let text = archive.find("manifest").ok_or_else(|| BootError("the boot archive has no manifest".to_string()))?;
    let manifest = Manifest::parse(&bytes[text]).map_err(|error| BootError(error.to_string()))?;
    machine.stand_above(&manifest).map_err(|error| wrong("init's priority", error))?;
    if let Some(entry) = missing(&manifest, &archive) {
        let Entry { line, binary, name, .. } = entry;
        return Err(BootError(format!("manifest, line {line}: the boot archive has no program {binary} for {name}")));
    }
    let begin = |manifest: &Manifest, supervisor: &mut Supervisor| {
        for (service, entry) in supervisor.services.iter_mut().zip(&manifest.services) {
            let is_there = supervisor.archive.program(&entry.binary).is_some();
            service.record.phase = match entry.kind {
                Kind::Service if is_there && entry.on_demand => Phase::Stopped,
                Kind::Service if is_there => Phase::Waiting,
                Kind::Service => Phase::GivenUp,
                _ => Phase::Stopped,
            };
        }
    };
    if machine.incarnation > 1
        && let Some(found) = recover::find(machine)
    {
        let mut supervisor =
            Supervisor::new(machine, manifest.clone(), archive, bytes, found.table, found.journal, found.rings);
        supervisor.capsules = found.capsules;
        begin(&manifest, &mut supervisor);
        supervisor.recover(found.records);
        supervisor.settle();
        return Ok(supervisor);
    }
    let memory = Memory::create(&machine.account, TABLE_BYTES).map_err(|error| wrong("init's memory", error))?;
    memory.set_kept(true).map_err(|error| wrong("init's memory", error))?;
    let mapping = memory.map_writable_part(0, TABLE_BYTES).map_err(|error| wrong("init's memory", error))?;
    // The handle is what the next init finds.
    memory.into_handle();
    let mut table = Table::new(mapping);
    let journal = Journal::create(&machine.account).map_err(|error| wrong("init's log", error))?;
    let capsules = Capsules::create(&machine.account);
    let own = Record::Own { log: journal.ring().handle().0, next_ring: rings::FIRST, capsules: capsules.handle() };
    let slot = table.add(&own.encode()).map_err(|error| BootError(format!("init's table: {error:?}")))?;
    let rings = Rings::new(slot, rings::FIRST);
    let mut supervisor = Supervisor::new(machine, manifest.clone(), archive, bytes, table, journal, rings);
    supervisor.capsules = capsules;
    begin(&manifest, &mut supervisor);
    for (index, entry) in manifest.services.iter().enumerate() {
        if supervisor.services[index].record.phase == Phase::GivenUp {
            supervisor.journal.write(Level::Warning, &format!("{} is not in the boot archive", entry.name));
        }
    }
    supervisor.check_programs()?;
    supervisor.settle();
    Ok(supervisor)
}

/// A service that has to be there, and is not.
fn missing<'a>(manifest: &'a Manifest, archive: &Archive) -> Option<&'a Entry> {
    manifest.services.iter().find(|entry| !entry.optional && archive.program(&entry.binary).is_none())
}

impl Supervisor {
    /// A service that the boot cannot go on without did not start.
    pub(crate) fn end_boot(&self, reason: String) -> ! {
        let covers = |grant: &Grant| matches!(grant.what, Granted::Ports { first: FIRST_SERIAL_PORT, count: 8.. });
        let ports = self.services.iter().zip(&self.manifest.services).find_map(|(service, entry)| {
            let place = entry.grants.iter().position(covers)?;
            match service.objects.as_ref()?.grants.get(place)? {
                GrantedObject::Ports(ports) => Some(ports),
                _ => None,
            }
        });
        end(self.machine, ports, &BootError(reason))
    }

    /// Prepares the programs that the boot cannot go on without: a broken one is told now.
    fn check_programs(&mut self) -> Result<(), BootError> {
        for index in 0..self.manifest.services.len() {
            let entry = &self.manifest.services[index];
            if entry.optional {
                continue;
            }
            let (name, line) = (entry.binary.clone(), entry.line);
            self.prepared(&name).map_err(|error| BootError(format!("manifest, line {line}: bin/{name}: {error}")))?;
        }
        Ok(())
    }
}

/// Says on the first serial port why there is no boot, and ends the machine. Should that not be possible (the
/// port is somebody's whom this init does not know), a panic says it, and the kernel tries again.
fn end(machine: &Machine, ports: Option<&Ports>, error: &BootError) -> ! {
    const BOOT_ERROR: u64 = 0x7e;
    let new = Ports::create(machine.resource(ResourceKind::Ports), FIRST_SERIAL_PORT, 8, &machine.account);
    if let Some(ports) = ports.or(new.as_ref().ok()) {
        write_line(ports, &format!("BOOT ERROR: {error}"));
        let _ = machine.resource(ResourceKind::Power).power(Power::Off, BOOT_ERROR);
    }
    panic!("{error}")
}

/// Writes to a 16550, polled.
fn write_line(ports: &Ports, text: &str) {
    const LINE_STATUS: u16 = 5;
    const ROOM: u8 = 1 << 5;
    // A port that is not there reads as all ones; one that never has room is not waited for.
    const PATIENCE: usize = 100_000;
    for byte in text.bytes().chain(*b"\r\n") {
        let has_room = || ports.read_u8(LINE_STATUS).is_ok_and(|status| status & ROOM != 0);
        let _ = (0..PATIENCE).find(|_| has_room());
        let _ = ports.write_u8(0, byte);
    }
}

impl Server for Supervisor {
    /// It is made by [`run`], from what the kernel gave.
    fn start(_: &Env) -> service::Result<Supervisor> {
        Err(StartError::Device("init is not started as others are"))
    }

    fn signal(&mut self, bits: u64) {
        self.signalled(bits);
        self.settle();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(self.timers())
    }

    fn timer(&mut self, _: TimerId) {
        if self.ends {
            let _ = self.machine.process.kill(ExitReason::Killed, 0);
        }
        self.settle();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        if last {
            self.unwatch(|record| record.badge == badge);
            self.unwatch_classes(|record| record.badge == badge);
            self.forget_rings(badge);
        }
    }

    fn withdrawn(&mut self, call: Handle) {
        let mut services = self.services.iter_mut();
        let _ = services.any(|service| service.waiting.withdraw(call) || service.upgraders.withdraw(call));
    }
}

libsys::serves!(Supervisor: libsys::protocol::Registry);
