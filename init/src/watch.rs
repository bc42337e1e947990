//! Who is told when the state of a service changes, or of one of a class.

use crate::record::{ClassWatchRecord, Record, WatchRecord};
use crate::supervisor::Supervisor;
use crate::table::SlotNumber;
use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use libsys::protocol::registry::RegistryError;
use libsys::{Channel, Handle, Object};

/// Most watches that one session may have.
const MOST_OF_ONE: usize = 16;
/// Most watches of all, of each kind.
pub(crate) const MOST: usize = 48;
/// Longest name of a class.
const LONGEST_CLASS: usize = 16;

/// All watches.
#[derive(Debug, Default)]
pub struct Watches {
    all: Vec<Watch>,
    of_classes: Vec<ClassWatch>,
}

#[derive(Debug)]
struct ClassWatch {
    record: ClassWatchRecord,
    slot: SlotNumber,
    channel: Channel,
}

#[derive(Debug)]
struct Watch {
    record: WatchRecord,
    slot: SlotNumber,
    channel: Channel,
}

impl Watches {
    /// Takes over a watch of a class that an earlier init noted.
    pub fn recover_class(&mut self, slot: SlotNumber, record: ClassWatchRecord) {
        let channel = Channel::from_handle(Handle(record.channel));
        self.of_classes.push(ClassWatch { record, slot, channel });
    }

    /// Takes over a watch that an earlier init noted.
    pub fn recover(&mut self, slot: SlotNumber, record: WatchRecord) {
        let channel = Channel::from_handle(Handle(record.channel));
        self.all.push(Watch { record, slot, channel });
    }
}

impl Supervisor {
    /// Signals everybody who watches a service, or its class.
    pub(crate) fn tell(&self, index: usize) {
        // Who cannot be signalled any more closes the session before long.
        for watch in self.watches.all.iter().filter(|watch| watch.record.index == index) {
            let _ = watch.channel.signal(watch.record.bits);
        }
        let Some(class) = &self.manifest.services[index].class else { return };
        for watch in self.watches.of_classes.iter().filter(|watch| watch.record.class == *class) {
            let _ = watch.channel.signal(watch.record.bits);
        }
    }

    /// Notes that a session watches a class, in place of what it asked for before.
    pub(crate) fn watch_services_of(
        &mut self,
        badge: u64,
        class: &str,
        channel: Channel,
        bits: u64,
    ) -> Result<(), RegistryError> {
        if class.is_empty() || class.len() > LONGEST_CLASS {
            return Err(RegistryError::BadName);
        }
        self.unwatch_classes(|record| record.badge == badge && record.class == class);
        if bits == 0 {
            return Ok(());
        }
        let of_this = self.watches.of_classes.iter().filter(|watch| watch.record.badge == badge).count();
        if of_this >= MOST_OF_ONE || self.watches.of_classes.len() >= MOST {
            return Err(RegistryError::Exhausted);
        }
        channel.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let record = ClassWatchRecord { badge, class: class.to_owned(), channel: channel.handle().0, bits };
        let slot =
            self.table.add(&Record::ClassWatch(record.clone()).encode()).map_err(|_| RegistryError::Exhausted)?;
        self.watches.of_classes.push(ClassWatch { record, slot, channel });
        Ok(())
    }

    /// Forgets which classes a session watched.
    pub(crate) fn unwatch_classes(&mut self, is_gone: impl Fn(&ClassWatchRecord) -> bool) {
        let table = &mut self.table;
        let gone = self.watches.of_classes.extract_if(.., |watch| is_gone(&watch.record));
        gone.for_each(|watch| table.remove(watch.slot));
    }

    /// Notes that a session watches a service, in place of what it asked for before.
    pub(crate) fn watch_service(
        &mut self,
        badge: u64,
        index: usize,
        channel: Channel,
        bits: u64,
    ) -> Result<(), RegistryError> {
        self.unwatch(|record| record.badge == badge && record.index == index);
        if bits == 0 {
            return Ok(());
        }
        let of_this = self.watches.all.iter().filter(|watch| watch.record.badge == badge).count();
        if of_this >= MOST_OF_ONE || self.watches.all.len() >= MOST {
            return Err(RegistryError::Exhausted);
        }
        channel.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
        let record = WatchRecord { badge, index, channel: channel.handle().0, bits };
        let slot = self.table.add(&Record::Watch(record.clone()).encode()).map_err(|_| RegistryError::Exhausted)?;
        self.watches.all.push(Watch { record, slot, channel });
        Ok(())
    }

    /// Forgets what a session watched.
    pub(crate) fn unwatch(&mut self, is_gone: impl Fn(&WatchRecord) -> bool) {
        let table = &mut self.table;
        self.watches.all.retain(|watch| {
            let is_gone = is_gone(&watch.record);
            if is_gone {
                table.remove(watch.slot);
            }
            !is_gone
        });
    }
}
