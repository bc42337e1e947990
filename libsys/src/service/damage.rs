//! Signs that memory of a server was overwritten.
//!
//! A server names what it has by handles that it was given, so the kernel's answer that one of them names nothing ([`Error::BadHandle`]) means that the number is not the one that was given: something has
//! written over it, or the code is wrong. Who takes note of that as of any other error serves on without its device or its client, and nobody finds out. So the server ends, and the
//! next incarnation begins with what is kept.

use crate::{Error, Handle};
use abi::Syscall;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether this process is a server.
static IS_SERVER: AtomicBool = AtomicBool::new(false);

/// System calls on what a server has at any time. Not those that ask whether a handle names something, or close it, nor those that name several objects, some of which need not be there.
const ON_OWN: [Syscall; 11] = [
    Syscall::Call,
    Syscall::CallReply,
    Syscall::CallProgress,
    Syscall::CallPark,
    Syscall::Signal,
    Syscall::InterruptAcknowledge,
    Syscall::InterruptMask,
    Syscall::PortIn,
    Syscall::PortOut,
    Syscall::PortsDrain,
    Syscall::PortsFill,
];

/// From now on a sign ends the process.
pub(super) fn watch() {
    // On the host several processes are one.
    IS_SERVER.store(cfg!(target_os = "none"), Ordering::Relaxed);
}

/// Looks at the error of a system call on a handle. Panics where it is a sign, and the process a server.
pub(crate) fn look(call: Syscall, handle: Handle, error: Error) {
    if is_sign(call, handle, error) && IS_SERVER.load(Ordering::Relaxed) {
        panic!("{call:?}: the handle {:#x} of this server names nothing, so its memory was overwritten", handle.0);
    }
}

/// What was not given has the handle that names nothing, and is no sign.
fn is_sign(call: Syscall, handle: Handle, error: Error) -> bool {
    error == Error::BadHandle && !handle.is_none() && ON_OWN.contains(&call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handle_of_its_own_that_names_nothing_is_a_sign() {
        let of = |call, handle, error| is_sign(call, Handle(handle), error);
        assert!(of(Syscall::PortIn, 0x51_0000_00ed, Error::BadHandle));
        assert!(!of(Syscall::PortIn, 0x51_0000_00ed, Error::WrongKind));
        assert!(!of(Syscall::Signal, Handle::NONE.0, Error::BadHandle));
        assert!(!of(Syscall::HandleClose, 7, Error::BadHandle));
        assert!(!of(Syscall::HandleInspect, 7, Error::BadHandle));
    }
}
