//! Waiting of a thread: on signal bits of a channel that is its own.
//!
//! The channel is made at a thread's first wait (for spawned threads with their stack, for servers at their start), and nothing but signals
//! reaches it. A thread that serves a call keeps it meanwhile and takes it up again, as the kernel lets nobody receive with a call in hand.

use super::block;
use crate::{Object, env, sys, time};
use abi::{Error, Handle};

/// The public token of `park` and `unpark`.
pub(crate) const TOKEN: u64 = 1 << 0;
/// A lock or queue has something for the thread.
pub(crate) const WAKE: u64 = 1 << 1;
/// A child process has died.
pub(crate) const CHILD: u64 = 1 << 2;

/// On a slot's exit channel: the thread is off its stack.
pub(crate) const EXIT: u64 = 1 << 0;

/// The right to wake a thread up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parker(Handle);

impl Parker {
    /// Of the calling thread. Where the account has no room for its channel, nobody can wake it up, and it polls.
    pub(crate) fn current() -> Parker {
        Parker(own_channel())
    }

    /// Wakes the thread up. If it is gone, its channel may serve another thread, which bears it.
    pub(crate) fn wake(self) {
        if !self.0.is_none() {
            let _ = sys::signal(self.0, WAKE);
        }
    }
}

/// The calling thread's private channel, or none where the account has no room for it.
pub(crate) fn own_channel() -> Handle {
    let parking = &block::current().parking;
    if parking.get() == 0 {
        let channel = sys::channel_create(env::account().handle(), Handle::NONE);
        parking.set(channel.unwrap_or(Handle::NONE).0);
    }
    Handle(parking.get())
}

/// Has the calling thread's private channel made before its first wait: whether an incarnation of a server has to wait is then nothing that its handles tell.
pub(crate) fn prepare() {
    own_channel();
}

/// Waits for one of `bits` of the own channel, which are then consumed: which came. Others stay for whoever waits for
/// them. 0: the deadline has passed, or the thread cannot be told and has to look for itself.
pub(crate) fn wait_for(bits: u64, deadline: Option<u64>) -> u64 {
    let block = block::current();
    let channel = own_channel();
    loop {
        let came = block.pending.get() & bits;
        if came != 0 {
            block.pending.set(block.pending.get() & !came);
            return came;
        }
        if channel.is_none() {
            sys::thread_yield();
            return 0;
        }
        match receive(channel, deadline) {
            Ok(signals) => block.pending.set(block.pending.get() | signals),
            // A cancelled wait looks like one that timed out: the caller looks again.
            Err(Error::TimedOut) => return 0,
            // The call in hand cannot be kept, as the handle table is full: it polls.
            Err(_) => {
                sys::thread_yield();
                return 0;
            }
        }
    }
}

/// Receives signals on a channel of libsys, with the current call, if there is one, kept meanwhile.
pub(crate) fn receive(channel: Handle, deadline: Option<u64>) -> Result<u64, Error> {
    match sys::receive_signals(channel, deadline) {
        Err(Error::BadState) => {}
        result => return result,
    }
    let call = sys::call_keep()?;
    let result = sys::receive_signals(channel, deadline);
    // Also where the caller is gone: then the answer says so.
    let resumed = sys::call_resume(call);
    debug_assert!(resumed.is_ok(), "{resumed:?}");
    result
}

pub(crate) fn sleep_until(deadline: u64) {
    while time::now() < deadline {
        wait_for(0, Some(deadline));
    }
}
