//! The thread block: what a thread knows about itself. On the target FS points at it, so that the message
//! pages are one instruction away; on the host it is a thread-local.

use abi::MessagePage;
use core::cell::Cell;

/// A thread's block. Only its own thread touches it.
#[repr(C)]
pub(crate) struct ThreadBlock {
    /// Its own address, at FS:0.
    this: *const ThreadBlock,
    pub(crate) call_page: *mut MessagePage,
    pub(crate) serve_page: *mut MessagePage,
    /// Which pages are held by a guard: [`crate::message::Page`] bits.
    pub(crate) pages_taken: Cell<u64>,
    /// The thread's private channel: see [`super::parking`]. 0 until it is needed.
    pub(crate) parking: Cell<u64>,
    /// Signal bits of the private channel that arrived and are not consumed.
    pub(crate) pending: Cell<u64>,
    /// The handle that others know it by: an `Arc` as a raw pointer, or null until it is needed.
    pub(crate) shared: Cell<*const super::Shared>,
    /// Rank among the waiters of a lock: its real-time priority.
    pub(crate) rank: Cell<u8>,
    /// Answers that a server\'s loop has put off: see [`crate::service`].
    pub(crate) outbox: crate::service::Outbox,
    /// Something was refused to it for which its account has room: see [`crate::service`].
    pub(crate) is_refused: Cell<bool>,
    /// Lane of its `once` requests; 0 until it makes one: see [`crate::client`].
    pub(crate) lane: Cell<u64>,
    /// Lowest address of the stack and its end, between which a backtrace stays; 0 when unknown.
    pub(crate) stack: (usize, usize),
}

impl ThreadBlock {
    /// A block for a thread with these pages and stack bounds.
    pub(crate) const fn new(call_page: *mut MessagePage, stack: (usize, usize)) -> ThreadBlock {
        ThreadBlock {
            this: core::ptr::null(),
            call_page,
            serve_page: call_page.wrapping_add(1),
            pages_taken: Cell::new(0),
            parking: Cell::new(0),
            pending: Cell::new(0),
            shared: Cell::new(core::ptr::null()),
            rank: Cell::new(0),
            outbox: crate::service::Outbox::new(),
            is_refused: Cell::new(false),
            lane: Cell::new(0),
            stack,
        }
    }

    /// Writes the block where FS will point.
    ///
    /// # Safety
    ///
    /// `place` is writable, aligned, and belongs to a thread that has not started or does this itself.
    #[cfg(target_os = "none")]
    pub(crate) unsafe fn install(mut self, place: *mut ThreadBlock) {
        self.this = place;
        // SAFETY: the caller's promise.
        unsafe { place.write(self) }
    }
}

/// The calling thread's block.
#[cfg(target_os = "none")]
#[inline(always)]
pub(crate) fn current() -> &'static ThreadBlock {
    let block: *const ThreadBlock;
    // SAFETY: FS:0 holds the block's own address from a thread's first Rust instruction to its last, and never changes. The
    // block outlives every use by its thread, and a reference cannot go to another one as `ThreadBlock` is not `Sync`.
    unsafe {
        core::arch::asm!("mov {}, fs:[0]", out(reg) block, options(pure, nomem, nostack, preserves_flags));
        &*block
    }
}

#[cfg(not(target_os = "none"))]
std::thread_local! {
    static BLOCK: &'static ThreadBlock = {
        let layout = core::alloc::Layout::new::<[MessagePage; 2]>();
        // SAFETY: the layout is not empty; zeroes are a valid `MessagePage`.
        let pages = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<MessagePage>();
        // What a thread leaves is not given back: the host's tests start few.
        std::boxed::Box::leak(std::boxed::Box::new(ThreadBlock::new(pages, (0, 0))))
    };
}

/// The calling thread's block.
#[cfg(not(target_os = "none"))]
pub(crate) fn current() -> &'static ThreadBlock {
    BLOCK.with(|block| *block)
}
