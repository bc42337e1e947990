//! Interrupt lines. A line strikes here, and one of the drivers that share it is told, each in its turn. It strikes again when that one has
//! acknowledged, as long as some device is not satisfied; so the next one is told, until all are.
//!
//! If all were told at once, the first to acknowledge would have the line strike again before the others were at their devices: a driver that runs before
//! them would be told for ever.

use crate::function::Function;
use libsys::Interrupt;

/// Bits of the channel for interrupt lines; several lines may have the same.
const FIRST_BIT: u32 = 8;
const BITS: u32 = 48;

/// The bit of an interrupt line.
pub fn bit(number: u8) -> u64 {
    1 << (FIRST_BIT + u32::from(number) % BITS)
}

/// A line that is bound.
pub struct Line {
    /// Its number.
    pub number: u8,
    /// All who share it have this.
    pub interrupt: Interrupt,
    /// The function that was told last, by its place.
    turn: usize,
}

impl Line {
    /// A line.
    pub fn new(number: u8, interrupt: Interrupt) -> Line {
        Line { number, interrupt, turn: 0 }
    }

    /// It struck: tells the driver whose turn it is.
    pub fn strike(&mut self, functions: &[Function]) {
        let places = functions.iter().enumerate().filter(|(_, function)| function.has_line(self.number));
        let mut places = places.map(|(place, _)| place);
        let Some(first) = places.clone().next() else { return };
        self.turn = places.find(|place| *place > self.turn).unwrap_or(first);
        functions[self.turn].tell_line();
    }

    /// Lets it strike: whoever was told last may be dead, or the kernel have masked it with this process.
    pub fn open(&self) {
        // It is there as long as this is.
        let _ = self.interrupt.set_masked(false);
    }
}
