//! Namespaces: what a session of vfs sees. Sessions that init minted see everything; the others a subtree.

use crate::kept::NAMESPACE as KIND;
use crate::mounts::below;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use libsys::state::{Full, RecordKey, Records};
use serde::{Deserialize, Serialize};

/// Mark of a badge that is a namespace of vfs's own making.
pub const NAMESPACE: u64 = 1 << 60;

/// Mark of such a badge whose namespace has the same root as vfs.
const EVERYTHING: u64 = NAMESPACE | 1 << 59;

/// Mark of one that changes nothing.
const READ_ONLY: u64 = 1;

/// What a namespace shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Those of earlier incarnations whose sessions somebody has; their badges are not given out again.
    pub fn recover(records: &mut Records, incarnation: u64, is_live: impl Fn(u64) -> bool) -> Namespaces {
        let mut roots = BTreeMap::new();
        for (key, root) in records.all::<Root>(KIND) {
            if is_live(key.first) {
                roots.insert(key.first, root);
            } else {
                records.remove(key);
            }
        }
        Namespaces { roots, next: (incarnation & 0xffff) << 40 }
    }

    /// Adds one: its badge. That of a namespace with everything says so by itself.
    pub fn add(&mut self, records: &mut Records, root: Root) -> Result<u64, Full> {
        if root.path == "/" {
            return Ok(EVERYTHING | if root.read_only { READ_ONLY } else { 0 });
        }
        self.next += 1;
        let badge = NAMESPACE | self.next;
        records.put(RecordKey::new(KIND, badge), &root)?;
        self.roots.insert(badge, root);
        Ok(badge)
    }

    /// What a session sees; `None`: nobody knows, as what was kept is lost.
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
    pub fn close(&mut self, records: &mut Records, badge: u64) {
        if self.roots.remove(&badge).is_some() {
            records.remove(RecordKey::new(KIND, badge));
        }
    }
}
