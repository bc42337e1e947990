//! Who uses which ports, device memory and requester numbers, each exclusively; and where RAM is, which nobody gets as
//! device memory.
//!
//! A range in use is a [`Claim`], charged to the account of the object that it is for, in a tree by its last number. As claims do
//! not overlap, the first one that ends at or behind a number is the only one that can hold it.

use super::{Account, Object, ObjectType, Type, slab};
use crate::{Kernel, Node, Tree};
use abi::Error;
use abi::boot::ResourceKind;
use abi::inspect::RangeRecord;
use core::cell::Cell;
use core::ops::Range;
use x86_64::PhysAddr;

/// A range in use. Its last number is the key of its node.
pub struct Claim {
    start: u64,
    process: u64,
    node: Node<Claim>,
}

/// What is in use.
pub struct Ranges {
    physical: Tree<Claim, ByEnd>,
    ports: Tree<Claim, ByEnd>,
    requesters: Tree<Claim, ByEnd>,
    /// Where RAM is: set at boot.
    pub ram: Cell<&'static [Range<PhysAddr>]>,
}

impl Ranges {
    /// Nothing is in use, and no RAM known.
    pub const fn new() -> Ranges {
        Ranges { physical: Tree::new(), ports: Tree::new(), requesters: Tree::new(), ram: Cell::new(&[]) }
    }

    /// Whether a part of the range is RAM.
    pub fn is_ram(&self, start: u64, length: u64) -> bool {
        let end = start.saturating_add(length);
        self.ram.get().iter().any(|ram| start < ram.end.as_u64() && ram.start.as_u64() < end)
    }

    /// Bytes of RAM.
    pub fn ram_bytes(&self) -> u64 {
        self.ram.get().iter().map(|ram| ram.end - ram.start).sum()
    }

    fn tree(&self, kind: ResourceKind) -> &Tree<Claim, ByEnd> {
        match kind {
            ResourceKind::Physical => &self.physical,
            ResourceKind::Ports => &self.ports,
            ResourceKind::Dma => &self.requesters,
            _ => unreachable!("ranges of this kind are not claimed"),
        }
    }

    /// Takes a range, not empty, for a process, until it is [released](Ranges::release).
    ///
    /// # Errors
    /// `Busy`, `AccountExhausted`, `BadArgument` where the range does not end.
    pub fn claim(
        &self,
        kernel: &Kernel,
        account: &Object<Account>,
        kind: ResourceKind,
        start: u64,
        length: u64,
        process: u64,
    ) -> Result<(), Error> {
        let last = length.checked_sub(1).and_then(|more| start.checked_add(more)).ok_or(Error::BadArgument)?;
        let tree = self.tree(kind);
        if tree.first_from(kernel, start).is_some_and(|claim| claim.start <= last) {
            return Err(Error::Busy);
        }
        tree.insert(slab::create(kernel, account, Claim { start, process, node: Node::new() })?, last);
        Ok(())
    }

    /// Gives the range back that starts at `start`, if there is one.
    pub fn release(&self, kernel: &Kernel, kind: ResourceKind, start: u64) {
        let tree = self.tree(kind);
        if let Some(claim) = tree.first_from(kernel, start).filter(|claim| claim.start == start) {
            tree.remove(claim);
        }
    }

    /// The first range in use that ends at `from` or behind it.
    pub fn next_from(&self, kernel: &Kernel, kind: ResourceKind, from: u64) -> Option<RangeRecord> {
        self.tree(kind).first_from(kernel, from).map(|claim| RangeRecord {
            kind: kind as u64,
            start: claim.start,
            length: claim.node.key.get() - claim.start + 1,
            process: claim.process,
        })
    }
}

impl Type for Claim {
    const TYPE: ObjectType = ObjectType::Claim;
}

crate::nodes! {
    /// Nodes of claims.
    ByEnd: Claim, node;
}
