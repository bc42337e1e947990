//! Changing which thread a CPU returns to. The registers stay in the threads' frames; what moves here is what the
//! processor holds beside them. The user's GS base is not kept: it is zero when an address space gets the CPU.

use super::context::Context;
use super::cpu_local::CpuLocal;
use super::processor;
use x86_64::PhysAddr;

/// Makes `to` the thread that this CPU returns to. Its address space is loaded. The FS base of `to` must be canonical, and its frame one that
/// user code or `Context::new` with canonical addresses made: anything else would fault in the kernel.
#[inline(always)]
pub fn switch(local: &CpuLocal, to: &Context) {
    processor::set_fs_base(to.fs_base.get());
    local.set_frame(&to.frame);
}

/// [`leave`] and [`switch`] in one, for the shortest way from one thread to another.
#[inline(always)]
pub fn exchange(local: &CpuLocal, from: &Context, to: &Context) {
    leave(from);
    switch(local, to);
}

/// Loads an address space, and clears the user's GS base, so that nothing of the last one's is left.
///
/// # Safety
/// `page_table` is the top-level table of a living address space, whose upper half is the kernel's.
#[inline(always)]
pub unsafe fn load_space(page_table: PhysAddr) {
    processor::clear_user_gs_base();
    // SAFETY: the caller's.
    unsafe { processor::set_page_table(page_table) };
}

/// Saves what [`switch`] loads: for a thread that leaves its CPU.
#[inline(always)]
pub fn leave(from: &Context) {
    from.fs_base.set(processor::fs_base());
}

/// Waits for an interrupt, which is then handled as if it had come from user mode: awake until a time-stamp count, then halted. Nothing on the stack is kept.
pub fn idle(local: &CpuLocal, awake_until: u64) -> ! {
    processor::idle(local.stack_top.get(), awake_until)
}

/// Returns to user mode, to the thread that [`switch`] chose. Nothing on the stack is kept.
pub use super::processor::return_to_user as resume;
