//! A process's handle table.
//!
//! Entries stand in chunks of one frame each, charged to the process's account with the handles. A slot's generation goes
//! up each time it is freed, so a handle never names a later object; a slot whose generation would wrap is retired.

use crate::object::{Account, AnyRef, Object, Quantity, SessionUse, Type, reference::Header};
use crate::{Kernel, arch};
use abi::{Error, Handle, Kind, PAGE_BYTES, Rights};
use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

const CHUNK: usize = PAGE_BYTES / size_of::<Entry>();
const CHUNKS: usize = 64;

/// Most handles of one process.
pub const MOST_HANDLES: usize = CHUNK * CHUNKS;

/// Slot 0 is never used, so that [`Handle::NONE`] names nothing.
const FIRST_SLOT: u32 = 1;

/// One slot. Free: `object` is `None` and `mask` the next free slot, or 0.
struct Entry {
    object: Cell<Option<NonNull<Header>>>,
    generation: Cell<u32>,
    rights: Cell<Rights>,
    mask: Cell<u64>,
    keep: Cell<bool>,
}

const _: () = assert!(size_of::<Entry>() == 32);

/// The object that a handle names, for as long as the kernel is borrowed, or why there is none: `BadHandle`, `WrongKind`, `Denied`.
pub type Found<'k, T> = Result<&'k Object<T>, Error>;

/// A handle as it travels: the object, and what the handle allows.
pub struct Capability {
    /// The object.
    pub object: AnyRef,
    /// What it allows.
    pub rights: Rights,
    /// Channels: signal bits that it may set. Otherwise 0.
    pub mask: u64,
}

/// What a slot holds, for inspection.
#[derive(Clone, Copy)]
pub struct Description {
    /// The handle.
    pub handle: Handle,
    /// Kind of the object.
    pub kind: Kind,
    /// Number of the object; of a session's, not of its use.
    pub object: u64,
    /// What it allows.
    pub rights: Rights,
    /// Channels: signal bits that it may set.
    pub mask: u64,
    /// Whether it is kept across incarnations.
    pub keep: bool,
}

/// A handle table.
pub struct HandleTable {
    chunks: [Cell<Option<NonNull<[Entry; CHUNK]>>>; CHUNKS],
    free: Cell<u32>,
    /// Slots that were ever used are below; the next new one.
    pub end: Cell<u32>,
    live: Cell<u32>,
    reserved: Cell<u32>,
    /// Free slots that are on the list.
    listed: Cell<u32>,
}

impl HandleTable {
    /// An empty table.
    pub const fn new() -> HandleTable {
        HandleTable {
            chunks: [const { Cell::new(None) }; CHUNKS],
            free: Cell::new(0),
            end: Cell::new(FIRST_SLOT),
            live: Cell::new(0),
            reserved: Cell::new(0),
            listed: Cell::new(0),
        }
    }

    /// Handles in it.
    pub fn len(&self) -> u32 {
        self.live.get()
    }

    /// Whether it has no handle.
    pub fn is_empty(&self) -> bool {
        self.live.get() == 0
    }

    fn entry(&self, slot: u32) -> Option<&Entry> {
        let chunk = self.chunks.get(slot as usize / CHUNK)?.get()?;
        // SAFETY: a chunk is a frame of ours with valid entries, until the table ends.
        Some(unsafe { &(&*chunk.as_ptr())[slot as usize % CHUNK] })
    }

    fn live_entry(&self, handle: Handle) -> Result<(&Entry, NonNull<Header>), Error> {
        let entry = self.entry(handle.slot()).ok_or(Error::BadHandle)?;
        match entry.object.get() {
            Some(object) if entry.generation.get() == handle.generation() => Ok((entry, object)),
            _ => Err(Error::BadHandle),
        }
    }

    /// The object of a handle, and its signal mask.
    ///
    /// # Errors
    /// `BadHandle`, `WrongKind`, `Denied`.
    pub fn get_masked<'k, T: Type>(
        &self,
        _kernel: &'k Kernel,
        handle: Handle,
        rights: Rights,
    ) -> Result<(&'k Object<T>, u64), Error> {
        let (entry, object) = self.live_entry(handle)?;
        // SAFETY: the entry keeps the object.
        if unsafe { object.as_ref() }.object_type.get() != T::TYPE {
            return Err(Error::WrongKind);
        }
        if !entry.rights.get().contains(rights) {
            return Err(Error::Denied);
        }
        // SAFETY: the entry keeps an object of the type just compared; objects outlive the borrow of the kernel.
        Ok((unsafe { object.cast::<Object<T>>().as_ref() }, entry.mask.get()))
    }

    /// The object of a handle.
    ///
    /// # Errors
    /// `BadHandle`, `WrongKind`, `Denied`.
    pub fn get<'k, T: Type>(&self, kernel: &'k Kernel, handle: Handle, rights: Rights) -> Found<'k, T> {
        self.get_masked(kernel, handle, rights).map(|(object, _)| object)
    }

    /// What a handle is.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn describe(&self, kernel: &Kernel, handle: Handle) -> Result<Description, Error> {
        self.live_entry(handle).map(|(entry, object)| Self::description(kernel, handle, entry, object))
    }

    fn description(kernel: &Kernel, handle: Handle, entry: &Entry, object: NonNull<Header>) -> Description {
        // SAFETY: the entry keeps this reference; the copy of it is not dropped.
        let object = ManuallyDrop::new(unsafe { AnyRef::from_raw(object) });
        let session = object.get::<SessionUse>(kernel).map(|one| one.session.number());
        Description {
            handle,
            kind: object.kind(),
            object: session.unwrap_or_else(|| object.number()),
            rights: entry.rights.get(),
            mask: entry.mask.get(),
            keep: entry.keep.get(),
        }
    }

    /// Takes rights from a handle.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn limit(&self, handle: Handle, rights: Rights) -> Result<(), Error> {
        self.live_entry(handle).map(|(entry, _)| entry.rights.set(entry.rights.get() & rights))
    }

    /// Rights of a handle.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn rights(&self, handle: Handle) -> Result<Rights, Error> {
        self.live_entry(handle).map(|(entry, _)| entry.rights.get())
    }

    /// A copy of what a handle is, for the same holder: sessions still as the use of this process.
    ///
    /// # Errors
    /// `BadHandle`, `Denied` (needs `rights`).
    pub fn copy(&self, handle: Handle, rights: Rights) -> Result<Capability, Error> {
        let (entry, object) = self.live_entry(handle)?;
        if !entry.rights.get().contains(rights) {
            return Err(Error::Denied);
        }
        // SAFETY: the entry keeps this reference; the copy of it is not dropped, only cloned.
        let here = ManuallyDrop::new(unsafe { AnyRef::from_raw(object) });
        Ok(Capability { object: AnyRef::clone(&here), rights: entry.rights.get(), mask: entry.mask.get() })
    }

    /// Marks a handle as kept, or not.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn set_keep(&self, handle: Handle, keep: bool) -> Result<(), Error> {
        self.live_entry(handle).map(|(entry, _)| entry.keep.set(keep))
    }

    /// Makes sure that `count` more handles can be inserted by [`HandleTable::insert_reserved`], and charges them.
    ///
    /// # Errors
    /// `NoSlot`, `AccountExhausted`.
    pub fn reserve(&self, kernel: &Kernel, account: &Object<Account>, count: u32) -> Result<(), Error> {
        account.charge(Quantity::Handles, count as u64)?;
        while self.reserved.get() + count > self.listed.get() {
            self.add_slot(kernel, account).inspect_err(|_| account.uncharge(Quantity::Handles, count as u64))?;
        }
        self.reserved.set(self.reserved.get() + count);
        Ok(())
    }

    /// Gives reserved slots back.
    pub fn unreserve(&self, account: &Object<Account>, count: u32) {
        self.reserved.set(self.reserved.get() - count);
        account.uncharge(Quantity::Handles, count as u64);
    }

    /// Puts a slot that was never used on the free list.
    fn add_slot(&self, kernel: &Kernel, account: &Object<Account>) -> Result<(), Error> {
        let slot = self.end.get();
        if slot as usize >= MOST_HANDLES {
            return Err(Error::NoSlot);
        }
        let chunk = &self.chunks[slot as usize / CHUNK];
        if chunk.get().is_none() {
            let frame = account.allocate_frame(kernel)?;
            let entries = NonNull::new(arch::direct_map(frame)).expect("the direct map is not at zero").cast::<Entry>();
            for index in 0..CHUNK {
                // SAFETY: the frame is ours alone and holds CHUNK entries.
                unsafe {
                    entries.add(index).write(Entry {
                        object: Cell::new(None),
                        generation: Cell::new(1),
                        rights: Cell::new(Rights::empty()),
                        mask: Cell::new(0),
                        keep: Cell::new(false),
                    });
                }
            }
            chunk.set(Some(entries.cast()));
        }
        self.end.set(slot + 1);
        self.put_on_list(slot);
        Ok(())
    }

    fn put_on_list(&self, slot: u32) {
        let entry = self.entry(slot).expect("slots below the end exist");
        entry.mask.set(self.free.replace(slot) as u64);
        self.listed.set(self.listed.get() + 1);
    }

    /// Inserts into a reserved slot: cannot fail. The charge stays.
    pub fn insert_reserved(&self, capability: Capability) -> Handle {
        self.reserved.set(self.reserved.get() - 1);
        self.listed.set(self.listed.get() - 1);
        let slot = self.free.get();
        let entry = self.entry(slot).expect("a reserved slot is on the list");
        self.free.set(entry.mask.get() as u32);
        entry.object.set(Some(capability.object.into_raw()));
        entry.rights.set(capability.rights);
        entry.mask.set(capability.mask);
        entry.keep.set(false);
        self.live.set(self.live.get() + 1);
        Handle::new(slot, entry.generation.get())
    }

    /// Inserts and charges.
    ///
    /// # Errors
    /// `NoSlot`, `AccountExhausted`: the capability is dropped.
    #[cfg(test)]
    pub fn insert(&self, kernel: &Kernel, account: &Object<Account>, capability: Capability) -> Result<Handle, Error> {
        self.reserve(kernel, account, 1)?;
        Ok(self.insert_reserved(capability))
    }

    /// Takes a handle out, with its charge.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn remove(&self, account: &Object<Account>, handle: Handle) -> Result<Capability, Error> {
        let (entry, object) = self.live_entry(handle)?;
        entry.object.set(None);
        // SAFETY: `insert_reserved` gave this reference up; the entry is empty now.
        let object = unsafe { AnyRef::from_raw(object) };
        let capability = Capability { object, rights: entry.rights.get(), mask: entry.mask.get() };
        self.live.set(self.live.get() - 1);
        account.uncharge(Quantity::Handles, 1);
        if let Some(next) = entry.generation.get().checked_add(1) {
            entry.generation.set(next);
            self.put_on_list(handle.slot());
        }
        Ok(capability)
    }

    /// What a slot holds.
    pub fn at(&self, kernel: &Kernel, slot: u32) -> Option<Description> {
        let entry = self.entry(slot)?;
        let object = entry.object.get()?;
        Some(Self::description(kernel, Handle::new(slot, entry.generation.get()), entry, object))
    }

    /// What the first live slot at or after `slot` holds.
    #[cfg(test)]
    pub(crate) fn next_from(&self, kernel: &Kernel, slot: u32) -> Option<Description> {
        (slot..self.end.get()).find_map(|slot| self.at(kernel, slot))
    }

    /// Gives the frames of an empty table back.
    pub fn free(&self, kernel: &Kernel, account: &Object<Account>) {
        debug_assert!(self.is_empty() && self.reserved.get() == 0);
        for chunk in &self.chunks {
            if let Some(entries) = chunk.take() {
                account.free_frame(kernel, arch::physical(entries.as_ptr().cast()));
            }
        }
        self.free.set(0);
        self.listed.set(0);
        self.end.set(FIRST_SLOT);
    }
}
