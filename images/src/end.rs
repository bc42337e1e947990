//! How a machine came to its end, and what this tool's exit status says about it.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use signal_hook::consts::{SIGABRT, SIGBUS, SIGSEGV};

use crate::crash::{KernelPanic, boot_error};
use crate::image::Image;

/// What the kernel writes to QEMU's debug-exit device. QEMU's status is twice that plus one.
const POWER_OFF: u32 = 0x10;
const BOOT_ERROR: u32 = 0x7e;
const PANIC: u32 = 0x7f;

/// The tool's own exit statuses.
mod code {
    pub const PANIC: u8 = 101;
    pub const BOOT_ERROR: u8 = 102;
    pub const DIED: u8 = 103;
    pub const HANG: u8 = 124;
    /// Plus the signal's number, as shells count.
    pub const SIGNAL: u8 = 128;
}

/// The end of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The commands ended, with this status.
    Status(u8),
    /// The machine was switched off, or a person ended QEMU.
    PowerOff,
    /// The kernel panicked.
    Panic(KernelPanic),
    /// The kernel refused to boot, for this reason.
    BootError(String),
    /// Nothing ended within this time.
    Hang(Duration),
    /// QEMU ended by itself; what is known about it.
    Died(String),
    /// QEMU itself crashed; what it said. No guest can be to blame for that: with several CPUs, a QEMU before 8.2 does
    /// so about once in 200 boots, when a CPU uses a device's registers just as another one moves some (its `tcg_commit`
    /// gave all CPUs the new map before they forgot the old one; mended by QEMU's commit 0d58c660).
    Crash(String),
    /// This process got a signal of this number.
    Signal(i32),
}

impl End {
    /// The end of a machine whose QEMU ended with `status`. `log` is what came over the serial
    /// line, `complaint` what QEMU said itself, `commands` the status of its commands.
    pub fn judge(status: ExitStatus, log: &str, complaint: &str, commands: Option<u8>, image: &Image) -> Self {
        let code = status.code();
        if code == Some(exit_status(PANIC)) {
            return Self::panic(log, image)
                .unwrap_or_else(|| Self::Died("the kernel panicked without a word on the serial line".to_string()));
        }
        if code == Some(exit_status(BOOT_ERROR)) {
            return Self::BootError(boot_error(log).unwrap_or_else(|| "no reason given".to_string()));
        }
        if let Some(status) = commands {
            return Self::Status(status);
        }
        if let Some(signal @ (SIGSEGV | SIGABRT | SIGBUS)) = status.signal() {
            return Self::Crash(if complaint.is_empty() { format!("signal {signal}") } else { complaint.to_string() });
        }
        match code {
            Some(0) => Self::PowerOff,
            Some(code) if code == exit_status(POWER_OFF) => Self::PowerOff,
            _ if !complaint.is_empty() => Self::Died(format!("QEMU failed: {complaint}")),
            _ => Self::Died(format!("QEMU ended with {status}")),
        }
    }

    /// The panic in `log`, if there is one.
    pub fn panic(log: &str, image: &Image) -> Option<Self> {
        let mut panic = KernelPanic::parse(log)?;
        panic.symbolise(&image.kernel);
        Some(Self::Panic(panic))
    }

    /// What the tool exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Status(status) => *status,
            Self::PowerOff => 0,
            Self::Panic(_) => code::PANIC,
            Self::BootError(_) => code::BOOT_ERROR,
            Self::Hang(_) => code::HANG,
            Self::Died(_) | Self::Crash(_) => code::DIED,
            Self::Signal(number) => code::SIGNAL.saturating_add(u8::try_from(*number).unwrap_or(0)),
        }
    }

    /// Whether the guest came to this end in order.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Status(_) | Self::PowerOff)
    }
}

/// QEMU's exit status for a `value` written to its debug-exit device.
fn exit_status(value: u32) -> i32 {
    i32::try_from((value << 1) | 1).unwrap_or(i32::MAX)
}

impl std::error::Error for End {}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "the commands ended with status {status}"),
            Self::PowerOff => write!(formatter, "the machine was switched off"),
            Self::Panic(panic) => panic.fmt(formatter),
            Self::BootError(reason) => write!(formatter, "Skink cannot boot: {reason}"),
            Self::Hang(time) => write!(
                formatter,
                "the machine did not end within {} s and was stopped (--timeout sets the limit)",
                time.as_secs()
            ),
            Self::Died(reason) => formatter.write_str(reason),
            Self::Crash(reason) => write!(formatter, "QEMU crashed: {reason}"),
            Self::Signal(number) => write!(formatter, "ended by signal {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn image() -> Image {
        Image {
            kernel: "/nowhere".into(),
            archive: "/nowhere".into(),
            archive_with_tests: "/nowhere".into(),
            programs: BTreeMap::new(),
            links: BTreeMap::new(),
            warnings: String::new(),
        }
    }

    fn judge(code: i32, log: &str, complaint: &str, commands: Option<u8>) -> End {
        End::judge(ExitStatus::from_raw(code << 8), log, complaint, commands, &image())
    }

    #[test]
    fn the_tools_status_tells_ends_apart() {
        assert_eq!(judge(33, "", "", Some(7)).exit_code(), 7);
        assert_eq!(judge(1, "", "", Some(0)).exit_code(), 0);
        assert_eq!(judge(255, "KERNEL PANIC: x\nEND PANIC\n", "", None).exit_code(), 101);
        assert_eq!(judge(255, "KERNEL PANIC: x\n", "", Some(0)).exit_code(), 101);
        assert_eq!(judge(253, "BOOT ERROR: x\n", "", None), End::BootError("x".to_string()));
        assert_eq!(judge(33, "", "", None), End::PowerOff);
        assert_eq!(judge(0, "", "", None), End::PowerOff);
        let died = judge(1, "", "no such disk", None);
        assert_eq!((died.exit_code(), died.to_string().as_str()), (103, "QEMU failed: no such disk"));
        assert_eq!(End::Hang(Duration::from_secs(1)).exit_code(), 124);
        assert_eq!(End::Signal(15).exit_code(), 143);
        let end = |status| End::judge(ExitStatus::from_raw(status), "", "an assertion failed", None, &image());
        assert_eq!(end(SIGABRT), End::Crash("an assertion failed".to_string()));
        assert_eq!((end(SIGSEGV).exit_code(), end(9).exit_code()), (103, 103));
        assert!(!matches!(end(9), End::Crash(_)), "somebody killed it");
    }
}
