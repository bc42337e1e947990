//! Interrupts and I/O ports.

/// In place of a line's number: a message-signalled interrupt.
pub const MSI: u64 = u64::MAX;

/// Bytes that one `PortsDrain` or `PortsFill` moves at most.
pub const BURST: u64 = 64;

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Trigger {
    /// As the firmware's tables say: edge, high for ISA lines without an override.
    Firmware = 0,
    /// Edge, active high.
    EdgeHigh = 1,
    /// Level, active high.
    LevelHigh = 2,
    /// Level, active low: PCI lines.
    LevelLow = 3,
}

impl Trigger {
    /// The trigger with this number.
    pub const fn from_number(number: u64) -> Option<Trigger> {
        match number {
            0 => Some(Trigger::Firmware),
            1 => Some(Trigger::EdgeHigh),
            2 => Some(Trigger::LevelHigh),
            3 => Some(Trigger::LevelLow),
            _ => None,
        }
    }
}

/// When `PortsDrain` and `PortsFill` move a byte: while `in(status) & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Offset of the data port.
    pub data: u8,
    /// Offset of the status port.
    pub status: u8,
    /// Bits of the status that count.
    pub mask: u8,
    /// What they must be.
    pub value: u8,
    /// Most bytes to move; the status is checked before each byte on a drain, and once before a fill
    /// (a 16550's transmit FIFO takes 16 bytes when its status says empty).
    pub count: u8,
}

impl Gate {
    /// The gate as an argument word.
    pub const fn to_word(self) -> u64 {
        u64::from_le_bytes([self.data, self.status, self.mask, self.value, self.count, 0, 0, 0])
    }

    /// The gate of an argument word; `None` where reserved bits are set.
    pub const fn from_word(word: u64) -> Option<Gate> {
        let [data, status, mask, value, count, a, b, c] = word.to_le_bytes();
        if a | b | c != 0 { None } else { Some(Gate { data, status, mask, value, count }) }
    }
}
