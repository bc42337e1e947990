//! A thread's first and last instructions.

use super::slot::Slot;
use super::{Thread, block, parking};
use crate::{Error, Handle, ThreadObject, sys};
use alloc::boxed::Box;
use alloc::sync::Arc;

type Main = Box<dyn FnOnce() + Send + 'static>;

/// What a new thread finds.
struct Start {
    thread: Thread,
    main: Main,
    rank: u8,
    /// What its exit signals.
    exit: Handle,
}

/// Runs a thread's main between setting up its block and giving up what it owns.
fn run(start: Start) {
    let Start { thread, main, rank, exit } = start;
    let block = block::current();
    block.parking.set(thread.0.parking.0);
    block.pending.set(0);
    block.rank.set(rank);
    block.shared.set(Arc::into_raw(thread.0));
    main();
    // SAFETY: the count that went into the block above; nothing of this thread asks for it any more.
    drop(unsafe { Arc::from_raw(block.shared.replace(core::ptr::null())) });
    block.parking.set(0);
    sys::thread_exit(exit, parking::EXIT, 0);
}

#[cfg(target_os = "none")]
mod target {
    use super::*;
    use crate::Object;
    use crate::thread::block::ThreadBlock;
    use abi::MessagePage;

    /// Starts a thread on a slot.
    pub(crate) fn start(slot: &Slot, thread: Thread, rank: u8, main: Main) -> Result<Option<ThreadObject>, Error> {
        let start = Box::into_raw(Box::new(Start { thread, main, rank, exit: slot.exit() }));
        let place = (slot.stack_end() - size_of::<ThreadBlock>()) & !63;
        let pages = slot.pages as *mut MessagePage;
        // SAFETY: the end of a mapped stack that no thread is on.
        unsafe { ThreadBlock::new(pages, (slot.stack, slot.stack_end())).install(place as *mut ThreadBlock) };
        let start_of_thread = sys::ThreadStart {
            entry: entry as *const () as u64,
            // Aligned as behind a call, whose return address is 0: that is where backtraces end.
            stack: place as u64 - 8,
            argument: start as u64,
            pages: slot.pages as u64,
            thread_block: place as u64,
        };
        // SAFETY: `entry` takes the box; stack, block and pages are this slot's, and it is used again only after the exit.
        let created = unsafe { sys::thread_create(Handle::NONE, start_of_thread, crate::env::account().handle()) };
        match created {
            Ok(handle) => Ok(Some(ThreadObject::from_handle(handle))),
            Err(error) => {
                // SAFETY: no thread took it.
                drop(unsafe { Box::from_raw(start) });
                Err(error)
            }
        }
    }

    extern "C" fn entry(start: *mut Start) -> ! {
        // SAFETY: `start` gave this thread the box.
        let start = unsafe { Box::from_raw(start) };
        run(*start);
        unreachable!("a thread after its exit")
    }
}

#[cfg(not(target_os = "none"))]
mod host {
    use super::*;

    /// Starts a thread of the host in the same fake process.
    pub(crate) fn start(slot: &Slot, thread: Thread, rank: u8, main: Main) -> Result<Option<ThreadObject>, Error> {
        let process = crate::fake::who().process;
        let exit = slot.exit();
        let start = Start { thread, main, rank, exit };
        std::thread::spawn(move || {
            if crate::fake::as_thread(process, || run(start)).is_none() {
                // The fake process has died of a panic: whoever joins is told by his own end.
                crate::fake::as_thread(process, || sys::thread_exit(exit, parking::EXIT, 0));
            }
        });
        Ok(None)
    }
}

#[cfg(not(target_os = "none"))]
pub(super) use host::start;
#[cfg(target_os = "none")]
pub(super) use target::start;
