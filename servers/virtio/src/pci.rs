//! Virtio over PCI (§4.1): registers in BARs, found by capabilities.

use crate::transport::{QueuePlace, Transport};
use alloc::vec::Vec;
use libsys::Interrupt;
use libsys::driver::pci::Function;
use libsys::driver::{DmaBuffer, Register, Registers, Result, StartError};

/// Id of the capabilities that vendors define.
const VENDOR: u8 = 0x09;

/// Kinds of structures that these lead to (§4.1.4).
mod structure {
    pub const COMMON: u8 = 1;
    pub const NOTIFY: u8 = 2;
    pub const INTERRUPT: u8 = 3;
    pub const DEVICE: u8 = 4;
}

/// Registers of the common structure (§4.1.4.3).
mod common {
    use super::Register;
    pub const FEATURE_SELECT: Register<u32> = Register::at(0);
    pub const FEATURES: Register<u32> = Register::at(4);
    pub const DRIVER_FEATURE_SELECT: Register<u32> = Register::at(8);
    pub const DRIVER_FEATURES: Register<u32> = Register::at(12);
    pub const CONFIG_VECTOR: Register<u16> = Register::at(16);
    pub const STATUS: Register<u8> = Register::at(20);
    pub const CONFIG_GENERATION: Register<u8> = Register::at(21);
    pub const QUEUE_SELECT: Register<u16> = Register::at(22);
    pub const QUEUE_SIZE: Register<u16> = Register::at(24);
    pub const QUEUE_VECTOR: Register<u16> = Register::at(26);
    pub const QUEUE_ENABLE: Register<u16> = Register::at(28);
    pub const QUEUE_NOTIFY_OFFSET: Register<u16> = Register::at(30);
    pub const QUEUE_DESCRIPTORS: Register<u32> = Register::at(32);
    pub const QUEUE_AVAILABLE: Register<u32> = Register::at(40);
    pub const QUEUE_USED: Register<u32> = Register::at(48);
    pub const BYTES: u64 = 56;
}

/// No MSI-X vector.
const NO_VECTOR: u16 = 0xffff;

/// A virtio device on PCI.
#[derive(Debug)]
pub struct PciTransport {
    function: Function,
    common: Registers,
    notify: Registers,
    notify_multiplier: usize,
    interrupt: Registers,
    device: Option<Registers>,
    /// Where each queue is notified, by number.
    doorbells: Vec<(u16, usize)>,
    interrupts: Vec<Interrupt>,
}

impl PciTransport {
    /// Finds the structures of a function.
    pub fn new(function: Function) -> Result<PciTransport> {
        let missing = StartError::Device("it has no structures of virtio 1");
        let (common, _) = find(&function, structure::COMMON)?.ok_or_else(|| missing.clone())?;
        let (notify, at) = find(&function, structure::NOTIFY)?.ok_or_else(|| missing.clone())?;
        let (interrupt, _) = find(&function, structure::INTERRUPT)?.ok_or(missing)?;
        let device = find(&function, structure::DEVICE)?.map(|(device, _)| device);
        if (common.bytes() as u64) < common::BYTES {
            return Err(StartError::Device("its common structure is too short"));
        }
        let notify_multiplier = function.config_u32(u16::from(at) + 16)? as usize;
        let (doorbells, interrupts) = (Vec::new(), Vec::new());
        Ok(PciTransport { function, common, notify, notify_multiplier, interrupt, device, doorbells, interrupts })
    }

    /// The function.
    pub fn function(&self) -> &Function {
        &self.function
    }

    fn write_address(&self, register: Register<u32>, address: u64) {
        self.common.write(register, address as u32);
        self.common.write(register.index(1, 4), (address >> 32) as u32);
    }

    fn has_vectors(&self) -> bool {
        self.function.info().msi_x > 0
    }
}

/// The registers of a structure, and where its capability is. Of several the first that can be used counts.
fn find(function: &Function, kind: u8) -> Result<Option<(Registers, u8)>> {
    for at in function.capabilities(VENDOR) {
        let start = u16::from(at);
        if start > 240 || function.config_u8(start + 3)? != kind {
            continue;
        }
        let bar = function.config_u8(start + 4)?;
        let (offset, bytes) = (function.config_u32(start + 8)?, function.config_u32(start + 12)?);
        if let Ok(registers) = function.registers(bar, offset.into(), bytes.into()) {
            return Ok(Some((registers, at)));
        }
    }
    Ok(None)
}

impl Transport for PciTransport {
    fn status(&mut self) -> u8 {
        self.common.read(common::STATUS)
    }

    fn set_status(&mut self, status: u8) {
        self.common.write(common::STATUS, status);
    }

    fn reset_complete(&mut self) -> Result<()> {
        self.function.reset_complete()
    }

    fn features(&mut self) -> u64 {
        (0..2).fold(0, |features, half| {
            self.common.write(common::FEATURE_SELECT, half);
            features | u64::from(self.common.read(common::FEATURES)) << (32 * half)
        })
    }

    fn set_features(&mut self, features: u64) {
        for half in 0..2 {
            self.common.write(common::DRIVER_FEATURE_SELECT, half);
            self.common.write(common::DRIVER_FEATURES, (features >> (32 * half)) as u32);
        }
    }

    fn most_entries(&mut self, queue: u16) -> u16 {
        self.common.write(common::QUEUE_SELECT, queue);
        self.common.read(common::QUEUE_SIZE)
    }

    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer> {
        self.function.dma_buffer(bytes)
    }

    fn enable_queue(&mut self, queue: u16, place: QueuePlace, bits: u64) -> Result<()> {
        // One vector a queue, as far as there are some.
        let vector = if self.has_vectors() { queue.min(self.function.info().msi_x - 1) } else { 0 };
        if self.has_vectors() || self.interrupts.is_empty() {
            let interrupt = self.function.interrupt(vector, bits)?;
            self.interrupts.push(interrupt);
        }
        self.common.write(common::CONFIG_VECTOR, NO_VECTOR);
        self.common.write(common::QUEUE_SELECT, queue);
        self.common.write(common::QUEUE_SIZE, place.size);
        let wanted = if self.has_vectors() { vector } else { NO_VECTOR };
        self.common.write(common::QUEUE_VECTOR, wanted);
        if self.common.read(common::QUEUE_VECTOR) != wanted {
            return Err(StartError::Device("it has no vector left"));
        }
        let doorbell = usize::from(self.common.read(common::QUEUE_NOTIFY_OFFSET)) * self.notify_multiplier;
        if !doorbell.is_multiple_of(2) || doorbell + 2 > self.notify.bytes() {
            return Err(StartError::Device("its doorbells are not where it says"));
        }
        self.doorbells.push((queue, doorbell));
        self.write_address(common::QUEUE_DESCRIPTORS, place.descriptors);
        self.write_address(common::QUEUE_AVAILABLE, place.available);
        self.write_address(common::QUEUE_USED, place.used);
        self.common.write(common::QUEUE_ENABLE, 1);
        Ok(())
    }

    fn notify(&mut self, queue: u16) {
        if let Some((_, doorbell)) = self.doorbells.iter().find(|(known, _)| *known == queue) {
            self.notify.write(Register::at(*doorbell), queue);
        }
    }

    fn acknowledge(&mut self) {
        // Reading lets go of the line.
        let was_served = self.has_vectors() || self.interrupt.read(Register::<u8>::at(0)) != 0;
        for interrupt in &self.interrupts {
            // It is there as long as this is.
            let _ = interrupt.acknowledge(was_served);
        }
    }

    fn config_bytes(&self) -> usize {
        self.device.as_ref().map_or(0, Registers::bytes)
    }

    fn config(&mut self, offset: usize) -> u8 {
        self.device.as_ref().map_or(0, |device| device.read(Register::at(offset)))
    }

    fn config_generation(&mut self) -> u8 {
        self.common.read(common::CONFIG_GENERATION)
    }
}
