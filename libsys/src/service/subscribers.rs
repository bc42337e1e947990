//! Channels to signal when something is ready: the server's side of `notify` methods.

use super::Context;
use crate::{Channel, Error};
use alloc::collections::BTreeMap;

/// Who is signalled: one channel a session. A client that waits for several servers names bits of one channel of
/// its own to each of them. Call [`Subscribers::close`] in [`super::Server::close`].
#[derive(Debug, Default)]
pub struct Subscribers {
    by_badge: BTreeMap<u64, (Channel, u64)>,
}

impl Subscribers {
    /// Nobody.
    pub const fn new() -> Subscribers {
        Subscribers { by_badge: BTreeMap::new() }
    }

    /// Signals `bits` of `channel` from now on, in place of what the calling session named before. Bits of 0
    /// end it. Tell the client at once, with [`Subscribers::notify_one`], if something is ready already.
    pub fn subscribe(&mut self, cx: &Context, channel: Channel, bits: u64) {
        if bits == 0 {
            self.by_badge.remove(&cx.badge());
        } else {
            self.by_badge.insert(cx.badge(), (channel, bits));
        }
    }

    /// Signals everybody. Who cannot be signalled any more is forgotten.
    pub fn notify(&mut self) {
        self.by_badge.retain(|_, (channel, bits)| is_there(channel.signal(*bits)));
    }

    /// Signals one session's channel.
    pub fn notify_one(&mut self, badge: u64) {
        if let Some((channel, bits)) = self.by_badge.get(&badge)
            && !is_there(channel.signal(*bits))
        {
            self.by_badge.remove(&badge);
        }
    }

    /// Forgets a session that is closed for the last time.
    pub fn close(&mut self, badge: u64, last: bool) {
        if last {
            self.by_badge.remove(&badge);
        }
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.by_badge.is_empty()
    }
}

/// Whether a channel can be signalled again.
fn is_there(result: Result<(), Error>) -> bool {
    result.is_ok()
}
