//! Devices of the fake kernel: ports that a test answers for, interrupts that it strikes.

use super::kernel::{Kernel, Object, State};
use super::who;
use abi::ports::{BURST, Gate};
use abi::ring::{BYTE_RING_HEADER, BYTE_RING_LARGEST};
use abi::{Error, Kind, Rights};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The device behind a range of ports. `bytes` is 1, 2 or 4. It must not enter the fake kernel.
pub trait PortDevice: Send + Sync {
    /// Answers a read.
    fn read(&self, offset: u16, bytes: u64) -> u32;
    /// Takes a write.
    fn write(&self, offset: u16, bytes: u64, value: u32);
}

/// Ports of the calling process, behind which `device` is.
pub fn ports(device: Arc<dyn PortDevice>) -> crate::Ports {
    let process = who().process;
    let mut state = Kernel::lock();
    let object = state.add(Object::Ports(device));
    crate::Object::from_handle(state.make(process, object, false))
}

/// Memory of the calling process for a device that a test plays: it maps the Memory, and knows the buffer by its device address.
pub fn dma_buffer(bytes: u64) -> Result<crate::driver::DmaBuffer, Error> {
    crate::driver::DmaBuffer::unattached(&super::account(), bytes)
}

/// An interrupt that a test can strike.
#[derive(Clone, Copy, Debug)]
pub struct FakeInterrupt {
    object: u64,
}

/// An interrupt of the calling process on `bits` of its channel, and what strikes it.
pub fn interrupt(channel: &crate::Channel, bits: u64) -> Result<(crate::Interrupt, FakeInterrupt), Error> {
    let process = who().process;
    let mut state = Kernel::lock();
    let channel = state.find(process, crate::Object::handle(channel).0, Kind::Channel, Rights::SIGNAL)?;
    let object = state.add(Object::Interrupt { channel, bits, masked: false });
    let handle = state.make(process, object, false);
    Ok((crate::Object::from_handle(handle), FakeInterrupt { object }))
}

impl FakeInterrupt {
    /// Strikes: a level line, masked until it is acknowledged. Returns whether it was delivered.
    pub fn strike(self) -> bool {
        let mut state = Kernel::lock();
        match state.objects.get_mut(&self.object) {
            Some(Object::Interrupt { channel, bits, masked }) if !*masked => {
                *masked = true;
                let (channel, bits) = (*channel, *bits);
                state.signal(channel, bits);
                true
            }
            _ => false,
        }
    }
}

/// A DmaDomain of the calling process, whose attachments have no segments.
pub fn dma_domain() -> crate::DmaDomain {
    let process = who().process;
    let mut state = Kernel::lock();
    let object = state.add(Object::DmaDomain { attached: BTreeSet::new(), next: 1 });
    crate::Object::from_handle(state.make(process, object, false))
}

/// Attachments that are released at once.
const RELEASED_AT_ONCE: usize = 32;

impl State {
    /// `DmaAttach`: the number of the attachment.
    pub(super) fn attach_dma(&mut self, process: u64, domain: u64, memory: u64) -> Result<u64, Error> {
        let object = self.find(process, domain, Kind::DmaDomain, Rights::INSPECT)?;
        self.find(process, memory, Kind::Memory, Rights::READ | Rights::WRITE)?;
        let Some(Object::DmaDomain { attached, next }) = self.objects.get_mut(&object) else {
            return Err(Error::WrongKind);
        };
        let number = *next;
        attached.insert(number);
        *next += 1;
        Ok(number)
    }

    /// `DmaRelease`: how many of all are left.
    pub(super) fn release_dma(&mut self, process: u64, domain: u64, attachment: u64) -> Result<u64, Error> {
        let object = self.find(process, domain, Kind::DmaDomain, Rights::MANAGE)?;
        let Some(Object::DmaDomain { attached, .. }) = self.objects.get_mut(&object) else {
            return Err(Error::WrongKind);
        };
        if attachment != 0 {
            return if attached.remove(&attachment) { Ok(0) } else { Err(Error::BadArgument) };
        }
        *attached = attached.iter().copied().skip(RELEASED_AT_ONCE).collect();
        Ok(attached.len() as u64)
    }

    pub(super) fn set_masked(&mut self, process: u64, handle: u64, mask: bool) -> Result<(), Error> {
        let object = self.find(process, handle, Kind::Interrupt, Rights::MANAGE)?;
        if let Some(Object::Interrupt { masked, .. }) = self.objects.get_mut(&object) {
            *masked = mask;
        }
        Ok(())
    }

    pub(super) fn port_device(
        &mut self,
        process: u64,
        handle: u64,
        rights: Rights,
    ) -> Result<Arc<dyn PortDevice>, Error> {
        let object = self.find(process, handle, Kind::IoPorts, rights)?;
        match &self.objects[&object] {
            Object::Ports(device) => Ok(device.clone()),
            _ => Err(Error::WrongKind),
        }
    }

    /// `PortsDrain` and `PortsFill`.
    pub(super) fn move_bytes(&mut self, process: u64, r: &[u64; 10], fill: bool) -> Result<(u64, u64), Error> {
        let [ports, memory, offset, gate, ..] = *r;
        let device = self.port_device(process, ports, if fill { Rights::WRITE } else { Rights::READ })?;
        let pages = self.pages(process, memory, if fill { Rights::READ | Rights::WRITE } else { Rights::WRITE })?;
        let gate = Gate::from_word(gate).ok_or(Error::BadArgument)?;
        let data_at = offset.checked_add(BYTE_RING_HEADER).ok_or(Error::BadArgument)?;
        if offset % 8 != 0 || data_at > pages.bytes as u64 {
            return Err(Error::BadArgument);
        }
        let word = |index: u64| {
            let at = (pages.address as u64 + offset + index * 8) as *mut u64;
            // SAFETY: within the pages as checked above, aligned, and shared memory is only accessed atomically.
            unsafe { AtomicU64::from_ptr(at) }
        };
        let (head, tail, capacity) = (word(0), word(1), word(2).load(Ordering::Relaxed));
        let (mut from, mut to) = (tail.load(Ordering::Acquire), head.load(Ordering::Acquire));
        let fits =
            capacity.is_power_of_two() && capacity <= BYTE_RING_LARGEST && data_at + capacity <= pages.bytes as u64;
        if !fits || to.checked_sub(from).is_none_or(|used| used > capacity) {
            return Err(Error::BadState);
        }
        let byte = |index: u64| (pages.address as u64 + data_at + (index & (capacity - 1))) as *mut u8;
        let most = u64::from(gate.count).min(BURST);
        let mut status = 0;
        let mut moved = 0;
        while moved < most && if fill { from != to } else { to - from < capacity } {
            if !fill || moved == 0 {
                status = device.read(gate.status.into(), 1) as u8;
                if status & gate.mask != gate.value {
                    break;
                }
            }
            // SAFETY: the index is masked by the capacity, which lies within the pages.
            unsafe {
                if fill {
                    device.write(gate.data.into(), 1, byte(from).read_volatile().into());
                    from += 1;
                } else {
                    byte(to).write_volatile(device.read(gate.data.into(), 1) as u8);
                    to += 1;
                }
            }
            moved += 1;
        }
        if fill {
            tail.store(from, Ordering::Release);
        } else {
            head.store(to, Ordering::Release);
        }
        Ok((moved, status.into()))
    }
}
