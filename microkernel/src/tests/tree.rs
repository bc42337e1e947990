//! Ordered trees, against the standard library's.

use super::machine::Machine;
use crate::kernel::Kernel;
use crate::object::reference::{ObjectType, Type};
use crate::object::{Ref, slab};
use crate::tree::{Node, Tree, Which};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Leaf(Node<Leaf>);

impl Type for Leaf {
    const TYPE: ObjectType = ObjectType::Claim;

    fn finalize(&self, _kernel: &Kernel) {}
}

struct Only;
impl Which<Leaf> for Only {
    fn node(leaf: &Leaf) -> &Node<Leaf> {
        &leaf.0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Keys repeat: equal ones stay in order of arrival. The model's key has a serial number behind the key.
    #[test]
    fn behaves_as_its_model(steps in prop::collection::vec((0u8..8, 0u64..24), 0..300)) {
        let machine = Machine::new(256);
        let kernel = &*machine.kernel;
        let tree: Tree<Leaf, Only> = Tree::new();
        let mut model: BTreeMap<(u64, u64), Ref<Leaf>> = BTreeMap::new();
        for (serial, (action, key)) in steps.into_iter().enumerate() {
            match action {
                0..4 => {
                    let leaf = slab::create(kernel, machine.root.get(kernel), Leaf(Node::new())).unwrap();
                    tree.insert(leaf.clone(), key);
                    model.insert((key, serial as u64), leaf);
                }
                4..6 => {
                    let place = model.keys().nth(key as usize % model.len().max(1)).copied();
                    if let Some(leaf) = place.and_then(|place| model.remove(&place)) {
                        prop_assert!(tree.remove(&leaf).is_some());
                        prop_assert!(tree.remove(&leaf).is_none());
                        prop_assert!(!leaf.0.linked.get());
                    }
                }
                6 => {
                    let first = tree.pop_first();
                    let expected = model.pop_first();
                    prop_assert_eq!(first.map(|leaf| leaf.number()), expected.map(|(_, leaf)| leaf.number()));
                }
                _ => {
                    let found = tree.first_from(kernel, key).map(|leaf| leaf.number());
                    let expected = model.range((key, 0)..).next().map(|(_, leaf)| leaf.number());
                    prop_assert_eq!(found, expected);
                }
            }
            let first = tree.first(kernel);
            let listed = std::iter::successors(first, |leaf| tree.after(kernel, leaf)).map(|leaf| leaf.number());
            prop_assert_eq!(listed.collect::<Vec<_>>(), model.values().map(|leaf| leaf.number()).collect::<Vec<_>>());
            prop_assert_eq!(tree.len() as usize, model.len());
            prop_assert_eq!(tree.is_empty(), model.is_empty());
        }
        while tree.pop_first().is_some() {}
    }
}

/// Ordered keys do not make a list of it: far fewer steps than members lead to each.
#[test]
fn stays_shallow_whatever_the_order() {
    let machine = Machine::new(512);
    let kernel = &*machine.kernel;
    let tree: Tree<Leaf, Only> = Tree::new();
    for key in 0..4096 {
        tree.insert(slab::create(kernel, machine.root.get(kernel), Leaf(Node::new())).unwrap(), key);
    }
    assert!(tree.depth() < 48, "{}", tree.depth());
    while tree.pop_first().is_some() {}
}
