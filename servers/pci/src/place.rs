//! Places for BARs that the firmware gave none: within what the bridge above lets through, where nothing else is.

use crate::config::{Space, command, register};
use crate::scan::Found;
use alloc::vec::Vec;
use core::ops::Range;
use libsys::abi::PAGE_BYTES;
use libsys::protocol::pci::{Address, Bar, BarKind};

/// What a bus lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Ports.
    pub ports: Range<u64>,
    /// Memory.
    pub memory: Range<u64>,
    /// Memory that can be read ahead, which may be above 4 GiB.
    pub prefetchable: Range<u64>,
}

impl Windows {
    /// What a bridge lets through (PCI-to-PCI Bridge Architecture Specification §3.2.5).
    pub fn of_bridge(space: &mut Space, bridge: Address) -> Windows {
        let window = |start: u64, last: u64| if start <= last { start..last + 1 } else { 0..0 };
        let (io, memory) = (space.read16(bridge, register::IO_BASE), space.read32(bridge, register::MEMORY_BASE));
        let prefetchable = space.read32(bridge, register::PREFETCHABLE_BASE);
        let mut upper = |offset| match prefetchable & 0xf {
            1 => u64::from(space.read32(bridge, offset)) << 32,
            _ => 0,
        };
        let (base_upper, limit_upper) =
            (upper(register::PREFETCHABLE_BASE_UPPER), upper(register::PREFETCHABLE_LIMIT_UPPER));
        let base = |word: u32| u64::from(word & 0xfff0) << 16;
        let limit = |word: u32| u64::from(word & 0xfff0_0000) | 0xf_ffff;
        Windows {
            ports: window(u64::from(io & 0xf0) << 8, u64::from(io & 0xf000) | 0xfff),
            memory: window(base(memory), limit(memory)),
            prefetchable: window(base_upper | base(prefetchable), limit_upper | limit(prefetchable)),
        }
    }
}

/// Gives the BARs of a function places, those that have none, or share a page with others; largest first. Its decoding is off meanwhile.
pub fn place(space: &mut Space, all: &mut [Found], index: usize, windows: &Windows) {
    let found = &all[index];
    let address = found.info.address;
    let mut wanted: Vec<Bar> = found.info.bars.iter().copied().filter(needs_place).collect();
    if wanted.is_empty() {
        return;
    }
    wanted.sort_by_key(|bar| core::cmp::Reverse(bar.bytes));
    let before = space.read16(address, register::COMMAND);
    space.change_command(address, 0, command::PORTS | command::MEMORY);
    for bar in wanted {
        let (is_ports, choices) = match bar.kind {
            BarKind::Ports => (true, [&windows.ports, &windows.ports]),
            BarKind::Memory { prefetchable: true, .. } => (false, [&windows.prefetchable, &windows.memory]),
            BarKind::Memory { .. } => (false, [&windows.memory, &windows.memory]),
        };
        let most = if matches!(bar.kind, BarKind::Memory { wide: true, .. }) { u64::MAX } else { 1 << 32 };
        let taken: Vec<Range<u64>> = taken(space, all, is_ports, address.bus);
        let bytes = if is_ports { bar.bytes } else { bar.bytes.max(PAGE_BYTES as u64) };
        let start = choices.iter().find_map(|window| gap(window, &taken, bytes)).filter(|start| start + bytes <= most);
        let start = start.unwrap_or(0);
        let offset = register::BAR + 4 * u16::from(bar.index);
        space.write32(address, offset, start as u32);
        if matches!(bar.kind, BarKind::Memory { wide: true, .. }) {
            space.write32(address, offset + 4, (start >> 32) as u32);
        }
        if let Some(bar) = all[index].info.bars.iter_mut().find(|known| known.index == bar.index) {
            bar.address = start;
        }
    }
    space.write16(address, register::COMMAND, before);
}

/// Whether a BAR has no place, or one within a page: the rest of that page could be another's.
fn needs_place(bar: &Bar) -> bool {
    bar.address == 0 || bar.kind != BarKind::Ports && !bar.address.is_multiple_of(PAGE_BYTES as u64)
}

/// What is in use on a bus: by the BARs of all functions, and by the windows of its bridges.
fn taken(space: &mut Space, all: &[Found], is_ports: bool, bus: u8) -> Vec<Range<u64>> {
    let bars = all.iter().flat_map(|found| &found.info.bars);
    let of_kind = bars.filter(|bar| (bar.kind == BarKind::Ports) == is_ports && bar.address != 0);
    let mut taken: Vec<Range<u64>> = of_kind.map(|bar| bar.address..bar.address + bar.bytes).collect();
    for bridge in all.iter().filter(|found| found.info.bridge.is_some() && found.info.address.bus == bus) {
        let windows = Windows::of_bridge(space, bridge.info.address);
        taken.extend(if is_ports { [windows.ports, 0..0] } else { [windows.memory, windows.prefetchable] });
    }
    taken
}

/// The first aligned gap of a window.
fn gap(window: &Range<u64>, taken: &[Range<u64>], bytes: u64) -> Option<u64> {
    let mut start = window.start.max(1).checked_next_multiple_of(bytes)?;
    loop {
        let end = start.checked_add(bytes).filter(|end| *end <= window.end)?;
        match taken.iter().filter(|other| other.start < end && start < other.end).map(|other| other.end).max() {
            None => return Some(start),
            Some(behind) => start = behind.checked_next_multiple_of(bytes)?,
        }
    }
}
