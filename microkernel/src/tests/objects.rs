//! Objects, references, slabs, accounts and lists.

use super::machine::{Machine, limits};
use crate::kernel::Kernel;
use crate::list::List;
use crate::object::mapping::{AsWriter, InLimbo, Mapping};
use crate::object::reference::ObjectType;
use crate::object::{Account, Memory, Object, Quantity, Ref, Slot, slab};
use abi::Error;
use abi::memory::{Caching, Protection};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::ptr::NonNull;
use x86_64::PhysAddr;

/// A small object: device Memory owns no frames.
fn small(kernel: &Kernel, account: &Object<Account>) -> Result<Ref<Memory>, Error> {
    Memory::device(kernel, account, PhysAddr::new(0x1000)..PhysAddr::new(0x2000), Caching::Uncached)
}

fn linked(kernel: &Kernel, account: &Object<Account>, memory: &Ref<Memory>) -> Ref<Mapping> {
    let value = Mapping::new(memory.clone(), NonNull::dangling(), 0..1, 0, 0, Protection::empty());
    slab::create(kernel, account, value).unwrap()
}

fn frames(account: &Account) -> u64 {
    account.usage().used.frames
}

#[test]
fn an_object_lives_as_long_as_a_reference() {
    let mut machine = Machine::new(64);
    let account = machine.account(10);
    let first = small(&machine.kernel, account.get(&machine.kernel)).unwrap();
    let second = first.clone();
    let slot = Slot::with(first.clone());
    assert_eq!((first.references(), machine.kernel.counts.of(ObjectType::Memory)), (3, 1));
    drop(first);
    drop(slot);
    machine.reap_all();
    assert_eq!((second.references(), frames(&account)), (1, 1));
    drop(second);
    assert_eq!(machine.kernel.counts.of(ObjectType::Memory), 1, "it waits for the reaper");
    machine.reap_all();
    assert_eq!((machine.kernel.counts.of(ObjectType::Memory), frames(&account)), (0, 0));
}

#[test]
fn a_borrow_outlives_the_last_reference_and_can_take_a_new_one() {
    let mut machine = Machine::new(64);
    let account = machine.account(10);
    let kernel = &machine.kernel;
    let slot = Slot::with(small(kernel, account.get(kernel)).unwrap());
    let borrow = slot.get(kernel).unwrap();
    slot.set(None);
    let again = borrow.to_ref();
    drop(again.clone());
    let number = again.number();
    machine.reap_all();
    assert_eq!((again.number(), machine.kernel.counts.of(ObjectType::Memory)), (number, 1));
    let borrow = again.get(&machine.kernel);
    drop(again);
    drop(borrow.to_ref());
    drop(borrow.to_ref());
    machine.reap_all();
    assert_eq!((machine.kernel.counts.of(ObjectType::Memory), frames(&account)), (0, 0));
}

#[test]
fn the_reaper_is_bounded_and_fair() {
    let mut machine = Machine::new(3000);
    let account = machine.account(2900);
    let kernel = &machine.kernel;
    let big = Memory::create(kernel, account.get(kernel), 2000 * 4096, abi::memory::MemoryKind::Anonymous).unwrap();
    (0..2000).for_each(|page| {
        big.place(kernel, page);
    });
    let others: Vec<_> = (0..100).map(|_| small(kernel, account.get(kernel)).unwrap()).collect();
    let free = kernel.frames.free.get();
    drop(big);
    drop(others);
    let (mut rounds, mut others_gone) = (0, 0);
    while machine.kernel.has_work() {
        let before = machine.kernel.frames.free.get();
        machine.kernel.reap();
        assert!(machine.kernel.frames.free.get() - before <= 200);
        rounds += 1;
        if others_gone == 0 && machine.kernel.counts.of(ObjectType::Memory) == 1 {
            others_gone = rounds;
        }
    }
    assert!(others_gone > 0 && others_gone < rounds, "small ones do not wait for big ones");
    assert!(machine.kernel.frames.free.get() >= free + 2000);
    assert_eq!(frames(&account), 0);
}

#[test]
fn an_account_outlives_its_handle_until_its_objects_are_gone() {
    let mut machine = Machine::new(64);
    let used = frames(&machine.root);
    let account = machine.account(10);
    let child = account.get(&machine.kernel).split(&machine.kernel, limits(4)).unwrap();
    let object = small(&machine.kernel, child.get(&machine.kernel)).unwrap();
    assert_eq!(frames(&machine.root), used + 10, "the account itself fits in a page of the root's");
    drop(account);
    drop(child);
    machine.reap_all();
    assert_eq!(machine.kernel.counts.of(ObjectType::Account), 3);
    drop(object);
    machine.reap_all();
    assert_eq!((machine.kernel.counts.of(ObjectType::Account), frames(&machine.root)), (1, used));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut machine = Machine::new(64);
    let account = machine.account(3);
    let kernel = &machine.kernel;
    let held: Vec<_> = std::iter::from_fn(|| small(kernel, account.get(kernel)).ok()).collect();
    assert!(held.len() > 20 && frames(&account) == 3);
    assert_eq!(small(kernel, account.get(kernel)).err(), Some(Error::AccountExhausted));
    assert_eq!(account.get(kernel).split(kernel, limits(0)).err(), Some(Error::AccountExhausted));
    assert_eq!(account.usage().used.handles, 0);
    account.revoke(kernel);
    drop(held);
    machine.reap_all();
    let kernel = &machine.kernel;
    assert_eq!(small(kernel, account.get(kernel)).err(), Some(Error::AccountExhausted), "revoked");
    assert_eq!((frames(&account), machine.kernel.counts.of(ObjectType::Memory)), (0, 0));
}

#[test]
fn a_revoked_account_gives_back_what_it_does_not_use() {
    let mut machine = Machine::new(64);
    let used = frames(&machine.root);
    let account = machine.account(20);
    let kernel = &machine.kernel;
    account.charge(Quantity::Frames, 5).unwrap();
    let child = account.get(kernel).split(kernel, limits(4)).unwrap();
    let promised = frames(&account);
    assert!((9..20).contains(&promised) && frames(&machine.root) == used + 20);
    account.revoke(kernel);
    assert_eq!((frames(&machine.root), account.usage().limits.frames), (used + promised, promised));
    assert_eq!(account.charge(Quantity::Frames, 1), Err(Error::AccountExhausted));
    // What was promised to others is still theirs.
    child.charge(Quantity::Frames, 4).unwrap();
    child.uncharge(Quantity::Frames, 4);
    account.uncharge(Quantity::Frames, 5);
    assert_eq!(frames(&machine.root), used + promised);
    account.revoke(kernel);
    assert_eq!(frames(&machine.root), used + promised - 5, "the second time, what came free since");
    drop((child, account));
    machine.reap_all();
    assert_eq!(frames(&machine.root), used);
}

#[test]
fn charges_do_not_wrap() {
    let machine = Machine::new(64);
    let account = machine.account(5);
    account.charge(Quantity::Frames, 5).unwrap();
    assert!(account.charge(Quantity::Frames, 1).is_err());
    assert!(account.charge(Quantity::Frames, u64::MAX).is_err());
    assert!(account.charge(Quantity::Frames, u64::MAX - 4).is_err());
    account.charge(Quantity::Frames, 0).unwrap();
    account.uncharge(Quantity::Frames, 5);
}

#[derive(Debug, Clone)]
enum Step {
    Split(usize, u64),
    Make(usize),
    DropObject(usize),
    DropAccount(usize),
    Reap,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (any::<usize>(), 0u64..40).prop_map(|(account, frames)| Step::Split(account, frames)),
        8 => any::<usize>().prop_map(Step::Make),
        6 => any::<usize>().prop_map(Step::DropObject),
        1 => any::<usize>().prop_map(Step::DropAccount),
        1 => Just(Step::Reap),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn slabs_and_accounts_are_exact(steps in steps()) {
        let mut machine = Machine::new(512);
        let start = (frames(&machine.root), machine.kernel.frames.free.get());
        let mut accounts: Vec<Ref<Account>> = vec![machine.account(400)];
        let mut objects: Vec<(usize, Ref<Memory>)> = Vec::new();
        for step in steps {
            let kernel = &machine.kernel;
            match step {
                Step::Split(account, frames) => {
                    let Some(account) = accounts.get(account % accounts.len().max(1)) else { continue };
                    let amounts = abi::Limits { frames, ..Default::default() };
                    if let Ok(account) = account.get(kernel).split(kernel, amounts) {
                        accounts.push(account);
                    }
                }
                Step::Make(account) => {
                    let number = account % accounts.len().max(1);
                    let Some(account) = accounts.get(number) else { continue };
                    if let Ok(object) = small(kernel, account.get(kernel)) {
                        objects.push((number, object));
                    }
                }
                Step::DropObject(object) => {
                    if !objects.is_empty() {
                        objects.swap_remove(object % objects.len());
                    }
                }
                Step::DropAccount(account) => {
                    if !accounts.is_empty() {
                        accounts.swap_remove(account % accounts.len());
                    }
                }
                Step::Reap => {
                    machine.reap_all();
                    prop_assert_eq!(machine.kernel.counts.of(ObjectType::Memory), objects.len() as u64);
                }
            }
            for account in &accounts {
                prop_assert!(account.usage().used.frames <= account.usage().limits.frames);
            }
        }
        // Numbers are never given twice, and objects do not overlap.
        let mut places: Vec<usize> = objects.iter().map(|(_, object)| std::ptr::from_ref(&**object) as usize).collect();
        places.sort();
        prop_assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= size_of::<Object<Memory>>()));
        drop(objects);
        drop(accounts);
        machine.reap_all();
        prop_assert_eq!((frames(&machine.root), machine.kernel.frames.free.get()), start);
        prop_assert_eq!(machine.kernel.counts.of(ObjectType::Account), 1);
    }

    #[test]
    fn lists_behave_as_queues(steps in prop::collection::vec((0u8..6, any::<usize>()), 1..200)) {
        let mut machine = Machine::new(64);
        let account = machine.account(20);
        {
            let kernel = &machine.kernel;
            let memory = small(kernel, account.get(kernel)).unwrap();
            let list: List<Mapping, AsWriter> = List::new();
            let other: List<Mapping, InLimbo> = List::new();
            let mut model: VecDeque<u64> = VecDeque::new();
            for (step, which) in steps {
                let nth = |which: usize| list.iter(kernel).nth(which % list.len().max(1) as usize);
                match step {
                    0 | 1 if list.len() < 12 => {
                        let object = linked(kernel, account.get(kernel), &memory);
                        other.push_back(object.clone());
                        if step == 0 {
                            model.push_back(object.number());
                            list.push_back(object);
                        } else {
                            model.push_front(object.number());
                            list.push_front(object);
                        }
                    }
                    3 => {
                        prop_assert_eq!(list.pop_front().map(|object| object.number()), model.pop_front());
                    }
                    4 => {
                        if let Some(object) = nth(which) {
                            model.retain(|number| *number != object.number());
                            prop_assert!(list.remove(object).is_some());
                            prop_assert!(list.remove(object).is_none() && !list.contains(object));
                        }
                    }
                    _ => {
                        if let Some(object) = other.pop_front() {
                            prop_assert_eq!(list.contains(&object), model.contains(&object.number()));
                        }
                    }
                }
                prop_assert_eq!(list.iter(kernel).map(|object| object.number()).collect::<Vec<_>>(), Vec::from(model.clone()));
                prop_assert_eq!((list.len() as usize, list.is_empty()), (model.len(), model.is_empty()));
            }
        }
        machine.reap_all();
        prop_assert_eq!(machine.kernel.counts.of(ObjectType::Mapping), 0);
        prop_assert_eq!(frames(&account), 0);
    }
}
