//! The common case of call and reply-and-receive.

use crate::cpu::Cpu;
use crate::kernel::Kernel;
use crate::object::{Object, Thread};
use abi::OK;

/// A call to a server that waits.
#[inline(always)]
pub fn call(_kernel: &Kernel, _cpu: &Cpu, _thread: &Object<Thread>) -> bool {
    false
}

/// A reply when nothing else waits.
#[inline(always)]
pub fn reply_receive(_kernel: &Kernel, _cpu: &Cpu, _thread: &Object<Thread>) -> bool {
    false
}

/// The call that does nothing.
#[inline(always)]
pub fn null(thread: &Thread) -> bool {
    thread.set_status(OK);
    true
}
