//! Calls and signals: the state machines of `docs/states.md`.
//!
//! | file | what |
//! |---|---|
//! | [`call`] | a thread calls; its message is delivered |
//! | [`receive`] | a server thread takes what arrived, or waits |
//! | [`reply`] | answering, keeping, parking, resuming, abandoning |
//! | [`end`] | calls that end otherwise: deadlines, cancels, closed channels |
//! | [`fast`] | the common case of call and reply-and-receive in a few instructions |
//! | [`flight`] | handles in messages |
//! | [`inherit`] | ranks passed along chains of calls |

pub mod call;
pub mod end;
pub mod fast;
pub mod flight;
pub mod inherit;
pub mod receive;
pub mod reply;

pub use end::close_channel;
pub use flight::Flight;
pub use receive::wake_receiver;
pub use reply::handle_of_call_closed;

use crate::Kernel;
use crate::object::{Channel, Object};
use abi::Error;

/// Sets signal bits of a channel.
///
/// # Errors
/// `Closed`.
pub fn signal(kernel: &Kernel, channel: &Object<Channel>, bits: u64) -> Result<(), Error> {
    if channel.closed.get() {
        return Err(Error::Closed);
    }
    channel.signals.set(channel.signals.get() | bits);
    wake_receiver(kernel, channel);
    Ok(())
}
