//! A start: what lies in the arena is found, and becomes nodes, names and data again. What belongs to nothing is freed.

use crate::arena::Arena;
use crate::budget::Budget;
use crate::names::{Entry, NameSlabs};
use crate::node::{Body, Node};
use crate::slab::{Slab, Slot};
use crate::tree::{NODE_BYTES, ROOT, name_bytes};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use filesystem::{Destination, Found, NodeId};

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// By number.
    pub nodes: Vec<Option<Node>>,
    /// The largest serial number.
    pub serial: u64,
}

/// Finds what an earlier incarnation has left.
pub fn recover(arena: &mut Arena, slab: &mut Slab, names: &mut NameSlabs, budget: &mut Budget) -> Recovered {
    let mut found = Recovered::default();
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (page, owner, place) in arena.owned() {
        if owner == slab.owner() {
            let slots = slab.restore(page, place, arena);
            slots.into_iter().for_each(|(slot, bytes)| found.add_node(slot, &bytes, budget));
        } else if let Some(some) = names.restore(page, owner, place, arena) {
            entries.extend(some);
        } else {
            data.push((page, owner, place));
        }
    }
    let numbers: BTreeMap<u64, usize> =
        found.nodes.iter().enumerate().filter_map(|(index, node)| Some((node.as_ref()?.serial, index))).collect();
    for (page, serial, place) in data {
        let node = numbers.get(&serial).and_then(|index| found.nodes[*index].as_mut());
        if node.and_then(Node::contents_mut).is_some_and(|contents| contents.restore(place, page)) {
            arena.retake(page);
        } else {
            // Of a request that was never committed, or behind the end of what was cut off.
            arena.disown(page);
        }
    }
    entries.into_iter().for_each(|entry| found.add_name(entry, budget));
    found.read_links(arena);
    for node in found.nodes.iter().flatten() {
        budget.retake(node.contents().map_or(0, |contents| contents.charged()));
    }
    found
}

impl Recovered {
    fn add_node(&mut self, slot: Slot, bytes: &[u8], budget: &mut Budget) {
        let Some(node) = Node::decode(bytes) else { return };
        self.serial = self.serial.max(node.serial);
        if self.nodes.len() <= slot as usize {
            self.nodes.resize_with(slot as usize + 1, || None);
        }
        budget.retake(NODE_BYTES);
        self.nodes[slot as usize] = Some(node);
    }

    fn node(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(node).ok()?)?.as_mut()
    }

    fn add_name(&mut self, entry: Entry, budget: &mut Budget) {
        let Entry { directory, node, arrival, name, place } = entry;
        let (Ok(name), Some(kind)) = (String::from_utf8(name), self.node(node).map(|node| node.kind())) else {
            libsys::error!("a name is lost: its file is not there");
            return;
        };
        let Some(Body::Directory(names)) = self.node(directory).map(|node| &mut node.body) else {
            libsys::error!("`{name}` is lost: its directory is not there");
            return;
        };
        names.restore(&name, Found { node, kind }, arrival, place);
        budget.retake(name_bytes(&name));
        if let Some(node) = self.node(node) {
            node.links += 1;
        }
    }

    /// The targets of links are their data; the root has a name of its own.
    fn read_links(&mut self, arena: &Arena) {
        for node in self.nodes.iter_mut().flatten() {
            if let Body::Link(target, contents) = &mut node.body {
                let mut bytes = alloc::vec![0; contents.size() as usize];
                contents.read(0, &mut Destination::bytes(&mut bytes), arena);
                *target = String::from_utf8(bytes).unwrap_or_default();
            }
        }
        if let Some(root) = self.node(ROOT) {
            root.links = 1;
        }
    }
}
