//! A reply as the client got it. What does not decode is the server's fault.

use super::codec::Small;
use super::{Status, Word, decode};
use crate::message::CallPage;
use crate::object::Object;
use crate::sys::{self, Words};
use abi::{Handle, Header};
use serde::de::DeserializeOwned;

/// A reply in the calling thread's call page.
#[derive(Debug)]
pub struct Incoming {
    header: Header,
    words: Words,
    /// Handles that were taken out already: a bit each.
    taken: u8,
}

impl Incoming {
    #[inline(always)]
    pub(crate) fn new(header: Header, words: Words) -> Incoming {
        Incoming { header, words, taken: 0 }
    }

    /// How the request ended; `None` for a number of no meaning.
    #[inline(always)]
    pub(crate) fn status(&self) -> Option<Status> {
        Status::from_number(self.header.method())
    }

    /// A scalar result.
    #[inline(always)]
    pub fn word<W: Word>(&self, index: usize) -> Option<W> {
        W::from_word(self.words[index])
    }

    /// The results that came as data.
    #[inline]
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        match self.header.payload_bytes() {
            0 => decode(Small::of(&self.words).data()?),
            bytes => decode(CallPage::take().received(bytes)),
        }
    }

    /// Copies the reply's bytes: how many. `None` when they are more than fit.
    #[inline]
    pub fn bytes_into(&self, buffer: &mut [u8]) -> Option<usize> {
        let page = CallPage::take();
        let bytes = page.received(self.header.payload_bytes());
        buffer.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(bytes.len())
    }

    /// Takes a handle out of the reply; `None` when it is missing. If it is of another kind than the method says, its first use is refused
    /// ([`Error::WrongKind`](crate::Error::WrongKind)): to ask now would cost each reply a system call.
    pub fn handle<T: Object>(&mut self, index: usize) -> Option<T> {
        if index >= self.header.handles() || self.taken & 1 << index != 0 {
            return None;
        }
        let handle = CallPage::take().handles()[index];
        if handle.is_none() {
            return None;
        }
        self.taken |= 1 << index;
        Some(T::from_handle(handle))
    }

    /// The same of a handle that may have been left out.
    pub fn optional_handle<T: Object>(&mut self, index: usize) -> Option<Option<T>> {
        if index == self.header.handles() { Some(None) } else { self.handle(index).map(Some) }
    }

    /// Closes the handles that nobody took.
    #[inline(always)]
    pub(crate) fn close_rest(&self) {
        if self.header.handles() != self.taken.count_ones() as usize {
            self.close_rest_slowly();
        }
    }

    #[cold]
    fn close_rest_slowly(&self) {
        for (_, handle) in self.rest() {
            let _ = sys::handle_close(handle);
        }
    }

    /// The handles that nobody took, with their places. Those that the kernel could not deliver are not among them.
    pub(crate) fn rest(&self) -> impl Iterator<Item = (usize, Handle)> {
        let left = (0..self.header.handles()).filter(|index| self.taken & 1 << index == 0);
        let handle = |index| CallPage::take().handles().get(index).copied().unwrap_or(Handle::NONE);
        left.map(move |index| (index, handle(index))).filter(|(_, handle)| !handle.is_none())
    }
}
