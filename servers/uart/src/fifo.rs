//! The FIFOs of a 16550 turned on or off. That empties them, and the one register that there is without them (data sheet, 8.4).

use libsys::driver::{Done, Ports};

use crate::{
    DATA, DATA_READY, FIFO_AT_8, FIFO_CONTROL, FIFOS_ON, INTERRUPT_IDENTITY, LINE_STATUS, MODEM_CONTROL, MODEM_ON,
};

/// The receiver sees the transmitter, and not the line.
const LOOP: u8 = 0x10;

/// What [`switch`] found.
pub struct Switched {
    pub are_on: bool,
    /// What was received before.
    pub early: Option<u8>,
}

/// Turns them on, where the part has them, or off. What was received is taken first; looped back, nothing follows it.
pub fn switch(registers: &Ports, on: bool) -> Done<Switched> {
    let control = if on { FIFO_AT_8 } else { 0 };
    let are_on = || Ok(registers.read_u8(INTERRUPT_IDENTITY)? & FIFOS_ON == FIFOS_ON);
    if are_on()? == on {
        registers.write_u8(FIFO_CONTROL, control)?;
        return Ok(Switched { are_on: on, early: None });
    }
    registers.write_u8(MODEM_CONTROL, MODEM_ON | LOOP)?;
    let has_early = registers.read_u8(LINE_STATUS)? & DATA_READY != 0;
    let early = if has_early { Some(registers.read_u8(DATA)?) } else { None };
    registers.write_u8(FIFO_CONTROL, control)?;
    let are_on = are_on()?;
    registers.write_u8(MODEM_CONTROL, MODEM_ON)?;
    // An emulator that was told to wait looks again when something is read, even if it is nothing.
    if registers.read_u8(LINE_STATUS)? & DATA_READY == 0 {
        registers.read_u8(DATA)?;
    }
    Ok(Switched { are_on, early })
}
