//! Whether QEMU runs the guest's code on the processor itself or translates it.

use std::fs::{self, File};

/// How QEMU runs the guest's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// On the processor, through the Linux kernel.
    Kvm,
    /// Translated; the processors run at the same time.
    Tcg,
    /// Translated; the processors take turns on one thread of the host.
    TcgInTurns,
    /// Translated, with virtual time counted in instructions: one takes one nanosecond, so
    /// every run is the same on every machine.
    InstructionCount,
    /// The same while there is something to execute; else virtual time passes as real time does. For machines that wait for devices, as
    /// their deadlines would all pass at once.
    InstructionsAndWaits,
}

impl Accelerator {
    /// KVM where the processor has it and this user may use it.
    pub fn detect() -> Self {
        // A /dev/kvm on a processor without these flags opens, but runs no 64-bit guest.
        let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let can = has_virtualization(&flags) && File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if can { Self::Kvm } else { Self::Tcg }
    }

    /// QEMU's arguments for a machine of `cpus` processors.
    pub fn arguments(self, cpus: u32) -> Vec<&'static str> {
        match self {
            Self::Kvm => vec!["-accel", "kvm"],
            Self::Tcg if cpus > 1 => vec!["-accel", "tcg,thread=multi"],
            Self::Tcg => vec!["-accel", "tcg"],
            Self::TcgInTurns => vec!["-accel", "tcg,thread=single"],
            Self::InstructionCount => vec!["-accel", "tcg", "-icount", "shift=0,sleep=off"],
            Self::InstructionsAndWaits => vec!["-accel", "tcg", "-icount", "shift=0"],
        }
    }
}

/// Whether the flags of /proc/cpuinfo have hardware virtualization.
fn has_virtualization(cpuinfo: &str) -> bool {
    cpuinfo
        .lines()
        .find(|line| line.starts_with("flags"))
        .is_some_and(|line| line.split_whitespace().any(|flag| flag == "vmx" || flag == "svm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        assert!(has_virtualization("model name : x\nflags\t\t: fpu vmx sse\n"));
        assert!(has_virtualization("flags\t\t: fpu svm\n"));
        assert!(!has_virtualization("flags\t\t: fpu svm_lock\nbugs : vmx\n"));
        assert!(!has_virtualization(""));
    }
}
