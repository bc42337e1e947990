//! The log rings: the kernel's, init's own, one a service, and those that somebody added. Each keeps its place.

use crate::record::{LogRingRecord, Record};
use crate::supervisor::Supervisor;
use crate::table::SlotNumber;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::protocol::registry::{LogSource, RegistryError};
use libsys::{Channel, Handle, Memory, Object, Rights};

/// Place of the kernel's ring.
const KERNEL: u32 = 0;
/// Place of init's ring.
const OWN: u32 = 1;
/// Place of the first service's ring; the others follow in the order of the manifest.
const SERVICES: u32 = 2;
/// Most rings that are added.
const MOST_ADDED: usize = 32;

/// The rings that were added, and who is told.
#[derive(Debug)]
pub struct Rings {
    first_added: u32,
    added: Vec<Added>,
    watcher: Option<Watcher>,
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
    pub(crate) fn new(services: usize) -> Rings {
        Rings { first_added: SERVICES + services as u32, added: Vec::new(), watcher: None }
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
        self.added.push(Added { record, slot, ring });
    }

    /// Takes over the watcher that an earlier init noted.
    pub(crate) fn recover_watcher(&mut self, slot: SlotNumber, badge: u64, channel: u64, bits: u64) {
        self.watcher = Some(Watcher { badge, channel: Channel::from_handle(Handle(channel)), bits, slot });
    }
}

impl Supervisor {
    /// The ring at a place. Errors: `NotReady` (there is none now), `NoSuchName` (behind the last).
    pub(crate) fn ring(&self, place: u32) -> Result<(LogSource, Memory), RegistryError> {
        let (name, process, ring) = match place {
            KERNEL => ("kernel", 0, &self.machine.kernel_log),
            OWN => ("init", libsys::sys::identify().process, self.journal.ring()),
            place if place < self.rings.first_added => {
                let index = (place - SERVICES) as usize;
                let objects = self.services[index].objects.as_ref().ok_or(RegistryError::NotReady)?;
                (self.manifest.services[index].name.as_str(), objects.number, &objects.log)
            }
            place => {
                let added = self.rings.added.iter().find(|added| added.record.index == place);
                let is_behind = self.rings.added.iter().all(|added| added.record.index < place);
                let error = if is_behind { RegistryError::NoSuchName } else { RegistryError::NotReady };
                let added = added.ok_or(error)?;
                (added.record.name.as_str(), added.record.process, &added.ring)
            }
        };
        let copy = ring.duplicate(Rights::READ | Rights::INSPECT | Rights::DUPLICATE);
        Ok((LogSource { name: name.to_string(), process }, copy.map_err(|_| RegistryError::Exhausted)?))
    }

    /// Says who is told of rings.
    pub(crate) fn watch_rings(&mut self, badge: u64, channel: Channel, bits: u64) -> Result<(), RegistryError> {
        if let Some(watcher) = self.rings.watcher.take() {
            self.table.remove(watcher.slot);
        }
        if bits == 0 {
            return Ok(());
        }
        channel.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let record = Record::LogWatch { badge, channel: channel.handle().0, bits };
        let slot = self.table.add(&record.encode()).map_err(|_| RegistryError::Exhausted)?;
        self.rings.watcher = Some(Watcher { badge, channel, bits, slot });
        Ok(())
    }

    /// Adds a ring, once.
    pub(crate) fn add_ring(&mut self, badge: u64, name: String, process: u64, ring: Memory) -> Result<(), RegistryError> {
        let number = |memory: &Memory| memory.inspect_handle().map(|info| info.object);
        let new = number(&ring).map_err(|_| RegistryError::Exhausted)?;
        if self.rings.added.iter().any(|added| number(&added.ring) == Ok(new)) {
            return Ok(());
        }
        if self.rings.added.len() >= MOST_ADDED {
            return Err(RegistryError::Exhausted);
        }
        ring.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let is_taken = |place: &u32| self.rings.added.iter().any(|added| added.record.index == *place);
        let index = (self.rings.first_added..).find(|place| !is_taken(place)).unwrap_or(u32::MAX);
        let record = LogRingRecord { badge, index, name, process, ring: ring.handle().0 };
        let slot = self.table.add(&Record::LogRing(record.clone()).encode()).map_err(|_| RegistryError::Exhausted)?;
        self.rings.added.push(Added { record, slot, ring });
        self.rings.tell();
        Ok(())
    }

    /// Forgets what a session added and asked for.
    pub(crate) fn forget_rings(&mut self, badge: u64) {
        let table = &mut self.table;
        self.rings.added.retain(|added| {
            let is_gone = added.record.badge == badge;
            if is_gone {
                table.remove(added.slot);
            }
            !is_gone
        });
        if self.rings.watcher.as_ref().is_some_and(|watcher| watcher.badge == badge)
            && let Some(watcher) = self.rings.watcher.take()
        {
            self.table.remove(watcher.slot);
        }
    }
}
