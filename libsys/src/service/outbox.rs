//! Answers to kept calls that wait until the serve page is free.
//!
//! A method that borrows from its request holds the thread's serve page; an answer to another call would overwrite what
//! it borrows. Such answers wait in the thread's block until the loop has sent the method's own.

use crate::message::{self, Page};
use crate::thread::block;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

type Answer = Box<dyn FnOnce()>;

/// The answers that one thread has put off.
pub(crate) struct Outbox {
    is_waiting: Cell<bool>,
    answers: Cell<Vec<Answer>>,
}

impl Outbox {
    pub(crate) const fn new() -> Outbox {
        Outbox { is_waiting: Cell::new(false), answers: Cell::new(Vec::new()) }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({})", if self.is_waiting.get() { "waiting" } else { "empty" })
    }
}

/// Whether the thread can send an answer right now.
pub(super) fn can_send() -> bool {
    message::is_free(Page::Serve)
}

/// Puts an answer off.
pub(super) fn put(answer: impl FnOnce() + 'static) {
    let outbox = &block::current().outbox;
    let mut answers = outbox.answers.take();
    answers.push(Box::new(answer));
    outbox.answers.set(answers);
    outbox.is_waiting.set(true);
}

/// Whether answers wait for [`send`].
#[inline(always)]
pub(super) fn is_waiting() -> bool {
    block::current().outbox.is_waiting.get()
}

/// Sends what waits. It overwrites the serve page, so the thread's own answer must have been sent.
#[cold]
pub(super) fn send() {
    let outbox = &block::current().outbox;
    outbox.is_waiting.set(false);
    for answer in outbox.answers.take() {
        answer();
    }
}
