//! The driver kit: a server that owns a device. Its type implements [`Driver`] and the protocol of its class, and
//! takes what the manifest gave it from the [`Env`]:
//!
//! | in the manifest | in `start` | is |
//! |---|---|---|
//! | I/O ports | `env.ports("cmos")?` | [`Ports`] |
//! | an interrupt | `env.interrupt("irq", 1 << 0)?` | [`Interrupt`], which signals that bit: [`Driver::signal`](crate::service::Server::signal) |
//! | registers in memory | `env.registers("bar0", SIZE)?` | [`Registers`], read and written by [`Register`] |
//! | `device pci` | `pci::Function::open(env)?` | [`pci::Function`]: registers, interrupts, DMA |
//! | a DMA domain | `env.dma_buffer(&domain, bytes)?` | [`DmaBuffer`] |
//! | a session to a server below | `env.client::<ConsoleClient>("console")?` | a client, checked |
//! | a parameter | `env.require::<u32>("baud")?` | a value |
//!
//! All of them fail with one line that names what is missing. A driver of a polled device is below sixty lines,
//! one with an interrupt below a hundred and twenty; neither has an unsafe block or a number of the machine in it.

mod always;
pub mod block;
mod dma;
pub mod pci;
mod registers;
mod stream;

pub use crate::env::Env;
pub use crate::service::{Context, Result, Server as Driver, StartError};
pub use crate::{Interrupt, Ports};
pub use always::{Always, AlwaysReady};
pub use block::{BlockDevice, BlockServer};
pub use dma::{AttachedMemory, DmaBuffer};
pub use registers::{Register, Registers, Width};
pub use stream::{Done, Received, Stream, StreamDevice, StreamRing, WAKE, divisor};

use crate::client::{self, Client};
use crate::env::EnvError;
use crate::interrupt::Trigger;
use crate::{DmaDomain, Error, Memory, Resource};

impl Env {
    /// A range of I/O ports.
    pub fn ports(&self, name: &str) -> Result<Ports> {
        Ok(self.take(name)?)
    }

    /// Memory.
    pub fn memory(&self, name: &str) -> Result<Memory> {
        Ok(self.take(name)?)
    }

    /// A device's registers in memory, at least `bytes` of them.
    pub fn registers(&self, name: &str, bytes: usize) -> Result<Registers> {
        let registers = Registers::of(&self.memory(name)?)?;
        if registers.bytes() < bytes {
            return Err(StartError::Device("its registers are fewer than the driver uses"));
        }
        Ok(registers)
    }

    /// An interrupt that signals `bits` of the service's channel. The manifest gives, under this name, either the
    /// Interrupt, bound to those bits already; or the Resource of the line, with the line's number as the parameter of the same
    /// name, and, where the firmware's tables do not know, its trigger as `<name>.trigger` (`edge-high`, `level-high` or `level-low`).
    pub fn interrupt(&self, name: &str, bits: u64) -> Result<Interrupt> {
        match self.take::<Interrupt>(name) {
            Err(EnvError::BadHandle(_, Error::WrongKind)) => {}
            taken => return Ok(taken?),
        }
        let resource: Resource = self.take(name)?;
        let line = self.require(name)?;
        let parameter = alloc::format!("{name}.trigger");
        let trigger = match self.parameter(&parameter) {
            None => Trigger::Firmware,
            Some("edge-high") => Trigger::EdgeHigh,
            Some("level-high") => Trigger::LevelHigh,
            Some("level-low") => Trigger::LevelLow,
            Some(other) => return Err(EnvError::BadParameter { name: parameter, value: other.into() }.into()),
        };
        Ok(Interrupt::line(&resource, line, trigger, self.channel(), bits, self.account())?)
    }

    /// Memory that a device can reach through a domain (`env.take("dma")?`).
    pub fn dma_buffer(&self, domain: &DmaDomain, bytes: u64) -> Result<DmaBuffer> {
        Ok(DmaBuffer::new(domain, self.account(), bytes)?)
    }

    /// A client of the server that the session with this name leads to.
    pub fn client<C: Client>(&self, name: &str) -> Result<C> {
        Ok(client::open(self.take(name)?)?)
    }
}
