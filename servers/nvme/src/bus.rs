//! How a controller is reached: registers, memory, an interrupt.

use crate::registers::{CAPABILITIES, Capabilities, DOORBELLS};
use libsys::Interrupt;
use libsys::driver::pci::Function;
use libsys::driver::{DmaBuffer, Register, Registers, Result};

/// Queues that there are: one for administration, one for blocks.
const QUEUES: usize = 2;

/// The status of the function, and its bit for a line that is held (PCI Local Bus Specification 3.0, §6.2.3).
const PCI_STATUS: u16 = 0x06;
const INTERRUPT_STATUS: u16 = 1 << 3;

/// What is between the driver and a controller.
pub trait Bus {
    /// Reads a register.
    fn read(&mut self, register: Register<u32>) -> u32;
    /// Writes a register.
    fn write(&mut self, register: Register<u32>, value: u32);
    /// Says that the reset is complete: memory that earlier drivers attached is free.
    fn reset_complete(&mut self) -> Result<()>;
    /// Zeroed memory that the controller reaches, contiguous for it, at a page's start.
    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer>;
    /// Has the blocks' completion queue signal `bits` of the service's channel: which of the controller's vectors that takes.
    fn interrupt(&mut self, bits: u64) -> Result<u16>;
    /// Acknowledges the interrupt: when the controller has nothing more to say. `was_served`: it had something to say.
    fn acknowledge(&mut self, was_served: bool);
    /// Whether the controller holds its interrupt line.
    fn holds_line(&mut self) -> bool;
}

/// A controller on PCI (PCIe transport specification).
#[derive(Debug)]
pub struct PciBus {
    function: Function,
    registers: Registers,
    interrupt: Option<Interrupt>,
}

impl PciBus {
    /// The registers are in the first BAR. How many doorbells lie how far apart, some of them say.
    pub fn new(function: Function) -> Result<PciBus> {
        let first = function.registers(0, 0, 8)?;
        let stride = Capabilities(read_u64(|register| first.read(register))).stride();
        let registers = function.registers(0, 0, (DOORBELLS + 2 * QUEUES * stride) as u64)?;
        Ok(PciBus { function, registers, interrupt: None })
    }

    /// The function.
    pub fn function(&self) -> &Function {
        &self.function
    }
}

/// Reads the capabilities, in halves: not all controllers know wider accesses.
pub fn read_u64(mut read: impl FnMut(Register<u32>) -> u32) -> u64 {
    u64::from(read(CAPABILITIES)) | u64::from(read(CAPABILITIES.index(1, 4))) << 32
}

impl Bus for PciBus {
    fn read(&mut self, register: Register<u32>) -> u32 {
        self.registers.read(register)
    }

    fn write(&mut self, register: Register<u32>, value: u32) {
        self.registers.write(register, value);
    }

    fn reset_complete(&mut self) -> Result<()> {
        self.function.reset_complete()
    }

    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer> {
        self.function.dma_buffer(bytes)
    }

    fn interrupt(&mut self, bits: u64) -> Result<u16> {
        // The first vector is the admin queue's too, which nobody waits for.
        let vector = u16::from(self.function.interrupts() > 1);
        self.interrupt = Some(self.function.interrupt(vector, bits)?);
        Ok(vector)
    }

    fn acknowledge(&mut self, was_served: bool) {
        if let Some(interrupt) = &self.interrupt {
            // It is there as long as this is.
            let _ = interrupt.acknowledge(was_served);
        }
    }

    fn holds_line(&mut self) -> bool {
        self.function.config_u16(PCI_STATUS).is_ok_and(|status| status & INTERRUPT_STATUS != 0)
    }
}
