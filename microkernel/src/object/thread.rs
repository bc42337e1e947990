//! Thread: what is scheduled. It has two message pages, and at most one call under way.

use super::{
    Account, Call, Channel, Memory, New, Object, ObjectType, Peer, Process, Quantity, Ref, Slot, Type,
    process::MOST_THREADS, slab,
};
use crate::address_space::Placement;
use crate::arch::{self, Context};
use crate::ipc::Flight;
use crate::{Kernel, Link, Node, Progress, Ticket};
use abi::memory::{MemoryKind, Protection};
use abi::schedule::Parameters;
use abi::{Error, Handle, Header, MessagePage, Policy, Rights};
use core::cell::Cell;
use core::ptr::NonNull;

/// What a thread does or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its process is not started.
    New,
    /// In a run queue.
    Ready,
    /// On a CPU.
    Running,
    /// Waits in receive, in its channel's list.
    Receiving,
    /// Its call is queued on a channel.
    Queued,
    /// Its call is current in a server thread: `server`.
    Current,
    /// Its call is kept: `kept`.
    Kept,
    /// Waits until no CPU has a stale translation: the ticket is the key of `fair`.
    Flushing,
    /// Ended.
    Ended,
}

/// Bytes of a thread's two message pages.
const PAGES_BYTES: u64 = 2 * abi::PAGE_BYTES as u64;

/// Highest number of calls in a chain.
pub const MAX_DEPTH: u8 = 8;

/// A thread.
pub struct Thread {
    /// What the processor needs; first, so that its alignment is that of the object.
    pub context: Context,
    /// The process that it belongs to.
    pub process: Ref<Process>,
    account: Ref<Account>,
    pages: Ref<Memory>,
    call_page: NonNull<MessagePage>,
    serve_page: NonNull<MessagePage>,
    /// Where the message pages are mapped.
    pub pages_address: u64,
    /// What it does.
    pub state: Cell<State>,
    /// Its place in a run queue, a channel's receivers or a channel's callers: a thread waits for one thing.
    pub(crate) queue: Link<Thread>,
    /// Its place among the threads of its process.
    pub(crate) siblings: Link<Thread>,
    /// Its place among the timers, and the deadline as key.
    pub(crate) timer: Node<Thread>,
    /// Its place among the fair ready threads, a channel's callers with an order, or those that wait for CPUs to flush.
    pub(crate) fair: Node<Thread>,

    // As a client -----------------------------------------------------------------------------
    /// The channel that it calls; for a call that took the fast path see [`Thread::called_channel`].
    pub channel: Slot<Channel>,
    /// The badge of the session that it calls.
    pub badge: Cell<u64>,
    /// The thread in which its call is current: that one's `current` is this thread. Each clears the other's field before it ends.
    pub server: Peer<Thread>,
    /// The Call object that stands for its call.
    pub kept: Slot<Call>,
    /// The request's header word: the register of the frame is overwritten only by the reply.
    pub request: Cell<Header>,
    /// Handles that the request carries, until the call ends.
    pub(crate) sent: Flight,
    /// Time-stamp counter when the call was queued, delivered, resumed or last progressed.
    pub call_since: Cell<u64>,
    /// Time-stamp counter when the call was made, but for a call that took the fast path. Replays queue by it.
    pub arrived: Cell<u64>,
    /// Downtime of the channel (see [`Channel::downtime_at`]) when the call was made, but for a call that took the fast path.
    pub downtime_seen: Cell<u64>,
    /// Downtime by which the deadline was put off.
    pub downtime_added: Cell<u64>,
    /// Faults of servers that struck while the call was current.
    pub faults: Cell<u32>,
    /// Kills of servers for hanging while the call was current.
    pub hangs: Cell<u32>,
    /// Whether an incarnation has received the call before.
    pub was_delivered: Cell<bool>,
    /// It took the fast path: no handles either way, and the channel is the serving thread's.
    pub is_fast: Cell<bool>,
    /// Slots reserved for the reply's handles.
    pub reserved: Cell<u8>,

    // As a server -----------------------------------------------------------------------------
    /// The channel that it receives on, or received on last.
    pub serving: Slot<Channel>,
    /// The client whose call is current.
    pub current: Slot<Thread>,
    /// The process of a client that left while its call was current here.
    pub orphan: Slot<Process>,
    /// Its place among the threads that work for calls which that process left.
    pub(crate) in_orphans: Node<Thread>,
    /// Length of the chain of calls that ends here: 0 when it serves none.
    pub depth: Cell<u8>,

    // Scheduling ------------------------------------------------------------------------------
    /// Its own parameters.
    pub parameters: Cell<Parameters>,
    /// Rank at which it is scheduled: its own priority, or one that it inherited. 0 is fair.
    pub rank: Cell<u8>,
    /// Virtual run time among fair threads.
    pub virtual_time: Cell<u64>,
    /// The CPU whose virtual time that is.
    pub virtual_cpu: Cell<u32>,
    /// Set of CPUs on which it may run.
    pub affinity: Cell<u64>,
    /// CPU on which it ran last.
    pub cpu: Cell<u32>,
    /// Time-stamp counts for which it ran.
    pub run_time: Cell<u64>,

    /// It ends once it need not wait any more.
    pub(crate) is_exiting: Cell<bool>,
    /// Whom to signal when it has ended.
    pub(crate) on_exit: Slot<Channel>,
    pub(crate) on_exit_bits: Cell<u64>,
}

impl Thread {
    /// Makes a thread of a process, with its message pages mapped, in state `New`.
    ///
    /// # Errors
    /// `AccountExhausted`, `BadAddress`, `BadState`, `NoSlot` (the process has 128 threads).
    pub fn create(
        kernel: &Kernel,
        process: &Object<Process>,
        account: &Object<Account>,
        context: Context,
        pages_address: u64,
    ) -> New<Thread> {
        if !process.can_be_changed() {
            return Err(Error::BadState);
        }
        if process.threads.len() >= MOST_THREADS {
            return Err(Error::NoSlot);
        }
        if pages_address == 0 {
            return Err(Error::BadAddress);
        }
        account.charge(Quantity::Threads, 1)?;
        let uncharge = |_: &Error| account.uncharge(Quantity::Threads, 1);
        let pages = Memory::create(kernel, account, PAGES_BYTES, MemoryKind::Anonymous).inspect_err(uncharge)?;
        let at = |page| NonNull::new(arch::direct_map(pages.place(kernel, page))).expect("not at zero").cast();
        let placement = Placement {
            address: pages_address,
            offset: 0,
            bytes: PAGES_BYTES,
            word: (Protection::READ | Protection::WRITE).bits() as u64,
            rights: Rights::READ | Rights::WRITE,
        };
        process.space.map(kernel, pages.get(kernel), placement).inspect_err(uncharge)?;
        let new = Thread {
            context,
            process: process.to_ref(),
            account: account.to_ref(),
            call_page: at(0),
            serve_page: at(1),
            pages,
            pages_address,
            state: Cell::new(State::New),
            queue: Link::new(),
            siblings: Link::new(),
            timer: Node::new(),
            fair: Node::new(),
            channel: Slot::empty(),
            badge: Cell::new(0),
            server: Peer::none(),
            kept: Slot::empty(),
            request: Cell::new(Header::default()),
            sent: Flight::new(),
            call_since: Cell::new(0),
            arrived: Cell::new(0),
            downtime_seen: Cell::new(0),
            downtime_added: Cell::new(0),
            faults: Cell::new(0),
            hangs: Cell::new(0),
            was_delivered: Cell::new(false),
            is_fast: Cell::new(false),
            reserved: Cell::new(0),
            serving: Slot::empty(),
            current: Slot::empty(),
            orphan: Slot::empty(),
            in_orphans: Node::new(),
            depth: Cell::new(0),
            parameters: Cell::new(Parameters::DEFAULT),
            rank: Cell::new(0),
            virtual_time: Cell::new(0),
            virtual_cpu: Cell::new(0),
            affinity: Cell::new(u64::MAX),
            cpu: Cell::new(0),
            run_time: Cell::new(0),
            is_exiting: Cell::new(false),
            on_exit: Slot::empty(),
            on_exit_bits: Cell::new(0),
        };
        let thread = slab::create(kernel, account, new).inspect_err(|error| {
            uncharge(error);
            let _ = process.space.unmap(kernel, pages_address);
        })?;
        process.space.populate(kernel, pages_address, PAGES_BYTES / abi::PAGE_BYTES as u64);
        process.threads.push_back(thread.clone());
        process.alive.set(process.alive.get() + 1);
        Ok(thread)
    }

    /// Undoes [`Thread::create`] for a thread that has not run.
    pub fn undo_create(kernel: &Kernel, thread: &Object<Thread>) {
        let process = thread.process.get(kernel);
        thread.state.set(State::Ended);
        process.threads.remove(thread);
        process.alive.set(process.alive.get() - 1);
        let _ = Thread::unmap_pages(kernel, thread);
    }

    /// Takes a thread's message pages out of its address space. Returns what to wait for, until nothing of that is left on any CPU.
    pub fn unmap_pages(kernel: &Kernel, thread: &Object<Thread>) -> Option<Ticket> {
        if !thread.process.space.shows(kernel, thread.pages_address, thread.pages.get(kernel)) {
            // User code took the mapping out itself.
            return None;
        }
        match thread.process.space.unmap(kernel, thread.pages_address) {
            Ok(Progress::Done(ticket)) if !kernel.shootdown.requests.is_done(ticket) => Some(ticket),
            // Two pages are one step.
            _ => None,
        }
    }

    /// The page of calls that it makes.
    pub fn call_page(&self) -> Page {
        Page(self.call_page)
    }

    /// The page of calls that it serves.
    pub fn serve_page(&self) -> Page {
        Page(self.serve_page)
    }

    /// The Memory of both pages.
    #[cfg(test)]
    pub fn pages(&self) -> &Ref<Memory> {
        &self.pages
    }

    /// Its own rank: what it has without inheritance.
    pub fn base_rank(&self) -> u8 {
        self.parameters.get().priority
    }

    /// Whether it takes turns with others of its rank.
    pub fn takes_turns(&self) -> bool {
        self.parameters.get().policy != Policy::Fifo
    }

    /// The channel that it calls.
    pub fn called_channel<'k>(&self, kernel: &'k Kernel) -> Option<&'k Object<Channel>> {
        if self.is_fast.get() { self.server.get(kernel)?.serving.get(kernel) } else { self.channel.get(kernel) }
    }

    /// Makes a call that took the fast path one like any other, which can be kept or queued. It is current still.
    pub fn leave_fast_path(&self, kernel: &Kernel) {
        if self.is_fast.get() {
            let channel = self.called_channel(kernel).expect("a current call has a channel");
            self.channel.set(Some(channel.to_ref()));
            self.arrived.set(self.call_since.get());
            self.downtime_seen.set(channel.downtime_at(kernel, 0));
            self.downtime_added.set(0);
            self.is_fast.set(false);
        }
    }

    /// Whether its call is one that struck a server before.
    pub fn is_suspect(&self) -> bool {
        self.faults.get() | self.hangs.get() != 0
    }

    /// Whether it waits for the reply to a call.
    pub fn is_calling(&self) -> bool {
        matches!(self.state.get(), State::Queued | State::Current | State::Kept)
    }

    /// Sets `rax`, the status of the system call that it is in.
    pub fn set_status(&self, status: u64) {
        self.context.frame.rax.set(status);
    }
}

impl Type for Thread {
    const TYPE: ObjectType = ObjectType::Thread;

    fn finalize(&self, _kernel: &Kernel) {
        self.account.uncharge(Quantity::Threads, 1);
    }
}

crate::links! {
    /// Links of a thread in queues of channels and CPUs.
    InQueue: Thread, queue;
    /// Links of a thread among those of its process.
    InProcess: Thread, siblings;
}

crate::nodes! {
    /// Nodes of a thread among those that work for calls which a process left.
    InOrphans: Thread, in_orphans;
    /// Nodes of a thread among the timers.
    InTimers: Thread, timer;
    /// Nodes of a thread among the fair ready threads, a channel's callers with an order, or those that wait for CPUs to flush.
    InFair: Thread, fair;
}

/// The kernel's view of a message page. User space may change the page at any time: so every read is of a
/// copy, and nothing read here is believed before it was checked.
#[derive(Clone, Copy)]
pub struct Page(NonNull<MessagePage>);

macro_rules! fields {
    ($($read:ident $write:ident $field:ident: $type:ty;)*) => {
        $(
            /// The field as it stands now.
            pub fn $read(self) -> $type {
                // SAFETY: the page is pinned as long as its thread is, and `Page`s do not outlive an entry.
                unsafe { (&raw const (*self.0.as_ptr()).$field).read_volatile() }
            }

            /// Sets the field.
            pub fn $write(self, value: $type) {
                // SAFETY: as for reading; the kernel holds no reference into the page.
                unsafe { (&raw mut (*self.0.as_ptr()).$field).write_volatile(value) }
            }
        )*
    };
}

// Some fields are only read, some only written; tests do the rest.
#[allow(dead_code)]
impl Page {
    fields! {
        handles set_handles handles: [Handle; abi::message::HANDLES];
        deadline set_deadline deadline: u64;
        lane set_lane lane: u64;
        sequence set_sequence sequence: u64;
        client set_client client: u64;
        faults set_faults faults: u32;
        hangs set_hangs hangs: u32;
        channel set_channel channel: Handle;
        badge set_badge badge: u64;
    }

    /// Copies the first `bytes` of the payload, at most all, to another page.
    pub fn copy_payload(self, to: Page, bytes: usize) {
        let words = bytes.min(abi::PAYLOAD_BYTES).div_ceil(8);
        // SAFETY: both payloads are pinned and at least this long, as PAYLOAD_BYTES is a multiple of 8; the
        // pages are distinct or the copy is of a page onto itself, which `copy` allows.
        unsafe {
            let source = (&raw const (*self.0.as_ptr()).payload).cast::<u64>();
            let target = (&raw mut (*to.0.as_ptr()).payload).cast::<u64>();
            core::ptr::copy(source, target, words);
        }
    }

    /// Writes bytes at an offset of the payload.
    ///
    /// # Panics
    /// If they do not fit: records are sized by the kernel.
    pub fn write_payload(self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= abi::PAYLOAD_BYTES);
        // SAFETY: in bounds as just checked; the page is pinned.
        unsafe {
            let target = (&raw mut (*self.0.as_ptr()).payload).cast::<u8>().add(offset);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }
}

impl Object<Thread> {
    /// The thread that its call chain came from first: the one whose slice is used.
    pub fn chain_head<'k>(&'k self, kernel: &'k Kernel) -> &'k Object<Thread> {
        let mut head = self;
        while let Some(client) = head.current.get(kernel) {
            head = client;
        }
        head
    }
}
