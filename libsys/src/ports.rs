//! I/O ports: a range of x86's other address space.

use crate::object::{Object, object};
use crate::{Account, Memory, Resource, sys};
use abi::{Error, Handle};

pub use abi::ports::Gate;
pub use sys::PortBurst;

/// A range of I/O ports. Offsets count from its first.
pub struct Ports(Handle);

object!(Ports, IoPorts);

impl Ports {
    /// The ports from `first`. Needs `MANAGE` of the resource. Error: `Busy`.
    pub fn create(resource: &Resource, first: u16, count: u16, account: &Account) -> Result<Ports, Error> {
        sys::ports_create(resource.handle(), first, count, account.handle()).map(Ports::from_handle)
    }

    /// Reads a byte. Needs `READ`, as all reads. Error: `BadArgument` (outside of the range).
    pub fn read_u8(&self, offset: u16) -> Result<u8, Error> {
        Ok(sys::port_in(self.0, offset, 1)? as u8)
    }

    /// Reads 16 bits.
    pub fn read_u16(&self, offset: u16) -> Result<u16, Error> {
        Ok(sys::port_in(self.0, offset, 2)? as u16)
    }

    /// Reads 32 bits.
    pub fn read_u32(&self, offset: u16) -> Result<u32, Error> {
        sys::port_in(self.0, offset, 4)
    }

    /// Writes a byte. Needs `WRITE`, as all writes. Error: `BadArgument` (outside of the range).
    pub fn write_u8(&self, offset: u16, value: u8) -> Result<(), Error> {
        sys::port_out(self.0, offset, 1, value.into())
    }

    /// Writes 16 bits.
    pub fn write_u16(&self, offset: u16, value: u16) -> Result<(), Error> {
        sys::port_out(self.0, offset, 2, value.into())
    }

    /// Writes 32 bits.
    pub fn write_u32(&self, offset: u16, value: u32) -> Result<(), Error> {
        sys::port_out(self.0, offset, 4, value)
    }

    /// Moves bytes from a port into the [`crate::ring`] at `offset` of `ring`, while the gate is open. Needs `READ`, and `WRITE` of the
    /// Memory. Error: `BadState` (the ring's indices make no sense).
    pub fn drain(&self, ring: &Memory, offset: u64, gate: Gate) -> Result<PortBurst, Error> {
        sys::ports_drain(self.0, ring.handle(), offset, gate)
    }

    /// Moves bytes from the ring at `offset` of `ring` to a port, while the gate is open. Needs `WRITE`, and both rights of the Memory.
    pub fn fill(&self, ring: &Memory, offset: u64, gate: Gate) -> Result<PortBurst, Error> {
        sys::ports_fill(self.0, ring.handle(), offset, gate)
    }
}
