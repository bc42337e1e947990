//! Who is told when a service's state changes.

use crate::record::{Record, WatchRecord};
use crate::supervisor::Supervisor;
use crate::table::SlotNumber;
use alloc::vec::Vec;
use libsys::protocol::registry::RegistryError;
use libsys::{Channel, Handle, Object};

/// Most watches that one session may have.
const MOST_OF_ONE: usize = 16;
/// Most watches of all.
const MOST: usize = 48;

/// All watches.
#[derive(Debug, Default)]
pub struct Watches {
    all: Vec<Watch>,
}

#[derive(Debug)]
struct Watch {
    record: WatchRecord,
    slot: SlotNumber,
    channel: Channel,
}

impl Watches {
    /// Signals everybody who watches a service.
    pub fn tell(&mut self, index: usize) {
        for watch in self.all.iter().filter(|watch| watch.record.index == index) {
            // Who cannot be signalled any more closes the session before long.
            let _ = watch.channel.signal(watch.record.bits);
        }
    }

    /// Takes over a watch that an earlier init noted.
    pub fn recover(&mut self, slot: SlotNumber, record: WatchRecord) {
        let channel = Channel::from_handle(Handle(record.channel));
        self.all.push(Watch { record, slot, channel });
    }
}

impl Supervisor {
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
