//! The registers of an x86-64 processor, in the order in which QEMU sends them.

use super::packet::from_hexadecimal;

/// A register of 64 bits, by its number in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(u8);

#[allow(missing_docs)]
impl Register {
    pub const RAX: Register = Register(0);
    pub const RBX: Register = Register(1);
    pub const RCX: Register = Register(2);
    pub const RDX: Register = Register(3);
    pub const RSI: Register = Register(4);
    pub const RDI: Register = Register(5);
    pub const RBP: Register = Register(6);
    pub const RSP: Register = Register(7);
    pub const RIP: Register = Register(16);
}

impl Register {
    /// Its number in the protocol.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// General registers come first, the instruction pointer behind them; 7 words of 32 bits (flags and segments) and 3 bases are before the
/// control registers 0, 2 and 3.
const CR3: usize = 17 * 8 + 7 * 4 + 5 * 8;

/// All registers of a stopped processor that anybody here looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    general: [u64; 17],
    cr3: u64,
}

impl Registers {
    /// What the answer to `g` says.
    pub fn parse(text: &str) -> Option<Registers> {
        let mut general = [0; 17];
        for (index, register) in general.iter_mut().enumerate() {
            *register = word(text, index * 8)?;
        }
        Some(Registers { general, cr3: word(text, CR3)? })
    }

    /// The value of one.
    pub fn get(&self, register: Register) -> u64 {
        self.general[usize::from(register.0)]
    }

    /// Where the page tables are: another value is another address space.
    pub fn address_space(&self) -> u64 {
        self.cr3
    }
}

/// The word of 64 bits at a byte of an answer.
pub fn word(text: &str, at: usize) -> Option<u64> {
    let bytes = from_hexadecimal(text.get(at * 2..at * 2 + 16)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::packet::hexadecimal;
    use super::*;

    #[test]
    fn registers_are_found_in_their_places() {
        let mut bytes: Vec<u8> = (0..17u64).flat_map(|number| (number + 1).to_le_bytes()).collect();
        bytes.resize(CR3, 0);
        bytes.extend(0x1234_5000u64.to_le_bytes());
        let registers = Registers::parse(&hexadecimal(&bytes)).unwrap();
        assert_eq!((registers.get(Register::RAX), registers.get(Register::RIP)), (1, 17));
        assert_eq!((registers.get(Register::RSP), registers.address_space()), (8, 0x1234_5000));
        assert_eq!(Registers::parse("E01"), None);
    }
}
