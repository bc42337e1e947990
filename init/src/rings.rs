//! The log rings: the kernel's, init's own, one a service, and those that somebody added. Each keeps its place, new ones come at
//! the end, and where one was taken away there is an empty one; places are given anew when a collector begins from the first.

use crate::record::{LogRingRecord, Record};
use crate::service::LOG_BYTES;
use crate::supervisor::Supervisor;
use crate::table::SlotNumber;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::log::LogWriter;
use libsys::protocol::registry::{LogSource, RegistryError};
use libsys::{Channel, Error, Handle, Memory, Object, Rights};

/// Place of the kernel's ring.
const KERNEL: u32 = 0;
/// Place of init's ring.
const OWN: u32 = 1;
/// Place of the first of the others.
pub(crate) const FIRST: u32 = 2;
/// Most rings that are added.
pub(crate) const MOST_ADDED: usize = 32;

/// The rings that were added, and who is told.
#[derive(Debug)]
pub struct Rings {
    added: Vec<Added>,
    watcher: Option<Watcher>,
    /// Place of the next one.
    next: u32,
    /// Where the record with that is.
    slot: SlotNumber,
    /// Stands where there is none any more.
    empty: Option<Memory>,
}

#[derive(Debug)]
struct Added {
    record: LogRingRecord,
    slot: SlotNumber,
    ring: Memory,
}

#[derive(Debug)]
struct Watcher {
    badge: u64,
    channel: Channel,
    bits: u64,
    slot: SlotNumber,
}

impl Rings {
    /// None yet; init's own record is in that slot.
    pub(crate) fn new(slot: SlotNumber, next: u32) -> Rings {
        Rings { added: Vec::new(), watcher: None, next, slot, empty: None }
    }

    /// There is another ring, or a process with one has died.
    pub(crate) fn tell(&self) {
        if let Some(watcher) = &self.watcher {
            let _ = watcher.channel.signal(watcher.bits);
        }
    }

    /// Takes over a ring that an earlier init noted.
    pub(crate) fn recover(&mut self, slot: SlotNumber, record: LogRingRecord) {
        let ring = Memory::from_handle(Handle(record.ring));
        self.take_place(record.index);
        self.added.push(Added { record, slot, ring });
    }

    /// The place of the next ring. It is taken with the record that names it: an init that dies between that and a counter of its own would leave a place without a ring, for
    /// which the collector keeps an empty one for good.
    pub(crate) fn next_place(&self) -> u32 {
        self.next
    }

    /// A record names this place.
    pub(crate) fn take_place(&mut self, place: u32) {
        self.next = self.next.max(place + 1);
    }

    /// Places of those whose session is closed.
    pub(crate) fn ended(&self) -> Vec<u32> {
        let ended = self.added.iter().filter(|added| added.record.has_ended);
        ended.map(|added| added.record.index).collect()
    }

    /// Takes over the watcher that an earlier init noted.
    pub(crate) fn recover_watcher(&mut self, slot: SlotNumber, badge: u64, channel: u64, bits: u64) {
        self.watcher = Some(Watcher { badge, channel: Channel::from_handle(Handle(channel)), bits, slot });
    }
}

impl Supervisor {
    /// The ring at a place. Error: `NoSuchName` (behind the last).
    pub(crate) fn ring(&mut self, place: u32) -> Result<(LogSource, Memory), RegistryError> {
        let of_place = |service: &crate::service::Service| service.record.ring == Some(place);
        let service = self.services.iter().position(of_place).filter(|index| self.services[*index].objects.is_some());
        let added = self.rings.added.iter().find(|added| added.record.index == place);
        let (name, process, ring) = match (place, service, added) {
            (KERNEL, ..) => ("kernel", 0, &self.machine.kernel_log),
            (OWN, ..) => ("init", libsys::sys::identify().process, self.journal.ring()),
            (_, Some(index), _) => match &self.services[index].objects {
                Some(objects) => (self.manifest.services[index].name.as_str(), objects.number, &objects.log),
                None => return Err(RegistryError::NoSuchName),
            },
            (_, _, Some(added)) => (added.record.name.as_str(), added.record.process, &added.ring),
            _ if place < self.rings.next => ("gone", 0, self.empty_ring().map_err(|_| RegistryError::Exhausted)?),
            _ => return Err(RegistryError::NoSuchName),
        };
        let source = LogSource { name: name.to_string(), process };
        let copy = ring.duplicate(Rights::READ | Rights::INSPECT | Rights::DUPLICATE);
        Ok((source, copy.map_err(|_| RegistryError::Exhausted)?))
    }

    fn empty_ring(&mut self) -> Result<&Memory, Error> {
        if self.rings.empty.is_none() {
            let ring = Memory::create(&self.machine.account, LOG_BYTES)?;
            LogWriter::open(ring.map_writable_part(0, LOG_BYTES)?);
            self.rings.empty = Some(ring);
        }
        self.rings.empty.as_ref().ok_or(Error::BadState)
    }

    /// Notes that the record which names a place is written.
    pub(crate) fn note_ring(&mut self, place: u32) {
        self.set_next_ring(place + 1);
    }

    fn set_next_ring(&mut self, next: u32) {
        self.rings.next = next;
        let capsules = self.capsules.handle();
        let own = Record::Own { log: self.journal.ring().handle().0, next_ring: next, capsules };
        let written = self.table.set(self.rings.slot, &own.encode()).map(|()| self.rings.slot);
        self.written(written);
    }

    /// Gives places anew, in the same order and without gaps.
    fn number_rings(&mut self) {
        let mut taken: Vec<u32> = self.services.iter().filter_map(|service| service.record.ring).collect();
        taken.extend(self.rings.added.iter().map(|added| added.record.index));
        taken.sort_unstable();
        let new = |old: u32| taken.iter().position(|place| *place == old).map_or(old, |index| FIRST + index as u32);
        for index in 0..self.services.len() {
            let old = self.services[index].record.ring;
            if old.map(new) != old {
                self.services[index].record.ring = old.map(new);
                self.commit(index);
            }
        }
        for added in &mut self.rings.added {
            let place = new(added.record.index);
            if place != added.record.index {
                added.record.index = place;
                // Records of rings are all as long, and fitted before.
                let _ = self.table.set(added.slot, &Record::LogRing(added.record.clone()).encode());
            }
        }
        self.set_next_ring(FIRST + taken.len() as u32);
    }

    /// Says who is told of rings.
    pub(crate) fn watch_rings(&mut self, badge: u64, channel: Channel, bits: u64) -> Result<(), RegistryError> {
        if let Some(watcher) = self.rings.watcher.take() {
            self.table.remove(watcher.slot);
        }
        if bits == 0 {
            return Ok(());
        }
        // Who begins to collect does so from the first.
        self.number_rings();
        channel.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let record = Record::LogWatch { badge, channel: channel.handle().0, bits };
        let slot = self.table.add(&record.encode()).map_err(|_| RegistryError::Exhausted)?;
        self.rings.watcher = Some(Watcher { badge, channel, bits, slot });
        Ok(())
    }

    /// Adds a ring, once.
    pub(crate) fn add_ring(
        &mut self,
        badge: u64,
        name: String,
        process: u64,
        ring: Memory,
    ) -> Result<(), RegistryError> {
        let number = |memory: &Memory| memory.inspect_handle().map(|info| info.object);
        let new = number(&ring).map_err(|_| RegistryError::Exhausted)?;
        if self.rings.added.iter().any(|added| number(&added.ring) == Ok(new)) {
            return Ok(());
        }
        if self.rings.added.len() >= MOST_ADDED {
            return Err(RegistryError::Exhausted);
        }
        ring.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let index = self.rings.next_place();
        let record = LogRingRecord { badge, index, name, process, ring: ring.handle().0, has_ended: false };
        let slot = self.table.add(&Record::LogRing(record.clone()).encode()).map_err(|_| RegistryError::Exhausted)?;
        self.rings.added.push(Added { record, slot, ring });
        self.note_ring(index);
        self.rings.tell();
        Ok(())
    }

    /// A service is removed: the collector reads its ring for the last time, and gives it up. As long as somebody has it, it is charged to the account of the
    /// service, and what was promised to that is not free.
    pub(crate) fn end_ring(&mut self, place: u32, name: &str, process: u64, ring: Memory) {
        let is_known = self.rings.added.iter().any(|added| added.record.index == place);
        if self.rings.watcher.is_none() || is_known || self.rings.added.len() >= MOST_ADDED {
            return;
        }
        let (name, badge) = (name.to_string(), 0);
        let record = LogRingRecord { badge, index: place, name, process, ring: ring.handle().0, has_ended: true };
        if let Ok(slot) = self.table.add(&Record::LogRing(record.clone()).encode()) {
            self.rings.added.push(Added { record, slot, ring });
        }
    }

    /// Gives up a ring whose session is closed.
    pub(crate) fn release_ring(&mut self, place: u32) {
        let table = &mut self.table;
        self.rings.added.retain(|added| {
            let is_released = added.record.has_ended && added.record.index == place;
            if is_released {
                table.remove(added.slot);
            }
            !is_released
        });
    }

    /// A session is closed: what it added waits for the collector, and what it asked for is forgotten.
    pub(crate) fn forget_rings(&mut self, badge: u64) {
        let mut has_ended = false;
        for added in self.rings.added.iter_mut().filter(|added| added.record.badge == badge) {
            added.record.has_ended = true;
            has_ended = true;
            // Records of rings are all as long, and fitted before.
            let _ = self.table.set(added.slot, &Record::LogRing(added.record.clone()).encode());
        }
        if has_ended {
            self.rings.tell();
        }
        if self.rings.watcher.as_ref().is_some_and(|watcher| watcher.badge == badge)
            && let Some(watcher) = self.rings.watcher.take()
        {
            self.table.remove(watcher.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_with_the_record_that_names_it() {
        // The init before died when it had written the record of place 7, and not yet where the next one is.
        let mut rings = Rings::new(0, 7);
        rings.take_place(7);
        rings.take_place(4);
        assert_eq!(rings.next_place(), 8);
    }
}
