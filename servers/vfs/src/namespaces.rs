//! Namespaces: what a session of vfs sees. Sessions that init minted see everything; the others a subtree.

use crate::mounts::below;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};

/// Mark of a badge that is a namespace of vfs's own making.
pub const NAMESPACE: u64 = 1 << 60;

/// Mark of such a badge whose namespace has the same root as vfs.
const EVERYTHING: u64 = NAMESPACE | 1 << 59;

/// Mark of one that changes nothing.
const READ_ONLY: u64 = 1;

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

    /// Adds one: its badge. That of a namespace with everything says so by itself, and so outlives vfs.
    pub fn add(&mut self, root: Root) -> u64 {
        if root.path == "/" {
            return EVERYTHING | if root.read_only { READ_ONLY } else { 0 };
        }
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
        if badge & EVERYTHING == EVERYTHING {
            return Some(Root { path: "/".to_string(), read_only: badge & READ_ONLY != 0 });
        }
        self.roots.get(&badge).cloned()
    }

    /// Whether a namespace has its root at or below a path.
    pub fn any_below(&self, path: &str) -> bool {
        self.roots.values().any(|root| below(&root.path, path).is_some())
    }

    /// A session is closed for good.
    pub fn close(&mut self, badge: u64) {
        self.roots.remove(&badge);
    }
}
