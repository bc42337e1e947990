//! A message on its way out: a client's request or a server's reply.

use super::codec;
use super::{Status, Word};
use crate::message::{CallPage, ServePage};
use crate::object::Object;
use crate::sys::Words;
use abi::{Handle, Header, PAYLOAD_BYTES, WORDS, message::HANDLES};
use core::marker::PhantomData;
use serde::Serialize;

/// The value does not fit in a message, or refuses to be serialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencodable;

/// Whose message page a message is built in: the client's or the server's.
pub trait Side {
    /// Runs with the page's payload.
    fn with_payload<T>(f: impl FnOnce(&mut [u8; PAYLOAD_BYTES]) -> T) -> T;

    /// Puts a handle into the page.
    fn put_handle(index: usize, handle: Handle);
}

macro_rules! side {
    ($page:ident) => {
        impl Side for $page {
            #[inline(always)]
            fn with_payload<T>(f: impl FnOnce(&mut [u8; PAYLOAD_BYTES]) -> T) -> T {
                f($page::take().payload_mut())
            }

            #[inline]
            fn put_handle(index: usize, handle: Handle) {
                $page::take().handles_mut()[index] = handle;
            }
        }
    };
}

side!(CallPage);
side!(ServePage);

/// A message that is being built in the page of a [`Side`].
#[derive(Debug)]
pub struct Outgoing<P: Side> {
    pub(crate) header: Header,
    pub(crate) words: Words,
    page: PhantomData<P>,
}

impl<P: Side> Outgoing<P> {
    /// An empty message.
    #[inline(always)]
    pub(crate) fn new(header: Header) -> Self {
        Outgoing { header, words: [0; WORDS], page: PhantomData }
    }

    /// Puts a scalar into a word.
    #[inline(always)]
    pub fn word(&mut self, index: usize, value: impl Word) {
        self.words[index] = value.to_word();
    }

    /// Encodes data: into the words if it is small, or else straight into the page.
    #[inline]
    pub fn data<T: Serialize>(&mut self, value: &T) -> Result<(), Unencodable> {
        let bytes = P::with_payload(|payload| codec::encode(value, payload, &mut self.words))?;
        self.header = self.header.with_payload(bytes);
        Ok(())
    }

    /// Fills the payload with bytes as they are, as many as fit.
    pub(crate) fn raw(&mut self, bytes: impl Iterator<Item = u8>) {
        let count = P::with_payload(|payload| payload.iter_mut().zip(bytes).map(|(to, from)| *to = from).count());
        self.header = self.header.with_payload(count);
    }

    /// Sends a handle along; the sender keeps its own.
    pub fn lend(&mut self, object: &impl Object) {
        self.push(object.handle());
    }

    /// Gives a handle away with a reply.
    pub fn give(&mut self, object: impl Object) {
        if self.header.handles() < HANDLES {
            let handle = object.into_handle();
            if handle == Handle::PROMISED && self.header.handles() == 0 {
                self.header = self.header.with_minted();
            }
            self.push(handle);
        }
    }

    /// Makes it the reply of a method that failed.
    pub fn error<E: Serialize>(&mut self, error: &E) -> Result<(), Unencodable> {
        self.header = Header::words(Status::Failed.to_number(), abi::Class::Fail);
        self.data(error)
    }

    fn push(&mut self, handle: Handle) {
        let index = self.header.handles();
        if index < HANDLES {
            P::put_handle(index, handle);
            self.header = self.header.with_handles(index + 1);
        }
    }
}
