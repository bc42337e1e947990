//! System calls of channels and sessions.

use super::{Results, argument, charged_account, land, managed_process, object, signalled_channel};
use crate::Kernel;
use crate::ipc;
use crate::object::{Channel, Object, Session, Thread, session::delivered_close};
use abi::{Error, Handle, Rights};

/// [`abi::Syscall::ChannelCreate`].
///
/// # Errors
/// See there.
pub fn create(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let account = charged_account(kernel, thread, 0)?;
    let server = managed_process(kernel, thread, 1)?;
    if server.is_dead() {
        return Err(Error::BadState);
    }
    let channel = Channel::create(kernel, account, server)?;
    land(kernel, thread, channel.clone(), u64::MAX).inspect_err(|_| ipc::close_channel(kernel, channel.get(kernel)))
}

/// [`abi::Syscall::ChannelClose`].
///
/// # Errors
/// See there.
pub fn close(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    ipc::close_channel(kernel, object(kernel, thread, 0, Rights::MANAGE)?);
    Ok(())
}

/// [`abi::Syscall::Signal`].
///
/// # Errors
/// See there.
pub fn signal(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let channel = signalled_channel(kernel, thread, 0)?.ok_or(Error::BadHandle)?;
    ipc::signal(kernel, channel, argument(thread, 1))
}

/// [`abi::Syscall::SessionMint`].
///
/// # Errors
/// See there.
pub fn mint(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let channel: &Object<Channel> = object(kernel, thread, 0, Rights::MINT)?;
    let account = charged_account(kernel, thread, 2)?;
    land(kernel, thread, Session::mint(kernel, account, channel, argument(thread, 1))?, 0)
}

/// [`abi::Syscall::SessionAcknowledge`].
///
/// # Errors
/// See there.
pub fn acknowledge(kernel: &Kernel, thread: &Object<Thread>) -> Result<(), Error> {
    let channel = ipc::receive::decode(kernel, thread, Handle(argument(thread, 0)))?;
    let (badge, client) = (argument(thread, 1), argument(thread, 2));
    delivered_close(kernel, channel, badge, client)?.forget();
    Ok(())
}
