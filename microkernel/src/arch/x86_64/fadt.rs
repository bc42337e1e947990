//! The FADT (ACPI 6.4 §5.2.9) and the package `_S5_` of the DSDT: how to switch off and restart.

use super::acpi::{HEADER, little};

/// A register (generic address structure, §5.2.3.2). Other address spaces are of no use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// An I/O port.
    Port(u16),
    /// A physical address.
    Memory(u64),
}

/// How to switch the machine off: what to write where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// `PM1a_CNT` and, if it is not 0, `PM1b_CNT`, with their values (§4.8.3.2.1).
    Ports([(u16, u16); 2]),
    /// `SLEEP_CONTROL_REG` of hardware-reduced machines (§4.8.3.7).
    Register(Register, u8),
}

/// What the kernel takes from the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fadt {
    /// How to switch off.
    pub sleep: Option<Sleep>,
    /// How to restart: register and value.
    pub reset: Option<(Register, u8)>,
}

const RESET_SUPPORTED: u64 = 1 << 10;
const HARDWARE_REDUCED: u64 = 1 << 20;
const SLEEP_ENABLE: u16 = 1 << 13;
const REDUCED_SLEEP_ENABLE: u8 = 1 << 5;

/// Physical address of the DSDT: the 64-bit field where it is there and not 0.
pub fn dsdt(fadt: &[u8]) -> Option<u64> {
    little(fadt, 140, 8).filter(|&address| address != 0).or(little(fadt, 40, 4))
}

impl Fadt {
    /// Reads the table and the DSDT that it names.
    pub fn parse(fadt: &[u8], dsdt: Option<&[u8]>) -> Fadt {
        let flags = little(fadt, 112, 4).unwrap_or(0);
        let reset = register(fadt, 116).zip(fadt.get(128).copied()).filter(|_| flags & RESET_SUPPORTED != 0);
        Fadt { reset, sleep: dsdt.and_then(soft_off).and_then(|types| sleep(fadt, flags, types)) }
    }
}

fn sleep(fadt: &[u8], flags: u64, [a, b]: [u8; 2]) -> Option<Sleep> {
    if flags & HARDWARE_REDUCED != 0 {
        return Some(Sleep::Register(register(fadt, 244)?, a << 2 | REDUCED_SLEEP_ENABLE));
    }
    let [port_a, port_b] = [little(fadt, 64, 4)? as u16, little(fadt, 68, 4)? as u16];
    let value = |kind: u8| u16::from(kind) << 10 | SLEEP_ENABLE;
    (port_a != 0).then_some(Sleep::Ports([(port_a, value(a)), (port_b, value(b))]))
}

fn register(fadt: &[u8], at: usize) -> Option<Register> {
    let address = little(fadt, at + 4, 8).filter(|&address| address != 0)?;
    match fadt[at] {
        0 => Some(Register::Memory(address)),
        1 => Some(Register::Port(u16::try_from(address).ok()?)),
        _ => None,
    }
}

/// The sleep types of S5 from `Name (_S5_, Package { a, b, … })` (§7.4.2; encoding: §20.2), without an interpreter:
/// firmware writes it as a plain package of constants.
fn soft_off(dsdt: &[u8]) -> Option<[u8; 2]> {
    let body = dsdt.get(HEADER..)?;
    let at = body.windows(5).position(|bytes| bytes == b"_S5_\x12")?;
    let package = &body[at + 5..];
    // PkgLength has as many more bytes as its two upper bits say; then the number of elements.
    let mut elements = package.get(usize::from(package.first()? >> 6) + 2..)?;
    let mut types = [0; 2];
    for kind in &mut types {
        (*kind, elements) = match *elements {
            [small @ 0..=1, ref rest @ ..] => (small, rest),
            [0x0a, value, ref rest @ ..] => (value & 7, rest),
            _ => return None,
        };
    }
    Some(types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::acpi::tests::table;
    extern crate std;
    use std::vec::Vec;

    const NAME: &[u8] = b"\x08_S5_\x12\x06\x04\x0a\x05\x00\x00\x00";

    fn fadt(flags: u64) -> Vec<u8> {
        let mut body = std::vec![0; 276 - HEADER];
        let mut put = |at: usize, bytes: &[u8]| body[at - HEADER..at - HEADER + bytes.len()].copy_from_slice(bytes);
        put(40, &0x1234u32.to_le_bytes());
        put(64, &0x604u32.to_le_bytes());
        put(112, &(flags as u32).to_le_bytes());
        put(116, &[1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 0x0f]);
        put(244, &[0, 8, 0, 1, 0, 4, 0xa0, 0xfe, 0, 0, 0, 0]);
        table(b"FACP", &body)
    }

    #[test]
    fn ports_and_reduced_hardware() {
        let dsdt = table(b"DSDT", NAME);
        let pc = Fadt::parse(&fadt(RESET_SUPPORTED), Some(&dsdt));
        assert_eq!(pc.sleep, Some(Sleep::Ports([(0x604, 5 << 10 | 1 << 13), (0, 1 << 13)])));
        assert_eq!(pc.reset, Some((Register::Port(0xcf9), 0x0f)));
        let reduced = Fadt::parse(&fadt(HARDWARE_REDUCED), Some(&dsdt));
        assert_eq!(reduced.sleep, Some(Sleep::Register(Register::Memory(0xfea0_0400), 5 << 2 | 1 << 5)));
        assert_eq!(reduced.reset, None);
        assert_eq!(super::dsdt(&fadt(0)), Some(0x1234));
    }

    #[test]
    fn no_truncation_or_mutation_panics() {
        let (whole, dsdt) = (fadt(RESET_SUPPORTED), table(b"DSDT", NAME));
        for length in 0..whole.len() {
            Fadt::parse(&whole[..length], Some(&dsdt));
        }
        for length in 0..dsdt.len() {
            Fadt::parse(&whole, Some(&dsdt[..length]));
        }
        for at in 0..dsdt.len() {
            for value in 0..=255 {
                let mut dsdt = dsdt.clone();
                dsdt[at] = value;
                Fadt::parse(&whole, Some(&dsdt));
            }
        }
        for at in 0..whole.len() {
            let mut fadt = whole.clone();
            fadt[at] ^= 0xff;
            Fadt::parse(&fadt, Some(&dsdt));
        }
    }
}
