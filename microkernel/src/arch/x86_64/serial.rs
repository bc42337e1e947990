//! The first serial port (16550), written by polling: for boot errors, panics and `log=serial` only. A driver in user
//! space owns it otherwise.

use super::processor::{port_read, port_write};
use core::fmt;

const DATA: u16 = 0x3f8;
const INTERRUPTS: u16 = DATA + 1;
const LINE: u16 = DATA + 3;
const MODEM: u16 = DATA + 4;
const STATUS: u16 = DATA + 5;
/// The transmitter takes a byte.
const EMPTY: u32 = 1 << 5;
/// Readings of the status before a byte is given up; a byte takes 87 µs.
const PATIENCE: usize = 100_000;

/// 115200 baud, 8 bits, no parity, one stop bit, no interrupts. The FIFOs stay as they are: to turn them on or off would drop what was typed.
pub fn initialize() {
    for (port, value) in [(INTERRUPTS, 0), (LINE, 0x80), (DATA, 1), (INTERRUPTS, 0), (LINE, 3), (MODEM, 3)] {
        port_write(port, 1, value);
    }
}

/// The port, for `write!`.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(b'\r');
            }
            put(byte);
        }
        Ok(())
    }
}

fn put(byte: u8) {
    let _ = (0..PATIENCE).find(|_| port_read(STATUS, 1) & EMPTY != 0);
    port_write(DATA, 1, byte.into());
}
