//! A PCI function, as its driver has it.
//!
//! The driver opens it at its start, resets the device as its class says, says so with [`Function::reset_complete`], and then sets it up:
//!
//! ```no_run
//! # use libsys::driver::{Env, Register, Result};
//! # use libsys::driver::pci::Function;
//! const CONTROL: Register<u32> = Register::at(0x14);
//! # fn start(env: &Env) -> Result<()> {
//! let function = Function::open(env)?;
//! let registers = function.registers(0, 0, 0x1000)?;
//! registers.write(CONTROL, 0);
//! function.reset_complete()?;
//! let queue = function.dma_buffer(4096)?;
//! let interrupt = function.interrupt(0, 1 << 0)?;
//! # let _ = (queue, interrupt);
//! # Ok(())
//! # }
//! ```

use super::{AttachedMemory, DmaBuffer, Env, Registers, Result, StartError};
use crate::client::CallError;
use crate::protocol::PciFunctionClient;
use crate::protocol::pci::{BarKind, FunctionInfo, PciError};
use crate::{DmaDomain, Error, Interrupt, Memory, Ports, env};
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};

/// Name of the session that init made for the device.
pub const DEVICE: &str = "device";

/// A function that this process drives.
#[derive(Debug)]
pub struct Function {
    client: PciFunctionClient,
    info: FunctionInfo,
    domain: OnceCell<DmaDomain>,
    /// Attachments that are to be released, and could not be.
    leaving: RefCell<Vec<u64>>,
}

impl Function {
    /// Takes over the function that this driver was started for. What an earlier driver of it left is cut off: the device does not master the bus,
    /// and does not interrupt. Errors: there is no session `device`; `Busy`, `Gone`.
    pub fn open(env: &Env) -> Result<Function> {
        let client: PciFunctionClient = env.client(DEVICE)?;
        client.acquire()?;
        let info = client.info()?;
        Ok(Function { client, info, domain: OnceCell::new(), leaving: RefCell::default() })
    }

    /// What it is.
    pub fn info(&self) -> &FunctionInfo {
        &self.info
    }

    /// The registers of a memory BAR from `offset` on, `bytes` of them. Errors: there is no such BAR, it has no place, they are not inside of
    /// it, or share a page with the MSI-X table.
    pub fn registers(&self, bar: u8, offset: u64, bytes: u64) -> Result<Registers> {
        const OUTSIDE: StartError = StartError::Device("its registers are not where it says");
        let known = self.info.bar(bar).filter(|bar| bar.kind != BarKind::Ports).ok_or(OUTSIDE)?;
        let end = offset.checked_add(bytes).filter(|end| bytes > 0 && *end <= known.bytes).ok_or(OUTSIDE)?;
        let (memory, start): (Memory, u64) = match self.client.bar(bar) {
            Ok((memory, part)) if end <= part => (memory, 0),
            Ok(_) | Err(CallError::Failed(PciError::NoSuchBar)) => {
                let (memory, start, part) = self.client.bar_rest(bar)?;
                if offset < start || end > start + part {
                    return Err(OUTSIDE);
                }
                (memory, start)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Registers::of_part(&memory, offset - start, bytes)?)
    }

    /// The ports of an I/O BAR.
    pub fn ports(&self, bar: u8) -> Result<Ports> {
        Ok(self.client.ports(bar)?)
    }

    /// An interrupt that signals `bits` of this service's channel: the MSI-X vector `index`; with 0 the MSI or the line of a function without MSI-X.
    pub fn interrupt(&self, index: u16, bits: u64) -> Result<Interrupt> {
        Ok(self.client.interrupt(index, &env::channel().signaller(bits)?, bits)?)
    }

    /// How many interrupts there are.
    pub fn interrupts(&self) -> u16 {
        let one = u16::from(self.info.msi > 0 || self.info.pin > 0);
        self.info.msi_x.max(one)
    }

    /// The device's view of memory. From now on it may master the bus.
    pub fn domain(&self) -> Result<&DmaDomain> {
        if let Some(domain) = self.domain.get() {
            return Ok(domain);
        }
        let new = self.client.domain()?;
        Ok(self.domain.get_or_init(|| new))
    }

    /// Zeroed memory that the device reaches, contiguous for it.
    pub fn dma_buffer(&self, bytes: u64) -> Result<DmaBuffer> {
        Ok(DmaBuffer::new(self.domain()?, env::account(), bytes)?)
    }

    /// Lets the device reach Memory that a client lent. Errors: those of [`AttachedMemory::new`].
    pub fn attach(&self, memory: Memory) -> Result<AttachedMemory> {
        self.release_leaving();
        Ok(AttachedMemory::new(self.domain()?, memory)?)
    }

    /// Takes such Memory from the device, when nothing that the device was told names it any more. Where the PCI server fails, it is asked again when the next Memory comes or
    /// goes: until then who lent this one pays for it.
    pub fn detach(&self, memory: AttachedMemory) {
        self.leaving.borrow_mut().push(memory.attachment());
        self.release_leaving();
    }

    fn release_leaving(&self) {
        self.leaving.borrow_mut().retain(|attachment| match self.client.release(*attachment) {
            Ok(()) => false,
            Err(error) => {
                crate::warn!("memory stays attached: {error}");
                !matches!(error, CallError::Failed(PciError::NoSuchAttachment))
            }
        });
    }

    /// The device was reset, and confirmed it: what a driver before this one had set up is in use no more, and its memory is freed.
    pub fn reset_complete(&self) -> Result<()> {
        Ok(self.client.reset_complete()?)
    }

    /// Releases memory that was attached by this driver, when nothing that the device was told names it any more. Error: `BadArgument` (it is not attached).
    pub fn release(&self, attachment: u64) -> core::result::Result<(), Error> {
        self.client.release(attachment).map_err(|error| match error {
            CallError::Kernel(error) => error,
            _ => Error::BadArgument,
        })
    }

    /// Where in the configuration space the first capability with an id is.
    pub fn capability(&self, id: u8) -> Option<u8> {
        self.info.capability(id)
    }

    /// Where all capabilities with an id are.
    pub fn capabilities(&self, id: u8) -> impl Iterator<Item = u8> {
        self.info.capabilities.iter().filter(move |(known, _)| *known == id).map(|(_, offset)| *offset)
    }

    /// Reads 8 bits of the configuration space.
    pub fn config_u8(&self, offset: u16) -> Result<u8> {
        Ok(self.client.config(offset, 1)? as u8)
    }

    /// Reads 16 bits of the configuration space.
    pub fn config_u16(&self, offset: u16) -> Result<u16> {
        Ok(self.client.config(offset, 2)? as u16)
    }

    /// Reads 32 bits of the configuration space.
    pub fn config_u32(&self, offset: u16) -> Result<u32> {
        Ok(self.client.config(offset, 4)?)
    }
}
