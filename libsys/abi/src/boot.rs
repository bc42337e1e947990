//! What init starts with. The kernel gives it these handles, all kept, in these slots.

use crate::Handle;

/// The root account: everything the machine has.
pub const ACCOUNT: Handle = Handle::new(1, 1);
/// init's own process.
pub const PROCESS: Handle = Handle::new(2, 1);
/// A channel that init serves: bits of it are init's to use.
pub const CHANNEL: Handle = Handle::new(3, 1);
/// Memory: the [`BootInfo`] page, read-only.
pub const INFO: Handle = Handle::new(4, 1);
/// Memory: the boot archive, sealed.
pub const ARCHIVE: Handle = Handle::new(5, 1);
/// Memory: the kernel's log ring ([`crate::ring::LogRing`]), read-only.
pub const LOG: Handle = Handle::new(6, 1);
/// Resource: physical memory outside of RAM.
pub const PHYSICAL: Handle = Handle::new(7, 1);
/// Resource: I/O ports.
pub const PORTS: Handle = Handle::new(8, 1);
/// Resource: interrupts.
pub const INTERRUPTS: Handle = Handle::new(9, 1);
/// Resource: DMA domains.
pub const DMA: Handle = Handle::new(10, 1);
/// Resource: inspection of the whole system.
pub const INSPECT: Handle = Handle::new(11, 1);
/// Resource: power.
pub const POWER: Handle = Handle::new(12, 1);
/// Resource: real-time scheduling. Its holder may raise threads to `Fifo` and `RoundRobin`.
pub const REALTIME: Handle = Handle::new(13, 1);

/// Kinds of Resource, as `HandleInspect` and the kernel's log name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ResourceKind {
    Physical = 0,
    Ports = 1,
    Interrupts = 2,
    Dma = 3,
    Inspect = 4,
    Power = 5,
    RealTime = 6,
}

impl ResourceKind {
    /// All, in the order in which init has them.
    pub const ALL: [ResourceKind; 7] = [
        ResourceKind::Physical,
        ResourceKind::Ports,
        ResourceKind::Interrupts,
        ResourceKind::Dma,
        ResourceKind::Inspect,
        ResourceKind::Power,
        ResourceKind::RealTime,
    ];
}

/// Longest command line.
pub const COMMAND_LINE_BYTES: usize = 3072;

/// Where the kernel maps the [`BootInfo`] page in init.
pub const INFO_ADDRESS: u64 = 0x7000_0000_0000;
/// Where the kernel maps the boot archive in init.
pub const ARCHIVE_ADDRESS: u64 = 0x7100_0000_0000;
/// Where the kernel maps init's stack: it ends here.
pub const STACK_TOP: u64 = 0x7200_0000_0000;
/// Bytes of init's stack.
pub const STACK_BYTES: u64 = 256 * 1024;
/// Where the kernel maps init's message pages: call page, then serve page.
pub const PAGES_ADDRESS: u64 = 0x7300_0000_0000;

/// The page that tells init about the machine.
#[repr(C)]
pub struct BootInfo {
    /// Which incarnation of init this is; the first is 1.
    pub incarnation: u64,
    /// Bytes of the boot archive.
    pub archive_bytes: u64,
    /// Physical address of the ACPI RSDP, or 0.
    pub rsdp: u64,
    /// Frequency of the time-stamp counter, in hertz.
    pub tsc_hertz: u64,
    /// CPUs that run.
    pub cpus: u64,
    /// Frames of RAM.
    pub frames: u64,
    /// Time-stamp counter at the kernel's first instruction.
    pub boot_tsc: u64,
    /// Bytes of the command line.
    pub command_line_bytes: u64,
    /// The command line, as the boot loader gave it.
    pub command_line: [u8; COMMAND_LINE_BYTES],
}

/// What `SystemPower` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Power {
    /// Off; under an emulator with a debug-exit device, with the given status.
    Off = 0,
    /// Restart.
    Restart = 1,
}

impl Power {
    /// The action with this number.
    pub const fn from_number(number: u64) -> Option<Power> {
        match number {
            0 => Some(Power::Off),
            1 => Some(Power::Restart),
            _ => None,
        }
    }
}
