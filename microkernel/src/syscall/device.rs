//! System calls of devices: interrupts, ports, DMA, device Memory, Resources, power.

use super::{NOTHING, Results, argument, charged_account, flag, land, object, one, signalled_channel};
use crate::Kernel;
use crate::arch::power as machine;
use crate::object::{DmaDomain, Interrupt, IoPorts, Memory, Object, Resource, Thread};
use abi::boot::{Power, ResourceKind};
use abi::memory::Caching;
use abi::ports::{Gate, MSI, Trigger};
use abi::{Error, PAGE_BYTES, Rights};
use x86_64::PhysAddr;

/// [`abi::Syscall::MemoryDevice`].
///
/// # Errors
/// See there.
pub fn memory(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    let (start, bytes) = (argument(thread, 1), argument(thread, 2));
    let caching = Caching::from_number(argument(thread, 3)).ok_or(Error::BadArgument)?;
    let account = charged_account(kernel, thread, 4)?;
    resource.covers(ResourceKind::Physical, start, bytes)?;
    if !start.is_multiple_of(PAGE_BYTES as u64) || !bytes.is_multiple_of(PAGE_BYTES as u64) {
        return Err(Error::BadArgument);
    }
    if kernel.ranges.is_ram(start, bytes) {
        return Err(Error::Denied);
    }
    kernel.ranges.claim(kernel, account, ResourceKind::Physical, start, bytes, thread.process.number())?;
    let range = PhysAddr::new_truncate(start)..PhysAddr::new_truncate(start + bytes);
    let memory = Memory::device(kernel, account, range, caching)
        .inspect_err(|_| kernel.ranges.release(kernel, ResourceKind::Physical, start))?;
    land(kernel, thread, memory, 0)
}

/// [`abi::Syscall::InterruptCreate`].
///
/// # Errors
/// See there.
pub fn create_interrupt(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    let line = argument(thread, 1);
    let channel = signalled_channel(kernel, thread, 2)?.ok_or(Error::BadHandle)?;
    let bits = argument(thread, 3);
    let trigger = Trigger::from_number(argument(thread, 4)).ok_or(Error::BadArgument)?;
    let account = charged_account(kernel, thread, 5)?;
    match line {
        MSI => resource.covers_messages()?,
        line => resource.covers(ResourceKind::Interrupts, line, 1)?,
    }
    let interrupt = Interrupt::create(kernel, account, line, trigger, channel, bits)?;
    let (address, data) = interrupt.message().unwrap_or_default();
    let [handle, ..] = land(kernel, thread, interrupt, 0)?;
    Ok([handle, address, data.into(), 0, 0])
}

/// [`abi::Syscall::InterruptAcknowledge`].
///
/// # Errors
/// See there.
pub fn acknowledge_interrupt(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let interrupt: &Object<Interrupt> = object(kernel, thread, 0, Rights::MANAGE)?;
    interrupt.acknowledge(kernel, flag(thread, 1)?);
    Ok(NOTHING)
}

/// [`abi::Syscall::InterruptMask`].
///
/// # Errors
/// See there.
pub fn mask_interrupt(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let interrupt: &Object<Interrupt> = object(kernel, thread, 0, Rights::MANAGE)?;
    interrupt.set_masked(kernel, flag(thread, 1)?);
    Ok(NOTHING)
}

/// [`abi::Syscall::PortsCreate`].
///
/// # Errors
/// See there.
pub fn create_ports(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    let (first, count) = (argument(thread, 1), argument(thread, 2));
    let account = charged_account(kernel, thread, 3)?;
    resource.covers(ResourceKind::Ports, first, count)?;
    let ports = IoPorts::create(kernel, account, first, count, thread.process.number())?;
    land(kernel, thread, ports, 0)
}

/// [`abi::Syscall::PortIn`].
///
/// # Errors
/// See there.
pub fn port_in(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let ports: &Object<IoPorts> = object(kernel, thread, 0, Rights::READ)?;
    ports.read(argument(thread, 1), argument(thread, 2)).map(|value| one(value.into()))
}

/// [`abi::Syscall::PortOut`].
///
/// # Errors
/// See there.
pub fn port_out(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let ports: &Object<IoPorts> = object(kernel, thread, 0, Rights::WRITE)?;
    ports.write(argument(thread, 1), argument(thread, 2), argument(thread, 3))?;
    Ok(NOTHING)
}

/// [`abi::Syscall::PortsDrain`].
///
/// # Errors
/// See there.
pub fn drain_ports(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let ports: &Object<IoPorts> = object(kernel, thread, 0, Rights::READ)?;
    let memory: &Object<Memory> = object(kernel, thread, 1, Rights::WRITE)?;
    let gate = Gate::from_word(argument(thread, 3)).ok_or(Error::BadArgument)?;
    let (moved, status) = ports.drain(kernel, memory, argument(thread, 2), gate)?;
    Ok([moved, status.into(), 0, 0, 0])
}

/// [`abi::Syscall::PortsFill`].
///
/// # Errors
/// See there.
pub fn fill_ports(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let ports: &Object<IoPorts> = object(kernel, thread, 0, Rights::WRITE)?;
    let memory: &Object<Memory> = object(kernel, thread, 1, Rights::READ | Rights::WRITE)?;
    let gate = Gate::from_word(argument(thread, 3)).ok_or(Error::BadArgument)?;
    let (moved, status) = ports.fill(kernel, memory, argument(thread, 2), gate)?;
    Ok([moved, status.into(), 0, 0, 0])
}

/// [`abi::Syscall::DmaDomainCreate`].
///
/// # Errors
/// See there.
pub fn create_dma_domain(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    let requester = argument(thread, 1);
    let account = charged_account(kernel, thread, 2)?;
    let channel = signalled_channel(kernel, thread, 3)?;
    resource.covers(ResourceKind::Dma, requester, 1)?;
    let (bits, process) = (argument(thread, 4), thread.process.number());
    land(kernel, thread, DmaDomain::create(kernel, account, requester, channel, bits, process)?, 0)
}

/// [`abi::Syscall::DmaAttach`].
///
/// # Errors
/// See there and [`DmaDomain::attach`].
pub fn attach_dma(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let domain: &Object<DmaDomain> = object(kernel, thread, 0, Rights::INSPECT)?;
    let memory: &Object<Memory> = object(kernel, thread, 1, Rights::READ | Rights::WRITE)?;
    let page = thread.call_page();
    let (number, segments) = domain.attach(kernel, thread.process.get(kernel), memory, |index, address, bytes| {
        page.write_payload(index * 16, &address.to_le_bytes());
        page.write_payload(index * 16 + 8, &bytes.to_le_bytes());
    })?;
    Ok([segments as u64, number, 0, 0, 0])
}

/// [`abi::Syscall::DmaRelease`]. Of all attachments it releases some: the result is how many are left.
///
/// # Errors
/// See there.
pub fn release_dma(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let domain: &Object<DmaDomain> = object(kernel, thread, 0, Rights::MANAGE)?;
    match argument(thread, 1) {
        0 => Ok(one(domain.release_some(kernel).into())),
        number => domain.release(kernel, number).map(|()| NOTHING),
    }
}

/// [`abi::Syscall::ResourceSplit`].
///
/// # Errors
/// See there.
pub fn split_resource(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    let account = charged_account(kernel, thread, 3)?;
    let part = resource.split(kernel, account, argument(thread, 1), argument(thread, 2))?;
    land(kernel, thread, part, 0)
}

/// [`abi::Syscall::SystemPower`].
///
/// # Errors
/// See there.
pub fn power(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::MANAGE)?;
    resource.must_be(ResourceKind::Power)?;
    let power = Power::from_number(argument(thread, 1)).ok_or(Error::BadArgument)?;
    let status = u8::try_from(argument(thread, 2)).map_err(|_| Error::BadArgument)?;
    match power {
        Power::Off => machine::off(status),
        Power::Restart => machine::restart(),
    }
}
