//! The protocols: what a driver is given, and what is taken back when it dies.

use crate::config::{Space, command};
use crate::function::Function;
use crate::lines::Line;
use crate::vectors::{self, MsiX};
use crate::{Bus, DEATH, lines};
use alloc::vec::Vec;
use libsys::driver::{Ports, Registers};
use libsys::env;
use libsys::interrupt::Trigger;
use libsys::memory::Caching;
use libsys::protocol::pci::{BarKind, FunctionInfo, Pci, PciError, PciFunction};
use libsys::service::{Context, GIVEN};
use libsys::{Channel, DmaDomain, Error, Interrupt, Memory, Object, Rights};

/// Bytes that functions in one answer may have, of a message's payload: room is left for the list itself.
const ANSWER_BYTES: usize = libsys::abi::PAYLOAD_BYTES - 64;

/// Interrupt lines that firmware notes where there is none.
const NO_LINES: [u8; 2] = [0, 255];

/// Lines below are those of the PC's first interrupt controllers, of which the firmware's tables tell the trigger.
const FIRST_PCI_LINE: u8 = 16;

impl Pci for Bus {
    fn functions(&mut self, first: u64) -> Vec<FunctionInfo> {
        let mut left = ANSWER_BYTES;
        let fits = |info: &FunctionInfo| {
            // No number takes more than its bytes and a half in postcard.
            let bytes = 64 + 24 * info.bars.len() + 4 * info.capabilities.len() + 6 * info.extended.len();
            left.checked_sub(bytes).map(|rest| left = rest).is_some()
        };
        let (functions, space) = (&self.functions, &mut self.space);
        let current = functions
            .iter()
            .filter(|function| function.found.info.address.place() >= first)
            .map(|function| describe(function, space.as_mut()));
        current.take_while(fits).collect()
    }
}

impl PciFunction for Bus {
    fn acquire(&mut self, cx: &Context) -> Result<(), PciError> {
        let index = self.function(cx)?;
        let owner = self.functions[index].owner;
        if owner != 0 && owner != cx.client() && self.holds_session(cx.badge(), owner) {
            return Err(PciError::Busy);
        }
        self.end_ownership(index);
        let reset = self.reset(index);
        self.functions[index].owner = if reset.is_ok() { cx.client() } else { 0 };
        self.keep();
        reset
    }

    fn info(&mut self, cx: &Context) -> Result<FunctionInfo, PciError> {
        let index = self.function(cx)?;
        Ok(describe(&self.functions[index], self.space.as_mut()))
    }

    fn config(&mut self, cx: &Context, offset: u16, bytes: u8) -> Result<u32, PciError> {
        let index = self.function(cx)?;
        let (function, space) = self.parts(index)?;
        let end = offset.checked_add(bytes.into()).ok_or(PciError::OutOfRange)?;
        if !matches!(bytes, 1 | 2 | 4) || !offset.is_multiple_of(bytes.into()) || end > space.bytes() {
            return Err(PciError::OutOfRange);
        }
        let address = function.found.info.address;
        Ok(match bytes {
            1 => space.read8(address, offset).into(),
            2 => space.read16(address, offset).into(),
            _ => space.read32(address, offset),
        })
    }

    fn bar(&mut self, cx: &Context, index: u8) -> Result<(Memory, u64), PciError> {
        let (memory, range) = self.bar_part(cx, index, 0)?;
        Ok((memory, range.end - range.start))
    }

    fn bar_rest(&mut self, cx: &Context, index: u8) -> Result<(Memory, u64, u64), PciError> {
        let (memory, range) = self.bar_part(cx, index, 1)?;
        Ok((memory, range.start, range.end - range.start))
    }

    fn ports(&mut self, cx: &Context, index: u8) -> Result<Ports, PciError> {
        let place = self.owned(cx)?;
        let (function, space) = self.parts(place)?;
        let info = &function.found.info;
        let bar = *info.bar(index).filter(|bar| bar.kind == BarKind::Ports).ok_or(PciError::NoSuchBar)?;
        if bar.address == 0 {
            return Err(PciError::NotPlaced);
        }
        space.change_command(info.address, command::PORTS, 0);
        let known = function.ports.iter().find(|(known, _)| *known == index);
        if let Some((_, ports)) = known {
            return ports.duplicate(Rights::READ | Rights::WRITE | Rights::DUPLICATE).map_err(exhausted);
        }
        let count = u16::try_from(bar.bytes).map_err(|_| PciError::NotPlaced)?;
        let ports = Ports::create(&self.rights.ports, bar.address as u16, count, env::account()).map_err(exhausted)?;
        let copy = ports.duplicate(Rights::READ | Rights::WRITE | Rights::DUPLICATE).map_err(exhausted)?;
        self.is_to_be_kept(&ports);
        self.functions[place].ports.push((index, ports));
        self.keep();
        Ok(copy)
    }

    fn interrupt(&mut self, cx: &Context, index: u16, channel: Channel, bits: u64) -> Result<Interrupt, PciError> {
        let place = self.owned(cx)?;
        if self.functions[place].has_messages() {
            self.message(place, index, &channel, bits)
        } else if index == 0 {
            self.line(place, channel, bits)
        } else {
            Err(PciError::NoSuchInterrupt)
        }
    }

    fn domain(&mut self, cx: &Context) -> Result<DmaDomain, PciError> {
        let place = self.owned(cx)?;
        let address = self.functions[place].found.info.address;
        if self.functions[place].domain.is_none() {
            let signal = Some((&self.channel, DEATH));
            let domain = DmaDomain::create(&self.rights.dma, address.requester(), env::account(), signal);
            let domain = domain.map_err(exhausted)?;
            self.is_to_be_kept(&domain);
            self.functions[place].domain = Some(domain);
            self.keep();
        }
        let (function, space) = self.parts(place)?;
        space.change_command(address, command::BUS_MASTER, 0);
        let domain = function.domain.as_ref().ok_or(PciError::Exhausted)?;
        domain.duplicate(Rights::INSPECT | Rights::DUPLICATE).map_err(exhausted)
    }

    fn reset_complete(&mut self, cx: &Context) -> Result<(), PciError> {
        let place = self.owned(cx)?;
        let function = &mut self.functions[place];
        if let Some(domain) = &function.domain {
            let all = domain.attachments().map_err(exhausted)?;
            for attachment in all.iter().filter(|attachment| attachment.process == 0) {
                // It is there: nobody else releases any.
                let _ = domain.release(Some(attachment.attachment));
            }
        }
        if function.orphans > 0 {
            function.orphans = 0;
            self.keep();
        }
        Ok(())
    }

    fn release(&mut self, cx: &Context, attachment: u64) -> Result<(), PciError> {
        let place = self.owned(cx)?;
        let domain = self.functions[place].domain.as_ref().ok_or(PciError::NoSuchAttachment)?;
        let all = domain.attachments().map_err(exhausted)?;
        let is_it =
            |known: &&libsys::dma::AttachmentRecord| known.attachment == attachment && known.process == cx.client();
        all.iter().find(is_it).ok_or(PciError::NoSuchAttachment)?;
        domain.release(Some(attachment)).map_err(|_| PciError::NoSuchAttachment)
    }
}

impl Bus {
    /// The function that the caller's session leads to.
    fn function(&self, cx: &Context) -> Result<usize, PciError> {
        if cx.badge() & GIVEN == 0 {
            return Err(PciError::NotAFunction);
        }
        self.by_badge(cx.badge()).ok_or(PciError::Gone)
    }

    /// As [`Bus::function`], for its owner.
    fn owned(&self, cx: &Context) -> Result<usize, PciError> {
        let index = self.function(cx)?;
        if self.functions[index].owner == cx.client() { Ok(index) } else { Err(PciError::NotOwner) }
    }

    fn parts(&mut self, index: usize) -> Result<(&mut Function, &mut Space), PciError> {
        Ok((&mut self.functions[index], self.space.as_mut().ok_or(PciError::Gone)?))
    }

    /// Whether a process still has a session with this badge.
    fn holds_session(&self, badge: u64, client: u64) -> bool {
        let sessions = self.channel.sessions().unwrap_or_default();
        sessions.iter().any(|session| (session.badge, session.client) == (badge, client) && session.handles > 0)
    }

    /// The Memory of a part of a BAR, and where in the BAR it is.
    fn bar_part(&mut self, cx: &Context, index: u8, part: u8) -> Result<(Memory, core::ops::Range<u64>), PciError> {
        let place = self.owned(cx)?;
        let (function, space) = self.parts(place)?;
        let info = &function.found.info;
        let bar = *info.bar(index).filter(|bar| bar.kind != BarKind::Ports).ok_or(PciError::NoSuchBar)?;
        let range = vectors::parts(&bar, function.msi_x.as_ref())[usize::from(part)].clone();
        if range.is_empty() {
            return Err(PciError::NoSuchBar);
        }
        if bar.address == 0 {
            return Err(PciError::NotPlaced);
        }
        space.change_command(info.address, command::MEMORY, 0);
        let shown = range.start..range.end.min(bar.bytes);
        let rights = Rights::READ | Rights::WRITE | Rights::INSPECT | Rights::DUPLICATE;
        if let Some((_, memory)) = function.memories.iter().find(|(known, _)| *known == (index, part)) {
            return Ok((memory.duplicate(rights).map_err(exhausted)?, shown));
        }
        let (start, bytes) = (bar.address + range.start, range.end - range.start);
        let memory = Memory::of_device(&self.rights.physical, start, bytes, Caching::Uncached, env::account());
        let memory = memory.map_err(exhausted)?;
        let copy = memory.duplicate(rights).map_err(exhausted)?;
        self.is_to_be_kept(&memory);
        self.functions[place].memories.push(((index, part), memory));
        self.keep();
        Ok((copy, shown))
    }

    /// A message-signalled interrupt of a function.
    pub(crate) fn message(
        &mut self,
        place: usize,
        index: u16,
        channel: &Channel,
        bits: u64,
    ) -> Result<Interrupt, PciError> {
        let count = self.functions[place].msi_x.as_ref().map_or(1, |msi_x| msi_x.count);
        if index >= count || !self.functions[place].has_messages() {
            return Err(PciError::NoSuchInterrupt);
        }
        self.map_table(place)?;
        let made = Interrupt::message(&self.rights.interrupts, channel, bits, env::account());
        let (interrupt, message) = made.map_err(exhausted)?;
        let (function, space) = self.parts(place)?;
        let address = function.found.info.address;
        match (&function.msi_x, &function.table) {
            (Some(msi_x), Some(table)) => msi_x.set(space, address, table, index, message),
            _ => vectors::set_msi(space, &function.found.info, message),
        }
        // A message is a write of the device to memory.
        space.change_command(address, command::BUS_MASTER | command::NO_LINE, 0);
        Ok(interrupt)
    }

    /// Maps the table of MSI-X, unless it is mapped, or there is none.
    fn map_table(&mut self, place: usize) -> Result<(), PciError> {
        let (function, space) = self.parts(place)?;
        let Some(msi_x) = function.msi_x.clone().filter(|_| function.table.is_none()) else { return Ok(()) };
        let info = &function.found.info;
        let bar = info.bar(msi_x.bar).filter(|bar| bar.address != 0).ok_or(PciError::NotPlaced)?;
        let pages = msi_x.pages();
        let start = bar.address + pages.start;
        // It answers nothing before it is decoded.
        space.change_command(info.address, command::MEMORY, 0);
        let bytes = pages.end - pages.start;
        let memory = Memory::of_device(&self.rights.physical, start, bytes, Caching::Uncached, env::account());
        let table = memory.and_then(|memory| Registers::of(&memory)).map_err(exhausted)?;
        let (function, space) = self.parts(place)?;
        if space.read16(function.found.info.address, crate::config::register::COMMAND) & command::BUS_MASTER == 0 {
            msi_x.mask(space, function.found.info.address, Some(&table));
        }
        function.table = Some(table);
        Ok(())
    }

    /// The interrupt line of a function, with whom else it may be shared.
    fn line(&mut self, place: usize, channel: Channel, bits: u64) -> Result<Interrupt, PciError> {
        let info = &self.functions[place].found.info;
        let (address, line) = (info.address, info.line);
        if info.pin == 0 || NO_LINES.contains(&line) {
            return Err(PciError::NoSuchInterrupt);
        }
        if !self.lines.iter().any(|known| known.number == line) {
            let trigger = if line < FIRST_PCI_LINE { Trigger::Firmware } else { Trigger::LevelLow };
            let (resource, number) = (&self.rights.interrupts, u32::from(line));
            let made = Interrupt::line(resource, number, trigger, &self.channel, lines::bit(line), env::account());
            let interrupt = made.map_err(exhausted)?;
            self.is_to_be_kept(&interrupt);
            self.lines.push(Line::new(line, interrupt));
        }
        let known = self.lines.iter().find(|known| known.number == line).ok_or(PciError::NoSuchInterrupt)?;
        // It may have struck when nobody was there to be told.
        known.open();
        let copy = known.interrupt.duplicate(Rights::MANAGE | Rights::INSPECT).map_err(exhausted)?;
        self.is_to_be_kept(&channel);
        self.functions[place].line = Some((channel, bits));
        self.keep();
        if let Some(space) = &mut self.space {
            space.change_command(address, 0, command::NO_LINE);
        }
        Ok(copy)
    }

    /// Cuts a device off: it masters the bus no more, and none of its interrupts gets through. What it could reach stays pinned.
    fn cut_off(&mut self, index: usize) {
        let Ok((function, space)) = self.parts(index) else { return };
        let info = &function.found.info;
        space.change_command(info.address, command::NO_LINE, command::BUS_MASTER);
        if let Some(msi_x) = &function.msi_x {
            MsiX::mask(msi_x, space, info.address, function.table.as_ref());
        }
        vectors::end_msi(space, info);
        let number = info.line;
        if function.line.take().is_some() {
            // The others go on, also if this one was to acknowledge.
            self.lines.iter().filter(|line| line.number == number).for_each(Line::open);
        }
    }

    /// Ends an ownership.
    pub(crate) fn end_ownership(&mut self, index: usize) {
        self.cut_off(index);
        self.functions[index].owner = 0;
        self.functions[index].orphans = self.functions[index].count_orphans();
    }

    /// A driver died: which one is seen by what it had attached.
    pub(crate) fn look_for_deaths(&mut self) {
        let mut has_changed = false;
        for index in 0..self.functions.len() {
            if self.functions[index].count_orphans() > self.functions[index].orphans {
                self.end_ownership(index);
                has_changed = true;
            }
        }
        if has_changed {
            self.keep();
        }
    }
}

/// What a function is now.
fn describe(function: &Function, space: Option<&mut Space>) -> FunctionInfo {
    let mut info = function.found.info.clone();
    if let Some(space) = space {
        info.command = space.read16(info.address, crate::config::register::COMMAND);
    }
    info.owner = function.owner;
    let attachments = function.domain.as_ref().and_then(|domain| domain.attachments().ok());
    info.attachments = attachments.map_or(0, |all| all.len() as u32);
    info
}

fn exhausted(error: Error) -> PciError {
    libsys::warn!("refused: {error}");
    PciError::Exhausted
}
