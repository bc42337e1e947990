//! System calls of handles and accounts.

use super::{Outcome, Results, argument, charged_account, flag, land, memory, object, one};
use crate::Kernel;
use crate::ipc::flight;
use crate::object::{Account, Object, Process, Thread, account::to_limits};
use abi::{Error, Handle, Rights};

/// [`abi::Syscall::HandleDuplicate`].
///
/// # Errors
/// See there.
pub fn duplicate(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let process = thread.process.get(kernel);
    let (handle, keep) = (Handle(argument(thread, 0)), rights(thread, 1)?);
    let copy = flight::take_copy(kernel, process, handle, Rights::DUPLICATE, keep, argument(thread, 2))?;
    Ok(one(flight::land(kernel, process, copy)?.0))
}

/// Rights in argument `n`.
fn rights(thread: &Thread, n: usize) -> Result<Rights, Error> {
    u32::try_from(argument(thread, n)).ok().and_then(Rights::from_bits).ok_or(Error::BadArgument)
}

/// [`abi::Syscall::HandleClose`].
///
/// # Errors
/// See there.
pub fn close(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    flight::close(kernel, thread.process.get(kernel), Handle(argument(thread, 0)))
}

/// [`abi::Syscall::HandleInspect`].
///
/// # Errors
/// See there.
pub fn inspect(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let handle = Handle(argument(thread, 0));
    let described = thread.process.handles.describe(kernel, handle)?;
    Ok([described.kind as u64, described.rights.bits() as u64, described.object, described.mask, described.keep as u64])
}

/// [`abi::Syscall::HandleKeep`].
///
/// # Errors
/// See there.
pub fn keep(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    thread.process.get(kernel).handles.set_keep(Handle(argument(thread, 0)), flag(thread, 1)?)
}

/// [`abi::Syscall::HandleGrant`].
///
/// # Errors
/// See there.
pub fn grant(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let target: &Object<Process> = object(kernel, thread, 0, Rights::MANAGE)?;
    let (handle, keep) = (Handle(argument(thread, 1)), rights(thread, 2)?);
    let (mask, is_kept) = (argument(thread, 3), flag(thread, 4)?);
    if !target.can_be_changed() {
        return Err(Error::BadState);
    }
    let process = thread.process.get(kernel);
    let copy = flight::take_copy(kernel, process, handle, Rights::DUPLICATE, keep, mask)?;
    let landed = flight::land(kernel, target, copy)?;
    target.handles.set_keep(landed, is_kept)?;
    Ok(one(landed.0))
}

/// [`abi::Syscall::AccountSplit`].
///
/// # Errors
/// See there.
pub fn split_account(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let account = charged_account(kernel, thread, 0)?;
    let limits = to_limits(core::array::from_fn(|n| argument(thread, n + 1)));
    land(kernel, thread, account.split(kernel, limits)?, 0)
}

/// [`abi::Syscall::AccountRevoke`].
///
/// # Errors
/// See there.
pub fn revoke_account(kernel: &Kernel, thread: &Object<Thread>) -> Result<Outcome, Error> {
    let account: &Object<Account> = object(kernel, thread, 0, Rights::MANAGE)?;
    let is_first = !account.revoked.get();
    account.revoke(kernel);
    if is_first {
        kernel.revoking.start();
    }
    Ok(if kernel.revoking.parts.get() > 0 { memory::again(thread) } else { Outcome::Success })
}
