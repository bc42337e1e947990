//! Handles on their way: in a message, or from one table to another. Nobody's while they fly.

use crate::handle_table::Capability;
use crate::object::{AnyRef, Channel, Object, Process, Session, SessionUse};
use crate::{Kernel, death, ipc};
use abi::message::HANDLES;
use abi::{Error, Handle, Rights};
use core::cell::Cell;

/// The handles of a message.
pub struct Flight {
    items: [Cell<Option<Capability>>; HANDLES],
}

impl Flight {
    /// No handles.
    pub const fn new() -> Flight {
        Flight { items: [const { Cell::new(None) }; HANDLES] }
    }

    /// Puts one in.
    pub fn put(&self, index: usize, capability: Capability) {
        self.items[index].set(Some(capability));
    }

    /// A copy of one, that flies as well.
    pub fn copy(&self, kernel: &Kernel, index: usize) -> Option<Capability> {
        let item = self.items[index].take()?;
        let copy = Capability { object: item.object.clone(), rights: item.rights, mask: item.mask };
        took_off(kernel, &copy);
        self.items[index].set(Some(item));
        Some(copy)
    }

    /// Closes all.
    pub fn drop_all(&self, kernel: &Kernel) {
        for item in &self.items {
            if let Some(capability) = item.take() {
                drop_flying(kernel, capability);
            }
        }
    }
}

/// Counts what a flying handle counts for: a use of nobody, so that nothing ends meanwhile.
fn took_off(kernel: &Kernel, capability: &Capability) {
    if let Some(session) = capability.object.get::<Session>(kernel) {
        session.take_flight();
    } else if let Some(process) = capability.object.get::<Process>(kernel) {
        process.outside_handles.set(process.outside_handles.get() + 1);
        // Its own handle to itself may find it a new holder.
        process.abandoned.set(false);
    } else if let Some(channel) = capability.object.get::<Channel>(kernel)
        && capability.rights.contains(Rights::RECEIVE)
    {
        channel.receive_handles.set(channel.receive_handles.get() + 1);
    }
}

/// Ends a flight without a receiver.
pub fn drop_flying(kernel: &Kernel, capability: Capability) {
    if let Some(session) = capability.object.get::<Session>(kernel) {
        session.end_flight(kernel);
    } else if let Some(process) = capability.object.get::<Process>(kernel) {
        process_handle_closed(kernel, process);
    } else if let Some(channel) = capability.object.get::<Channel>(kernel)
        && capability.rights.contains(Rights::RECEIVE)
    {
        let left = channel.receive_handles.get() - 1;
        channel.receive_handles.set(left);
        if left == 0 {
            ipc::close_channel(kernel, channel);
        }
    }
}

fn process_handle_closed(kernel: &Kernel, process: &Object<Process>) {
    let left = process.outside_handles.get() - 1;
    process.outside_handles.set(left);
    if left == 0 {
        death::abandoned(kernel, process);
    }
}

/// Makes a flying copy of a handle of a process, with no more than `keep` rights and `mask` bits.
///
/// # Errors
/// `BadHandle`, `Denied` (it needs `needed`).
pub fn take_copy(
    kernel: &Kernel,
    process: &Object<Process>,
    handle: Handle,
    needed: Rights,
    keep: Rights,
    mask: u64,
) -> Result<Capability, Error> {
    let mut capability = process.handles.copy(handle, needed)?;
    capability.rights &= keep;
    capability.mask &= mask;
    if let Some(one) = capability.object.get::<SessionUse>(kernel) {
        capability.object = AnyRef::new(one.session.clone());
    }
    took_off(kernel, &capability);
    Ok(capability)
}

/// Takes a handle out of a process's table, flying.
///
/// # Errors
/// `BadHandle`.
pub fn take_out(kernel: &Kernel, process: &Object<Process>, handle: Handle) -> Result<Capability, Error> {
    let flying = take_copy(kernel, process, handle, Rights::empty(), Rights::all(), u64::MAX)?;
    close(kernel, process, handle)?;
    Ok(flying)
}

/// Lands a flying handle in a slot that the process has reserved.
///
/// # Errors
/// `AccountExhausted`, `NoSlot`: the handle is closed, and the reserved slot given back.
pub fn land_reserved(kernel: &Kernel, process: &Object<Process>, capability: Capability) -> Result<Handle, Error> {
    let Capability { mut object, rights, mask } = capability;
    let flying = object.get::<Session>(kernel);
    if let Some(session) = flying {
        let landed = session.use_by(kernel, process);
        session.end_flight(kernel);
        object = AnyRef::new(landed.inspect_err(|_| process.handles.unreserve(&process.account, 1))?);
    } else if object.get::<Process>(kernel).is_some_and(|named| named.is(process)) {
        // A process's handle to itself does not keep it.
        process_handle_closed(kernel, process);
    }
    kernel.handles.set(kernel.handles.get() + 1);
    Ok(process.handles.insert_reserved(Capability { object, rights, mask }))
}

/// Lands a flying handle.
///
/// # Errors
/// `AccountExhausted`, `NoSlot`: the handle is closed.
pub fn land(kernel: &Kernel, process: &Object<Process>, capability: Capability) -> Result<Handle, Error> {
    if let Err(error) = process.handles.reserve(kernel, &process.account, 1) {
        drop_flying(kernel, capability);
        return Err(error);
    }
    land_reserved(kernel, process, capability)
}

/// Lands the first handle to a new object.
///
/// # Errors
/// `AccountExhausted`, `NoSlot`: the object ends with its reference.
pub fn land_new(kernel: &Kernel, process: &Object<Process>, object: AnyRef, mask: u64) -> Result<Handle, Error> {
    let rights = Rights::of(object.kind());
    let capability = Capability { object, rights, mask };
    // A new session is made in flight.
    if capability.object.get::<Session>(kernel).is_none() {
        took_off(kernel, &capability);
    }
    land(kernel, process, capability)
}

/// Closes a handle of a process.
///
/// # Errors
/// `BadHandle`.
pub fn close(kernel: &Kernel, process: &Object<Process>, handle: Handle) -> Result<(), Error> {
    let closed = process.handles.remove(&process.account, handle)?;
    kernel.handles.set(kernel.handles.get() - 1);
    if let Some(one) = closed.object.get::<SessionUse>(kernel) {
        one.closed(kernel);
    } else if let Some(call) = closed.object.get(kernel) {
        ipc::handle_of_call_closed(kernel, call);
    } else if !closed.object.get::<Process>(kernel).is_some_and(|named| named.is(process)) {
        drop_flying(kernel, closed);
    }
    Ok(())
}
