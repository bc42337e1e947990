//! Handle tables of the fake kernel, and what making and closing a handle does.

use super::kernel::{CallState, Close, Kernel, Object, State};
use abi::{Error, Handle, Kind, Rights};
use std::vec::Vec;

/// What a handle names, in a table or in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) object: u64,
    pub(super) rights: Rights,
    pub(super) signals: u64,
    pub(super) keep: bool,
}

#[derive(Default)]
pub(super) struct Table {
    /// Generation and contents of each slot. Slot 0 is never used.
    slots: Vec<(u32, Option<Entry>)>,
}

impl Table {
    fn insert(&mut self, entry: Entry) -> Handle {
        if self.slots.is_empty() {
            self.slots.push((0, None));
        }
        let free = self.slots.iter().skip(1).position(|slot| slot.1.is_none()).map(|slot| slot + 1);
        let slot = free.unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() - 1
        });
        self.slots[slot].0 += 1;
        self.slots[slot].1 = Some(entry);
        Handle::new(slot as u32, self.slots[slot].0)
    }

    pub(super) fn get(&mut self, handle: Handle) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(handle.slot() as usize)?;
        if slot.0 == handle.generation() { slot.1.as_mut() } else { None }
    }

    fn remove(&mut self, handle: Handle) -> Option<Entry> {
        let slot = self.slots.get_mut(handle.slot() as usize)?;
        if slot.0 == handle.generation() { slot.1.take() } else { None }
    }

    fn all(&self) -> Vec<(Handle, Entry)> {
        let used = self.slots.iter().enumerate();
        used.filter_map(|(slot, (generation, entry))| Some((Handle::new(slot as u32, *generation), (*entry)?)))
            .collect()
    }
}

impl State {
    pub(super) fn kind(&self, object: u64) -> Kind {
        match &self.objects[&object] {
            Object::Account(_) => Kind::Account,
            Object::Process => Kind::Process,
            Object::Thread => Kind::Thread,
            Object::Memory(_) => Kind::Memory,
            Object::Channel(_) => Kind::Channel,
            Object::Session(_) => Kind::Session,
            Object::Call(_) => Kind::Call,
            Object::Interrupt { .. } => Kind::Interrupt,
            Object::DmaDomain { .. } => Kind::DmaDomain,
            Object::Ports(_) => Kind::IoPorts,
            Object::Resource => Kind::Resource,
        }
    }

    /// The entry of a handle of any kind.
    pub(super) fn entry(&mut self, process: u64, handle: Handle, rights: Rights) -> Result<Entry, Error> {
        let process = self.processes.get_mut(&process).ok_or(Error::BadHandle)?;
        let entry = *process.table.get(handle).ok_or(Error::BadHandle)?;
        if entry.rights.contains(rights) { Ok(entry) } else { Err(Error::Denied) }
    }

    /// The object of a handle of a kind.
    pub(super) fn find(&mut self, process: u64, handle: u64, kind: Kind, rights: Rights) -> Result<u64, Error> {
        let entry = self.entry(process, Handle(handle), Rights::empty())?;
        if self.kind(entry.object) != kind {
            return Err(Error::WrongKind);
        }
        if entry.rights.contains(rights) { Ok(entry.object) } else { Err(Error::Denied) }
    }

    /// Puts an entry that is in flight into a table.
    pub(super) fn install(&mut self, process: u64, entry: Entry) -> Handle {
        if let Some(Object::Session(session)) = self.objects.get_mut(&entry.object) {
            *session.uses.entry(process).or_insert(0) += 1;
        }
        self.processes.get_mut(&process).expect("a process").table.insert(entry)
    }

    /// A new entry in flight.
    pub(super) fn reference(&mut self, entry: Entry) -> Entry {
        *self.references.entry(entry.object).or_insert(0) += 1;
        entry
    }

    /// A handle with all rights to a new object.
    pub(super) fn make(&mut self, process: u64, object: u64, keep: bool) -> Handle {
        let entry = Entry { object, rights: Rights::of(self.kind(object)), signals: u64::MAX, keep };
        let entry = self.reference(entry);
        self.install(process, entry)
    }

    /// Takes a handle out of a table: its entry is in flight.
    pub(super) fn uninstall(&mut self, process: u64, handle: Handle) -> Result<Entry, Error> {
        let table = &mut self.processes.get_mut(&process).ok_or(Error::BadHandle)?.table;
        let entry = table.remove(handle).ok_or(Error::BadHandle)?;
        if let Some(Object::Session(session)) = self.objects.get_mut(&entry.object) {
            let uses = session.uses.entry(process).or_insert(1);
            *uses -= 1;
            if *uses == 0 {
                session.uses.remove(&process);
                let (channel, badge) = (session.channel, session.badge);
                // `last` is decided when the close is delivered: handles in flight may still arrive.
                if let Some(channel) = self.channel(channel) {
                    channel.closes.push((Close { badge, client: process, last: false }, false));
                }
            }
        }
        Ok(entry)
    }

    /// Lets an entry in flight go.
    pub(super) fn release(&mut self, entry: Entry) {
        let count = self.references.entry(entry.object).or_insert(1);
        *count -= 1;
        if *count > 0 {
            return;
        }
        self.references.remove(&entry.object);
        match self.objects.get(&entry.object) {
            Some(Object::Call(call)) => {
                let call = *call;
                // A call that went back to the queue, as its server died, has nothing to do with the handle any more.
                if self.calls.get(&call).is_some_and(|call| matches!(call.state, CallState::Kept | CallState::Parked)) {
                    self.finish(call, Err(Error::Abandoned));
                }
                self.objects.remove(&entry.object);
            }
            // Others look these up by number, or they hold resources of their own.
            Some(Object::Process | Object::Channel(_) | Object::Account(_) | Object::Session(_)) | None => {}
            Some(_) => {
                self.objects.remove(&entry.object);
            }
        }
        Kernel::notify();
    }

    /// Whether a session with this badge is used or in flight at all.
    pub(super) fn badge_in_use(&self, channel: u64, badge: u64) -> bool {
        self.objects.iter().any(|(number, object)| match object {
            Object::Session(session) => {
                session.channel == channel && session.badge == badge && self.references.contains_key(number)
            }
            _ => false,
        })
    }

    pub(super) fn close(&mut self, process: u64, handle: Handle) -> Result<(), Error> {
        let entry = self.uninstall(process, handle)?;
        self.release(entry);
        Kernel::notify();
        Ok(())
    }

    pub(super) fn grant(
        &mut self,
        from: u64,
        to: u64,
        handle: Handle,
        rights: Rights,
        signals: u64,
        keep: bool,
    ) -> Result<Handle, Error> {
        let entry = self.entry(from, handle, Rights::DUPLICATE)?;
        let entry = Entry { rights: entry.rights & rights, signals: entry.signals & signals, keep, ..entry };
        let entry = self.reference(entry);
        Ok(self.install(to, entry))
    }

    pub(super) fn process_handle(&mut self, holder: u64, process: u64) -> Handle {
        self.make(holder, process, false)
    }

    pub(super) fn account_handle(&mut self, process: u64) -> Handle {
        let account = self.processes[&process].account;
        self.make(process, account, false)
    }

    pub(super) fn handles_of(&self, process: u64) -> Vec<(Handle, Entry)> {
        self.processes[&process].table.all()
    }

    pub(super) fn open_handles(&self, process: u64) -> usize {
        self.handles_of(process).len()
    }
}
