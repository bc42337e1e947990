//! 16550 serial port (National Semiconductor PC16550D), interrupt driven both ways. Serves `character`; needs the ports
//! `registers` and the interrupt `irq`. Parameters: `baud` (115200), `fifo` (16; 0 for a part without one), `clock` (1843200 Hz).
//! A restart neither drops what the FIFOs hold nor changes a line that is set up already. Bytes go between device and rings by the kernel's hand.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod fifo;

use libsys::driver::{Done, Env, Ports, Received, Result, StartError, Stream, StreamDevice, StreamRing, divisor};
use libsys::ports::Gate;
use libsys::protocol::character::{CharacterError, Line, Parity};

use fifo::{Switched, receive_gate, switch};

// Registers (data sheet, table II), and bits of theirs.
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const RECEIVE: u8 = 0x01;
const TRANSMIT: u8 = 0x02;
const INTERRUPT_IDENTITY: u16 = 2;
const NONE_PENDING: u8 = 0x01;
const FIFOS_ON: u8 = 0xc0;
const FIFO_CONTROL: u16 = 2;
const FIFO_AT_8: u8 = 0x81;
const LINE_CONTROL: u16 = 3;
const BREAK: u8 = 0x40;
const DIVISOR_ACCESS: u8 = 0x80;
const MODEM_CONTROL: u16 = 4;
/// Terminal ready, request to send, and OUT2, which lets interrupts through on a PC.
const MODEM_ON: u8 = 0x0b;
const LINE_STATUS: u16 = 5;
const DATA_READY: u8 = 0x01;
const OVERRUN: u8 = 0x02;
const ROOM: u8 = 0x20;
const IDLE: u8 = 0x40;

struct Uart {
    registers: Ports,
    /// Hz, before the 16 samples a bit.
    clock: u32,
    /// Bytes of the FIFOs, 1 for a part without them, and whether they were turned on or off already.
    depth: u8,
    is_switched: bool,
    /// Bytes that the transmitter takes when it is empty.
    takes: u8,
}

impl StreamDevice for Uart {
    const INTERRUPT: Option<&str> = Some("irq");

    fn start(env: &Env) -> Result<Uart> {
        let registers = env.ports("registers")?;
        if registers.read_u8(LINE_STATUS)? == 0xff {
            return Err(StartError::Device("there is no serial port"));
        }
        registers.write_u8(MODEM_CONTROL, MODEM_ON)?;
        let clock = env.parse("clock")?.unwrap_or(1_843_200);
        let depth = env.parse("fifo")?.unwrap_or(16u8).clamp(1, 64);
        Ok(Uart { registers, clock, depth, is_switched: false, takes: 1 })
    }

    fn receive(&mut self, input: &StreamRing) -> Done<Received> {
        let mut before = 0;
        if !self.is_switched {
            let Switched { are_on, early } = switch(&self.registers, self.depth > 1, input)?;
            (self.is_switched, before) = (are_on.is_some(), early);
            self.takes = if are_on == Some(true) { self.depth } else { 1 };
        }
        let burst = self.registers.drain(input.memory(), input.offset(), receive_gate())?;
        Ok(Received { bytes: before + burst.bytes, has_overrun: burst.status & OVERRUN != 0 })
    }

    fn send(&mut self, output: &StreamRing) -> Done<u64> {
        let gate = Gate { data: DATA as u8, status: LINE_STATUS as u8, mask: ROOM, value: ROOM, count: self.takes };
        Ok(self.registers.fill(output.memory(), output.offset(), gate)?.bytes)
    }

    fn enable(&mut self, receive: bool, send: bool) -> Done<()> {
        let bits = if receive { RECEIVE } else { 0 } | if send { TRANSMIT } else { 0 };
        self.registers.write_u8(INTERRUPT_ENABLE, bits)
    }

    /// The line falls when no interrupt is pending any more, and only then its next rise is seen.
    fn is_pending(&mut self) -> Done<bool> {
        Ok(self.registers.read_u8(INTERRUPT_IDENTITY)? & NONE_PENDING == 0)
    }

    fn is_idle(&mut self) -> Done<bool> {
        Ok(self.registers.read_u8(LINE_STATUS)? & IDLE != 0)
    }

    /// To set the speed spoils what is on its way: not where it is so already.
    fn set_line(&mut self, line: Line) -> core::result::Result<(), CharacterError> {
        let divisor = divisor(self.clock / 16, line.baud).ok_or(CharacterError::OutOfRange)?;
        let parity = match line.parity {
            Parity::None => 0,
            Parity::Odd => 0x08,
            Parity::Even => 0x18,
        };
        let before = self.registers.read_u8(LINE_CONTROL)?;
        self.registers.write_u8(LINE_CONTROL, before | DIVISOR_ACCESS)?;
        for (register, byte) in (0..).zip(divisor.to_le_bytes()) {
            if self.registers.read_u8(register)? != byte {
                self.registers.write_u8(register, byte)?;
            }
        }
        let format = (line.data_bits - 5) | (line.stop_bits - 1) << 2 | parity | before & BREAK;
        Ok(self.registers.write_u8(LINE_CONTROL, format)?)
    }

    fn set_break(&mut self, on: bool) -> core::result::Result<(), CharacterError> {
        let format = self.registers.read_u8(LINE_CONTROL)? & !BREAK;
        Ok(self.registers.write_u8(LINE_CONTROL, if on { format | BREAK } else { format })?)
    }
}

libsys::serve!(Stream<Uart>);

#[cfg(test)]
mod tests;
