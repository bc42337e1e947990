//! Function-level reset: before a function is given to an owner, where the driver's class has no routine of its own that the device confirms.
//!
//! There are two ways: that of PCI Express (PCI Express Base Specification 5.0 §6.6.2), and that of the capability *Advanced Features* (PCI-SIG's engineering change notice
//! «Advanced Capabilities for Conventional PCI»). Either ends all that the function was told, and clears its configuration space: what pci has set there is [`Saved`] before, also for
//! the next incarnation.

use crate::config::{Space, command, register};
use crate::scan::capability;
use alloc::vec::Vec;
use libsys::protocol::pci::{Address, FunctionInfo};
use libsys::time::Duration;
use serde::{Deserialize, Serialize};

/// How long a function is not looked at after a reset was asked for (§6.6.2).
pub const SETTLE: Duration = Duration::from_millis(100);
/// How often a function is asked for something that has to come.
const POLL: Duration = Duration::from_millis(10);
/// How often that is done: until its transactions have ended, as nothing takes longer than the longest time of a completion (§2.8) that is usual; until it answers
/// again (§2.3.1: a second).
const MOST_POLLS: u32 = 100;

/// Vendor of virtio devices, and class of NVMe controllers: their drivers reset them, and see that they are reset (virtio 1.2 §4.1.4.3.1, NVMe 1.4 §7.3.2).
const VIRTIO: u16 = 0x1af4;
const NVME: u32 = 0x01_0802;

/// Registers and bits of the PCI Express capability (§7.5.3), as offsets from it.
mod express {
    pub const CAPABILITIES: u16 = 0x04;
    pub const CAN_RESET: u32 = 1 << 28;
    pub const CONTROL: u16 = 0x08;
    pub const RESET: u16 = 1 << 15;
    pub const STATUS: u16 = 0x0a;
    pub const PENDING: u16 = 1 << 5;
    pub const VERSION: u16 = 0x02;
    pub const CONTROL_2: u16 = 0x28;
}

/// The same of Advanced Features.
mod advanced {
    pub const CAPABILITIES: u16 = 3;
    /// It can be reset, and says whether transactions are pending.
    pub const CAN_RESET: u8 = 0b11;
    pub const CONTROL: u16 = 4;
    pub const RESET: u8 = 1;
    pub const STATUS: u16 = 5;
    pub const PENDING: u8 = 1;
}

/// How a function can be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the PCI Express capability, which is there.
    Express(u16),
    /// By Advanced Features.
    Advanced(u16),
}

/// The function does not answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent;

impl Way {
    /// How this function is to be reset. `None`: it cannot be, or its driver does it.
    pub fn of(space: &mut Space, info: &FunctionInfo) -> Option<Way> {
        if info.bridge.is_some() || info.vendor == VIRTIO || info.class == NVME {
            return None;
        }
        let at = |id| info.capability(id).map(u16::from);
        let by_express = at(capability::EXPRESS).filter(|at| {
            let capabilities = space.read32(info.address, at + express::CAPABILITIES);
            capabilities != u32::MAX && capabilities & express::CAN_RESET != 0
        });
        let by_advanced = at(capability::ADVANCED_FEATURES).filter(|at| {
            let capabilities = space.read8(info.address, at + advanced::CAPABILITIES);
            capabilities & advanced::CAN_RESET == advanced::CAN_RESET
        });
        by_express.map(Way::Express).or(by_advanced.map(Way::Advanced))
    }

    /// Resets the function, which does not master the bus any more, and waits until it answers again. Its configuration is that of a function that was just switched
    /// on. Error: it does not answer.
    pub fn reset(self, space: &mut Space, address: Address, wait: &mut dyn FnMut(Duration)) -> Result<(), Silent> {
        for _ in 0..MOST_POLLS {
            if !self.is_pending(space, address) {
                break;
            }
            wait(POLL);
        }
        match self {
            Way::Express(at) => {
                let control = space.read16(address, at + express::CONTROL);
                space.write16(address, at + express::CONTROL, control | express::RESET);
            }
            Way::Advanced(at) => space.write8(address, at + advanced::CONTROL, advanced::RESET),
        }
        wait(SETTLE);
        for _ in 0..MOST_POLLS {
            // Ones: it is not there yet. 1: «come back later» (§2.3.2), where the root complex shows that.
            if !matches!(space.read16(address, register::VENDOR), 1 | u16::MAX) {
                return Ok(());
            }
            wait(POLL);
        }
        Err(Silent)
    }

    fn is_pending(self, space: &mut Space, address: Address) -> bool {
        match self {
            Way::Express(at) => space.read16(address, at + express::STATUS) & express::PENDING != 0,
            Way::Advanced(at) => space.read8(address, at + advanced::STATUS) & advanced::PENDING != 0,
        }
    }
}

/// What a reset clears of the configuration space and pci, or the firmware, had set. Interrupts are not among it: a new owner has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    address: Address,
    /// Vendor and device.
    ids: u32,
    command: u16,
    /// Line of the cache, and timer of latency.
    line_and_latency: u16,
    interrupt_line: u8,
    /// Registers of 32 bits: BARs and the place of the ROM.
    places: Vec<(u16, u32)>,
    /// Registers of 16 bits: how it behaves on PCI Express.
    controls: Vec<(u16, u16)>,
}

impl Saved {
    /// Of a function as it is now.
    pub fn of(space: &mut Space, info: &FunctionInfo) -> Saved {
        let address = info.address;
        let bars = (0..6).map(|index| register::BAR + 4 * index);
        let places = bars.chain([register::ROM]).map(|at| (at, space.read32(address, at))).collect();
        let mut controls = Vec::new();
        if let Some(at) = info.capability(capability::EXPRESS).map(u16::from) {
            let control = space.read16(address, at + express::CONTROL) & !express::RESET;
            controls.push((at + express::CONTROL, control));
            if space.read16(address, at + express::VERSION) & 0xf >= 2 {
                controls.push((at + express::CONTROL_2, space.read16(address, at + express::CONTROL_2)));
            }
        }
        Saved {
            address,
            ids: space.read32(address, register::VENDOR),
            command: space.read16(address, register::COMMAND),
            line_and_latency: space.read16(address, register::CACHE_LINE),
            interrupt_line: space.read8(address, register::INTERRUPT_LINE),
            places,
            controls,
        }
    }

    /// Sets all of it again, if the function is still there. It decodes nothing before its BARs are where they were.
    pub fn restore(&self, space: &mut Space) {
        let address = self.address;
        if space.read32(address, register::VENDOR) != self.ids {
            return;
        }
        space.change_command(address, 0, command::PORTS | command::MEMORY | command::BUS_MASTER);
        for (at, value) in &self.places {
            space.write32(address, *at, *value);
        }
        for (at, value) in &self.controls {
            space.write16(address, *at, *value);
        }
        space.write16(address, register::CACHE_LINE, self.line_and_latency);
        space.write8(address, register::INTERRUPT_LINE, self.interrupt_line);
        space.write16(address, register::COMMAND, self.command);
    }
}

#[cfg(test)]
mod tests;
