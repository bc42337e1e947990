//! A function: what was found, what its driver was given, and what of it outlives this process.

use crate::config::{Space, command};
use crate::lines::Line;
use crate::scan::{Found, KnownBars};
use crate::vectors::MsiX;
use alloc::vec::Vec;
use libsys::driver::{Ports, Registers};
use libsys::protocol::pci::Address;
use libsys::state::Keepsake;
use libsys::{Channel, DmaDomain, Error, Memory, Object};
use serde::{Deserialize, Serialize};

/// A function.
pub struct Function {
    /// What it is.
    pub found: Found,
    /// Its MSI-X.
    pub msi_x: Option<MsiX>,
    /// The registers of the MSI-X table, once they were wanted.
    pub table: Option<Registers>,
    /// The Memory of BARs, by index and part.
    pub memories: Vec<((u8, u8), Memory)>,
    /// The ports of BARs.
    pub ports: Vec<(u8, Ports)>,
    /// Its view of memory.
    pub domain: Option<DmaDomain>,
    /// The process that drives it; 0: none.
    pub owner: u64,
    /// Attachments of dead owners that are known of.
    pub orphans: u32,
    /// Who is told of its interrupt line.
    pub line: Option<(Channel, u64)>,
}

impl Function {
    /// A function with what an earlier incarnation kept of it.
    pub fn new(space: &mut Space, found: Found, kept: &mut Kept) -> Function {
        let info = &found.info;
        let kept = kept.take(info.address, info.vendor, info.device).unwrap_or_default();
        if kept.owner == 0 && info.bridge.is_none() {
            // The firmware may have used it.
            space.change_command(info.address, command::NO_LINE, command::BUS_MASTER);
        }
        let memories = kept.memories.into_iter().filter_map(|(part, memory)| Some((part, memory.take().ok()?)));
        let ports = kept.ports.into_iter().filter_map(|(index, ports)| Some((index, ports.take().ok()?)));
        Function {
            msi_x: MsiX::of(space, info),
            table: None,
            memories: memories.collect(),
            ports: ports.collect(),
            domain: kept.domain.and_then(|domain| domain.take().ok()),
            owner: kept.owner,
            orphans: kept.orphans,
            line: kept.line.and_then(|(channel, bits)| Some((channel.take().ok()?, bits))),
            found,
        }
    }

    /// Whether it signals its interrupts by messages.
    pub fn has_messages(&self) -> bool {
        self.msi_x.is_some() || self.found.info.msi > 0
    }

    /// Whether its driver is to be told of this interrupt line.
    pub fn has_line(&self, number: u8) -> bool {
        self.line.is_some() && self.found.info.line == number
    }

    /// Tells the driver that the line struck.
    pub fn tell_line(&self) {
        if let Some((channel, bits)) = &self.line {
            // A driver that died acknowledges nothing; its device is cut off from the line when its death is seen.
            let _ = channel.signal(*bits);
        }
    }

    /// How many attachments of dead processes there are.
    pub fn count_orphans(&self) -> u32 {
        let attachments = self.domain.as_ref().and_then(|domain| domain.attachments().ok()).unwrap_or_default();
        attachments.iter().filter(|attachment| attachment.process == 0).count() as u32
    }
}

/// What the next incarnation has to know.
#[derive(Default, Serialize, Deserialize)]
pub struct Kept {
    functions: Vec<KeptFunction>,
    lines: Vec<(u8, Keepsake)>,
}

#[derive(Default, Serialize, Deserialize)]
struct KeptFunction {
    address: Address,
    vendor: u16,
    device: u16,
    bars: KnownBars,
    memories: Vec<((u8, u8), Keepsake)>,
    ports: Vec<(u8, Keepsake)>,
    domain: Option<Keepsake>,
    owner: u64,
    orphans: u32,
    line: Option<(Keepsake, u64)>,
}

impl Kept {
    /// What is to be known of these.
    pub fn of(functions: &[Function], lines: &[Line]) -> Result<Kept, Error> {
        let keep = |line: &Line| Ok((line.number, Keepsake::of(&line.interrupt)?));
        Ok(Kept {
            functions: functions.iter().map(KeptFunction::of).collect::<Result<_, Error>>()?,
            lines: lines.iter().map(keep).collect::<Result<_, Error>>()?,
        })
    }

    /// The sizes of a function's BARs.
    pub fn known_bars(&self, address: Address, vendor: u16, device: u16) -> Option<KnownBars> {
        let is_it = |function: &&KeptFunction| function.is(address, vendor, device);
        self.functions.iter().find(is_it).map(|function| function.bars)
    }

    /// The lines that were bound.
    pub fn take_lines(&mut self) -> Vec<Line> {
        let lines = core::mem::take(&mut self.lines);
        lines.into_iter().filter_map(|(number, interrupt)| Some(Line::new(number, interrupt.take().ok()?))).collect()
    }

    fn take(&mut self, address: Address, vendor: u16, device: u16) -> Option<KeptFunction> {
        let index = self.functions.iter().position(|function| function.is(address, vendor, device))?;
        Some(self.functions.swap_remove(index))
    }

    /// Where the functions were that nobody took.
    pub fn rest(&self) -> impl Iterator<Item = Address> {
        self.functions.iter().map(|function| function.address)
    }

    /// The objects of functions that nobody took.
    pub fn take_rest(&mut self) -> (Vec<Memory>, Vec<Ports>, Vec<DmaDomain>, Vec<Channel>) {
        let mut rest = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for function in core::mem::take(&mut self.functions) {
            rest.0.extend(function.memories.into_iter().filter_map(|(_, memory)| memory.take().ok()));
            rest.1.extend(function.ports.into_iter().filter_map(|(_, ports)| ports.take().ok()));
            rest.2.extend(function.domain.and_then(|domain| domain.take().ok()));
            rest.3.extend(function.line.and_then(|(channel, _)| channel.take().ok()));
        }
        rest
    }
}

impl KeptFunction {
    fn of(function: &Function) -> Result<KeptFunction, Error> {
        let info = &function.found.info;
        let mut bars = [0; 6];
        for bar in &info.bars {
            bars[usize::from(bar.index)] = bar.bytes;
        }
        Ok(KeptFunction {
            address: info.address,
            vendor: info.vendor,
            device: info.device,
            bars,
            memories: kept_all(&function.memories)?,
            ports: kept_all(&function.ports)?,
            domain: function.domain.as_ref().map(Keepsake::of).transpose()?,
            owner: function.owner,
            orphans: function.orphans,
            line: match &function.line {
                Some((channel, bits)) => Some((Keepsake::of(channel)?, *bits)),
                None => None,
            },
        })
    }

    fn is(&self, address: Address, vendor: u16, device: u16) -> bool {
        (self.address, self.vendor, self.device) == (address, vendor, device)
    }
}

fn kept_all<N: Copy, O: Object>(objects: &[(N, O)]) -> Result<Vec<(N, Keepsake)>, Error> {
    objects.iter().map(|(number, object)| Ok((*number, Keepsake::of(object)?))).collect()
}
