//! IoPorts: a range of x86 ports, used exclusively; and bulk moves between a port and a ring of bytes in Memory.

use super::{Account, Memory, New, Object, ObjectType, Type, slab};
use crate::Kernel;
use crate::arch::port;
use crate::byte_ring::RingView;
use abi::Error;
use abi::boot::ResourceKind;
use abi::ports::{BURST, Gate};

/// A range of ports.
pub struct IoPorts {
    first: u16,
    count: u32,
}

impl IoPorts {
    /// Makes a range of ports, for a process.
    ///
    /// # Errors
    /// `BadArgument` (no such ports), `Busy`, `AccountExhausted`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, first: u64, count: u64, process: u64) -> New<IoPorts> {
        let end = first.checked_add(count).ok_or(Error::BadArgument)?;
        if count == 0 || end > 1 << 16 {
            return Err(Error::BadArgument);
        }
        kernel.ranges.claim(kernel, account, ResourceKind::Ports, first, count, process)?;
        slab::create(kernel, account, IoPorts { first: first as u16, count: count as u32 })
            .inspect_err(|_| kernel.ranges.release(kernel, ResourceKind::Ports, first))
    }

    fn port(&self, offset: u64, width: u64) -> Result<u16, Error> {
        let is_width = matches!(width, 1 | 2 | 4);
        let end = offset.checked_add(width).filter(|end| is_width && *end <= self.count as u64);
        end.map(|_| self.first + offset as u16).ok_or(Error::BadArgument)
    }

    /// Reads `width` bytes at an offset.
    ///
    /// # Errors
    /// `BadArgument`.
    pub fn read(&self, offset: u64, width: u64) -> Result<u32, Error> {
        Ok(port::read(self.port(offset, width)?, width as u8))
    }

    /// Writes `width` bytes at an offset.
    ///
    /// # Errors
    /// `BadArgument`, also where the value has more bytes.
    pub fn write(&self, offset: u64, width: u64, value: u64) -> Result<(), Error> {
        let port = self.port(offset, width)?;
        if value >> (width * 8) != 0 {
            return Err(Error::BadArgument);
        }
        port::write(port, width as u8, value as u32);
        Ok(())
    }

    /// Moves bytes from the data port to a ring while the gate allows and the ring has room. Gives their number and the
    /// status read last.
    ///
    /// # Errors
    /// `BadArgument` (ports, ring's place), `BadState` (ring's indices), `Sealed`.
    pub fn drain(&self, kernel: &Kernel, memory: &Memory, offset: u64, gate: Gate) -> Result<(u64, u8), Error> {
        let (data, status) = (self.port(gate.data.into(), 1)?, self.port(gate.status.into(), 1)?);
        let ring = RingView::open(kernel, memory, offset)?;
        let (head, used) = ring.indices_of_producer()?;
        let most = (ring.capacity - used).min(gate.count.into()).min(BURST);
        let mut seen = port::read(status, 1) as u8;
        let mut moved = 0;
        while moved < most && seen & gate.mask == gate.value {
            ring.put(head.wrapping_add(moved), port::read(data, 1) as u8);
            moved += 1;
            seen = port::read(status, 1) as u8;
        }
        ring.publish_head(head.wrapping_add(moved));
        Ok((moved, seen))
    }

    /// Moves bytes from a ring to the data port, at most the gate's count, if the gate allows. Gives their number and the
    /// status.
    ///
    /// # Errors
    /// As [`IoPorts::drain`].
    pub fn fill(&self, kernel: &Kernel, memory: &Memory, offset: u64, gate: Gate) -> Result<(u64, u8), Error> {
        let (data, status) = (self.port(gate.data.into(), 1)?, self.port(gate.status.into(), 1)?);
        let ring = RingView::open(kernel, memory, offset)?;
        let (tail, used) = ring.indices_of_consumer()?;
        let seen = port::read(status, 1) as u8;
        let most = if seen & gate.mask == gate.value { used.min(gate.count.into()).min(BURST) } else { 0 };
        for moved in 0..most {
            port::write(data, 1, ring.get(tail.wrapping_add(moved)).into());
        }
        ring.publish_tail(tail.wrapping_add(most));
        Ok((most, seen))
    }
}

impl Type for IoPorts {
    const TYPE: ObjectType = ObjectType::IoPorts;

    fn finalize(&self, kernel: &Kernel) {
        kernel.ranges.release(kernel, ResourceKind::Ports, self.first.into());
    }
}
