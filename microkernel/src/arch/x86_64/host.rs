//! `processor` for the host: the same functions, which do nothing or keep, per thread, what a test wants to see.

extern crate std;

use super::apic;
use super::cpu_local::CpuLocal;
use super::layout::DEVICES_BASE;
use core::cell::Cell;
use std::thread_local;
use x86_64::{PhysAddr, VirtAddr};

thread_local! {
    static LOCAL: Cell<Option<&'static CpuLocal>> = const { Cell::new(None) };
    static TIME: Cell<u64> = const { Cell::new(0) };
    static TIMER: Cell<u32> = const { Cell::new(0) };
    static KICK_TARGET: Cell<u32> = const { Cell::new(0) };
    static KICKED: Cell<u64> = const { Cell::new(0) };
    static FS_BASE: Cell<u64> = const { Cell::new(0) };
    static KEYS: Cell<u32> = const { Cell::new(0) };
    static PAGE_TABLE: Cell<u64> = const { Cell::new(0) };
}

/// Sets what `clock::now` and `clock::tsc` return in this thread, in nanoseconds.
pub fn set_time(nanoseconds: u64) {
    TIME.set(nanoseconds);
}

/// Nanoseconds that the timer was last armed for in this thread, from then on; 0 when it is disarmed.
pub fn timer() -> u32 {
    TIMER.get()
}

/// The CPUs kicked since the last look, as a bit set.
pub fn take_kicked() -> u64 {
    KICKED.take()
}

/// The page table loaded last in this thread.
pub fn page_table() -> PhysAddr {
    PhysAddr::new(PAGE_TABLE.get())
}

#[allow(missing_docs)]
pub fn cpu_local() -> &'static CpuLocal {
    LOCAL.get().expect("no CpuLocal in this thread")
}

#[allow(missing_docs)]
pub fn set_cpu_local(local: &'static CpuLocal) {
    LOCAL.set(Some(local));
}

#[allow(missing_docs)]
pub fn tsc() -> u64 {
    TIME.get()
}

#[allow(missing_docs)]
pub fn fs_base() -> u64 {
    FS_BASE.get()
}

#[allow(missing_docs)]
pub fn set_fs_base(base: u64) {
    FS_BASE.set(base);
}

#[allow(missing_docs)]
pub fn clear_user_gs_base() {}

#[allow(missing_docs)]
pub fn protection_keys() -> u32 {
    KEYS.get()
}

#[allow(missing_docs)]
pub fn set_protection_keys(rights: u32) {
    KEYS.set(rights);
}

/// Records the table.
///
/// # Safety
/// None needed: the signature is the processor's.
pub unsafe fn set_page_table(table: PhysAddr) {
    PAGE_TABLE.set(table.as_u64());
}

#[allow(missing_docs)]
pub fn port_read(_port: u16, _width: u8) -> u32 {
    u32::MAX
}

#[allow(missing_docs)]
pub fn port_write(_port: u16, _width: u8, _value: u32) {}

#[allow(missing_docs)]
pub fn register_read(_address: VirtAddr) -> u32 {
    0
}

/// Keeps what the local APIC is told about its timer and about other CPUs.
pub fn register_write(address: VirtAddr, value: u32) {
    match address.as_u64() - DEVICES_BASE {
        apic::TIMER_INITIAL => TIMER.set(value),
        apic::COMMAND_HIGH => KICK_TARGET.set(value >> 24),
        apic::COMMAND_LOW => KICKED.set(KICKED.get() | 1 << KICK_TARGET.get()),
        _ => {}
    }
}

#[allow(missing_docs)]
pub fn register_write_byte(_address: VirtAddr, _value: u8) {}

#[allow(missing_docs)]
pub fn idle(_stack_top: u64) -> ! {
    panic!("the processor idles")
}

#[allow(missing_docs)]
pub fn triple_fault() -> ! {
    panic!("the processor restarts")
}

#[allow(missing_docs)]
pub fn halt() -> ! {
    panic!("the processor halted")
}

#[allow(missing_docs)]
pub fn flush_page(_page: VirtAddr) {}

#[allow(missing_docs)]
pub fn flush_all() {}

#[allow(missing_docs)]
pub fn return_to_user() -> ! {
    unreachable!("there is no user mode on the host")
}
