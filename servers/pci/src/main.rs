//! The PCI buses: configuration space, BARs, interrupts and DMA domains of all functions. Serves `pci` and, to drivers, `pci function`.
//!
//! It finds the functions, tells init of each, and gives its driver what the function has ([`function`]); it sees drivers die, and takes
//! back what could do harm; it watches slots for what is put in and taken out ([`slot`]). `docs/pci.md` tells the whole story.
//!
//! Parameters: `tables`, the physical address of the firmware's tables; `memory` and `io`, where BARs of the first bus can be placed, as
//! `0xSTART-0xEND`; `interrupts`, `msi` or `line`: the best kind that functions are given, to find faults with (`msi-x`). Handles: the Resources `physical`, `ports`, `interrupts` and `dma`, the ports `config`, Memory `state`.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod acpi;
mod config;
mod function;
mod lines;
mod place;
mod reset;
mod scan;
mod serve;
mod slot;
#[cfg(test)]
mod tests;
mod vectors;

use alloc::string::ToString;
use alloc::vec::Vec;
use config::{Ecam, PortAccess, Space, command};
use core::ops::Range;
use function::{Function, Kept};
use libsys::driver::{Env, Result, StartError};
use libsys::env::{self, EnvError};
use libsys::protocol::pci::PciError;
use libsys::service::{GIVEN, Server};
use libsys::state::{RecordKey, Records};
use libsys::time::{self, TimerId, Timers};
use libsys::{Channel, Object, Resource, Rights};
use lines::Line;
use place::Windows;
use reset::{Saved, Way};
use scan::{Found, Scan};
use slot::Slot;
use vectors::Interrupts;

/// Bit of the channel: a driver with attached memory died.
pub(crate) const DEATH: u64 = 1 << 0;
/// Bit of the channel: something happened in a slot.
pub(crate) const SLOT: u64 = 1 << 1;

/// The record of all that is kept.
const KEPT: RecordKey = RecordKey::new(1, 0);
/// The record of the function that is being reset, with what that clears.
const IN_RESET: RecordKey = RecordKey::new(2, 0);

/// The bus server.
pub(crate) struct Bus {
    /// `None`: this machine has no PCI.
    space: Option<Space>,
    functions: Vec<Function>,
    /// Interrupt lines that are bound.
    lines: Vec<Line>,
    slots: Vec<Slot>,
    windows: Windows,
    best: Interrupts,
    rights: Resources,
    channel: Channel,
    records: Records,
    timers: Timers,
    poll: Option<TimerId>,
}

/// The rights to make things for functions.
pub(crate) struct Resources {
    pub(crate) physical: Resource,
    pub(crate) ports: Resource,
    pub(crate) interrupts: Resource,
    pub(crate) dma: Resource,
}

impl Server for Bus {
    fn start(env: &Env) -> Result<Bus> {
        let rights = Resources {
            physical: env.take("physical")?,
            ports: env.take("ports")?,
            interrupts: env.take("interrupts")?,
            dma: env.take("dma")?,
        };
        let records = Records::open(env)?;
        let kept = records.get(KEPT).unwrap_or_default();
        let windows =
            Windows { memory: range(env, "memory")?, ports: range(env, "io")?, prefetchable: range(env, "memory")? };
        let space = space(env, &rights)?;
        let mut bus = Bus {
            functions: Vec::new(),
            lines: Vec::new(),
            slots: Vec::new(),
            windows,
            best: env.parse("interrupts")?.unwrap_or(Interrupts::MsiX),
            rights,
            channel: env.channel().duplicate(Rights::SIGNAL | Rights::DUPLICATE | Rights::RECEIVE)?,
            records,
            timers: Timers::new(),
            poll: None,
            space,
        };
        bus.begin(kept);
        Ok(bus)
    }

    fn signal(&mut self, bits: u64) {
        if bits & DEATH != 0 {
            self.look_for_deaths();
        }
        for line in self.lines.iter_mut().filter(|line| bits & lines::bit(line.number) != 0) {
            line.strike(&self.functions);
        }
        if bits & SLOT != 0 {
            self.look_at_slots();
        }
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.poll = None;
        self.look_at_slots();
    }

    fn close(&mut self, badge: u64, client: u64, _: bool) {
        if badge & GIVEN != 0
            && let Some(index) = self.by_badge(badge)
            && self.functions[index].owner == client
        {
            self.end_ownership(index);
            self.keep();
        }
    }
}

impl Bus {
    /// Finds the functions, and goes on with what an earlier incarnation kept of them.
    fn begin(&mut self, mut kept: Kept) {
        let Some(space) = &mut self.space else {
            libsys::info!("this machine has no PCI");
            return;
        };
        if let Some(saved) = self.records.get::<Saved>(IN_RESET) {
            // An earlier incarnation died while it waited for the function.
            time::sleep(reset::SETTLE);
            saved.restore(space);
            self.records.remove(IN_RESET);
        }
        let known = |address, vendor, device| kept.known_bars(address, vendor, device);
        let mut found = Scan::new(space, known).run(0, 0, None);
        place_all(space, &mut found, &self.windows);
        libsys::info!("{} functions", found.len());
        self.lines = kept.take_lines();
        for found in found {
            self.add(found, &mut kept);
        }
        // What was kept of functions that are gone ends here. Where they were, others may be now.
        kept.rest().for_each(slot::tell_gone);
        drop(kept.take_rest());
        self.keep();
        // The kernel masked them when this process died.
        self.lines.iter().for_each(Line::open);
        self.find_slots();
        for index in 0..self.functions.len() {
            self.announce(index);
        }
    }

    /// Takes a function in.
    pub(crate) fn add(&mut self, mut found: Found, kept: &mut Kept) {
        let Some(space) = &mut self.space else { return };
        self.best.limit(&mut found.info);
        if found.info.bridge.is_some() {
            space.change_command(found.info.address, command::PORTS | command::MEMORY | command::BUS_MASTER, 0);
        }
        let function = Function::new(space, found, kept);
        let place = self.functions.partition_point(|other| other.found.info.address < function.found.info.address);
        self.functions.insert(place, function);
    }

    /// Tells init of a function that may have a driver.
    pub(crate) fn announce(&self, index: usize) {
        let info = &self.functions[index].found.info;
        if info.bridge.is_some() {
            return;
        }
        let place = info.address.to_string();
        if let Err(error) = env::get().registry().device_found(&place, info.ids(), badge_of(info.address)) {
            libsys::warn!("{place}: init was not told: {error}");
        }
    }

    /// Writes down what the next incarnation has to know.
    pub(crate) fn keep(&mut self) {
        let kept = Kept::of(&self.functions, &self.lines);
        let written = kept
            .map_err(|error| error.text())
            .and_then(|kept| self.records.put(KEPT, &kept).map_err(|_| "the Memory for it is full"));
        match written {
            Ok(()) => self.records.commit(),
            Err(why) => {
                libsys::error!("what is to be kept was not written: {why}");
                self.records.roll_back();
            }
        }
    }

    /// Has an object outlive this process from the next [`Bus::keep`] on, which is to name it: a death in between leaves nothing of it. Refused, it ends with this incarnation.
    pub(crate) fn is_to_be_kept(&mut self, object: &impl Object) {
        let _ = self.records.keep(object);
    }

    /// Resets a function that nobody owns, if that is the bus server's affair ([`Way::of`]). Everybody else waits for 100 ms then. Error: `Device` (it does not answer any more).
    pub(crate) fn reset(&mut self, index: usize) -> core::result::Result<(), PciError> {
        let (Some(space), info) = (&mut self.space, &self.functions[index].found.info) else { return Ok(()) };
        let Some(way) = Way::of(space, info) else { return Ok(()) };
        let saved = Saved::of(space, info);
        if self.records.put(IN_RESET, &saved).is_err() {
            self.records.roll_back();
            libsys::error!("{}: not reset: there is no room to keep what that clears", info.address);
            return Ok(());
        }
        self.records.commit();
        let done = way.reset(space, info.address, &mut time::sleep);
        saved.restore(space);
        self.records.remove(IN_RESET);
        self.records.commit();
        done.map_err(|reset::Silent| {
            libsys::error!("{}: it does not answer after a reset", info.address);
            PciError::Device
        })
    }

    /// The function that a session leads to.
    pub(crate) fn by_badge(&self, badge: u64) -> Option<usize> {
        self.functions.iter().position(|function| badge_of(function.found.info.address) == badge)
    }
}

/// The badge of a function's sessions.
pub(crate) fn badge_of(address: libsys::protocol::pci::Address) -> u64 {
    GIVEN | u64::from(address.segment) << 16 | u64::from(address.requester())
}

/// The way to the configuration space of this machine, if it has PCI.
fn space(env: &Env, rights: &Resources) -> Result<Option<Space>> {
    let tables: u64 = env.parse("tables")?.unwrap_or(0);
    let ports = PortAccess::find(env.ports("config")?);
    let found = match tables {
        0 => Err(acpi::TableError::Missing),
        rsdp => acpi::ecam_ranges(&mut acpi::Firmware::new(&rights.physical, env.account()), rsdp),
    };
    match found {
        Ok(ranges) if !ranges.is_empty() => {
            let account = env.account().duplicate(Rights::all() & !Rights::MANAGE)?;
            let mut ecam = Ecam::new(ranges, rights.physical.duplicate(Rights::all())?, account);
            if ecam.reaches(0, 0) {
                return Ok(Some(Space::new(ecam.with_ports(ports))));
            }
            libsys::warn!("the configuration space is not where the firmware says");
        }
        Ok(_) | Err(acpi::TableError::Missing) => {}
        Err(error) => libsys::warn!("the firmware's tables: {error:?}"),
    }
    Ok(ports.map(Space::new))
}

/// A parameter of the form `0xSTART-0xEND`; without it nothing is there.
fn range(env: &Env, name: &str) -> Result<Range<u64>> {
    let Some(text) = env.parameter(name) else { return Ok(0..0) };
    let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let both = text.split_once('-').and_then(|(start, end)| Some(number(start)?..number(end)?));
    both.filter(|range| range.start <= range.end)
        .ok_or_else(|| StartError::from(EnvError::BadParameter { name: name.to_string(), value: text.to_string() }))
}

/// Places the BARs that the firmware did not.
pub(crate) fn place_all(space: &mut Space, found: &mut [Found], windows: &Windows) {
    for index in 0..found.len() {
        let windows = match found[index].parent {
            Some(bridge) => Windows::of_bridge(space, bridge),
            None => windows.clone(),
        };
        place::place(space, found, index, &windows);
    }
}

libsys::serve!(Bus: libsys::protocol::Pci, libsys::protocol::PciFunction);
