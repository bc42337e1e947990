//! The servers that die, and which request says that they are back.

use super::report::Bar;

/// A server that dies.
#[derive(Debug, Clone, Copy)]
pub struct Victim {
    /// What it is called in figures.
    pub name: &'static str,
    /// The service.
    pub service: &'static str,
    /// The request: see `tests/guest/src/bin/deaths/probe.rs`.
    pub probe: &'static str,
    /// The most instructions from a kill to the answer: the median, and the last percent of all.
    pub median: Option<Bar>,
    /// As `median`.
    pub p99: Option<Bar>,
}

/// Where the first disk is mounted.
pub const MOUNT: &str = "/mnt/disk";

/// Where the NVMe disk is mounted, as FAT, for [`FAT`] only.
pub const FAT_MOUNT: &str = "/mnt/fat";

/// The victim that has the NVMe disk for itself.
pub const FAT: &str = "fat";

const DRIVER: (Option<Bar>, Option<Bar>) = (Some(Bar::Most(2_000_000)), Some(Bar::Most(5_000_000)));
const MIDDLE: (Option<Bar>, Option<Bar>) = (Some(Bar::Most(5_000_000)), None);
const NONE: (Option<Bar>, Option<Bar>) = (None, None);

const fn victim(
    name: &'static str,
    service: &'static str,
    probe: &'static str,
    (median, p99): (Option<Bar>, Option<Bar>),
) -> Victim {
    Victim { name, service, probe, median, p99 }
}

/// All of them. The machine has ext4 on a virtio disk, mounted at [`MOUNT`], and an NVMe disk.
pub const VICTIMS: &[Victim] = &[
    victim("virtio-blk", "virtio-blk-0", "disk:vda", DRIVER),
    victim("nvme", "nvme-0", "disk:nvme0n1", DRIVER),
    victim("ramdisk", "ramdisk", "disk:ram0", DRIVER),
    victim("uart", "uart", "line", DRIVER),
    victim("rtc", "rtc", "now", DRIVER),
    victim("null", "null", "poll", DRIVER),
    victim("pci", "pci", "functions", NONE),
    victim("vfs", "vfs", "name:/tmp", MIDDLE),
    victim("block", "block", "disk:vda", MIDDLE),
    victim("init", "init", "info", MIDDLE),
    victim("console", "console", "size", NONE),
    victim("log", "log", "log", NONE),
    victim("random", "random", "fill", NONE),
    victim("tmpfs", "tmpfs", "file:/tmp/file", NONE),
    victim("bootfs", "bootfs", "file:/bin/true", NONE),
    victim("sys", "sys", "file:/sys/services", NONE),
    victim("ext4", "ext4-0", "file:/mnt/disk/file", MIDDLE),
    victim(FAT, "fat-0", "file:/mnt/fat/file", NONE),
    victim("shell", "shell", "ready", NONE),
];

/// The file system on a large disk, which is measured by itself.
pub const LARGE: Victim = victim("ext4-large", "ext4-0", "file:/mnt/disk/file", (Some(Bar::Most(25_000_000)), None));

/// Who dies in a storm: one instance of each. The shell is not among them: it runs the workers.
pub const STORM: &[&str] = &[
    "virtio-blk-0",
    "nvme-0",
    "ramdisk",
    "uart",
    "rtc",
    "null",
    "pci",
    "vfs",
    "block",
    "init",
    "console",
    "log",
    "random",
    "tmpfs",
    "bootfs",
    "sys",
    "ext4-0",
];

/// What all are called.
pub fn names() -> Vec<&'static str> {
    VICTIMS.iter().chain([&LARGE]).map(|victim| victim.name).collect()
}
