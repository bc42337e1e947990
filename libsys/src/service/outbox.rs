//! Answers to kept calls that wait until the serve page is free.
//!
//! A method that borrows from its request holds the thread's serve page; an answer to another call would overwrite what
//! it borrows. Such answers wait here until the loop has sent the method's own.

use crate::message::{self, Page};
use crate::sync::Mutex;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

type Answer = Box<dyn FnOnce() + Send>;

/// Whether there may be something in `ANSWERS`.
static WAITING: AtomicBool = AtomicBool::new(false);

static ANSWERS: Mutex<Vec<Answer>> = Mutex::new(Vec::new());

/// Whether the thread can send an answer right now.
pub(super) fn can_send() -> bool {
    message::is_free(Page::Serve)
}

/// Puts an answer off.
pub(super) fn put(answer: impl FnOnce() + Send + 'static) {
    let answer: Answer = Box::new(answer);
    ANSWERS.lock().push(answer);
    WAITING.store(true, Ordering::Release);
}

/// Whether answers wait for [`send`].
#[inline(always)]
pub(super) fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// Sends what waits. It overwrites the serve page, so the thread's own answer must have been sent.
#[cold]
pub(super) fn send() {
    WAITING.store(false, Ordering::Relaxed);
    let answers = core::mem::take(&mut *ANSWERS.lock());
    for answer in answers {
        answer();
    }
}
