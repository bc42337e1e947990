//! What is known of nodes besides by how many they are open: who has locked them, who wants to hear of changes.

use crate::volume::NodeId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use libsys::Channel;

/// The lock of a node.
#[derive(Debug, Default)]
struct Lock {
    /// Badges of those who have it.
    owners: BTreeSet<u64>,
    is_exclusive: bool,
}

/// Who is signalled when a node changes.
#[derive(Debug)]
struct Subscriber {
    badge: u64,
    channel: Channel,
    bits: u64,
}

/// Locks and subscribers. Most nodes have neither, and cost nothing here.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    locks: BTreeMap<NodeId, Lock>,
    subscribers: BTreeMap<NodeId, Vec<Subscriber>>,
}

impl Watched {
    /// Whether the open file of a badge can have the node's lock.
    pub(crate) fn can_lock(&self, node: NodeId, badge: u64, exclusive: bool) -> bool {
        let Some(lock) = self.locks.get(&node) else { return true };
        let others = lock.owners.iter().any(|owner| *owner != badge);
        !others || !exclusive && !lock.is_exclusive
    }

    /// How the open file of a badge has the node's lock: exclusively or not.
    pub(crate) fn locked(&self, node: NodeId, badge: u64) -> Option<bool> {
        let lock = self.locks.get(&node).filter(|lock| lock.owners.contains(&badge))?;
        Some(lock.is_exclusive)
    }

    /// Gives it the lock.
    pub(crate) fn lock(&mut self, node: NodeId, badge: u64, exclusive: bool) {
        let lock = self.locks.entry(node).or_default();
        lock.owners.insert(badge);
        lock.is_exclusive = exclusive;
    }

    /// Takes the lock away: whether it had it.
    #[inline]
    pub(crate) fn unlock(&mut self, node: NodeId, badge: u64) -> bool {
        if self.locks.is_empty() {
            return false;
        }
        let Some(lock) = self.locks.get_mut(&node) else { return false };
        let had = lock.owners.remove(&badge);
        if lock.owners.is_empty() {
            self.locks.remove(&node);
        }
        had
    }

    /// Signals a channel at changes, for the open file of a badge.
    pub(crate) fn subscribe(&mut self, node: NodeId, badge: u64, channel: Channel, bits: u64) {
        self.subscribers.entry(node).or_default().push(Subscriber { badge, channel, bits });
    }

    /// Ends that: whether there was something to end.
    #[inline]
    pub(crate) fn unsubscribe(&mut self, node: NodeId, badge: u64) -> bool {
        if self.subscribers.is_empty() {
            return false;
        }
        let Some(subscribers) = self.subscribers.get_mut(&node) else { return false };
        let before = subscribers.len();
        subscribers.retain(|subscriber| subscriber.badge != badge);
        let had = subscribers.len() < before;
        if subscribers.is_empty() {
            self.subscribers.remove(&node);
        }
        had
    }

    /// The node has changed: who hears of it. Returns those who cannot be signalled any more, and are to be forgotten.
    #[inline]
    pub(crate) fn changed(&mut self, node: NodeId) -> Vec<u64> {
        if self.subscribers.is_empty() { Vec::new() } else { self.tell(node) }
    }

    #[cold]
    fn tell(&mut self, node: NodeId) -> Vec<u64> {
        let all = self.subscribers.get(&node).into_iter().flatten();
        all.filter(|subscriber| subscriber.channel.signal(subscriber.bits).is_err())
            .map(|subscriber| subscriber.badge)
            .collect()
    }
}
