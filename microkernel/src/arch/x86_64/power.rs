//! Switching the machine off and restarting it.

use super::fadt::{Fadt, Register, Sleep};
use super::layout::{RESET_PAGE, SLEEP_PAGE, device};
use super::processor::{self, port_read, port_write};
use spin::Once;

/// QEMU's `isa-debug-exit`: the emulator ends with status `2 * value + 1`. Where there is no such device nothing happens.
const DEBUG_EXIT: u16 = 0xf4;
/// The reset control register of PC chipsets: full reset.
const RESET_CONTROL: u16 = 0xcf9;
/// The keyboard controller's command to pulse the reset line.
const KEYBOARD_COMMAND: u16 = 0x64;

static REGISTERS: Once<Fadt> = Once::new();

/// Remembers how the firmware wants it.
pub fn set_registers(fadt: Fadt) {
    REGISTERS.call_once(|| fadt);
}

/// The pages of the device window that the registers need.
pub fn pages(fadt: &Fadt) -> impl Iterator<Item = (u64, u64)> + Clone {
    let memory = |register, page| if let Register::Memory(address) = register { Some((page, address)) } else { None };
    let sleep = match fadt.sleep {
        Some(Sleep::Register(register, _)) => memory(register, SLEEP_PAGE),
        _ => None,
    };
    sleep.into_iter().chain(fadt.reset.and_then(|(register, _)| memory(register, RESET_PAGE)))
}

/// Ends an emulator with a debug-exit device; returns elsewhere.
pub fn debug_exit(value: u8) {
    port_write(DEBUG_EXIT, 1, value.into());
}

/// Switches off, telling an emulator `status`; halts where neither works.
pub fn off(status: u8) -> ! {
    debug_exit(status);
    match REGISTERS.get().and_then(|fadt| fadt.sleep) {
        Some(Sleep::Ports(ports)) => {
            for (port, value) in ports.into_iter().filter(|(port, _)| *port != 0) {
                // Bit 0 says that ACPI mode is on: it is the firmware's to keep.
                port_write(port, 2, u32::from(value) | port_read(port, 2) & 1);
            }
        }
        Some(Sleep::Register(register, value)) => write(register, SLEEP_PAGE, value),
        None => {}
    }
    processor::halt()
}

/// Restarts: by the firmware's register, the chipset's, the keyboard controller, and at last a triple fault.
pub fn restart() -> ! {
    if let Some((register, value)) = REGISTERS.get().and_then(|fadt| fadt.reset) {
        write(register, RESET_PAGE, value);
    }
    port_write(RESET_CONTROL, 1, 2);
    port_write(RESET_CONTROL, 1, 6);
    port_write(KEYBOARD_COMMAND, 1, 0xfe);
    processor::triple_fault()
}

fn write(register: Register, page: u64, value: u8) {
    match register {
        Register::Port(port) => port_write(port, 1, value.into()),
        Register::Memory(address) => processor::register_write_byte(device(page, address), value),
    }
}
