//! What a method can know about the call that it answers.

use crate::client::Key;
use crate::message::Stamp;
use crate::state::replies::ReplyKey;
use abi::{Class, Header};

/// The circumstances of a call. A method of a protocol that wants them has `cx: &Context` as its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    header: Header,
    badge: u64,
    stamp: Stamp,
}

/// Bit of a badge: the session may control what is served, not only use it. By agreement between init, which mints the
/// manifest's sessions, and the servers; a server that mints sessions itself keeps to it.
pub const CONTROL: u64 = 1 << 63;

/// Bit of a badge: the server itself chose it, for a session that init mints on its channel
/// ([`device_found`](crate::protocol::Registry::device_found)). Badges that init chooses do not have it.
pub const GIVEN: u64 = 1 << 61;

impl Context {
    /// The context of a call.
    pub fn new(badge: u64, header: Header, stamp: Stamp) -> Context {
        Context { header, badge, stamp }
    }

    /// What the session was minted with. Clients cannot choose or see it.
    pub fn badge(&self) -> u64 {
        self.badge
    }

    /// Whether the session may control what is served ([`CONTROL`]): settings, other clients' affairs, the device itself.
    pub fn may_control(&self) -> bool {
        self.badge & CONTROL != 0
    }

    /// Number of the client process, as the kernel says.
    pub fn client(&self) -> u64 {
        self.stamp.client
    }

    /// Identity of the method.
    pub fn method(&self) -> u32 {
        self.header.method()
    }

    /// Whether an earlier delivery of this call ended without an answer.
    pub fn is_replayed(&self) -> bool {
        self.header.is_replayed()
    }

    /// How often a fault of the server struck while this call was current. The kernel says so of calls that come again only: of a first one the stamp has what was
    /// said of an earlier call.
    pub fn faults(&self) -> u32 {
        if self.is_replayed() { self.stamp.faults } else { 0 }
    }

    /// How often the server was killed for hanging while this call was current.
    pub fn hangs(&self) -> u32 {
        if self.is_replayed() { self.stamp.hangs } else { 0 }
    }

    /// The key of a `once` request, within its session and client.
    pub fn key(&self) -> Option<Key> {
        let Stamp { lane, sequence, .. } = self.stamp;
        (self.header.class() == Some(Class::Once)).then_some(Key { lane, sequence })
    }

    /// The key of a `once` request among all that reach the server.
    pub fn request(&self) -> Option<ReplyKey> {
        Some(ReplyKey { badge: self.badge, client: self.client(), key: self.key()? })
    }
}
