//! What a new incarnation of init does first: it finds the table of the one before, and takes over what is in it. The
//! services notice nothing.

use crate::boot::TABLE_BYTES;
use crate::capsules::Capsules;
use crate::crash::last_lines;
use crate::journal::Journal;
use crate::machine::{FIRST_OWN_SLOT, Machine};
use crate::record::{Record, ServiceRecord};
use crate::rings::Rings;
use crate::service::Objects;
use crate::supervisor::{Supervisor, bit};
use crate::table::{SlotNumber, Table};
use alloc::format;
use alloc::vec::Vec;
use libsys::abi::Kind;
use libsys::abi::inspect::HandleRecord;
use libsys::log::Level;
use libsys::{Handle, Memory, Object, Rights, WritableMapping, inspect, sys};

/// What the last init left.
pub(crate) struct Found {
    pub(crate) table: Table<WritableMapping>,
    pub(crate) journal: Journal,
    pub(crate) rings: Rings,
    pub(crate) capsules: Capsules,
    pub(crate) records: Vec<(SlotNumber, Record)>,
}

/// Looks for the table. `None`: the last init died before it had one.
pub(crate) fn find(machine: &Machine) -> Option<Found> {
    let kept = kept(machine);
    // Of kept Memory of this size it is the oldest: what a client handed over is younger than init's own.
    let rights = (Rights::READ | Rights::WRITE | Rights::MANAGE).bits();
    let may_be = |record: &&HandleRecord| {
        let memory = core::mem::ManuallyDrop::new(Memory::from_handle(Handle(record.handle)));
        let is_memory = record.kind == Kind::Memory as u8 && record.rights & rights == rights;
        is_memory && memory.info().is_ok_and(|info| info.bytes == TABLE_BYTES)
    };
    let handle = kept.iter().filter(may_be).min_by_key(|record| record.object)?.handle;
    let memory = Memory::from_handle(Handle(handle));
    let mapping = memory.map_writable_part(0, TABLE_BYTES).ok()?;
    memory.into_handle();
    let (table, records) = Table::open(mapping);
    let decoded = records.into_iter().filter_map(|(slot, bytes)| Some((slot, Record::decode(&bytes)?)));
    let records: Vec<(SlotNumber, Record)> = decoded.collect();
    let own = records.iter().find_map(|(slot, record)| match record {
        Record::Own { log, next_ring, capsules } => Some((*slot, *log, *next_ring, *capsules)),
        _ => None,
    });
    let (slot, log, next_ring, capsules) = own?;
    let journal = Journal::recover(log).ok()?;
    let rings = Rings::new(slot, next_ring);
    let capsules = Capsules::recover(capsules);

    // What was made and never noted is of no use to anybody.
    let noted: Vec<u64> = records.iter().flat_map(|(_, record)| record.handles()).collect();
    for record in kept.iter().filter(|record| record.handle != handle && !noted.contains(&record.handle)) {
        let _ = sys::handle_close(Handle(record.handle));
    }
    Some(Found { table, journal, rings, capsules, records })
}

/// init's kept handles, besides those that the kernel gave it.
fn kept(machine: &Machine) -> Vec<HandleRecord> {
    let own = sys::identify().process;
    let all = inspect::handles(&machine.inspect, own).filter_map(Result::ok);
    all.filter(|record| record.keep == 1 && Handle(record.handle).slot() >= FIRST_OWN_SLOT).collect()
}

impl Supervisor {
    /// Takes over records.
    pub(crate) fn recover(&mut self, records: Vec<(SlotNumber, Record)>) {
        // Before what is said of them as services.
        for (slot, record) in &records {
            if let Record::Instance(instance) = record {
                self.recover_instance(*slot, instance.clone());
            }
        }
        for (slot, record) in records {
            match record {
                Record::Own { .. } | Record::Instance(_) => {}
                Record::ClassWatch(watch) => self.watches.recover_class(slot, watch),
                Record::Service(service) => self.recover_service(slot, service),
                Record::Watch(watch) => self.watches.recover(slot, watch),
                Record::LogRing(ring) => self.rings.recover(slot, ring),
                Record::LogWatch { badge, channel, bits } => self.rings.recover_watcher(slot, badge, channel, bits),
                Record::ShutDown { restart, status } => self.going_down = Some((restart, status)),
            }
        }
        let log = last_lines(self.journal.ring());
        let text = format!("init goes on as incarnation {}", self.machine.incarnation);
        self.journal.write(Level::Warning, &text);
        // Whoever asked for news of a service may have missed some.
        for index in 0..self.services.len() {
            self.tell(index);
        }
        self.rings.tell();
        self.report_own_death(log);
    }

    fn recover_service(&mut self, slot: SlotNumber, record: ServiceRecord) {
        let index = record.index;
        let Some(entry) = self.manifest.services.get(index).filter(|entry| entry.name == record.name) else {
            // Never: the manifest is in the same boot archive, and instances were recovered before.
            return self.table.remove(slot);
        };
        if let Some(place) = record.ring {
            self.rings.take_place(place);
        }
        let objects = record.objects.as_ref().map(|handles| Objects::recover(entry, handles));
        let service = &mut self.services[index];
        service.record = record;
        service.slot = Some(slot);
        service.look = true;
        match objects {
            None => {}
            Some(Ok(objects)) => {
                // A death that nobody watched is told at once.
                let _ = objects.process.watch(Some((&self.machine.channel, bit(index))));
                service.objects = Some(objects);
            }
            Some(Err(error)) => {
                let text = format!("{} is lost: {error}", self.manifest.services[index].name);
                service.record.objects = None;
                self.journal.write(Level::Error, &text);
            }
        }
    }
}
