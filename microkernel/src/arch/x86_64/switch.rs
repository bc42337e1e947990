//! Changing which thread a CPU returns to. The registers stay in the threads' frames; what moves here is what the
//! processor holds beside them. The user's GS base is not kept: it is zero when an address space gets the CPU.

use super::context::Context;
use super::cpu_local::CpuLocal;
use super::{features, processor};
use x86_64::PhysAddr;

/// Makes `to` the thread that this CPU returns to. `from` is the thread that had the CPU until now, if `leave` was not called for it.
/// `same_space` says that `page_table` is already loaded. The FS base of `to` must be canonical, and its frame one that
/// user code or `Context::new` with canonical addresses made: anything else would fault in the kernel.
#[inline(always)]
pub fn switch(local: &CpuLocal, from: Option<&Context>, to: &Context, page_table: PhysAddr, same_space: bool) {
    if let Some(from) = from {
        from.fs_base.set(processor::fs_base());
    }
    processor::set_fs_base(to.fs_base.get());
    if features::protection_keys() {
        if let Some(from) = from {
            from.pkru.set(processor::protection_keys());
        }
        processor::set_protection_keys(to.pkru.get());
    }
    if !same_space {
        processor::clear_user_gs_base();
        // SAFETY: the core passes the table of a living address space, whose upper half is the kernel's.
        unsafe { processor::set_page_table(page_table) };
    }
    local.set_frame(&to.frame);
}

/// Saves what [`switch`] would have saved: for a thread that loses the CPU to nobody yet.
#[inline(always)]
pub fn leave(from: &Context) {
    from.fs_base.set(processor::fs_base());
    if features::protection_keys() {
        from.pkru.set(processor::protection_keys());
    }
}

/// Waits for an interrupt, which is then handled as if it had come from user mode. Nothing on the stack is kept.
pub fn idle(local: &CpuLocal) -> ! {
    processor::idle(local.stack_top())
}
