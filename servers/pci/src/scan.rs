//! Finding functions: every bus behind every bridge, what the headers say, how large the BARs are.
//!
//! Nothing that a device says is taken for granted: lists of capabilities may go in circles, bridges may lead back.

use crate::config::{EXTENDED_BYTES, PLAIN_BYTES, Space, command, register};
use alloc::vec::Vec;
use libsys::protocol::pci::{Address, Bar, BarKind, FunctionInfo};

/// Ids of capabilities.
pub mod capability {
    #![allow(missing_docs)]
    pub const MSI: u8 = 0x05;
    pub const EXPRESS: u8 = 0x10;
    pub const MSI_X: u8 = 0x11;
    pub const ADVANCED_FEATURES: u8 = 0x13;
}

/// Class and subclass of a bridge to another PCI bus.
const BRIDGE: u32 = 0x0604;
/// Class and subclass of the bridge to the processor.
const HOST_BRIDGE: u32 = 0x0600;
/// Bit of the header type: the device has further functions.
const MULTI_FUNCTION: u8 = 1 << 7;
/// Bit of the status register: there is a list of capabilities.
const HAS_CAPABILITIES: u16 = 1 << 4;
/// Capabilities that fit behind the header.
const MOST_CAPABILITIES: usize = 48;
/// Extended capabilities that fit.
const MOST_EXTENDED: usize = 960;

/// A function that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub info: FunctionInfo,
    /// The bridge that leads to its bus.
    pub parent: Option<Address>,
}

/// Sizes of BARs that are known already, by register; 0: there is none. What is known is not measured again, as that disturbs a device that is driven.
pub type KnownBars = [u64; 6];

/// Looks for functions.
pub struct Scan<'a, K> {
    space: &'a mut Space,
    /// The sizes of a function's BARs, by its address, vendor and device.
    known: K,
    found: Vec<Found>,
    /// Buses that were looked at, in this segment group.
    buses: [bool; 256],
    /// The last bus that has a number.
    last_bus: u8,
}

impl<'a, K: FnMut(Address, u16, u16) -> Option<KnownBars>> Scan<'a, K> {
    /// Nothing was looked for yet.
    pub fn new(space: &'a mut Space, known: K) -> Scan<'a, K> {
        Scan { space, known, found: Vec::new(), buses: [false; 256], last_bus: 0 }
    }

    /// The functions of a bus and of all behind it, in the order of their addresses. `parent` is the bridge that leads there.
    pub fn run(mut self, segment: u16, bus: u8, parent: Option<Address>) -> Vec<Found> {
        self.last_bus = bus;
        self.bus(segment, bus, parent);
        self.found.sort_by_key(|found| found.info.address);
        self.found
    }

    /// As deep as there are buses.
    fn bus(&mut self, segment: u16, bus: u8, parent: Option<Address>) {
        if core::mem::replace(&mut self.buses[usize::from(bus)], true) {
            return;
        }
        self.last_bus = self.last_bus.max(bus);
        for device in 0..32 {
            let mut functions = 1;
            let mut function = 0;
            while function < functions {
                let address = Address { segment, bus, device, function };
                if let Some(found) = self.function(address, parent) {
                    let header = self.space.read8(address, register::HEADER_TYPE);
                    if function == 0 && header & MULTI_FUNCTION != 0 {
                        functions = 8;
                    }
                    let is_bridge = found.info.bridge.is_some();
                    self.found.push(found);
                    if is_bridge {
                        self.behind(address);
                    }
                }
                function += 1;
            }
        }
    }

    /// Goes on behind a bridge. Where the firmware gave the bus there no number, it gets the next one.
    fn behind(&mut self, bridge: Address) {
        let secondary = self.space.read8(bridge, register::SECONDARY_BUS);
        if secondary > bridge.bus {
            self.bus(bridge.segment, secondary, Some(bridge));
        } else if secondary == 0 {
            let Some(bus) = self.last_bus.checked_add(1) else { return };
            self.space.write8(bridge, register::PRIMARY_BUS, bridge.bus);
            self.space.write8(bridge, register::SECONDARY_BUS, bus);
            self.space.write8(bridge, register::SUBORDINATE_BUS, u8::MAX);
            self.bus(bridge.segment, bus, Some(bridge));
            self.space.write8(bridge, register::SUBORDINATE_BUS, self.last_bus);
            if let Some(found) = self.found.iter_mut().find(|found| found.info.address == bridge) {
                found.info.bridge = Some((bridge.bus, bus, self.last_bus));
            }
        }
    }

    /// One function, if it is there.
    fn function(&mut self, address: Address, parent: Option<Address>) -> Option<Found> {
        let space = &mut *self.space;
        let vendor = space.read16(address, register::VENDOR);
        if matches!(vendor, 0 | u16::MAX) {
            return None;
        }
        let device = space.read16(address, register::DEVICE);
        let class_word = space.read32(address, register::REVISION);
        let class = class_word >> 8;
        let header = space.read8(address, register::HEADER_TYPE) & !MULTI_FUNCTION;
        let is_bridge = header == 1 && class >> 8 == BRIDGE;
        let mut info = FunctionInfo {
            address,
            vendor,
            device,
            class,
            revision: class_word as u8,
            command: space.read16(address, register::COMMAND),
            pin: space.read8(address, register::INTERRUPT_PIN),
            line: space.read8(address, register::INTERRUPT_LINE),
            ..FunctionInfo::default()
        };
        info.pin = if info.pin <= 4 { info.pin } else { 0 };
        if header == 0 {
            let read = |space: &mut Space, offset| space.read16(address, offset);
            info.subsystem = (read(space, register::SUBSYSTEM_VENDOR), read(space, register::SUBSYSTEM));
        }
        if is_bridge {
            let read = |space: &mut Space, offset| space.read8(address, offset);
            let primary = read(space, register::PRIMARY_BUS);
            let secondary = read(space, register::SECONDARY_BUS);
            info.bridge = Some((primary, secondary, read(space, register::SUBORDINATE_BUS)));
        }
        info.capabilities = capabilities(space, address);
        info.extended = extended(space, &info);
        if let Some(offset) = info.capability(capability::MSI_X) {
            info.msi_x = (space.read16(address, u16::from(offset) + 2) & 0x7ff) + 1;
        }
        if let Some(offset) = info.capability(capability::MSI) {
            info.msi = 1 << (space.read16(address, u16::from(offset) + 2) >> 1 & 7).min(5);
        }
        let count = match header {
            _ if class >> 8 == HOST_BRIDGE => 0,
            0 => 6,
            1 => 2,
            _ => 0,
        };
        let known = (self.known)(address, vendor, device);
        info.bars = bars(self.space, address, count, known);
        Some(Found { info, parent })
    }
}

/// The list of capabilities.
fn capabilities(space: &mut Space, address: Address) -> Vec<(u8, u8)> {
    let mut all = Vec::new();
    if space.read16(address, register::STATUS) & HAS_CAPABILITIES == 0 {
        return all;
    }
    let mut offset = space.read8(address, register::CAPABILITIES) & !3;
    while offset >= 0x40 && all.len() < MOST_CAPABILITIES && !all.iter().any(|(_, known)| *known == offset) {
        let word = space.read16(address, offset.into());
        if word == u16::MAX {
            break;
        }
        let [id, next] = word.to_le_bytes();
        all.push((id, offset));
        offset = next & !3;
    }
    all
}

/// The list of extended capabilities, of a function that has any.
fn extended(space: &mut Space, info: &FunctionInfo) -> Vec<(u16, u16)> {
    let mut all: Vec<(u16, u16)> = Vec::new();
    if space.bytes() < EXTENDED_BYTES || info.capability(capability::EXPRESS).is_none() {
        return all;
    }
    let mut offset = PLAIN_BYTES;
    while (PLAIN_BYTES..EXTENDED_BYTES).contains(&offset) && all.len() < MOST_EXTENDED {
        let word = space.read32(info.address, offset);
        if matches!(word, 0 | u32::MAX) || all.iter().any(|(_, known)| *known == offset) {
            break;
        }
        all.push((word as u16, offset));
        offset = (word >> 20) as u16 & !3;
    }
    all
}

/// The BARs. Unless their sizes are known, each is written with ones, with decoding off, to see which bits it has (PCI Local Bus Specification §6.2.5.1).
fn bars(space: &mut Space, address: Address, count: u8, known: Option<KnownBars>) -> Vec<Bar> {
    let before = space.read16(address, register::COMMAND);
    let decoding = command::PORTS | command::MEMORY;
    if known.is_none() && before & decoding != 0 {
        space.write16(address, register::COMMAND, before & !decoding);
    }
    let mut all = Vec::new();
    let mut index = 0;
    while index < count {
        let offset = register::BAR + 4 * u16::from(index);
        let low = space.read32(address, offset);
        let is_wide = low & 0b111 == 0b100 && index + 1 < count;
        let high = if is_wide { space.read32(address, offset + 4) } else { 0 };
        let (kind, mask) = if low & 1 != 0 {
            (BarKind::Ports, 0b11)
        } else {
            (BarKind::Memory { wide: is_wide, prefetchable: low & 0b1000 != 0 }, 0b1111)
        };
        let bytes = match known {
            Some(known) => known[usize::from(index)],
            None => measure(space, address, offset, (low, high), is_wide, mask),
        };
        let place = u64::from(high) << 32 | u64::from(low & !mask);
        // Ports have 16 bits, physical addresses 52; what is beyond was never placed.
        let most = if kind == BarKind::Ports { 1 << 16 } else { 1 << 52 };
        let is_sound =
            bytes > 0 && place.is_multiple_of(bytes) && place.checked_add(bytes).is_some_and(|end| end <= most);
        if bytes > 0 {
            all.push(Bar { index, kind, address: if is_sound { place } else { 0 }, bytes });
        }
        index += 1 + u8::from(is_wide);
    }
    if known.is_none() && before & decoding != 0 {
        space.write16(address, register::COMMAND, before);
    }
    all
}

/// The size of a BAR; 0 where it is none.
fn measure(space: &mut Space, address: Address, offset: u16, value: (u32, u32), is_wide: bool, mask: u32) -> u64 {
    space.write32(address, offset, u32::MAX);
    let low = space.read32(address, offset);
    space.write32(address, offset, value.0);
    let mut bits = u64::from(low & !mask);
    if is_wide {
        space.write32(address, offset + 4, u32::MAX);
        bits |= u64::from(space.read32(address, offset + 4)) << 32;
        space.write32(address, offset + 4, value.1);
    } else if bits != 0 {
        // The upper bits of ports need not be there.
        bits |= u64::MAX << if mask == 0b11 { 16 } else { 32 };
    }
    let bytes = bits & bits.wrapping_neg();
    // All bits from the size on can be set, in what is a BAR.
    if bits != 0 && bits == bytes.wrapping_neg() && bytes < 1 << 51 { bytes } else { 0 }
}
