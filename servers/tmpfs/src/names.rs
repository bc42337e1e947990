//! The names in a directory, and where each lies in the arena.

use crate::arena::Arena;
use crate::slab::{Slab, Slot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use filesystem::{Found, Listing, NodeId, Result};

/// Owners of pages that no serial number of a node reaches: nodes, and names by length.
pub const OWNERS: u64 = 1 << 63;

/// Bytes of slots for names.
const SIZES: [usize; 3] = [64, 128, 288];

/// Where in a slot are the directory (and one more), …
const DIRECTORY: usize = 0;
/// … the node, …
pub const NODE: usize = 8;
/// … the place in the list, …
const ARRIVAL: usize = 16;
/// … and the name: its length, and its bytes.
const LENGTH: usize = 24;
const NAME: usize = 26;

/// Where a name lies: which slab, and the slot there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    slab: u8,
    slot: Slot,
}

/// The names in a directory.
#[derive(Debug, Default)]
pub struct Names {
    pub listing: Listing,
    /// Where they lie, by their places in the list.
    places: BTreeMap<u64, Place>,
}

impl Names {
    /// Where a name lies.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.places.get(&self.listing.arrival(name)?).copied()
    }

    /// Adds a new name, which lies there, or gives one that is there another meaning.
    pub fn insert(&mut self, name: &str, found: Found, place: Place) {
        if self.listing.insert(name, found).is_none()
            && let Some(arrival) = self.listing.arrival(name)
        {
            self.places.insert(arrival, place);
        }
    }

    /// Adds one of an earlier incarnation.
    pub fn restore(&mut self, name: &str, found: Found, arrival: u64, place: Place) {
        self.listing.restore(name, found, arrival);
        self.places.insert(arrival, place);
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str) {
        if let Some(arrival) = self.listing.arrival(name) {
            self.places.remove(&arrival);
        }
        self.listing.remove(name);
    }
}

/// A name that was found in a slot.
#[derive(Debug)]
pub struct Entry {
    pub directory: NodeId,
    pub node: NodeId,
    pub arrival: u64,
    pub name: Vec<u8>,
    pub place: Place,
}

/// The places of all names.
#[derive(Debug)]
pub struct NameSlabs([Slab; 3]);

impl NameSlabs {
    /// None.
    pub const fn new() -> NameSlabs {
        let [small, middle, large] = SIZES;
        NameSlabs([Slab::new(OWNERS + 1, small), Slab::new(OWNERS + 2, middle), Slab::new(OWNERS + 3, large)])
    }

    /// Bytes that the place of a name takes.
    pub fn bytes(name: &str) -> u64 {
        SIZES.into_iter().find(|bytes| NAME + name.len() <= *bytes).unwrap_or(0) as u64
    }

    /// Takes a place for a name. Error: `NoSpace`.
    pub fn take(&mut self, name: &str, arena: &mut Arena) -> Result<Place> {
        let slab = SIZES.iter().position(|bytes| NAME + name.len() <= *bytes);
        let slab = slab.ok_or(filesystem::FileError::NameTooLong)?;
        Ok(Place { slab: slab as u8, slot: self.0[slab].take(arena)? })
    }

    /// Gives it back.
    pub fn give(&mut self, place: Place, arena: &mut Arena) {
        self.0[usize::from(place.slab)].give(place.slot, arena);
    }

    /// Notes that a name is there.
    pub fn log(&self, place: Place, directory: NodeId, node: NodeId, arrival: u64, name: &str, arena: &mut Arena) {
        let mut slot = Vec::with_capacity(NAME + name.len());
        for word in [directory + 1, node, arrival] {
            slot.extend_from_slice(&word.to_le_bytes());
        }
        slot.extend_from_slice(&(name.len() as u16).to_le_bytes());
        slot.extend_from_slice(name.as_bytes());
        self.log_at(place, DIRECTORY, &slot, arena);
    }

    /// Notes that it stands for another node.
    pub fn log_node(&self, place: Place, node: NodeId, arena: &mut Arena) {
        self.log_at(place, NODE, &node.to_le_bytes(), arena);
    }

    /// Notes that it is gone.
    pub fn log_end(&self, place: Place, arena: &mut Arena) {
        self.log_at(place, DIRECTORY, &[0; 8], arena);
    }

    fn log_at(&self, place: Place, offset: usize, bytes: &[u8], arena: &mut Arena) {
        if let Some((page, at)) = self.0[usize::from(place.slab)].place(place.slot) {
            arena.log(page, at + offset, bytes);
        }
    }

    /// Whether a page of this owner has names; what it has.
    pub fn restore(&mut self, page: u32, owner: u64, place: u64, arena: &mut Arena) -> Option<Vec<Entry>> {
        let index = self.0.iter().position(|slab| slab.owner() == owner)?;
        let found = self.0[index].restore(page, place, arena);
        let entry = |(slot, bytes): (Slot, Vec<u8>)| {
            let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
            let length = usize::from(u16::from_le_bytes([bytes[LENGTH], bytes[LENGTH + 1]]));
            Entry {
                directory: word(DIRECTORY) - 1,
                node: word(NODE),
                arrival: word(ARRIVAL),
                name: bytes[NAME..].iter().take(length).copied().collect(),
                place: Place { slab: index as u8, slot },
            }
        };
        Some(found.into_iter().map(entry).collect())
    }
}
