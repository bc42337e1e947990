//! The I/O APICs (Intel 82093AA data sheet §3): interrupt lines, by global system interrupt number.

use super::layout::{IO_APIC_PAGE, MAX_IO_APICS, device};
use super::madt::Madt;
use super::{apic, processor};
use abi::ports::Trigger;
use spin::Mutex;
use x86_64::VirtAddr;

const VERSION: u32 = 1;
/// Register of a line's low half; the high half follows.
const LINES: u32 = 0x10;

const ACTIVE_LOW: u32 = 1 << 13;
const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

/// The I/O APICs and how the firmware wired them. Locked for an access, as that takes two registers.
struct Wiring {
    madt: Option<Madt>,
    /// First line, end of lines and registers of each.
    io_apics: [(u32, u32, VirtAddr); MAX_IO_APICS],
}

static WIRING: Mutex<Wiring> = Mutex::new(Wiring { madt: None, io_apics: [(0, 0, VirtAddr::zero()); MAX_IO_APICS] });

/// Remembers what the firmware says.
pub fn set_wiring(madt: Madt) {
    WIRING.lock().madt = Some(madt);
}

/// Finds out how many lines there are and masks them all.
pub fn mask_all() {
    let wiring = &mut *WIRING.lock();
    let Some(madt) = &wiring.madt else { return };
    for (n, at) in madt.io_apics[..madt.io_apic_count].iter().enumerate() {
        let registers = device(IO_APIC_PAGE + n as u64, at.address);
        let lines = (read(registers, VERSION) >> 16 & 0xff) + 1;
        wiring.io_apics[n] = (at.first_line, at.first_line.saturating_add(lines), registers);
        for line in 0..lines {
            write(registers, LINES + 2 * line, MASKED);
        }
    }
}

/// Whether there is such a line.
pub fn exists(line: u32) -> bool {
    WIRING.lock().find(line).is_some()
}

/// Sends a line's interrupts to a CPU, with this vector. The line is masked afterwards.
pub fn configure(line: u32, vector: u8, trigger: Trigger, cpu: usize) {
    let wiring = WIRING.lock();
    let Some((registers, low)) = wiring.find(line) else { return };
    let trigger = match (trigger, &wiring.madt) {
        (Trigger::Firmware, Some(madt)) => madt.trigger(line),
        (trigger, _) => trigger,
    };
    let mode = match trigger {
        Trigger::Firmware | Trigger::EdgeHigh => 0,
        Trigger::LevelHigh => LEVEL,
        Trigger::LevelLow => LEVEL | ACTIVE_LOW,
    };
    // Masked first, so that no half of it acts alone.
    write(registers, low, MASKED);
    write(registers, low + 1, u32::from(apic::identity(cpu)) << 24);
    write(registers, low, MASKED | mode | u32::from(vector));
}

/// Keeps a line's interrupts from being delivered.
pub fn mask(line: u32) {
    change(line, |low| low | MASKED);
}

/// Lets a line's interrupts through. A level line that is active interrupts at once.
pub fn unmask(line: u32) {
    change(line, |low| low & !MASKED);
}

/// Whether a line was configured as level triggered: it interrupts again until its device is satisfied.
pub fn is_level(line: u32) -> bool {
    let wiring = WIRING.lock();
    wiring.find(line).is_some_and(|(registers, low)| read(registers, low) & LEVEL != 0)
}

fn change(line: u32, new: impl Fn(u32) -> u32) {
    let wiring = WIRING.lock();
    if let Some((registers, low)) = wiring.find(line) {
        write(registers, low, new(read(registers, low)));
    }
}

impl Wiring {
    /// The I/O APIC of a line, and the line's low register in it.
    fn find(&self, line: u32) -> Option<(VirtAddr, u32)> {
        let (first, _, registers) = self.io_apics.iter().find(|(first, end, _)| (*first..*end).contains(&line))?;
        Some((*registers, LINES + 2 * (line - first)))
    }
}

/// The register is selected by its index, then read at offset 16.
fn read(registers: VirtAddr, register: u32) -> u32 {
    processor::register_write(registers, register);
    processor::register_read(registers + 16)
}

fn write(registers: VirtAddr, register: u32, value: u32) {
    processor::register_write(registers, register);
    processor::register_write(registers + 16, value);
}
