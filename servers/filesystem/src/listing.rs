//! A directory in memory: names in order, and in the order in which they came, by which a reader finds where he was although names come and go.

use crate::volume::{Found, Result};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// The names of a directory.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    by_name: BTreeMap<Arc<str>, (Found, u64)>,
    by_arrival: BTreeMap<u64, Arc<str>>,
    arrivals: u64,
}

impl Listing {
    /// What a name stands for.
    pub fn get(&self, name: &str) -> Option<Found> {
        self.by_name.get(name).map(|(found, _)| *found)
    }

    /// Gives a name a meaning, in place of the one that it had, and then at its place in the list.
    pub fn insert(&mut self, name: &str, found: Found) -> Option<Found> {
        if let Some((old, _)) = self.by_name.get_mut(name) {
            return Some(core::mem::replace(old, found));
        }
        self.arrivals += 1;
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), (found, self.arrivals));
        self.by_arrival.insert(self.arrivals, name);
        None
    }

    /// The place of a name in the list.
    pub fn arrival(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).map(|(_, arrival)| *arrival)
    }

    /// The place that the next new name will have.
    pub fn next_arrival(&self) -> u64 {
        self.arrivals + 1
    }

    /// Adds a name at the place that it had in another incarnation.
    pub fn restore(&mut self, name: &str, found: Found, arrival: u64) {
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), (found, arrival));
        self.by_arrival.insert(arrival, name);
        self.arrivals = self.arrivals.max(arrival);
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str) -> Option<Found> {
        let (found, arrival) = self.by_name.remove(name)?;
        self.by_arrival.remove(&arrival);
        Some(found)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// As [`Volume::read_directory`](crate::Volume::read_directory).
    pub fn read(&self, cursor: u64, add: &mut dyn FnMut(&str, Found, u64) -> bool) -> Result<()> {
        let behind = cursor.saturating_add(1);
        for (arrival, name) in self.by_arrival.range(behind..) {
            let Some((found, _)) = self.by_name.get(name) else { continue };
            if !add(name, *found, *arrival) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::protocol::filesystem::NodeKind;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn names_that_stay_are_listed_once() {
        let found = |node| Found { node, kind: NodeKind::File };
        let mut listing = Listing::default();
        for (node, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(listing.insert(name, found(node as u64)), None);
        }
        let (mut seen, mut cursor) = (Vec::new(), 0);
        for step in 0.. {
            let mut next = None;
            let one = &mut |name: &str, _, behind| {
                let has_room = next.is_none();
                if has_room {
                    next = Some((String::from(name), behind));
                }
                has_room
            };
            listing.read(cursor, one).expect("no error");
            let Some((name, behind)) = next else { break };
            (cursor, _) = (behind, seen.push(name));
            match step {
                0 => drop(listing.remove("b")),
                1 => assert_eq!(listing.insert("c", found(9)), Some(found(2))),
                2 => drop(listing.insert("b", found(10))),
                _ => {}
            }
        }
        assert_eq!(seen, ["a", "c", "d", "b"]);
        assert_eq!((listing.get("c"), listing.len()), (Some(found(9)), 4));
    }
}
