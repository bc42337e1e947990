//! Handle tables, against a model: a handle names what it was made for or nothing, and charges are exact.

use super::machine::{Machine, limits};
use crate::handle_table::{Capability, HandleTable, MOST_HANDLES};
use crate::object::any::AnyRef;
use crate::object::{Account, Channel, Object, Ref, Resource};
use abi::boot::ResourceKind;
use abi::{Error, Handle, Limits, Rights};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

fn capability(object: &Ref<Resource>, rights: Rights, mask: u64) -> Capability {
    Capability { object: AnyRef::new(object.clone()), rights, mask }
}

fn handles_used(account: &Account) -> u64 {
    account.usage().used.handles
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32, u64),
    Remove(usize),
    Stale(usize),
    Reserve(u32),
    InsertReserved,
    Unreserve,
    Keep(usize, bool),
    Forged(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u32..8, any::<u64>()).prop_map(|(rights, mask)| Step::Insert(rights, mask)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::Stale),
        1 => (1u32..5).prop_map(Step::Reserve),
        1 => Just(Step::InsertReserved),
        1 => Just(Step::Unreserve),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, keep)| Step::Keep(which, keep)),
        1 => any::<u64>().prop_map(Step::Forged),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_its_model(steps in steps()) {
        let mut machine = Machine::new(512);
        let kernel = &*machine.kernel;
        let account = machine.root.split(kernel, limits(64)).unwrap();
        let here = account.get(kernel);
        let object = Resource::create(kernel, machine.root.get(kernel), ResourceKind::Power).unwrap();
        let table = HandleTable::new();
        let mut live: BTreeMap<Handle, (Rights, u64, bool)> = BTreeMap::new();
        let (mut ever, mut dead, mut reserved) = (HashSet::new(), Vec::new(), 0u32);
        for step in steps {
            let charged = live.len() as u64 + u64::from(reserved);
            match step {
                Step::Insert(bits, mask) => {
                    let rights = Rights::from_bits_truncate(bits);
                    match table.insert(kernel, here, capability(&object, rights, mask)) {
                        Ok(handle) => {
                            prop_assert!(ever.insert(handle), "{handle:?} names a second object");
                            prop_assert!(!handle.is_none());
                            live.insert(handle, (rights, mask, false));
                        }
                        Err(error) => prop_assert_eq!((error, charged), (Error::AccountExhausted, 100)),
                    }
                }
                Step::Remove(which) if !live.is_empty() => {
                    let handle = *live.keys().nth(which % live.len()).unwrap();
                    let (rights, mask, _) = live.remove(&handle).unwrap();
                    if !rights.contains(Rights::MANAGE) {
                        prop_assert_eq!(table.copy(handle, Rights::MANAGE).err(), Some(Error::Denied));
                    }
                    let removed = table.remove(here, handle).unwrap();
                    prop_assert_eq!((removed.rights, removed.mask), (rights, mask));
                    dead.push(handle);
                }
                Step::Stale(which) if !dead.is_empty() => {
                    let handle: Handle = dead[which % dead.len()];
                    prop_assert_eq!(table.rights(handle), Err(Error::BadHandle));
                    prop_assert!(table.copy(handle, Rights::empty()).is_err());
                    prop_assert_eq!(table.remove(here, handle).err(), Some(Error::BadHandle));
                    prop_assert_eq!(table.set_keep(handle, true), Err(Error::BadHandle));
                }
                Step::Reserve(count) => match table.reserve(kernel, here, count) {
                    Ok(()) => reserved += count,
                    Err(error) => {
                        prop_assert_eq!(error, Error::AccountExhausted);
                        prop_assert!(charged + u64::from(count) > 100);
                    }
                },
                Step::InsertReserved if reserved > 0 => {
                    let handle = table.insert_reserved(capability(&object, Rights::all(), 7));
                    prop_assert!(ever.insert(handle));
                    live.insert(handle, (Rights::all(), 7, false));
                    reserved -= 1;
                }
                Step::Unreserve if reserved > 0 => {
                    table.unreserve(here, 1);
                    reserved -= 1;
                }
                Step::Keep(which, keep) if !live.is_empty() => {
                    let handle = *live.keys().nth(which % live.len()).unwrap();
                    table.set_keep(handle, keep).unwrap();
                    live.get_mut(&handle).unwrap().2 = keep;
                }
                Step::Forged(number) if !live.contains_key(&Handle(number)) => {
                    let forged = table.get::<Resource>(kernel, Handle(number), Rights::empty());
                    prop_assert_eq!(forged.err(), Some(Error::BadHandle));
                }
                _ => {}
            }
            prop_assert_eq!(table.len() as usize, live.len());
            prop_assert_eq!(handles_used(here), live.len() as u64 + u64::from(reserved));
            prop_assert_eq!(object.references() as usize, live.len() + 1);
        }
        let listed = std::iter::successors(table.next_from(kernel, 0), |last| table.next_from(kernel, last.handle.slot() + 1));
        let listed: BTreeMap<_, _> = listed.map(|one| (one.handle, (one.rights, one.mask, one.keep))).collect();
        prop_assert_eq!(&listed, &live);
        for (handle, (rights, mask, _)) in live {
            let found = table.get_masked::<Resource>(kernel, handle, Rights::MANAGE);
            if rights.contains(Rights::MANAGE) {
                let (found, found_mask) = found.unwrap();
                prop_assert!(found.is(&object) && found_mask == mask);
            } else {
                prop_assert_eq!(found.err(), Some(Error::Denied));
            }
            prop_assert_eq!(table.get::<Channel>(kernel, handle, Rights::empty()).err(), Some(Error::WrongKind));
            table.remove(here, handle).unwrap();
        }
        table.unreserve(here, reserved);
        table.free(kernel, here);
        prop_assert_eq!((handles_used(here), here.usage().used.frames), (0, 0));
        drop((account, object));
        machine.reap_all();
    }
}

fn fill(machine: &Machine, account: &Object<Account>, table: &HandleTable, object: &Ref<Resource>) -> (u32, Error) {
    loop {
        if let Err(error) = table.insert(&machine.kernel, account, capability(object, Rights::all(), 0)) {
            return (table.len(), error);
        }
    }
}

fn empty(machine: &Machine, account: &Object<Account>, table: &HandleTable) {
    while let Some(found) = table.next_from(&machine.kernel, 0) {
        table.remove(account, found.handle).unwrap();
    }
    table.free(&machine.kernel, account);
}

#[test]
fn a_full_table_refuses_and_charges_nothing() {
    let machine = Machine::new(512);
    let kernel = &*machine.kernel;
    let object = Resource::create(kernel, machine.root.get(kernel), ResourceKind::Power).unwrap();
    let many = Limits { handles: 1 << 20, frames: 100, ..Limits::default() };
    let everything = Limits { handles: 9_900, ..many };
    let account = machine.root.split(kernel, everything).unwrap();
    let (account, table) = (account.get(kernel), HandleTable::new());
    assert_eq!(fill(&machine, account, &table, &object), (MOST_HANDLES as u32 - 1, Error::NoSlot));
    assert_eq!(handles_used(account), MOST_HANDLES as u64 - 1);
    assert_eq!(table.reserve(kernel, account, 2), Err(Error::NoSlot));
    assert_eq!(handles_used(account), MOST_HANDLES as u64 - 1);
    let first = table.next_from(kernel, 0).unwrap().handle;
    table.remove(account, first).unwrap();
    let next = table.insert(kernel, account, capability(&object, Rights::all(), 0)).unwrap();
    assert_eq!((next.slot(), next.generation()), (first.slot(), first.generation() + 1));
    empty(&machine, account, &table);
    assert_eq!((handles_used(account), account.usage().used.frames), (0, 0));
}

#[test]
fn frames_of_the_table_are_the_accounts() {
    let machine = Machine::new(512);
    let kernel = &*machine.kernel;
    let object = Resource::create(kernel, machine.root.get(kernel), ResourceKind::Power).unwrap();
    let account = machine.root.split(kernel, Limits { handles: 1000, frames: 2, ..Limits::default() }).unwrap();
    let (account, table) = (account.get(kernel), HandleTable::new());
    let (count, error) = fill(&machine, account, &table, &object);
    assert_eq!((count, error), (255, Error::AccountExhausted), "two frames of slots, without slot 0");
    assert_eq!(handles_used(account), 255);
    empty(&machine, account, &table);
    assert_eq!((handles_used(account), account.usage().used.frames), (0, 0));
}
