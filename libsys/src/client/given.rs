//! Handles that came with replies that did not decode.
//!
//! A server keeps its reply to a `once` request, and sends it again when it is asked again; but handles move, so they come with the first one alone. A client
//! that cannot make out the reply therefore holds on to what came with it, for the reply that comes in its place.

use crate::Handle;
use crate::message::CallPage;
use crate::sys;
use crate::wire::{Class, Incoming, Method};
use abi::message::HANDLES;

/// Handles by their place in the reply. They are closed with it.
#[derive(Debug)]
pub(super) struct Given([Handle; HANDLES]);

impl Given {
    pub(super) const fn new() -> Given {
        Given([Handle::NONE; HANDLES])
    }

    /// Whether handles of a reply of a method would not come a second time.
    #[inline(always)]
    pub(super) const fn is_needed(method: &Method) -> bool {
        matches!(method.class, Class::Once) && method.reply_handles > 0
    }

    /// Takes over the handles of a reply that nobody took out of it.
    #[cold]
    pub(super) fn hold(&mut self, incoming: &Incoming) {
        for (index, handle) in incoming.rest() {
            match self.0.get_mut(index) {
                Some(place) if place.is_none() => *place = handle,
                _ => {
                    let _ = sys::handle_close(handle);
                }
            }
        }
    }

    /// Puts the handles into the reply that has just come, where it has none itself.
    #[cold]
    pub(super) fn hand_over(&mut self) {
        let mut page = CallPage::take();
        for (place, held) in page.handles_mut().iter_mut().zip(&mut self.0).filter(|(place, _)| place.is_none()) {
            *place = core::mem::replace(held, Handle::NONE);
        }
    }
}

impl Drop for Given {
    #[inline]
    fn drop(&mut self) {
        for handle in self.0.iter().filter(|handle| !handle.is_none()) {
            let _ = sys::handle_close(*handle);
        }
    }
}
