//! The calling thread's message pages.
//!
//! A guard, [`CallPage`] or [`ServePage`], is the only way to a page's payload and handles. While one is alive the system calls
//! that let the kernel write that page panic: so a reference into a page never sees it change. Take it, fill or
//! read the page, drop it, then call.

use crate::thread::block;
use abi::{Handle, MessagePage, PAYLOAD_BYTES, message::HANDLES};
use core::marker::PhantomData;

/// One of a thread's two message pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Page {
    /// For calls that it makes: request out, reply in.
    Call = 1,
    /// For calls that it serves: request in, reply out.
    Serve = 2,
}

/// Whether no guard of the page is alive in this thread.
#[inline(always)]
pub(crate) fn is_free(page: Page) -> bool {
    block::current().pages_taken.get() & page as u64 == 0
}

/// Panics when a guard of the page is alive in this thread.
#[inline(always)]
pub(crate) fn assert_free(page: Page) {
    if block::current().pages_taken.get() & page as u64 != 0 {
        taken(page);
    }
}

#[cold]
#[inline(never)]
fn taken(page: Page) -> ! {
    panic!("the thread's {page:?} page is in use")
}

#[inline(always)]
fn take(page: Page) {
    assert_free(page);
    let taken = &block::current().pages_taken;
    taken.set(taken.get() | page as u64);
}

#[inline(always)]
fn give_back(page: Page) {
    let taken = &block::current().pages_taken;
    taken.set(taken.get() & !(page as u64));
}

/// Sets the deadline of the next receive. The field is outside of what guards lend.
#[inline(always)]
pub(crate) fn set_receive_deadline(deadline: u64) {
    let page = block::current().serve_page;
    // SAFETY: the page belongs to this thread for its whole life; no reference to the field is ever made.
    unsafe { (&raw mut (*page).deadline).write(deadline) }
}

/// Says of which channel, and with which badge, the session of the next reply that mints is.
#[inline]
pub(crate) fn promise(channel: Handle, badge: u64) {
    let page = block::current().serve_page;
    // SAFETY: as in `set_receive_deadline`.
    unsafe {
        (&raw mut (*page).channel).write(channel);
        (&raw mut (*page).badge).write(badge);
    }
}

/// What the last [`promise`] of this thread was.
pub(crate) fn promised() -> (Handle, u64) {
    let page = block::current().serve_page;
    // SAFETY: as in `set_receive_deadline`.
    unsafe { ((&raw const (*page).channel).read(), (&raw const (*page).badge).read()) }
}

/// Sets the deadline of the next call (nanoseconds of the monotonic clock), which its header must announce.
#[inline(always)]
pub fn set_call_deadline(deadline: u64) {
    let page = block::current().call_page;
    // SAFETY: as in `set_receive_deadline`.
    unsafe { (&raw mut (*page).deadline).write(deadline) }
}

/// A record of plain integers that the kernel writes into a payload.
///
/// # Safety
///
/// `repr(C)`, any bytes are a valid value, alignment at most 8.
pub unsafe trait Record: Copy + Default {}

macro_rules! records {
    ($($name:ty),* $(,)?) => { $(
        // SAFETY: `repr(C)` records of unsigned integers and arrays of them.
        unsafe impl Record for $name {}
    )* };
}

records!(
    abi::Usage,
    abi::ExitRecord,
    abi::inspect::SystemRecord,
    abi::inspect::CpuRecord,
    abi::inspect::ProcessRecord,
    abi::inspect::ThreadRecord,
    abi::inspect::MappingRecord,
    abi::inspect::HandleRecord,
    abi::inspect::ChannelRecord,
    abi::inspect::CallRecord,
    abi::inspect::InterruptRecord,
    abi::inspect::RangeRecord,
    abi::inspect::SessionRecord,
    abi::memory::AttachmentRecord,
    crate::sys::DmaSegment,
);

macro_rules! guard {
    ($(#[$doc:meta])* $name:ident, $page:expr, $field:ident) => {
        $(#[$doc])*
        pub struct $name {
            /// A page belongs to its thread.
            not_send: PhantomData<*mut ()>,
        }

        impl $name {
            /// Takes the page. Panics when this thread holds it already.
            #[inline(always)]
            pub fn take() -> $name {
                take($page);
                $name { not_send: PhantomData }
            }

            #[inline(always)]
            fn page(&self) -> *mut MessagePage {
                block::current().$field
            }

            /// The payload.
            #[inline(always)]
            pub fn payload(&self) -> &[u8; PAYLOAD_BYTES] {
                // SAFETY: the page is mapped as long as its thread lives; this guard is the only one, and the kernel does
                // not write the page while it is alive (`assert_free`).
                unsafe { &(*self.page()).payload }
            }

            /// The payload, to write.
            #[inline(always)]
            pub fn payload_mut(&mut self) -> &mut [u8; PAYLOAD_BYTES] {
                // SAFETY: as in `payload`; exclusive as `self` is.
                unsafe { &mut (*self.page()).payload }
            }

            /// The first `bytes` of the payload, as a received header's length says (cut at the page's end).
            #[inline(always)]
            pub fn received(&self, bytes: usize) -> &[u8] {
                &self.payload()[..bytes.min(PAYLOAD_BYTES)]
            }

            /// The handles that travel with the message.
            #[inline(always)]
            pub fn handles(&self) -> &[Handle; HANDLES] {
                // SAFETY: as in `payload`.
                unsafe { &(*self.page()).handles }
            }

            /// The handles that travel with the message, to write.
            #[inline(always)]
            pub fn handles_mut(&mut self) -> &mut [Handle; HANDLES] {
                // SAFETY: as in `payload_mut`.
                unsafe { &mut (*self.page()).handles }
            }
        }

        impl Drop for $name {
            #[inline(always)]
            fn drop(&mut self) {
                give_back($page);
            }
        }
    };
}

guard! {
    /// The call page: held to fill in a request or to read a reply, never during a call.
    CallPage, Page::Call, call_page
}

guard! {
    /// The serve page: held to read a request or to fill in a reply, never during a receive or reply.
    ServePage, Page::Serve, serve_page
}

impl CallPage {
    /// Sets the key of a `once` request.
    #[inline(always)]
    pub fn set_key(&mut self, lane: u64, sequence: u64) {
        let page = self.page();
        // SAFETY: as in `payload_mut`.
        unsafe {
            (*page).lane = lane;
            (*page).sequence = sequence;
        }
    }

    /// The first record of the payload.
    pub(crate) fn record<R: Record>(&self) -> R {
        let mut record = [R::default()];
        self.records(1, &mut record);
        record[0]
    }

    /// Copies up to `count` records of the payload, as many as fit; returns how many.
    pub(crate) fn records<R: Record>(&self, count: u64, into: &mut [R]) -> usize {
        let count = (count as usize).min(into.len()).min(PAYLOAD_BYTES / size_of::<R>());
        let payload = self.payload().as_ptr().cast::<R>();
        // SAFETY: `count` records lie within the payload; `Record` promises that any bytes are valid. The payload
        // starts at a multiple of 128 in a page, and the slices are different memory.
        unsafe { core::ptr::copy_nonoverlapping(payload, into.as_mut_ptr(), count) };
        count
    }
}

/// What the kernel stamped on the delivered request in the serve page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the client process.
    pub client: u64,
    /// `once`: which of the client's sequences.
    pub lane: u64,
    /// `once`: number in the lane.
    pub sequence: u64,
    /// How often a fault of the server struck while this call was current.
    pub faults: u32,
    /// How often the server was killed for hanging while it was current.
    pub hangs: u32,
}

impl ServePage {
    /// What the kernel stamped on the request.
    #[inline(always)]
    pub fn stamp(&self) -> Stamp {
        let page = self.page();
        // SAFETY: as in `payload`.
        unsafe {
            Stamp {
                client: (*page).client,
                lane: (*page).lane,
                sequence: (*page).sequence,
                faults: (*page).faults,
                hangs: (*page).hangs,
            }
        }
    }
}
