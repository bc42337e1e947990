//! `processor` for the host: the same functions, which do nothing or keep, per thread, what a test wants to see.

extern crate std;

use super::apic;
use super::cpu_local::CpuLocal;
use super::layout::{DEVICES_BASE, IO_APIC_PAGE};
use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::thread_local;
use x86_64::{PhysAddr, VirtAddr};

thread_local! {
    static LOCAL: Cell<Option<&'static CpuLocal>> = const { Cell::new(None) };
    static TIME: Cell<u64> = const { Cell::new(0) };
    static TIMER: Cell<u32> = const { Cell::new(0) };
    static KICK_TARGET: Cell<u32> = const { Cell::new(0) };
    static KICKED: Cell<u64> = const { Cell::new(0) };
    static FS_BASE: Cell<u64> = const { Cell::new(0) };
    static PAGE_TABLE: Cell<u64> = const { Cell::new(0) };
    static PORTS: RefCell<Option<PortDevice>> = const { RefCell::new(None) };
    static IO_APIC: RefCell<IoApic> = const { RefCell::new(IoApic { selected: 0, registers: [0; IO_APIC_REGISTERS] }) };
    static ENDED: Cell<u64> = const { Cell::new(0) };
}

/// What stands behind the ports: is told port, width and, where it is a write, the value; gives what is read.
pub type PortDevice = Box<dyn FnMut(u16, u8, Option<u32>) -> u32>;

const IO_APIC_REGISTERS: usize = 0x40;
const IO_APIC_LINES: u32 = 24;

/// The first I/O APIC.
struct IoApic {
    selected: usize,
    registers: [u32; IO_APIC_REGISTERS],
}

/// Puts a device behind all ports in this thread.
pub fn set_port_device(device: PortDevice) {
    PORTS.set(Some(device));
}

/// The low half of a line's entry in the first I/O APIC.
pub fn io_apic_line(line: usize) -> u32 {
    IO_APIC.with_borrow(|io_apic| io_apic.registers[0x10 + 2 * line])
}

/// How often the local APIC was told of the end of an interrupt in this thread.
pub fn ended_interrupts() -> u64 {
    ENDED.get()
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

/// Records the table.
///
/// # Safety
/// None needed: the signature is the processor's.
pub unsafe fn set_page_table(table: PhysAddr) {
    PAGE_TABLE.set(table.as_u64());
}

fn port(port: u16, width: u8, value: Option<u32>) -> u32 {
    PORTS.with_borrow_mut(|device| device.as_mut().map_or(u32::MAX, |device| device(port, width, value)))
}

#[allow(missing_docs)]
pub fn port_read(number: u16, width: u8) -> u32 {
    port(number, width, None)
}

#[allow(missing_docs)]
pub fn port_write(number: u16, width: u8, value: u32) {
    port(number, width, Some(value));
}

/// The selected register of the I/O APIC; of others 0.
pub fn register_read(address: VirtAddr) -> u32 {
    if address.as_u64() != DEVICES_BASE + IO_APIC_DATA {
        return 0;
    }
    IO_APIC.with_borrow(|io_apic| match io_apic.selected {
        1 => (IO_APIC_LINES - 1) << 16,
        selected => io_apic.registers[selected],
    })
}

const IO_APIC_SELECT: u64 = IO_APIC_PAGE * 4096;
const IO_APIC_DATA: u64 = IO_APIC_SELECT + 16;

/// Keeps what the local APIC is told about its timer and about other CPUs.
pub fn register_write(address: VirtAddr, value: u32) {
    match address.as_u64() - DEVICES_BASE {
        apic::TIMER_INITIAL => TIMER.set(value),
        apic::COMMAND_HIGH => KICK_TARGET.set(value >> 24),
        apic::END_OF_INTERRUPT => ENDED.set(ENDED.get() + 1),
        IO_APIC_SELECT => IO_APIC.with_borrow_mut(|io_apic| io_apic.selected = value as usize),
        IO_APIC_DATA => IO_APIC.with_borrow_mut(|io_apic| io_apic.registers[io_apic.selected] = value),
        apic::COMMAND_LOW => KICKED.set(KICKED.get() | 1 << KICK_TARGET.get()),
        _ => {}
    }
}

#[allow(missing_docs)]
pub fn register_write_byte(_address: VirtAddr, _value: u8) {}

#[allow(missing_docs)]
pub fn idle(_stack_top: u64, _awake_until: u64) -> ! {
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
pub fn return_to_user() -> ! {
    unreachable!("there is no user mode on the host")
}
