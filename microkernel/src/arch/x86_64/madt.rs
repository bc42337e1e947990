//! The MADT (ACPI 6.4 §5.2.12): which CPUs and I/O APICs there are, and how ISA interrupts are wired.

use super::acpi::{HEADER, little};
use super::layout::{MAX_CPUS, MAX_IO_APICS};
use abi::ports::Trigger;

/// Where the local APIC is unless the table or nobody says otherwise (Intel SDM vol. 3A §11.4.1).
const LOCAL_APIC: u64 = 0xfee0_0000;
/// Where the I/O APIC of a machine without the table is.
const IO_APIC: u64 = 0xfec0_0000;

/// An I/O APIC and the global system interrupts from which on it is responsible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoApicAt {
    /// Physical address of its registers.
    pub address: u64,
    /// Its first line's number.
    pub first_line: u32,
}

/// The table's content.
pub struct Madt {
    /// Physical address of each CPU's own APIC.
    pub local_apic: u64,
    /// APIC identities of the CPUs that can be started, the running one included.
    pub apic_ids: [u8; MAX_CPUS],
    /// How many of them there are.
    pub cpus: usize,
    /// The I/O APICs; the first `io_apic_count` are there.
    pub io_apics: [IoApicAt; MAX_IO_APICS],
    /// How many of them there are.
    pub io_apic_count: usize,
    /// Lines below 16 with another trigger than ISA's, and lines that ISA interrupts moved to.
    pub overrides: [(u32, Trigger); 16],
    /// How many of them there are.
    pub override_count: usize,
}

impl Madt {
    /// Of a machine without the table: one CPU, and what every PC has.
    pub fn absent() -> Madt {
        let mut io_apics = [IoApicAt::default(); MAX_IO_APICS];
        io_apics[0].address = IO_APIC;
        Madt {
            local_apic: LOCAL_APIC,
            apic_ids: [0; MAX_CPUS],
            cpus: 1,
            io_apics,
            io_apic_count: 1,
            overrides: [(0, Trigger::EdgeHigh); 16],
            override_count: 0,
        }
    }

    /// Reads the table; entries that are too short or too many are left out.
    pub fn parse(table: &[u8]) -> Madt {
        let mut madt = Madt {
            cpus: 0,
            io_apic_count: 0,
            local_apic: little(table, HEADER, 4).unwrap_or(LOCAL_APIC),
            ..Madt::absent()
        };
        let mut rest = table.get(HEADER + 8..).unwrap_or(&[]);
        while let [kind, length, ..] = *rest {
            let Some(entry) = rest.get(..length.into()).filter(|entry| entry.len() >= 2) else { break };
            // An entry that is too short for its kind is as if it were not there.
            let _ = madt.entry(kind, entry);
            rest = &rest[entry.len()..];
        }
        madt
    }

    /// The trigger of a line that asks for the firmware's.
    pub fn trigger(&self, line: u32) -> Trigger {
        let listed = self.overrides[..self.override_count].iter().find(|(other, _)| *other == line);
        let default = if line < 16 { Trigger::EdgeHigh } else { Trigger::LevelLow };
        listed.map_or(default, |(_, trigger)| *trigger)
    }

    fn entry(&mut self, kind: u8, entry: &[u8]) -> Option<()> {
        match kind {
            // Processor Local APIC: flag 0 says that it is enabled.
            0 => {
                let (id, flags) = (*entry.get(3)?, little(entry, 4, 4)?);
                if flags & 1 != 0 && self.cpus < MAX_CPUS {
                    self.apic_ids[self.cpus] = id;
                    self.cpus += 1;
                }
            }
            // I/O APIC.
            1 => {
                let (address, first_line) = (little(entry, 4, 4)?, little(entry, 8, 4)? as u32);
                if self.io_apic_count < MAX_IO_APICS {
                    self.io_apics[self.io_apic_count] = IoApicAt { address, first_line };
                    self.io_apic_count += 1;
                }
            }
            // Interrupt Source Override: polarity in bits 0 and 1 of the flags, trigger in bits 2 and 3 (table 5.26).
            2 => {
                let (line, flags) = (little(entry, 4, 4)? as u32, little(entry, 8, 2)?);
                let trigger = match (flags >> 2 & 3 == 3, flags & 3 == 3) {
                    (true, true) => Trigger::LevelLow,
                    (true, false) => Trigger::LevelHigh,
                    (false, _) => Trigger::EdgeHigh,
                };
                if self.override_count < self.overrides.len() {
                    self.overrides[self.override_count] = (line, trigger);
                    self.override_count += 1;
                }
            }
            // Local APIC Address Override.
            5 => self.local_apic = little(entry, 4, 8)?,
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::acpi::tests::table;

    #[rustfmt::skip]
    const BODY: [u8; 60] = [
        0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
        0, 8, 0, 0, 1, 0, 0, 0,
        0, 8, 1, 4, 1, 0, 0, 0,
        0, 8, 2, 5, 0, 0, 0, 0,
        1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,
        2, 10, 0, 0, 2, 0, 0, 0, 0, 0,
        4, 6, 0xff, 0, 0, 1,
    ];

    #[test]
    fn a_machine_with_two_cpus() {
        let madt = Madt::parse(&table(b"APIC", &BODY));
        assert_eq!(madt.apic_ids[..madt.cpus], [0, 4]);
        assert_eq!(madt.io_apics[..madt.io_apic_count], [IoApicAt { address: 0xfec0_0000, first_line: 0 }]);
        assert_eq!((madt.local_apic, madt.override_count), (0xfee0_0000, 1));
    }

    #[test]
    fn overrides_name_the_trigger() {
        let body = [0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 2, 10, 0, 5, 5, 0, 0, 0, 13, 0, 2, 10, 0, 9, 9, 0, 0, 0, 15, 0];
        let madt = Madt::parse(&table(b"APIC", &body));
        assert_eq!(
            [4, 5, 9, 16].map(|line| madt.trigger(line)),
            [Trigger::EdgeHigh, Trigger::LevelHigh, Trigger::LevelLow, Trigger::LevelLow]
        );
    }

    #[test]
    fn no_truncation_or_mutation_panics() {
        let whole = table(b"APIC", &BODY);
        for length in 0..whole.len() {
            Madt::parse(&whole[..length]);
        }
        for at in 0..whole.len() {
            for value in 0..=255 {
                let mut madt = whole.clone();
                madt[at] = value;
                Madt::parse(&madt);
            }
        }
        let mut many = BODY.to_vec();
        (0..200).for_each(|_| many.extend_from_slice(&BODY[8..]));
        assert_eq!(Madt::parse(&table(b"APIC", &many)).cpus, MAX_CPUS);
    }
}
