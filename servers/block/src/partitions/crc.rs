//! CRC-32, as GPT uses it: polynomial 0x04c11db7, reflected, all ones at the start and inverted at the end.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { value >> 1 ^ 0xedb8_8320 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

/// A sum in the making.
#[derive(Clone, Copy, Debug)]
pub struct Crc(u32);

impl Crc {
    /// Of nothing.
    pub const fn new() -> Crc {
        Crc(u32::MAX)
    }

    /// With more bytes.
    pub fn add(self, bytes: &[u8]) -> Crc {
        Crc(bytes.iter().fold(self.0, |sum, byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)]))
    }

    /// The sum.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value() {
        assert_eq!(Crc::new().add(b"1234").add(b"56789").value(), 0xcbf4_3926);
        assert_eq!(Crc::new().value(), 0);
    }
}
