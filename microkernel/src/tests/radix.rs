//! Radix trees against maps.

use super::machine::Arena;
use crate::frames::Frames;
use crate::radix::{ADDRESS, Kept, PRESENT, Radix};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;

fn zeroed(frames: &Frames) -> x86_64::PhysAddr {
    let frame = frames.allocate(0).unwrap();
    // SAFETY: it was just allocated.
    unsafe { crate::frames::zero(frame) };
    frame
}

/// The nodes that pages need, counted one by one: (level, number).
fn needed(levels: u32, pages: impl Iterator<Item = u64>) -> BTreeSet<(u32, u64)> {
    pages.flat_map(|page| (1..levels).map(move |level| (level, page >> (9 * level)))).collect()
}

/// Pages near the borders of nodes, so that few steps meet many cases.
fn page() -> impl Strategy<Value = u64> {
    (prop_oneof![Just(0u64), Just(512), Just(1 << 18), Just(3 << 18), Just(1 << 27)], 0u64..1030)
        .prop_map(|(base, offset)| base + offset)
}

proptest! {
    #[test]
    fn nodes_are_counted_exactly(start in page(), length in 1u64..1200, below in 0u64..1200, above in 0u64..1200) {
        let end = start + length;
        let kept = Kept { below: start.saturating_sub(below), above: end + above };
        let neighbours = needed(4, [kept.below.wrapping_sub(1), kept.above].into_iter().filter(|page| *page != u64::MAX));
        let mine = needed(4, start..end);
        prop_assert_eq!(Radix::nodes(4, start..end, kept), mine.difference(&neighbours).count() as u64);
        prop_assert_eq!(Radix::nodes(4, start..end, Kept::NONE), mine.len() as u64);
    }

    #[test]
    fn behaves_as_a_map(
        placed in prop::collection::btree_map(page(), 1u64..1000, 0..60),
        cuts in prop::collection::vec((page(), 1u64..(1 << 19), 1u64..700), 1..8),
        changed in (page(), 1u64..(1 << 18), 1u64..600),
    ) {
        let arena = Arena::new(1024);
        let frames = Frames::new();
        // SAFETY: the arena is ours.
        unsafe { frames.add(arena.range(0..1024)) };
        let before = frames.free.get();
        // SAFETY: the root is ours until the end.
        let tree = unsafe { Radix::new(zeroed(&frames), 4) };
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        for (page, value) in placed {
            tree.word_or_grow(page, 0, || zeroed(&frames)).store(value << 12 | PRESENT, Relaxed);
            model.insert(page, value);
        }
        prop_assert_eq!(before - frames.free.get() - 1, needed(4, model.keys().copied()).len() as u64);

        let (mut from, end) = (changed.0, changed.0 + changed.1);
        while from < end {
            let next = tree.change(from..end, changed.2, |word| word + (1 << 12));
            prop_assert!(next > from && next <= end);
            from = next;
        }
        model.range_mut(changed.0..end).for_each(|(_, value)| *value += 1);

        for (start, length, budget) in cuts {
            // Every page outside of the range counts as needed by others: nearest neighbours say it all.
            let kept = Kept {
                below: model.range(..start).next_back().map_or(0, |(page, _)| page + 1),
                above: model.range(start + length..).next().map_or(u64::MAX, |(page, _)| *page),
            };
            let removed = RefCell::new(BTreeMap::new());
            let mut expected: BTreeMap<u64, u64> = model.range(start..start + length).map(|(a, b)| (*a, *b)).collect();
            let mut end = start + length;
            let mut order = Vec::new();
            while end > start {
                let next = tree.cut(
                    start..end,
                    kept,
                    budget,
                    |word| order.push((word & ADDRESS) >> 12),
                    |node| {
                        // SAFETY: a node, taken out.
                        let words = unsafe { std::slice::from_raw_parts(crate::arch::direct_map(node).cast::<u64>(), 512) };
                        assert!(words.iter().all(|word| word & PRESENT == 0));
                        assert!(removed.borrow_mut().insert(node, ()).is_none());
                        frames.free(node, 0);
                        removed.borrow_mut().remove(&node);
                    },
                );
                prop_assert!(next < end && next >= start);
                end = next;
            }
            order.sort();
            let mut values: Vec<u64> = std::mem::take(&mut expected).into_values().collect();
            values.sort();
            prop_assert_eq!(order, values);
            model.retain(|page, _| !(start..start + length).contains(page));
            prop_assert_eq!(before - frames.free.get() - 1, needed(4, model.keys().copied()).len() as u64);
        }
        for (page, value) in &model {
            prop_assert_eq!(tree.word(*page).unwrap().load(Relaxed), value << 12 | PRESENT);
        }
        tree.cut(0..1 << 36, Kept::NONE, u64::MAX / 2, |_| {}, |node| frames.free(node, 0));
        frames.free(tree.root(), 0);
        prop_assert_eq!(frames.free.get(), before);
    }
}
