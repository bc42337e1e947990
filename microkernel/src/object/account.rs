//! Account: what everything is charged to.
//!
//! A sub-account's limits are promised by its parent when it is made: they count as used there. So a charge looks at
//! one account only, and what was promised can always be had.

use super::{New, Object, ObjectType, Ref, Slot, Type, slab, slab::Slab};
use crate::Kernel;
use abi::{Error, Limits, Usage};
use core::cell::Cell;
use x86_64::PhysAddr;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Frames = 0,
    Handles = 1,
    Threads = 2,
    Sessions = 3,
    Processes = 4,
}

const QUANTITIES: [Quantity; 5] =
    [Quantity::Frames, Quantity::Handles, Quantity::Threads, Quantity::Sessions, Quantity::Processes];

fn to_array(limits: Limits) -> [u64; QUANTITIES.len()] {
    [limits.frames, limits.handles, limits.threads, limits.sessions, limits.processes]
}

/// Limits, from quantities in the order of [`Quantity`].
pub fn to_limits(quantities: [u64; QUANTITIES.len()]) -> Limits {
    let [frames, handles, threads, sessions, processes] = quantities;
    Limits { frames, handles, threads, sessions, processes }
}

/// Most accounts above one: whether one of them was revoked is looked up along the way.
const MOST_DEPTH: u32 = 16;

/// An account.
pub struct Account {
    parent: Slot<Account>,
    /// Accounts above it: at most [`MOST_DEPTH`].
    depth: u32,
    limits: [Cell<u64>; QUANTITIES.len()],
    used: [Cell<u64>; QUANTITIES.len()],
    /// Further charges are refused.
    pub revoked: Cell<bool>,
    slabs: [Slab; ObjectType::COUNT],
}

impl Account {
    /// Makes the account of everything that the machine has: once, at boot.
    pub(crate) fn root(kernel: &Kernel, limits: Limits) -> Ref<Account> {
        let root = slab::create_root(kernel, Account::with(Slot::empty(), 0, limits));
        root.charge(Quantity::Frames, 1).expect("the root account holds at least itself");
        root
    }

    fn with(parent: Slot<Account>, depth: u32, limits: Limits) -> Account {
        Account {
            parent,
            depth,
            limits: to_array(limits).map(Cell::new),
            used: [const { Cell::new(0) }; QUANTITIES.len()],
            revoked: Cell::new(false),
            slabs: [const { Slab::new() }; ObjectType::COUNT],
        }
    }

    pub(super) fn slab(&self, object_type: ObjectType) -> &Slab {
        &self.slabs[object_type as usize]
    }

    /// Charges `amount`.
    ///
    /// # Errors
    /// `AccountExhausted` when that is over the limit, or the account was revoked.
    #[inline]
    pub fn charge(&self, quantity: Quantity, amount: u64) -> Result<(), Error> {
        let (used, limit) = (&self.used[quantity as usize], self.limits[quantity as usize].get());
        match used.get().checked_add(amount) {
            Some(total) if total <= limit && !self.revoked.get() => {
                used.set(total);
                Ok(())
            }
            _ => Err(Error::AccountExhausted),
        }
    }

    /// Takes a charge back.
    #[inline]
    pub fn uncharge(&self, quantity: Quantity, amount: u64) {
        let used = &self.used[quantity as usize];
        debug_assert!(used.get() >= amount, "{quantity:?} uncharged twice");
        used.set(used.get() - amount);
    }

    /// One frame, charged; its contents are whatever they were.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn allocate_frame(&self, kernel: &Kernel) -> Result<PhysAddr, Error> {
        self.charge(Quantity::Frames, 1)?;
        Ok(kernel.frames.allocate(0).expect("what is charged is promised"))
    }

    /// Gives back a frame of [`Account::allocate_frame`].
    pub fn free_frame(&self, kernel: &Kernel, frame: PhysAddr) {
        kernel.frames.free(frame, 0);
        self.uncharge(Quantity::Frames, 1);
    }

    /// Limits and use.
    pub fn usage(&self) -> Usage {
        Usage {
            limits: to_limits(core::array::from_fn(|index| self.limits[index].get())),
            used: to_limits(core::array::from_fn(|index| self.used[index].get())),
            revoked: self.revoked.get() as u64,
        }
    }

    /// Refuses further charges from here on: what was promised and is not used goes back at once. The second time, what is not used any more.
    /// Killing what is charged to it is [`crate::death::Revoking`]'s work.
    pub fn revoke(&self, kernel: &Kernel) {
        self.revoked.set(true);
        let Some(parent) = self.parent.get(kernel) else { return };
        for quantity in QUANTITIES {
            let used = self.used[quantity as usize].get();
            parent.uncharge(quantity, self.limits[quantity as usize].replace(used) - used);
        }
    }

    /// Whether it, or one above it, was revoked.
    pub fn is_revoked_above(&self, kernel: &Kernel) -> bool {
        let mut account: Option<&Account> = Some(self);
        while let Some(here) = account {
            if here.revoked.get() {
                return true;
            }
            account = here.parent.get(kernel).map(|parent| &**parent);
        }
        false
    }
}

impl Object<Account> {
    /// Makes a sub-account, with its limits promised.
    ///
    /// # Errors
    /// `AccountExhausted`; `BadState` where too many accounts are above it already.
    pub fn split(&self, kernel: &Kernel, limits: Limits) -> New<Account> {
        if self.depth >= MOST_DEPTH {
            return Err(Error::BadState);
        }
        let amounts = to_array(limits);
        for (index, (quantity, amount)) in QUANTITIES.into_iter().zip(amounts).enumerate() {
            if let Err(error) = self.charge(quantity, amount) {
                for (quantity, amount) in QUANTITIES.into_iter().zip(amounts).take(index) {
                    self.uncharge(quantity, amount);
                }
                return Err(error);
            }
        }
        // From here on dropping the value gives the promise back.
        slab::create(kernel, self, Account::with(Slot::with(self.to_ref()), self.depth + 1, limits))
    }
}

impl Type for Account {
    const TYPE: ObjectType = ObjectType::Account;
}

impl Drop for Account {
    fn drop(&mut self) {
        debug_assert!(self.used.iter().all(|used| used.get() == 0), "an account ends with charges");
        if let Some(parent) = self.parent.take() {
            for (quantity, limit) in QUANTITIES.into_iter().zip(&self.limits) {
                parent.uncharge(quantity, limit.get());
            }
        }
    }
}
