//! Who ends, where the kernel ends an incarnation.

use anyhow::{Context, Result};

use crate::debugger::Registers;
use crate::survive::death::Death;
use crate::survive::system::System;

/// A program of the boot archive that ends at once.
const PROBE: &str = "true";

/// Bytes of the name in the kernel's process, padded with zeros.
const NAME_BYTES: usize = 16;

/// Bytes of the kernel's process that are looked through for its name.
const LOOKED_AT: usize = 2048;

/// Tells the names of processes that end.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    death: Death,
    /// Where the name is in the kernel's process.
    name: u64,
}

impl Ends {
    /// Looks where the kernel has the name of a process, with a program that ends. The machine is at its prompt.
    ///
    /// # Errors
    /// The name is not found, or the prompt does not come back.
    pub fn find(system: &mut System, death: Death) -> Result<Ends> {
        let mut deadline = system.begin(PROBE)?;
        system.debugger().break_only_at(&[death.address].into())?;
        let registers = system.next_break(&mut deadline)?.context("no end of a process is seen")?;
        let bytes = system.debugger().read(death.process(&registers), LOOKED_AT)?.context("a process has no memory")?;
        system.debugger().break_only_at(&Default::default())?;
        system.finish(PROBE)?;
        let name = place_of(PROBE, &bytes).context("a process has no name")?;
        Ok(Ends { death, name })
    }

    /// The name of who ends, where the processor stands at an end.
    ///
    /// # Errors
    /// QEMU is gone.
    pub fn name(&self, system: &mut System, registers: &Registers) -> Result<String> {
        let place = self.death.process(registers) + self.name;
        let bytes = system.debugger().read(place, NAME_BYTES)?.context("a process has no memory")?;
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

/// Where a name is, padded with zeros.
fn place_of(name: &str, bytes: &[u8]) -> Option<u64> {
    let mut padded = [0; NAME_BYTES];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    bytes.windows(NAME_BYTES).position(|window| *window == padded).map(|at| at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_where_zeros_follow() {
        let mut bytes = vec![7; 40];
        bytes[3..8].copy_from_slice(b"true1");
        assert_eq!(place_of("true", &bytes), None);
        bytes[20..36].copy_from_slice(b"true\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(place_of("true", &bytes), Some(20));
    }
}
