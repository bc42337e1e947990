//! Kept calls: the right to answer a call later.

use crate::object::{Object, object};
use crate::sys::{self, Words};
use abi::{Error, Handle, Header};

/// A call that was kept. Dropping it lets the caller go with `Abandoned`.
pub struct KeptCall(Handle);

object!(KeptCall, Call);

impl KeptCall {
    /// Keeps the thread's current call, which then can receive the next. Errors: `BadState` (none is current), `NoSlot`, `AccountExhausted`.
    pub fn keep() -> Result<KeptCall, Error> {
        sys::call_keep().map(KeptCall::from_handle)
    }

    /// Answers it, with what is in the serve page. Error: `CallerGone`.
    pub fn reply(self, header: Header, words: Words) -> Result<(), Error> {
        sys::call_reply(self.into_handle(), header, words)
    }

    /// Makes it the thread's current call again. Errors: `BadState` (another is current: the call stays kept, and is abandoned
    /// with the handle), `CallerGone` (it was parked).
    pub fn resume(self) -> Result<(), Error> {
        sys::call_resume(self.0)?;
        self.into_handle();
        Ok(())
    }

    /// Says that it waits for an event, and nothing was done for it yet.
    pub fn park(&self) -> Result<(), Error> {
        sys::call_park(self.0)
    }

    /// Says that work on it goes on.
    pub fn progress(&self) -> Result<(), Error> {
        sys::call_progress(self.0)
    }
}
