//! Sessions: a client's connection to a server. Typed clients ([`crate::protocol`] files) own one.

use crate::object::object;
use crate::sys::{self, Words};
use abi::{Error, Handle, Header};

/// A session.
pub struct Session(Handle);

object!(Session, Session);

impl Session {
    /// Calls the server and waits for its reply; payload and handles travel in the call page ([`crate::message::CallPage`]).
    /// Needs `CALL`. Errors: see [`abi::Syscall::Call`].
    #[inline(always)]
    pub fn call(&self, header: Header, words: Words) -> Result<(Header, Words), Error> {
        sys::call(self.0, header, words)
    }
}
