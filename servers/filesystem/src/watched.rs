//! What is kept for each node that is in use: by how many it is open, who has locked it, who wants to hear of changes.

use crate::volume::NodeId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use libsys::Channel;

/// A node in use.
#[derive(Debug, Default)]
struct Node {
    opens: u32,
    lock: Lock,
    /// Who is signalled: by badge.
    subscribers: Vec<(u64, Channel, u64)>,
}

/// The lock of a node.
#[derive(Debug, Default)]
struct Lock {
    /// Badges of those who have it.
    owners: BTreeSet<u64>,
    is_exclusive: bool,
}

/// All nodes in use.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    nodes: BTreeMap<NodeId, Node>,
    /// Subscribers of all nodes together: where there are none, changes cost nothing.
    subscribers: usize,
}

impl Watched {
    /// One more has it open.
    pub(crate) fn open(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().opens += 1;
    }

    /// Whether somebody has it open.
    pub(crate) fn is_open(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// The open file of a badge is closed: whether it was the last one of the node, and whether a lock became free.
    pub(crate) fn close(&mut self, node: NodeId, badge: u64) -> (bool, bool) {
        self.subscribe(node, badge, None);
        let was_locked = self.unlock(node, badge);
        let Some(entry) = self.nodes.get_mut(&node) else { return (false, was_locked) };
        entry.opens = entry.opens.saturating_sub(1);
        let is_last = entry.opens == 0;
        if is_last {
            self.nodes.remove(&node);
        }
        (is_last, was_locked)
    }

    /// Gives the open file of a badge the node's lock, if that is possible.
    pub(crate) fn lock(&mut self, node: NodeId, badge: u64, exclusive: bool) -> bool {
        let Some(Node { lock, .. }) = self.nodes.get_mut(&node) else { return false };
        let others = lock.owners.iter().any(|owner| *owner != badge);
        if others && (exclusive || lock.is_exclusive) {
            return false;
        }
        lock.owners.insert(badge);
        lock.is_exclusive = exclusive;
        true
    }

    /// Takes the lock away from the open file of a badge: whether it had it.
    pub(crate) fn unlock(&mut self, node: NodeId, badge: u64) -> bool {
        self.nodes.get_mut(&node).is_some_and(|entry| entry.lock.owners.remove(&badge))
    }

    /// Signals a channel at changes, for the open file of a badge, in place of what it asked for before.
    pub(crate) fn subscribe(&mut self, node: NodeId, badge: u64, channel: Option<(Channel, u64)>) {
        if self.subscribers == 0 && channel.is_none() {
            return;
        }
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        let before = entry.subscribers.len();
        entry.subscribers.retain(|(known, ..)| *known != badge);
        self.subscribers -= before - entry.subscribers.len();
        if let Some((channel, bits)) = channel {
            entry.subscribers.push((badge, channel, bits));
            self.subscribers += 1;
        }
    }

    /// The node has changed. Who cannot be signalled any more is forgotten.
    #[inline]
    pub(crate) fn changed(&mut self, node: NodeId) {
        if self.subscribers > 0 {
            self.tell(node);
        }
    }

    #[cold]
    fn tell(&mut self, node: NodeId) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        let before = entry.subscribers.len();
        entry.subscribers.retain(|(_, channel, bits)| channel.signal(*bits).is_ok());
        self.subscribers -= before - entry.subscribers.len();
    }
}
