//! The configuration space: how its registers are reached.
//!
//! [`Access`] is the hardware's way: memory (ECAM, PCI Express Base Specification §7.2.2) or the ports 0xCF8 and 0xCFC (PCI
//! Local Bus Specification §3.2.2.3.2). [`Space`] puts the widths upon it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use libsys::driver::{Ports, Register, Registers};
use libsys::memory::Caching;
use libsys::protocol::pci::Address;
use libsys::{Account, Memory, Resource};

/// Registers that every function has.
pub mod register {
    #![allow(missing_docs)]
    pub const VENDOR: u16 = 0x00;
    pub const DEVICE: u16 = 0x02;
    pub const COMMAND: u16 = 0x04;
    pub const STATUS: u16 = 0x06;
    pub const REVISION: u16 = 0x08;
    pub const CACHE_LINE: u16 = 0x0c;
    pub const HEADER_TYPE: u16 = 0x0e;
    pub const BAR: u16 = 0x10;
    pub const PRIMARY_BUS: u16 = 0x18;
    pub const SECONDARY_BUS: u16 = 0x19;
    pub const SUBORDINATE_BUS: u16 = 0x1a;
    pub const IO_BASE: u16 = 0x1c;
    pub const MEMORY_BASE: u16 = 0x20;
    pub const PREFETCHABLE_BASE: u16 = 0x24;
    pub const PREFETCHABLE_BASE_UPPER: u16 = 0x28;
    pub const PREFETCHABLE_LIMIT_UPPER: u16 = 0x2c;
    pub const SUBSYSTEM_VENDOR: u16 = 0x2c;
    pub const SUBSYSTEM: u16 = 0x2e;
    pub const ROM: u16 = 0x30;
    pub const CAPABILITIES: u16 = 0x34;
    pub const INTERRUPT_LINE: u16 = 0x3c;
    pub const INTERRUPT_PIN: u16 = 0x3d;
}

/// Bits of the command register.
pub mod command {
    #![allow(missing_docs)]
    pub const PORTS: u16 = 1 << 0;
    pub const MEMORY: u16 = 1 << 1;
    pub const BUS_MASTER: u16 = 1 << 2;
    pub const NO_LINE: u16 = 1 << 10;
}

/// Bytes of the configuration space of a function, as ECAM reaches it.
pub const EXTENDED_BYTES: u16 = 4096;

/// Bytes that the ports reach.
pub const PLAIN_BYTES: u16 = 256;

/// Bytes of a bus in ECAM.
const BUS_BYTES: u64 = 1 << 20;

/// Dwords of the configuration space of all functions. What is not there reads as ones and ignores writes.
pub trait Access {
    /// Reads the dword at a multiple of 4.
    fn read(&mut self, address: Address, offset: u16) -> u32;
    /// Writes `bytes` bytes (1, 2 or 4) at a multiple of that.
    fn write(&mut self, address: Address, offset: u16, bytes: u8, value: u32);
    /// How many bytes a function has.
    fn bytes(&self) -> u16;
}

/// The configuration space.
pub struct Space {
    access: alloc::boxed::Box<dyn Access>,
}

impl Space {
    /// Over a way to reach it.
    pub fn new(access: impl Access + 'static) -> Space {
        Space { access: alloc::boxed::Box::new(access) }
    }

    /// How many bytes a function has.
    pub fn bytes(&self) -> u16 {
        self.access.bytes()
    }

    /// Reads 32 bits.
    pub fn read32(&mut self, address: Address, offset: u16) -> u32 {
        self.access.read(address, offset & !3)
    }

    /// Reads 16 bits.
    pub fn read16(&mut self, address: Address, offset: u16) -> u16 {
        (self.read32(address, offset) >> (8 * (offset & 2))) as u16
    }

    /// Reads 8 bits.
    pub fn read8(&mut self, address: Address, offset: u16) -> u8 {
        (self.read32(address, offset) >> (8 * (offset & 3))) as u8
    }

    /// Writes 32 bits.
    pub fn write32(&mut self, address: Address, offset: u16, value: u32) {
        self.access.write(address, offset, 4, value);
    }

    /// Writes 16 bits.
    pub fn write16(&mut self, address: Address, offset: u16, value: u16) {
        self.access.write(address, offset, 2, value.into());
    }

    /// Writes 8 bits.
    pub fn write8(&mut self, address: Address, offset: u16, value: u8) {
        self.access.write(address, offset, 1, value.into());
    }

    /// Sets and clears bits of the command register. The status register above it is left alone.
    pub fn change_command(&mut self, address: Address, set: u16, clear: u16) {
        let before = self.read16(address, register::COMMAND);
        let after = before & !clear | set;
        if after != before {
            self.write16(address, register::COMMAND, after);
        }
    }
}

/// Buses of a segment group that ECAM reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcamRange {
    /// Physical address of bus 0, whether it is there or not.
    pub base: u64,
    /// Segment group.
    pub segment: u16,
    /// First bus.
    pub first: u8,
    /// Last bus.
    pub last: u8,
}

/// The configuration space in memory; a bus is mapped when it is first looked at.
///
/// What the ports reach is written through them. Such a write can move what devices have in memory, and QEMU before 8.1 leads astray what another processor does to a
/// device at that moment: the kernel's own accesses cannot be meant, as the kernel writes ports for others under its lock.
pub struct Ecam {
    ports: Option<PortAccess>,
    ranges: Vec<EcamRange>,
    resource: Resource,
    account: Account,
    buses: BTreeMap<(u16, u8), Option<Registers>>,
}

impl Ecam {
    /// With the right to make device memory.
    pub fn new(ranges: Vec<EcamRange>, resource: Resource, account: Account) -> Ecam {
        Ecam { ports: None, ranges, resource, account, buses: BTreeMap::new() }
    }

    /// The same, written through ports where they reach.
    pub fn with_ports(self, ports: Option<PortAccess>) -> Ecam {
        Ecam { ports, ..self }
    }

    /// Whether a bus can be reached.
    pub fn reaches(&mut self, segment: u16, bus: u8) -> bool {
        self.bus(segment, bus).is_some()
    }

    fn bus(&mut self, segment: u16, bus: u8) -> Option<&Registers> {
        let Ecam { ranges, resource, account, buses, .. } = self;
        let map = || {
            let is_within = |range: &&EcamRange| range.segment == segment && (range.first..=range.last).contains(&bus);
            let start = ranges.iter().find(is_within)?.base + u64::from(bus) * BUS_BYTES;
            let memory = Memory::of_device(resource, start, BUS_BYTES, Caching::Uncached, account);
            memory
                .and_then(|memory| Registers::of(&memory))
                .inspect_err(|error| libsys::warn!("bus {bus:#x}: {error}"))
                .ok()
        };
        buses.entry((segment, bus)).or_insert_with(map).as_ref()
    }
}

/// Where a register is in its bus's part of ECAM.
fn ecam_offset(address: Address, offset: u16) -> usize {
    usize::from(address.requester() & 0xff) << 12 | usize::from(offset & (EXTENDED_BYTES - 1))
}

impl Access for Ecam {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        let at = ecam_offset(address, offset);
        self.bus(address.segment, address.bus).map_or(u32::MAX, |bus| bus.read(Register::at(at)))
    }

    fn write(&mut self, address: Address, offset: u16, bytes: u8, value: u32) {
        if let Some(ports) = self.ports.as_mut().filter(|_| PortAccess::reaches(address, offset)) {
            return ports.write(address, offset, bytes, value);
        }
        let at = ecam_offset(address, offset);
        let Some(bus) = self.bus(address.segment, address.bus) else { return };
        match bytes {
            1 => bus.write(Register::at(at), value as u8),
            2 => bus.write(Register::at(at), value as u16),
            _ => bus.write(Register::at(at), value),
        }
    }

    fn bytes(&self) -> u16 {
        EXTENDED_BYTES
    }
}

/// The configuration space behind two ports: an address, and a window of 4 bytes.
pub struct PortAccess(Ports);

impl PortAccess {
    const ADDRESS: u16 = 0;
    const WINDOW: u16 = 4;
    const ENABLE: u32 = 1 << 31;

    /// The 8 ports from 0xCF8 on; `None`: there is no PCI behind them, as the address does not stay what it was set to.
    pub fn find(ports: Ports) -> Option<PortAccess> {
        ports.write_u32(Self::ADDRESS, Self::ENABLE).ok()?;
        (ports.read_u32(Self::ADDRESS) == Ok(Self::ENABLE)).then_some(PortAccess(ports))
    }

    fn reaches(address: Address, offset: u16) -> bool {
        address.segment == 0 && offset < PLAIN_BYTES
    }

    /// Whether the window was moved there.
    fn select(&self, address: Address, offset: u16) -> bool {
        let place = u32::from(address.requester()) << 8 | u32::from(offset & 0xfc);
        Self::reaches(address, offset) && self.0.write_u32(Self::ADDRESS, Self::ENABLE | place).is_ok()
    }
}

impl Access for PortAccess {
    fn read(&mut self, address: Address, offset: u16) -> u32 {
        if self.select(address, offset) { self.0.read_u32(Self::WINDOW).unwrap_or(u32::MAX) } else { u32::MAX }
    }

    fn write(&mut self, address: Address, offset: u16, bytes: u8, value: u32) {
        if !self.select(address, offset) {
            return;
        }
        let at = Self::WINDOW + (offset & 3);
        // The offsets are within the range that was given.
        let _ = match bytes {
            1 => self.0.write_u8(at, value as u8),
            2 => self.0.write_u16(at, value as u16),
            _ => self.0.write_u32(at, value),
        };
    }

    fn bytes(&self) -> u16 {
        PLAIN_BYTES
    }
}
