//! Shoot-down: taking translations out of the TLBs of all CPUs, without any CPU waiting for another.
//!
//! Who has taken rights out of page tables *requests* a shoot-down: the CPUs that have the address space loaded become
//! *pending* and are kicked. A pending CPU flushes its TLB at its next entry into the kernel or switch of address spaces. The
//! request gives a [`Ticket`]; the *thread* that asked waits until it is done. What other CPUs may still reach stays in
//! *limbo* until then: page tables that were taken out, and mappings, which keep their Memory.
//!
//! All state is under the kernel lock. So page tables, requests and acknowledgements have one order: a CPU that flushes
//! sees every change made before, and answers all requests so far at once.

use crate::address_space::AddressSpace;
use crate::object::{Account, Mapping, Object, Ref, mapping::InLimbo};
use crate::sync::requests::Requests;
pub use crate::sync::requests::Ticket;
use crate::{Kernel, List, arch};
use core::cell::Cell;
use core::ptr::NonNull;
use x86_64::{PhysAddr, VirtAddr};

/// Frames and mappings taken from limbo at once.
const BATCH: usize = 32;

/// Up to so many pages are flushed one by one; above, all at once.
const SINGLE_FLUSHES: u64 = 16;

/// How far a long operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One step was made; call again.
    More,
    /// All is done, and in effect on every CPU once the ticket is done.
    Done(Ticket),
}

/// Who has to flush, and what waits for it.
pub struct Shootdown {
    /// The CPU that holds the kernel lock.
    pub here: Cell<u32>,
    /// Who has not answered which request.
    pub requests: Requests,
    first_table: Cell<Option<NonNull<LimboTable>>>,
    last_table: Cell<Option<NonNull<LimboTable>>>,
    mappings: List<Mapping, InLimbo>,
}

/// A page table in limbo. Other CPUs may still walk through it: so its words stay «not present», which they are with
/// bit 0 clear.
#[repr(C)]
struct LimboTable {
    next: Cell<Option<NonNull<LimboTable>>>,
    account: Cell<NonNull<Object<Account>>>,
    /// The ticket, doubled.
    ticket: Cell<u64>,
}

impl Shootdown {
    /// Nobody has to flush.
    pub const fn new() -> Shootdown {
        Shootdown {
            here: Cell::new(0),
            requests: Requests::new(),
            first_table: Cell::new(None),
            last_table: Cell::new(None),
            mappings: List::new(),
        }
    }

    /// To be called by each CPU after it took the kernel lock, at the latest at the interrupt with which it was kicked:
    /// flushes where that is asked for. True when tickets may have become done.
    pub fn enter(&self, kernel: &Kernel, cpu: usize) -> bool {
        self.here.set(cpu as u32);
        if self.requests.pending.get() & 1 << cpu == 0 {
            return false;
        }
        arch::flush_all();
        self.acknowledge(kernel)
    }

    /// Loads another address space, or none, on this CPU. True when tickets may have become done.
    pub fn switch(&self, kernel: &Kernel, from: Option<&AddressSpace>, to: Option<&AddressSpace>) -> bool {
        let here = 1 << self.here.get();
        let table = match to {
            Some(to) => {
                to.loaded.set(to.loaded.get() | here);
                to.root.get()
            }
            None => kernel.kernel_table.get(),
        };
        // SAFETY: every address space has the kernel's upper half. It flushes all translations of user pages, as these
        // are not global (Intel SDM vol. 3A §4.10.4.1).
        unsafe { arch::load_space(table) };
        if let Some(from) = from
            && to.is_none_or(|to| !core::ptr::eq(from, to))
        {
            from.loaded.set(from.loaded.get() & !here);
        }
        self.requests.pending.get() & here != 0 && self.acknowledge(kernel)
    }

    /// Forgets this CPU's translations of `pages` pages from `address` on, after the page tables were changed.
    pub fn flush_here(&self, space: &AddressSpace, address: u64, pages: u64) {
        match space.loaded.get() & 1 << self.here.get() {
            0 => {}
            _ if pages <= SINGLE_FLUSHES => {
                (0..pages).for_each(|page| arch::flush_page(VirtAddr::new_truncate(address + (page << 12))));
            }
            _ => arch::flush_all(),
        }
    }

    /// Asks the other CPUs that have the address space loaded to flush. The page tables are changed under the same hold of the
    /// lock, before or after.
    pub fn announce(&self, space: &AddressSpace) -> Ticket {
        self.requests.announce(space.loaded.get() & !(1 << self.here.get()))
    }

    /// This CPU has flushed everything.
    #[cold]
    fn acknowledge(&self, kernel: &Kernel) -> bool {
        let advanced = self.requests.acknowledge(self.here.get() as usize);
        self.collect(kernel);
        advanced
    }

    /// Keeps a page table until the ticket is done, then frees and uncharges it.
    pub(crate) fn hold_table(&self, kernel: &Kernel, table: PhysAddr, account: &Object<Account>, ticket: Ticket) {
        if self.requests.is_done(ticket) {
            account.free_frame(kernel, table);
            return;
        }
        let this: NonNull<LimboTable> =
            NonNull::new(arch::direct_map(table).cast()).expect("the direct map is not at zero");
        // SAFETY: the table is ours alone but for the walks of other CPUs, to which these words are not present:
        // pointers are aligned and the ticket is doubled.
        unsafe {
            this.write(LimboTable {
                next: Cell::new(None),
                account: Cell::new(account.to_ref().into_raw()),
                ticket: Cell::new(ticket.0 << 1),
            });
            match self.last_table.replace(Some(this)) {
                Some(last) => last.as_ref().next.set(Some(this)),
                None => self.first_table.set(Some(this)),
            }
        }
    }

    /// Keeps a mapping, and so its Memory, until its ticket is done.
    pub(crate) fn hold_mapping(&self, mapping: Ref<Mapping>) {
        if !self.requests.is_done(mapping.ticket.get()) {
            self.mappings.push_back(mapping);
        }
    }

    /// Whether [`Shootdown::collect`] has work: limbo holds something that is done.
    pub fn has_garbage(&self, kernel: &Kernel) -> bool {
        self.mappings.front(kernel).is_some_and(|mapping| self.requests.is_done(mapping.ticket.get()))
            // SAFETY: tables in limbo hold a `LimboTable`.
            || self.first_table.get().is_some_and(|table| self.requests.is_done(Ticket(unsafe { table.as_ref() }.ticket.get() >> 1)))
    }

    /// Frees a bounded number of what is done in limbo. Both queues are in the order of their tickets.
    pub fn collect(&self, kernel: &Kernel) {
        for _ in 0..BATCH {
            let Some(mapping) =
                self.mappings.front(kernel).filter(|mapping| self.requests.is_done(mapping.ticket.get()))
            else {
                break;
            };
            drop(self.mappings.remove(mapping));
        }
        for _ in 0..BATCH {
            let Some(first) = self.first_table.get() else { break };
            // SAFETY: tables in limbo hold a `LimboTable`.
            let table = unsafe { first.as_ref() };
            if !self.requests.is_done(Ticket(table.ticket.get() >> 1)) {
                break;
            }
            self.first_table.set(table.next.get());
            if table.next.get().is_none() {
                self.last_table.set(None);
            }
            // SAFETY: `hold_table` gave this reference up to the table.
            let account = unsafe { Ref::from_raw(table.account.get()) };
            account.free_frame(kernel, arch::physical(first.as_ptr().cast()));
        }
    }
}
