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

/// Most ranges of RAM: as many as the boot code finds.
const MOST_RAM: usize = crate::arch::ranges::CAPACITY;

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
    ram: [Cell<(u64, u64)>; MOST_RAM],
    ram_count: Cell<usize>,
}

impl Ranges {
    /// Nothing is in use, and no RAM known.
    pub const fn new() -> Ranges {
        Ranges {
            physical: Tree::new(),
            ports: Tree::new(),
            requesters: Tree::new(),
            ram: [const { Cell::new((0, 0)) }; MOST_RAM],
            ram_count: Cell::new(0),
        }
    }

    /// Notes a range of RAM: at boot.
    ///
    /// # Panics
    /// When there are more than the boot code can find.
    pub fn add_ram(&self, range: Range<PhysAddr>) {
        let count = self.ram_count.get();
        self.ram[count].set((range.start.as_u64(), range.end.as_u64()));
        self.ram_count.set(count + 1);
    }

    fn ram(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ram[..self.ram_count.get()].iter().map(Cell::get)
    }

    /// Whether a part of the range is RAM.
    pub fn is_ram(&self, start: u64, length: u64) -> bool {
        let end = start.saturating_add(length);
        self.ram().any(|(ram_start, ram_end)| start < ram_end && ram_start < end)
    }

    /// Bytes of RAM.
    pub fn ram_bytes(&self) -> u64 {
        self.ram().map(|(start, end)| end - start).sum()
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
