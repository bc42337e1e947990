//! 16550 serial port (National Semiconductor PC16550D), interrupt driven both ways. Serves `character`; needs the ports
//! `registers` and the interrupt `irq`. Parameters: `baud` (115200), `fifo` (16; 0 for a part without one), `clock` (1843200 Hz).
//!
//! A byte is taken from the device only into a ring that has room for it; a restart neither drops what the FIFOs
//! hold nor changes a line that is set up already.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::driver::{Env, Exchanged, Interrupt, Ports, Result, StartError, Stream, StreamDevice, StreamRing};
use libsys::ports::Gate;
use libsys::protocol::character::{CharacterError, Control, Line, Parity};
use libsys::{Error, time};

// Registers (data sheet, table II).
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const INTERRUPT_IDENTITY: u16 = 2;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;

// Bits of INTERRUPT_ENABLE.
const RECEIVE: u8 = 0x01;
const TRANSMIT: u8 = 0x02;
// Bits of LINE_STATUS.
const DATA_READY: u8 = 0x01;
const OVERRUN: u8 = 0x02;
const ROOM: u8 = 0x20;
const IDLE: u8 = 0x40;
// Others.
const NONE_PENDING: u8 = 0x01;
const FIFOS_ON: u8 = 0xc0;
const FIFO_AT_8: u8 = 0x81;
const DIVISOR_ACCESS: u8 = 0x80;
const BREAK: u8 = 0x40;
/// Terminal ready, request to send, and OUT2, which lets interrupts through on a PC.
const MODEM_ON: u8 = 0x0b;

/// Rounds of one exchange: a device that has more is asked again after others had their turn.
const ROUNDS: usize = 128;
const LONGEST_BREAK: u32 = 500;

struct Uart {
    registers: Ports,
    irq: Interrupt,
    clock: u32,
    fifo: u8,
    enabled: u8,
    line: Line,
}

impl StreamDevice for Uart {
    fn start(env: &Env) -> Result<Uart> {
        let line =
            Line { baud: env.parse("baud")?.unwrap_or(115_200), data_bits: 8, stop_bits: 1, parity: Parity::None };
        let clock = env.parse("clock")?.unwrap_or(1_843_200);
        let (registers, fifo) = (env.ports("registers")?, env.parse("fifo")?.unwrap_or(16u8));
        let mut uart =
            Uart { registers, irq: env.interrupt("irq", 1)?, clock, fifo: fifo.clamp(1, 64), enabled: 0, line };
        if uart.registers.read_u8(LINE_STATUS)? == 0xff {
            return Err(StartError::Device("there is no serial port"));
        }
        // Without the bits that empty them.
        uart.registers.write_u8(FIFO_CONTROL, if fifo > 1 { FIFO_AT_8 } else { 0 })?;
        if uart.registers.read_u8(INTERRUPT_IDENTITY)? & FIFOS_ON != FIFOS_ON {
            uart.fifo = 1;
        }
        uart.set_line(line).map_err(|_| StartError::Device("it cannot be set to this speed"))?;
        uart.registers.write_u8(MODEM_CONTROL, MODEM_ON)?;
        uart.registers.write_u8(INTERRUPT_ENABLE, 0)?;
        Ok(uart)
    }

    fn exchange(&mut self, input: &StreamRing, output: &StreamRing) -> Exchanged {
        let mut done = Exchanged::default();
        let finished = (0..ROUNDS).try_for_each(|_| self.round(input, output, &mut done));
        done.unfinished = finished.is_ok();
        done.broken = finished == Err(Some(Error::BadState));
        let _ = self.irq.acknowledge();
        done
    }

    fn is_idle(&mut self) -> bool {
        self.registers.read_u8(LINE_STATUS).is_ok_and(|status| status & IDLE != 0)
    }

    fn control(&mut self, control: Control) -> core::result::Result<(), CharacterError> {
        let failed = |_| CharacterError::Device;
        match control {
            Control::Line(line) => self.set_line(line),
            Control::Break(milliseconds) if milliseconds <= LONGEST_BREAK => {
                let format = self.registers.read_u8(LINE_CONTROL).map_err(failed)?;
                self.registers.write_u8(LINE_CONTROL, format | BREAK).map_err(failed)?;
                time::sleep(time::Duration::from_millis(milliseconds.into()));
                self.registers.write_u8(LINE_CONTROL, format).map_err(failed)
            }
            _ => Err(CharacterError::OutOfRange),
        }
    }

    fn line(&self) -> core::result::Result<Line, CharacterError> {
        Ok(self.line)
    }
}

impl Uart {
    /// One round of an exchange. It ends the exchange (`Err`) when no interrupt is pending any more: only then
    /// the interrupt line has fallen, and its next rise is seen.
    fn round(
        &mut self,
        input: &StreamRing,
        output: &StreamRing,
        done: &mut Exchanged,
    ) -> core::result::Result<(), Option<Error>> {
        // The gate closes at an overrun too, as reading the status forgets it.
        let mask = DATA_READY | OVERRUN;
        let gate = Gate { data: DATA as u8, status: LINE_STATUS as u8, mask, value: DATA_READY, count: 64 };
        let burst = self.registers.drain(input.memory(), input.offset(), gate)?;
        done.received += burst.bytes;
        done.overruns += u64::from(burst.status & OVERRUN != 0);
        let mut wanted = if input.room() > 0 { RECEIVE } else { 0 };
        if output.available() > 0 {
            let gate = Gate { data: DATA as u8, status: LINE_STATUS as u8, mask: ROOM, value: ROOM, count: self.fifo };
            let burst = self.registers.fill(output.memory(), output.offset(), gate)?;
            done.sent += burst.bytes;
            wanted |= if output.available() > 0 { TRANSMIT } else { 0 };
        }
        if self.enabled != wanted {
            self.registers.write_u8(INTERRUPT_ENABLE, wanted)?;
            self.enabled = wanted;
        }
        let identity = self.registers.read_u8(INTERRUPT_IDENTITY)?;
        if identity & NONE_PENDING != 0 { Err(None) } else { Ok(()) }
    }

    /// Sets speed and format, unless they are so already: to set them spoils what is on its way.
    fn set_line(&mut self, line: Line) -> core::result::Result<(), CharacterError> {
        let format = format(line).ok_or(CharacterError::OutOfRange)?;
        let divisor = divisor(self.clock, line.baud).ok_or(CharacterError::OutOfRange)?;
        let write = |register, value| self.registers.write_u8(register, value);
        let set = || {
            let before = self.registers.read_u8(LINE_CONTROL)?;
            write(LINE_CONTROL, before | DIVISOR_ACCESS)?;
            if [self.registers.read_u8(0)?, self.registers.read_u8(1)?] != divisor.to_le_bytes() {
                write(0, divisor.to_le_bytes()[0])?;
                write(1, divisor.to_le_bytes()[1])?;
            }
            write(LINE_CONTROL, format)
        };
        set().map_err(|_: Error| CharacterError::Device)?;
        self.line = line;
        Ok(())
    }
}

/// LINE_CONTROL for a format, if there is one.
fn format(line: Line) -> Option<u8> {
    let parity = match line.parity {
        Parity::None => 0,
        Parity::Odd => 0x08,
        Parity::Even => 0x18,
    };
    let is_known = (5..=8).contains(&line.data_bits) && (1..=2).contains(&line.stop_bits);
    is_known.then_some((line.data_bits.wrapping_sub(5) & 3) | (line.stop_bits.wrapping_sub(1) & 1) << 2 | parity)
}

/// The divisor whose speed is within 3 % of the wanted one, if there is one.
fn divisor(clock: u32, baud: u32) -> Option<u16> {
    let (clock, baud) = (u64::from(clock), u64::from(baud));
    let divisor = (clock + 8 * baud).checked_div(16 * baud).filter(|divisor| *divisor > 0)?;
    let is_close = (clock / divisor).abs_diff(16 * baud) * 100 <= 3 * 16 * baud;
    u16::try_from(divisor).ok().filter(|_| is_close)
}

libsys::serve!(Stream<Uart>);

#[cfg(test)]
mod tests;
