//! Slots behind PCI Express ports: what is put in and taken out while the machine runs (PCI Express Base Specification §6.7).
//!
//! A port signals with its interrupt; where it has none that can be had, its status is read every half second. A press of the attention button on a
//! slot with a card asks for the card's removal, unless it came with the card.
//!
//! The port notes an event until it is cleared, and that is done when it was dealt with: what happens while this server is dead, or what it had begun when it died, is
//! found by the next one.

use crate::config::Space;
use crate::function::Kept;
use crate::scan::{Scan, capability};
use crate::{Bus, SLOT, place_all};
use alloc::string::ToString;
use alloc::vec::Vec;
use libsys::protocol::pci::{Address, FunctionInfo};
use libsys::time::Duration;
use libsys::{Interrupt, env};

/// How often slots without an interrupt are looked at, and those in which a card is not ready.
const POLL: Duration = Duration::from_millis(500);

/// Looks at a slot that has events again and again, before something else has its turn.
const MOST_LOOKS: u32 = 8;

const CAPABILITIES: u16 = 0x02;
const HAS_SLOT: u16 = 1 << 8;
const SLOT_CAPABILITIES: u16 = 0x14;
const HOT_PLUG: u32 = 1 << 6;
const CONTROL: u16 = 0x18;
const STATUS: u16 = 0x1a;

/// Bits of the slot's control register.
mod control {
    pub const ATTENTION: u16 = 1 << 0;
    pub const PRESENCE: u16 = 1 << 3;
    pub const INTERRUPT: u16 = 1 << 5;
    pub const INDICATOR: u16 = 0b11 << 8;
    pub const INDICATOR_ON: u16 = 0b01 << 8;
    pub const INDICATOR_OFF: u16 = 0b11 << 8;
    pub const POWER_OFF: u16 = 1 << 10;
}

/// Bits of the slot's status register.
mod status {
    pub const ATTENTION: u16 = 1 << 0;
    pub const PRESENCE_CHANGED: u16 = 1 << 3;
    pub const PRESENT: u16 = 1 << 6;
    pub const LINK_CHANGED: u16 = 1 << 8;
    /// What is noted until it is written with ones.
    pub const EVENTS: u16 = 0b1_0001_1111;
}

/// A slot.
pub struct Slot {
    /// The port above it.
    port: Address,
    /// The bus behind it.
    bus: u8,
    /// Where its registers are.
    registers: u16,
    /// It tells of events.
    interrupt: Option<Interrupt>,
    /// A card is there that did not answer yet.
    waits: bool,
}

impl Slot {
    /// The slot behind a port, if cards can come and go there.
    fn of(space: &mut Space, info: &FunctionInfo) -> Option<Slot> {
        let (_, bus, _) = info.bridge?;
        let registers = u16::from(info.capability(capability::EXPRESS)?);
        let has_slot = space.read16(info.address, registers + CAPABILITIES) & HAS_SLOT != 0;
        let can_change = space.read32(info.address, registers + SLOT_CAPABILITIES) & HOT_PLUG != 0;
        // A card that is not here yet, though nobody had it switched off.
        let waits = space.read16(info.address, registers + CONTROL) & control::POWER_OFF == 0;
        let slot = Slot { port: info.address, bus, registers, interrupt: None, waits };
        (has_slot && can_change).then_some(slot)
    }

    fn change_control(&self, space: &mut Space, set: u16, clear: u16) {
        let before = space.read16(self.port, self.registers + CONTROL);
        space.write16(self.port, self.registers + CONTROL, before & !clear | set);
    }
}

impl Bus {
    /// Finds the slots, and lets them tell of events.
    pub(crate) fn find_slots(&mut self) {
        let Some(space) = &mut self.space else { return };
        let all = self.functions.iter().filter_map(|function| Slot::of(space, &function.found.info));
        self.slots = all.collect();
        for number in 0..self.slots.len() {
            let port = self.slots[number].port;
            let Some(index) = self.functions.iter().position(|function| function.found.info.address == port) else {
                continue;
            };
            let Ok(channel) = self.channel.signaller(SLOT) else { continue };
            self.slots[number].interrupt = self.message(index, 0, &channel, SLOT).ok();
            if let Some(space) = &mut self.space {
                let slot = &self.slots[number];
                slot.change_control(space, control::ATTENTION | control::PRESENCE | control::INTERRUPT, 0);
            }
        }
        self.look_at_slots();
    }

    /// Looks what has happened in the slots.
    pub(crate) fn look_at_slots(&mut self) {
        for number in 0..self.slots.len() {
            self.look_at_slot(number);
        }
        let must_poll = self.slots.iter().any(|slot| slot.interrupt.is_none() || slot.waits);
        if must_poll && self.poll.is_none() {
            self.poll = Some(self.timers.after(POLL));
        }
    }

    fn look_at_slot(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if let Some(interrupt) = &slot.interrupt {
            // A message: nobody shares it.
            let _ = interrupt.acknowledge(true);
        }
        let (port, registers) = (slot.port, slot.registers);
        for _ in 0..MOST_LOOKS {
            let Some(space) = &mut self.space else { return };
            let seen = space.read16(port, registers + STATUS);
            self.deal_with(number, seen);
            if seen & status::EVENTS == 0 {
                return;
            }
            if let Some(space) = &mut self.space {
                space.write16(port, registers + STATUS, seen & status::EVENTS);
            }
        }
        // Its events do not end: later.
        self.poll = self.poll.take().or_else(|| Some(self.timers.after(POLL)));
    }

    /// Does what a slot's status asks for.
    fn deal_with(&mut self, number: usize, seen: u16) {
        let Some(space) = &mut self.space else { return };
        let slot = &mut self.slots[number];
        let (port, bus) = (slot.port, slot.bus);
        let is_present = seen & status::PRESENT != 0;
        let has_come = seen & (status::PRESENCE_CHANGED | status::LINK_CHANGED) != 0;
        let is_pressed = seen & status::ATTENTION != 0;
        let is_known = self.functions.iter().any(|function| function.found.parent == Some(port));
        match (is_present, is_known) {
            (true, false) if has_come || is_pressed || slot.waits => {
                slot.change_control(space, control::INDICATOR_ON, control::POWER_OFF | control::INDICATOR);
                let is_there = self.take_in(port, bus);
                self.slots[number].waits = !is_there;
            }
            (true, true) if is_pressed && !has_come => {
                self.let_go(port);
                if let Some(space) = &mut self.space {
                    let off = control::INDICATOR_OFF | control::POWER_OFF;
                    self.slots[number].change_control(space, off, 0);
                }
            }
            (false, true) => self.let_go(port),
            _ => slot.waits &= is_present,
        }
    }

    /// Takes in what is behind a port. Whether something answers there.
    fn take_in(&mut self, port: Address, bus: u8) -> bool {
        let Some(space) = &mut self.space else { return false };
        let new = Scan::new(space, |_, _, _| None).run(port.segment, bus, Some(port));
        let is_there = !new.is_empty();
        let addresses: Vec<Address> = new.iter().map(|found| found.info.address).collect();
        let mut all: Vec<crate::Found> = self.functions.iter().map(|function| function.found.clone()).collect();
        all.extend(new);
        place_all(space, &mut all, &self.windows);
        for found in all.into_iter().filter(|found| addresses.contains(&found.info.address)) {
            libsys::info!("{} was put in", found.info.address);
            self.add(found, &mut Kept::default());
        }
        self.keep();
        for address in addresses {
            if let Some(index) = self.functions.iter().position(|function| function.found.info.address == address) {
                self.announce(index);
            }
        }
        is_there
    }

    /// Lets go what is behind a port: its drivers end, and nothing of it is reached any more.
    fn let_go(&mut self, port: Address) {
        let is_gone = |function: &crate::Function| function.found.parent == Some(port);
        let gone: Vec<usize> = (0..self.functions.len()).filter(|index| is_gone(&self.functions[*index])).collect();
        for index in gone.into_iter().rev() {
            self.end_ownership(index);
            let function = self.functions.remove(index);
            tell_gone(function.found.info.address);
        }
        self.keep();
    }
}

/// Tells init that a function is not there any more.
pub(crate) fn tell_gone(address: Address) {
    libsys::info!("{address} was taken out");
    if let Err(error) = env::get().registry().device_gone(&address.to_string()) {
        libsys::warn!("{address}: init was not told: {error}");
    }
}
