//! Namespaces: what a session of vfs sees. Sessions that init minted see everything; the others a subtree.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

/// Mark of a badge that is a namespace of vfs's own making.
pub const NAMESPACE: u64 = 1 << 60;

/// What a namespace shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its root: a normal path.
    pub path: String,
    /// Nothing can be changed through it.
    pub read_only: bool,
}

/// All that vfs made.
#[derive(Debug)]
pub struct Namespaces {
    roots: BTreeMap<u64, Root>,
    next: u64,
}

impl Namespaces {
    /// None, whose badges are others than those of earlier incarnations.
    pub fn new(incarnation: u64) -> Namespaces {
        Namespaces { roots: BTreeMap::new(), next: (incarnation & 0xffff) << 40 }
    }

    /// Adds one: its badge.
    pub fn add(&mut self, root: Root) -> u64 {
        self.next += 1;
        let badge = NAMESPACE | self.next;
        self.roots.insert(badge, root);
        badge
    }

    /// What a session sees; `None`: it was made by an earlier incarnation.
    pub fn get(&self, badge: u64) -> Option<Root> {
        if badge & NAMESPACE == 0 {
            return Some(Root { path: "/".to_string(), read_only: false });
        }
        self.roots.get(&badge).cloned()
    }

    /// A session is closed for good.
    pub fn close(&mut self, badge: u64) {
        self.roots.remove(&badge);
    }
}
