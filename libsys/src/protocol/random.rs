//! `random`: unpredictable bytes.
//!
//! Served by the generator, which is seeded from the processor and stirs in what others add. A program that needs
//! many bytes seeds a generator of its own from here.

use crate::service::Context;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// A source of random bytes.
#[protocol]
pub trait Random {
    /// Fills `buffer` with random bytes, up to what a message holds; returns how many.
    ///
    /// Rights: any session. Error: `NotSeeded`. *replay*: nobody saw the bytes of a reply that was never sent, and
    /// others are as good.
    #[replay]
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, RandomError>;

    /// Stirs bytes into the generator's state. They are not trusted: they can only add to what is unknown
    /// about it, and never count as a seed.
    ///
    /// Rights: any session. *replay*: stirring the same bytes in twice does no harm.
    #[replay]
    fn add(&mut self, bytes: &[u8]);

    /// Takes a fresh seed from the processor's generator.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `NotSeeded` (the processor has none to give). *replay*: one
    /// fresh seed is as good as another.
    #[replay]
    fn reseed(&mut self, cx: &Context) -> Result<(), RandomError>;
}

/// Why there are no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RandomError {
    /// The generator had no seed yet.
    NotSeeded,
    /// The session may not reseed it.
    Denied,
}

impl RandomError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            RandomError::NotSeeded => "not seeded yet",
            RandomError::Denied => "not permitted",
        }
    }
}

impl core::fmt::Display for RandomError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for RandomError {}
