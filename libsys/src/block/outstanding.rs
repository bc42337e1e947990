//! The requests of a client that were not answered yet: the truth about them, whatever the server knows.

use super::Submission;
use alloc::vec::Vec;

/// What a request is known by: a slot, and how often that was used.
pub(super) type Id = u64;

#[derive(Debug)]
struct Slot {
    generation: u32,
    /// Number of the submission; 0: free.
    order: u64,
    /// Number of the blocking call that waits for it; 0: it is polled for.
    call: u64,
    /// Answers to it that were not believed.
    doubts: u32,
    /// It names the client's own numbers of buffers.
    request: Submission,
}

/// A table of as many requests as the queue is deep.
#[derive(Debug)]
pub(super) struct Outstanding {
    slots: Vec<Slot>,
    free: Vec<u32>,
    submitted: u64,
    /// Slots in the order of submission, while they are gone through.
    scratch: Vec<(u64, u32)>,
}

impl Outstanding {
    pub(super) fn new(depth: u32) -> Outstanding {
        let slot = |_| Slot { generation: 0, order: 0, call: 0, doubts: 0, request: Submission::default() };
        let slots: Vec<Slot> = (0..depth).map(slot).collect();
        let scratch = Vec::with_capacity(slots.len());
        Outstanding { slots, free: (0..depth).rev().collect(), submitted: 0, scratch }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a request in, which `fill` writes over one that has ended, but for the id: the request with that. `None` when the table is full.
    pub(super) fn add(&mut self, call: u64, fill: impl FnOnce(&mut Submission)) -> Option<&Submission> {
        let index = self.free.pop()?;
        self.submitted += 1;
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.order = self.submitted;
        slot.call = call;
        slot.doubts = 0;
        fill(&mut slot.request);
        slot.request.id = u64::from(slot.generation) << 32 | u64::from(index);
        Some(&slot.request)
    }

    /// Takes a request out: the number of the blocking call that waits for it, or 0. `None`: it is not outstanding.
    pub(super) fn remove(&mut self, id: Id) -> Option<u64> {
        let slot = self.slot(id)?;
        slot.order = 0;
        let call = slot.call;
        self.free.push(id as u32);
        Some(call)
    }

    fn slot(&mut self, id: Id) -> Option<&mut Slot> {
        self.slots.get_mut(id as u32 as usize).filter(|slot| slot.order != 0 && slot.request.id == id)
    }

    /// Notes a doubt about the answer to a request, if `is_doubtful`: how many there have been; 0: there is none.
    pub(super) fn doubt(&mut self, id: Id, is_doubtful: impl FnOnce(&Submission) -> bool) -> u32 {
        let Some(slot) = self.slot(id).filter(|slot| is_doubtful(&slot.request)) else { return 0 };
        slot.doubts += 1;
        slot.doubts
    }

    /// Whether a request names a buffer.
    pub(super) fn names(&self, buffer: u32) -> bool {
        let names = |slot: &Slot| slot.request.segments().iter().any(|segment| segment.buffer == buffer);
        self.slots.iter().any(|slot| slot.order != 0 && names(slot))
    }

    /// All of them, in the order of their submission.
    pub(super) fn in_order(&mut self, mut each: impl FnMut(&Submission)) {
        self.scratch.clear();
        let orders = self.slots.iter().zip(0..).map(|(slot, index)| (slot.order, index));
        self.scratch.extend(orders.filter(|(order, _)| *order != 0));
        self.scratch.sort_unstable();
        self.scratch.iter().for_each(|(_, index)| each(&self.slots[*index as usize].request));
    }

    /// The one that was submitted first.
    pub(super) fn first(&self) -> Option<Id> {
        let oldest = self.slots.iter().filter(|slot| slot.order != 0).min_by_key(|slot| slot.order);
        oldest.map(|slot| slot.request.id)
    }
}
