//! A request as the server received it, and the answer to it.

use super::codec::Small;
use super::{Method, Outgoing, Refusal, Status, Unencodable, Word, decode};
use crate::message::ServePage;
use crate::object::Object;
use crate::service::Context;
use crate::sys::{self, Words};
use abi::{Class, Handle, Header, PAYLOAD_BYTES, WORDS};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request: its words are here, the rest in the thread's serve page.
#[derive(Debug)]
pub struct Request {
    pub(crate) badge: u64,
    header: Header,
    words: Words,
}

/// What a dispatch made of a request.
#[derive(Debug)]
pub enum Answer {
    /// A reply; payload and handles are in the serve page.
    Reply(Header, Words),
    /// A reply that says why the method did not run.
    Refused(Refusal),
    /// The method kept the call, and answers later.
    Kept,
    /// The method let the call go.
    Dropped,
    /// The protocol has no such method.
    NoSuchMethod,
}

impl Request {
    /// A request that the thread just received.
    #[inline(always)]
    pub fn new(badge: u64, header: Header, words: Words) -> Request {
        Request { badge, header, words }
    }

    /// Identity of the method.
    #[inline(always)]
    pub fn method(&self) -> u32 {
        self.header.method()
    }

    /// The header.
    #[inline(always)]
    pub fn header(&self) -> Header {
        self.header
    }

    /// Who asks, and under which key.
    #[inline]
    pub fn context(&self) -> Context {
        Context::new(self.badge, self.header, ServePage::take().stamp())
    }

    /// A scalar argument; `None` when it is out of range.
    #[inline(always)]
    pub fn word<W: Word>(&self, index: usize) -> Option<W> {
        W::from_word(self.words[index])
    }

    /// A word as it is.
    #[inline(always)]
    pub fn raw_word(&self, index: usize) -> u64 {
        self.words[index]
    }

    /// The arguments that came as data.
    #[inline]
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        match self.header.payload_bytes() {
            0 => decode(Small::of(&self.words).data()?),
            bytes => decode(ServePage::take().received(bytes)),
        }
    }

    /// The data in the serve page, where arguments borrow from it, and the room behind it; `None` when its length is none.
    #[inline]
    pub fn data_in<'a>(&self, page: &'a mut ServePage) -> Option<(&'a [u8], &'a mut [u8])> {
        let payload = page.payload_mut();
        let bytes = match self.header.payload_bytes() {
            0 => {
                let small = Small::of(&self.words);
                let data = small.data()?;
                payload[..data.len()].copy_from_slice(data);
                data.len()
            }
            bytes => bytes.min(PAYLOAD_BYTES),
        };
        let (data, room) = payload.split_at_mut(bytes);
        Some((data, room))
    }

    /// Takes a handle out of the request.
    pub fn handle<T: Object>(&self, index: usize) -> Result<T, Refusal> {
        let handle = self.take_handle(index);
        let kind = sys::handle_inspect(handle).map(|info| info.kind);
        if kind == Ok(T::KIND) {
            return Ok(T::from_handle(handle));
        }
        let _ = sys::handle_close(handle);
        Err(Refusal::WrongHandles)
    }

    /// The same of a handle that may have been left out.
    pub fn optional_handle<T: Object>(&self, index: usize) -> Result<Option<T>, Refusal> {
        if index == self.header.handles() { Ok(None) } else { self.handle(index).map(Some) }
    }

    /// Encodes what the method returned.
    #[inline(always)]
    pub fn answer<R>(
        &self,
        result: R,
        encode: impl FnOnce(R, &mut Outgoing<ServePage>) -> Result<(), Unencodable>,
    ) -> Answer {
        let mut outgoing = Outgoing::new(Header(0));
        match encode(result, &mut outgoing) {
            Ok(()) => Answer::Reply(outgoing.header, outgoing.words),
            Err(Unencodable) => Answer::Refused(Refusal::Unencodable),
        }
    }

    /// Answers with the error that the method returned.
    #[cold]
    pub fn answer_error<E: Serialize>(&self, error: &E) -> Answer {
        self.answer((), |(), outgoing| outgoing.error(error))
    }

    /// Answers with the bytes that the method wrote from `start` of the page on, in a room of `capacity`.
    #[inline]
    pub fn answer_filled(&self, mut page: ServePage, start: usize, capacity: usize, filled: usize) -> Answer {
        if filled > capacity {
            return Answer::Refused(Refusal::Unencodable);
        }
        if start != 0 {
            page.payload_mut().copy_within(start..start + filled, 0);
        }
        Answer::Reply(Header(0).with_payload(filled), [0; WORDS])
    }

    /// Refuses a request whose header is not what the method asks for.
    #[cold]
    #[inline(never)]
    pub fn refuse_header(&self, method: &Method) -> Answer {
        self.refuse(method.refusal(self.header))
    }

    /// Refuses the request, and closes the handles that are left of it.
    #[cold]
    #[inline(never)]
    pub fn refuse(&self, refusal: Refusal) -> Answer {
        self.close_handles();
        Answer::Refused(refusal)
    }

    /// Closes the handles that nobody took.
    #[cold]
    #[inline(never)]
    pub(crate) fn close_handles(&self) {
        for index in 0..self.header.handles() {
            let handle = self.take_handle(index);
            if !handle.is_none() {
                let _ = sys::handle_close(handle);
            }
        }
    }

    /// A handle of the page, which is not there a second time.
    fn take_handle(&self, index: usize) -> Handle {
        if index >= self.header.handles() {
            return Handle::NONE;
        }
        let mut page = ServePage::take();
        page.handles_mut().get_mut(index).map_or(Handle::NONE, |slot| core::mem::replace(slot, Handle::NONE))
    }
}

impl Answer {
    /// The reply that says why a method did not run.
    #[inline]
    pub fn refusal(refusal: Refusal) -> (Header, Words) {
        (Header::words(Status::Refused(refusal).to_number(), Class::Fail), [0; WORDS])
    }
}
