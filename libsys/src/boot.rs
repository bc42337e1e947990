//! What init starts with: the machine's description and the boot archive. Other processes have neither.
//!
//! Its handles are in [`crate::env`] under the names of [`names`].

use abi::boot;
use alloc::string::String;

/// Names of init's handles, besides `account`, `process` and `channel`.
pub mod names {
    #![allow(missing_docs)]
    pub const INFO: &str = "boot-info";
    pub const ARCHIVE: &str = "boot-archive";
    pub const KERNEL_LOG: &str = "kernel-log";
    pub const PHYSICAL: &str = "physical";
    pub const PORTS: &str = "ports";
    pub const INTERRUPTS: &str = "interrupts";
    pub const DMA: &str = "dma";
    pub const INSPECT: &str = "inspect";
    pub const POWER: &str = "power";
    pub const REALTIME: &str = "realtime";
}

/// All handles of init and their names.
#[cfg(any(target_os = "none", test))]
pub(crate) const HANDLES: [(&str, abi::Handle); 13] = [
    (crate::env::names::ACCOUNT, boot::ACCOUNT),
    (crate::env::names::PROCESS, boot::PROCESS),
    (crate::env::names::CHANNEL, boot::CHANNEL),
    (names::INFO, boot::INFO),
    (names::ARCHIVE, boot::ARCHIVE),
    (names::KERNEL_LOG, boot::LOG),
    (names::PHYSICAL, boot::PHYSICAL),
    (names::PORTS, boot::PORTS),
    (names::INTERRUPTS, boot::INTERRUPTS),
    (names::DMA, boot::DMA),
    (names::INSPECT, boot::INSPECT),
    (names::POWER, boot::POWER),
    (names::REALTIME, boot::REALTIME),
];

/// The machine, as the kernel found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Which incarnation of init this is; the first is 1.
    pub incarnation: u64,
    /// Physical address of the ACPI RSDP, if there is one.
    pub rsdp: Option<u64>,
    /// Frequency of the time-stamp counter, in hertz.
    pub tsc_hertz: u64,
    /// CPUs that run.
    pub cpus: u64,
    /// Frames of RAM.
    pub frames: u64,
    /// Time-stamp counter at the kernel's first instruction.
    pub boot_tsc: u64,
    /// The command line, as the boot loader gave it.
    pub command_line: String,
}

/// The machine; `None` in every process but init.
pub fn machine() -> Option<Machine> {
    let info = info()?;
    let length = (info.command_line_bytes as usize).min(info.command_line.len());
    Some(Machine {
        incarnation: info.incarnation,
        rsdp: Some(info.rsdp).filter(|address| *address != 0),
        tsc_hertz: info.tsc_hertz,
        cpus: info.cpus,
        frames: info.frames,
        boot_tsc: info.boot_tsc,
        command_line: String::from_utf8_lossy(&info.command_line[..length]).into_owned(),
    })
}

/// The boot archive, which nobody can change; `None` in every process but init. Its Memory is [`names::ARCHIVE`].
pub fn archive() -> Option<&'static [u8]> {
    let bytes = info()?.archive_bytes as usize;
    // SAFETY: in init the kernel has mapped so many bytes of sealed Memory there, for good.
    Some(unsafe { core::slice::from_raw_parts(boot::ARCHIVE_ADDRESS as *const u8, bytes) })
}

#[cfg(target_os = "none")]
fn info() -> Option<&'static boot::BootInfo> {
    // SAFETY: in init, the kernel has mapped the page there, for good, and does not write it while init runs.
    crate::start::is_init().then(|| unsafe { &*(boot::INFO_ADDRESS as *const boot::BootInfo) })
}

#[cfg(not(target_os = "none"))]
fn info() -> Option<&'static boot::BootInfo> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handle_has_a_name_and_a_slot_of_its_own() {
        for (index, (name, handle)) in HANDLES.iter().enumerate() {
            assert_eq!(handle.slot() as usize, index + 1);
            assert!(HANDLES.iter().filter(|(other, _)| other == name).count() == 1);
        }
        assert_eq!((machine(), archive()), (None, None));
    }
}
