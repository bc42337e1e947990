//! The receiver of a 16550, and its FIFOs turned on or off. That empties them, and the one register that there is without them (data sheet, 8.4).

use libsys::driver::{Done, Ports, StreamRing};
use libsys::ports::Gate;

use crate::{
    DATA, DATA_READY, FIFO_AT_8, FIFO_CONTROL, FIFOS_ON, INTERRUPT_IDENTITY, LINE_STATUS, MODEM_CONTROL, MODEM_ON,
    OVERRUN,
};

/// The receiver sees the transmitter, and not the line.
const LOOP: u8 = 0x10;

/// When a byte may be read. It closes at an overrun too, as reading the status forgets it.
pub fn receive_gate() -> Gate {
    let mask = DATA_READY | OVERRUN;
    Gate { data: DATA as u8, status: LINE_STATUS as u8, mask, value: DATA_READY, count: 64 }
}

/// What became of the FIFOs.
pub struct Switched {
    /// Whether they are on. `None`: nothing was switched, for want of room.
    pub are_on: Option<bool>,
    /// Bytes that had been received before.
    pub early: u64,
}

/// Turns them on, where the part has them, or off. What was received goes into the ring first; looped back, nothing follows it.
pub fn switch(registers: &Ports, on: bool, input: &StreamRing) -> Done<Switched> {
    let control = if on { FIFO_AT_8 } else { 0 };
    let are_on = || Ok(registers.read_u8(INTERRUPT_IDENTITY)? & FIFOS_ON == FIFOS_ON);
    if are_on()? == on {
        registers.write_u8(FIFO_CONTROL, control)?;
        return Ok(Switched { are_on: Some(on), early: 0 });
    }
    registers.write_u8(MODEM_CONTROL, MODEM_ON | LOOP)?;
    let early = registers.drain(input.memory(), input.offset(), receive_gate())?.bytes;
    let is_empty = || Ok(registers.read_u8(LINE_STATUS)? & DATA_READY == 0);
    let are_on = if is_empty()? {
        registers.write_u8(FIFO_CONTROL, control)?;
        Some(are_on()?)
    } else {
        None
    };
    registers.write_u8(MODEM_CONTROL, MODEM_ON)?;
    // An emulator that was told to wait looks again when something is read, even if it is nothing.
    if is_empty()? {
        registers.read_u8(DATA)?;
    }
    Ok(Switched { are_on, early })
}
