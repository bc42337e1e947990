//! System calls on interrupts, ports, DMA domains and resources.

use super::entry::{brief, control};
use crate::message::CallPage;
use abi::memory::AttachmentRecord;
use abi::ports::{Gate, Trigger};
use abi::{Error, Handle, Syscall};

/// A new interrupt; for a message-signalled one, what the device is to write and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptCreated {
    /// The Interrupt.
    pub interrupt: Handle,
    /// MSI: address to program.
    pub address: u64,
    /// MSI: data to program.
    pub data: u64,
}

/// Binds a line ([`abi::ports::MSI`]: a message) to bits of a channel. Errors: `Busy`, `AccountExhausted`, `Unsupported`.
pub fn interrupt_create(
    resource: Handle,
    line: u64,
    channel: Handle,
    bits: u64,
    trigger: Trigger,
    account: Handle,
) -> Result<InterruptCreated, Error> {
    let arguments = [resource.0, line, channel.0, bits, trigger as u64, account.0];
    let [interrupt, address, data, _] = control(Syscall::InterruptCreate, arguments)?;
    Ok(InterruptCreated { interrupt: Handle(interrupt), address, data })
}

/// Says that a delivered interrupt was handled, and whether the device had wanted something.
#[inline]
pub fn interrupt_acknowledge(interrupt: Handle, was_served: bool) -> Result<(), Error> {
    brief(Syscall::InterruptAcknowledge, interrupt.0, was_served.into())
}

/// Masks or unmasks an interrupt.
pub fn interrupt_mask(interrupt: Handle, masked: bool) -> Result<(), Error> {
    brief(Syscall::InterruptMask, interrupt.0, masked.into())
}

/// Makes a range of ports. Error: `Busy`.
pub fn ports_create(resource: Handle, first: u16, count: u16, account: Handle) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::PortsCreate, [resource.0, first.into(), count.into(), account.0])?[0]))
}

/// Reads `bytes` (1, 2 or 4) from the port at an offset of the range.
pub fn port_in(ports: Handle, offset: u16, bytes: u64) -> Result<u32, Error> {
    Ok(control(Syscall::PortIn, [ports.0, offset.into(), bytes])?[0] as u32)
}

/// Writes `bytes` (1, 2 or 4) to the port at an offset of the range.
pub fn port_out(ports: Handle, offset: u16, bytes: u64, value: u32) -> Result<(), Error> {
    control(Syscall::PortOut, [ports.0, offset.into(), bytes, value.into()]).map(drop)
}

/// What a bulk move of bytes did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortBurst {
    /// Bytes moved.
    pub bytes: u64,
    /// The status port's value when it was read last.
    pub status: u8,
}

/// Moves bytes from a port into the ring at `offset` of `memory`. Error: `BadState` (the ring makes no sense).
pub fn ports_drain(ports: Handle, memory: Handle, offset: u64, gate: Gate) -> Result<PortBurst, Error> {
    let [bytes, status, ..] = control(Syscall::PortsDrain, [ports.0, memory.0, offset, gate.to_word()])?;
    Ok(PortBurst { bytes, status: status as u8 })
}

/// Moves bytes from the ring at `offset` of `memory` to a port. Error: `BadState` (the ring makes no sense).
pub fn ports_fill(ports: Handle, memory: Handle, offset: u64, gate: Gate) -> Result<PortBurst, Error> {
    let [bytes, status, ..] = control(Syscall::PortsFill, [ports.0, memory.0, offset, gate.to_word()])?;
    Ok(PortBurst { bytes, status: status as u8 })
}

/// Makes a device's view of memory; `bits` of `channel` (or none) tell of the death of a process that attached. Error: `Busy`.
pub fn dma_domain_create(
    resource: Handle,
    requester: u16,
    account: Handle,
    channel: Handle,
    bits: u64,
) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::DmaDomainCreate, [resource.0, requester.into(), account.0, channel.0, bits])?[0]))
}

/// A run of device addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DmaSegment {
    /// First address, as the device sees it.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Attaches Memory and reads its first segments into `into`: their number in all, and the attachment's number.
pub fn dma_attach(domain: Handle, memory: Handle, into: &mut [DmaSegment]) -> Result<(usize, u64), Error> {
    let page = CallPage::take();
    let [count, attachment, ..] = control(Syscall::DmaAttach, [domain.0, memory.0])?;
    page.records(count, into);
    Ok((count as usize, attachment))
}

/// Releases attached Memory, once the device cannot reach it. Of all (0) it releases some: how many are left.
pub fn dma_release(domain: Handle, attachment: u64) -> Result<u64, Error> {
    Ok(control(Syscall::DmaRelease, [domain.0, attachment])?[0])
}

/// Lists attached Memory from a number on into `into`: how many there are, and the number to go on at (0: none).
pub fn dma_list(domain: Handle, from: u64, into: &mut [AttachmentRecord]) -> Result<(usize, u64), Error> {
    let page = CallPage::take();
    let [count, next, ..] = control(Syscall::DmaList, [domain.0, from])?;
    page.records(count, into);
    Ok((count as usize, next))
}

/// Makes a Resource for a part of another's range.
pub fn resource_split(resource: Handle, start: u64, length: u64, account: Handle) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::ResourceSplit, [resource.0, start, length, account.0])?[0]))
}
