//! The local APIC (Intel SDM vol. 3A §11), in its memory-mapped mode: end of interrupt, interrupts between CPUs, and the
//! registers of the timer.

use super::interrupts::{KICK_VECTOR, SPURIOUS_VECTOR, TIMER_VECTOR};
use super::layout::{DEVICES_BASE, LOCAL_APIC_PAGE, MAX_CPUS};
use super::madt::Madt;
use super::processor;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use x86_64::VirtAddr;

const IDENTITY: u64 = 0x20;
const TASK_PRIORITY: u64 = 0x80;
/// Writing it ends the interrupt being handled.
pub const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
/// Low half of the interrupt command register: writing it sends.
pub const COMMAND_LOW: u64 = 0x300;
/// High half of the interrupt command register: the destination.
pub const COMMAND_HIGH: u64 = 0x310;
const LOCAL_VECTORS: [u64; 3] = [0x350, 0x360, 0x370];
const LOCAL_VECTOR_TIMER: u64 = 0x320;
/// The timer counts down from what is written here, at once; 0 stops it.
pub const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;
const TIMER_DIVIDE: u64 = 0x3e0;

const MASKED: u32 = 1 << 16;
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// The divide configuration that divides by [`TIMER_DIVISOR`].
const DIVIDE_BY_16: u32 = 3;
/// What the timer's clock is divided by: at 1 GHz, steps of 16 ns and up to 68 s.
pub const TIMER_DIVISOR: u64 = 16;

/// Commands (Intel SDM vol. 3A §11.6.1): delivery mode, «assert», and the destination shorthand for NMI.
const INIT: u32 = 0x4500;
const START_UP: u32 = 0x4600;
const FIXED: u32 = 0x4000;
const NMI_ALL_OTHERS: u32 = 0xc_4400;
const SENDING: u32 = 1 << 12;

/// APIC identities in the firmware's table.
static PRESENT: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(0) }; MAX_CPUS];
static PRESENT_CPUS: AtomicUsize = AtomicUsize::new(1);
/// APIC identities of the running CPUs, by index.
static IDENTITIES: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(0) }; MAX_CPUS];

fn register(offset: u64) -> VirtAddr {
    VirtAddr::new_truncate(DEVICES_BASE + LOCAL_APIC_PAGE * 4096 + offset)
}

#[inline(always)]
fn read(offset: u64) -> u32 {
    processor::register_read(register(offset))
}

#[inline(always)]
fn write(offset: u64, value: u32) {
    processor::register_write(register(offset), value);
}

/// Remembers the CPUs of the firmware's table.
pub fn set_cpus(madt: &Madt) {
    for (identity, id) in PRESENT.iter().zip(&madt.apic_ids[..madt.cpus]) {
        identity.store(*id, Relaxed);
    }
    PRESENT_CPUS.store(madt.cpus.max(1), Relaxed);
}

/// CPUs in the firmware's table, this one included: at least 1, and at most `MAX_CPUS`.
pub fn present_cpus() -> usize {
    PRESENT_CPUS.load(Relaxed)
}

/// The APIC identities in the firmware's table.
pub fn present() -> impl Iterator<Item = u8> {
    PRESENT[..present_cpus()].iter().map(|identity| identity.load(Relaxed))
}

/// The APIC identity of a running CPU.
pub fn identity(cpu: usize) -> u8 {
    IDENTITIES[cpu].load(Relaxed)
}

/// This CPU's APIC identity.
pub fn own_identity() -> u8 {
    (read(IDENTITY) >> 24) as u8
}

/// Switches this CPU's APIC on, with all its own sources masked but the timer, which is off.
pub fn enable(cpu: usize) {
    leave_x2apic();
    write(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
    write(TASK_PRIORITY, 0);
    LOCAL_VECTORS.iter().for_each(|&vector| write(vector, MASKED));
    write(TIMER_DIVIDE, DIVIDE_BY_16);
    write(TIMER_INITIAL, 0);
    write(LOCAL_VECTOR_TIMER, u32::from(TIMER_VECTOR));
    IDENTITIES[cpu].store(own_identity(), Relaxed);
}

/// Back to memory-mapped mode if firmware left the other on: by way of «disabled» (Intel SDM vol. 3A §11.12.5).
fn leave_x2apic() {
    use x86_64::registers::model_specific::{ApicBase, ApicBaseFlags};
    if !cfg!(target_os = "none") {
        return;
    }
    let (frame, flags) = ApicBase::read();
    let memory_mapped = (flags | ApicBaseFlags::LAPIC_ENABLE) - ApicBaseFlags::X2APIC_ENABLE;
    // SAFETY: the frame stays where the device window has it; interrupts are off.
    unsafe {
        if flags.contains(ApicBaseFlags::X2APIC_ENABLE) {
            ApicBase::write(frame, flags - ApicBaseFlags::X2APIC_ENABLE - ApicBaseFlags::LAPIC_ENABLE);
        }
        ApicBase::write(frame, memory_mapped);
    }
}

/// Says that the interrupt being handled is done with. Not for spurious ones.
#[inline(always)]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Interrupts another CPU with [`KICK_VECTOR`].
pub fn kick(cpu: usize) {
    send(identity(cpu), FIXED | u32::from(KICK_VECTOR));
}

/// Resets a CPU: it then waits for [`start_up`].
pub fn initialize(identity: u8) {
    send(identity, INIT);
}

/// Starts a CPU in real mode at a page below 1 MiB.
pub fn start_up(identity: u8, page: u8) {
    send(identity, START_UP | u32::from(page));
}

/// Stops all other CPUs: in a panic.
pub fn stop_others() {
    write(COMMAND_LOW, NMI_ALL_OTHERS);
}

fn send(identity: u8, command: u32) {
    write(COMMAND_HIGH, u32::from(identity) << 24);
    write(COMMAND_LOW, command);
    // An APIC takes one command at a time; it is accepted within a few bus cycles.
    let mut patience = 10_000;
    while read(COMMAND_LOW) & SENDING != 0 && patience > 0 {
        patience -= 1;
        core::hint::spin_loop();
    }
}

/// Starts the timer: one interrupt after `ticks`, or none for 0.
#[inline(always)]
pub fn start_timer(ticks: u32) {
    write(TIMER_INITIAL, ticks);
}

/// What the timer has left.
pub fn timer_count() -> u32 {
    read(TIMER_CURRENT)
}

/// Whether the timer interrupts.
pub fn mask_timer(masked: bool) {
    write(LOCAL_VECTOR_TIMER, u32::from(TIMER_VECTOR) | if masked { MASKED } else { 0 });
}
