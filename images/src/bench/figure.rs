//! The figures, and what they are held against: the other systems' figures were measured in
//! the same way, on the same emulator, under icount.

use super::source;

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The guest's program `bench`.
    Guest,
    /// The shell, at the end of a boot.
    Boot,
    /// The source itself.
    Source,
}

/// Another system's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// Which system's.
    pub system: &'static str,
    /// In the figure's unit.
    pub value: u64,
}

/// A figure that is always measured. Less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// How it is called.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// Who measures it.
    pub source: Source,
    /// The best known system's, if one was measured.
    pub baseline: Option<Baseline>,
    /// What it must not exceed.
    pub bar: u64,
}

/// A MiB, in bytes.
const MIB: u64 = 1 << 20;

/// What the units are called.
const INSTRUCTIONS: &str = "instructions";
const BYTES: &str = "bytes";

const fn guest(name: &'static str, baseline: Option<Baseline>, bar: u64) -> Figure {
    Figure { name, unit: INSTRUCTIONS, source: Source::Guest, baseline, bar }
}

const fn boot(name: &'static str, unit: &'static str, baseline: Baseline, bar: u64) -> Figure {
    Figure { name, unit, source: Source::Boot, baseline: Some(baseline), bar }
}

const fn sel4(value: u64) -> Option<Baseline> {
    Some(Baseline { system: "seL4", value })
}

const fn linux(value: u64) -> Baseline {
    Baseline { system: "Linux", value }
}

/// All of them, in the order in which they are shown.
///
/// seL4: 16.0.0-dev, release build with its fast path, without mitigations; `call_8w` is beside
/// its call of 4 words, as 5 leave the fast path (1,652). Its interrupt latency was published in
/// cycles of hardware only, so that `irq_to_thread` has a bar but no baseline.
/// Linux: 6.1 without mitigations; `process_spawn` is vfork, exec and wait, `boot_to_prompt`
/// the cloud kernel up to init, and copies are made without `rep`, which icount would count
/// as one instruction.
pub const FIGURES: [Figure; 14] = [
    guest("call_0w", sel4(424), 424),
    guest("call_8w", sel4(470), 480),
    guest("call_64w", sel4(2242), 1400),
    guest("call_typed", None, 600),
    guest("call_postcard", None, 1200),
    guest("signal", sel4(1585), 1585),
    guest("null_syscall", sel4(84), 84),
    guest("irq_to_thread", None, 1638),
    guest("page_fault", Some(linux(3354)), 3354),
    guest("thread_spawn", Some(linux(38_342)), 10_000),
    guest("process_spawn", Some(linux(143_327)), 143_000),
    boot("boot_to_prompt", INSTRUCTIONS, linux(1_598_000_000), 30_000_000),
    boot("memory_at_prompt", BYTES, linux(33 * MIB), 16 * MIB),
    Figure { name: source::NAME, unit: "lines", source: Source::Source, baseline: None, bar: 9_999 },
];

/// The figure of this name.
pub fn find(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}
