//! Message-signalled interrupts: the registers of MSI, and the table of MSI-X, which is pci's alone (PCI Local Bus Specification §6.8).

use crate::config::Space;
use core::ops::Range;
use core::str::FromStr;
use libsys::abi::PAGE_BYTES;
use libsys::driver::{Register, Registers};
use libsys::interrupt::MsiMessage;
use libsys::protocol::pci::{Address, Bar, BarKind, FunctionInfo};

use crate::scan::capability;

const CONTROL: u16 = 2;

/// The best kind of interrupts that functions are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// Whatever they have.
    MsiX,
    /// MSI, or lines.
    Msi,
    /// Lines.
    Line,
}

impl Interrupts {
    /// Takes from a function what is better.
    pub fn limit(self, info: &mut FunctionInfo) {
        if self != Interrupts::MsiX {
            info.msi_x = 0;
        }
        if self == Interrupts::Line {
            info.msi = 0;
        }
    }
}

impl FromStr for Interrupts {
    type Err = ();

    fn from_str(word: &str) -> Result<Interrupts, ()> {
        match word {
            "msi-x" => Ok(Interrupts::MsiX),
            "msi" => Ok(Interrupts::Msi),
            "line" => Ok(Interrupts::Line),
            _ => Err(()),
        }
    }
}

/// MSI-X of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsiX {
    capability: u16,
    /// Vectors.
    pub count: u16,
    /// BAR in which the table is.
    pub bar: u8,
    /// Where it starts there.
    pub offset: u64,
}

impl MsiX {
    const ENABLE: u16 = 1 << 15;
    const MASK_ALL: u16 = 1 << 14;
    const ENTRY_BYTES: usize = 16;
    const MASKED: u32 = 1;

    /// What the capability says. `None`: there is none, or it makes no sense.
    pub fn of(space: &mut Space, info: &FunctionInfo) -> Option<MsiX> {
        let capability = info.capability(capability::MSI_X)?.into();
        let word = space.read32(info.address, capability + 4);
        let (bar, offset) = ((word & 7) as u8, u64::from(word & !7));
        let msi_x = MsiX { capability, count: info.msi_x, bar, offset };
        let known = info.bar(bar).filter(|bar| bar.kind != BarKind::Ports && info.msi_x > 0)?;
        (offset + msi_x.bytes() <= known.bytes).then_some(msi_x)
    }

    fn bytes(&self) -> u64 {
        u64::from(self.count) * Self::ENTRY_BYTES as u64
    }

    /// The pages of the table, as offsets in the BAR.
    pub fn pages(&self) -> Range<u64> {
        let page = PAGE_BYTES as u64;
        self.offset & !(page - 1)..(self.offset + self.bytes()).next_multiple_of(page)
    }

    /// Sets a vector and lets it through. `table` are the registers of [`MsiX::pages`].
    pub fn set(&self, space: &mut Space, address: Address, table: &Registers, index: u16, message: MsiMessage) {
        let entry = self.entry(index);
        table.change(entry.index(3, 4), |control| control | Self::MASKED);
        table.write(entry, message.address as u32);
        table.write(entry.index(1, 4), (message.address >> 32) as u32);
        table.write(entry.index(2, 4), message.data);
        table.change(entry.index(3, 4), |control| control & !Self::MASKED);
        let control = space.read16(address, self.capability + CONTROL);
        space.write16(address, self.capability + CONTROL, control & !Self::MASK_ALL | Self::ENABLE);
    }

    /// Masks all vectors. Before the first is set they may not be what they should, so they are masked by the function as a whole too.
    pub fn mask(&self, space: &mut Space, address: Address, table: Option<&Registers>) {
        let control = space.read16(address, self.capability + CONTROL);
        space.write16(address, self.capability + CONTROL, control | Self::MASK_ALL);
        for index in 0..self.count {
            let Some(table) = table else { break };
            table.change(self.entry(index).index(3, 4), |control| control | Self::MASKED);
        }
    }

    fn entry(&self, index: u16) -> Register<u32> {
        Register::at((self.offset as usize % PAGE_BYTES) + usize::from(index) * Self::ENTRY_BYTES)
    }
}

/// Sets the one vector of MSI that is used, and lets it through.
pub fn set_msi(space: &mut Space, info: &FunctionInfo, message: MsiMessage) {
    let Some(at) = info.capability(capability::MSI).map(u16::from) else { return };
    let control = space.read16(info.address, at + CONTROL);
    let is_wide = control & 1 << 7 != 0;
    space.write16(info.address, at + CONTROL, control & !1);
    space.write32(info.address, at + 4, message.address as u32);
    if is_wide {
        space.write32(info.address, at + 8, (message.address >> 32) as u32);
    }
    let data_at = at + if is_wide { 12 } else { 8 };
    space.write16(info.address, data_at, message.data as u16);
    if control & 1 << 8 != 0 {
        space.write32(info.address, data_at + 4, 0);
    }
    // One vector, enabled.
    space.write16(info.address, at + CONTROL, control & !0b111_0000 | 1);
}

/// Ends MSI.
pub fn end_msi(space: &mut Space, info: &FunctionInfo) {
    let Some(at) = info.capability(capability::MSI).map(u16::from) else { return };
    let control = space.read16(info.address, at + CONTROL);
    space.write16(info.address, at + CONTROL, control & !1);
}

/// What of a BAR its driver gets: the part before the pages of the MSI-X table, and the part behind them, as offsets. Either may be empty.
pub fn parts(bar: &Bar, msi_x: Option<&MsiX>) -> [Range<u64>; 2] {
    let end = bar.bytes.next_multiple_of(PAGE_BYTES as u64);
    match msi_x.filter(|msi_x| msi_x.bar == bar.index) {
        None => [0..end, end..end],
        Some(msi_x) => {
            let pages = msi_x.pages();
            [0..pages.start, pages.end.min(end)..end]
        }
    }
}
