//! Resources and the ranges in use.

use super::caller::Caller;
use super::machine::Machine;
use crate::object::reference::ObjectType;
use crate::syscall::device;
use abi::Error;
use abi::boot::ResourceKind;
use proptest::prelude::*;
use x86_64::PhysAddr;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Claims and releases agree with a map of numbers; the listing tells them in order.
    #[test]
    fn ranges_are_exclusive(steps in prop::collection::vec((any::<bool>(), 0u64..64, 1u64..12), 0..200)) {
        let mut machine = Machine::new(256);
        let (kernel, kind) = (&*machine.kernel, ResourceKind::Ports);
        let root = machine.root.get(kernel);
        let mut model: Vec<(u64, u64)> = Vec::new();
        for (is_claim, start, length) in steps {
            if is_claim {
                let is_free = model.iter().all(|(other, size)| start + length <= *other || other + size <= start);
                let claimed = kernel.ranges.claim(kernel, root, kind, start, length, 9);
                prop_assert_eq!(claimed, if is_free { Ok(()) } else { Err(Error::Busy) });
                if is_free {
                    model.push((start, length));
                }
            } else {
                kernel.ranges.release(kernel, kind, start);
                model.retain(|(other, _)| *other != start);
            }
            model.sort();
            let next = |from| kernel.ranges.next_from(kernel, kind, from);
            let listed = std::iter::successors(next(0), |last| next(last.start + last.length));
            let listed: Vec<_> = listed.map(|record| (record.start, record.length)).collect();
            prop_assert_eq!(&listed, &model);
        }
        for (start, _) in model {
            kernel.ranges.release(kernel, kind, start);
        }
        machine.reap_all();
        prop_assert_eq!(machine.kernel.counts.of(ObjectType::Claim), 0);
    }

    #[test]
    fn a_part_never_exceeds_the_whole(start: u64, length: u64, inner_start: u64, inner_length: u64) {
        let caller = Caller::new();
        let whole = caller.resource(ResourceKind::Interrupts);
        let Ok(part) = caller.one(device::split_resource, &[whole, start, length, caller.account]) else {
            prop_assert!(length == 0 || start.checked_add(length).is_none());
            return Ok(());
        };
        let inner = caller.one(device::split_resource, &[part, inner_start, inner_length, caller.account]);
        let end = u128::from(inner_start) + u128::from(inner_length);
        let fits = inner_length > 0 && inner_start >= start && end <= u128::from(start) + u128::from(length);
        prop_assert_eq!(inner.is_ok(), fits);
    }
}

#[test]
fn ends_of_ranges_do_not_wrap() {
    let machine = Machine::new(64);
    let (kernel, kind) = (&*machine.kernel, ResourceKind::Physical);
    let claim = |start, length| kernel.ranges.claim(kernel, machine.root.get(kernel), kind, start, length, 0);
    assert_eq!(claim(5, 0), Err(Error::BadArgument));
    assert_eq!(claim(5, u64::MAX), Err(Error::BadArgument));
    assert_eq!(claim(5, u64::MAX - 5), Ok(()));
    assert_eq!(claim(4, 1), Ok(()));
    assert_eq!(claim(4, 2), Err(Error::Busy));
    assert_eq!(claim(u64::MAX - 1, 1), Err(Error::Busy));
}

#[test]
fn device_memory_is_exclusive_outside_of_ram_and_given_back() {
    let mut caller = Caller::new();
    let ram = Box::leak(Box::new([PhysAddr::new(0x10_0000)..PhysAddr::new(0x800_0000)]));
    caller.kernel().ranges.ram.set(ram);
    let (resource, account) = (caller.resource(ResourceKind::Physical), caller.account);
    let try_range = |caller: &Caller, start, bytes| caller.one(device::memory, &[resource, start, bytes, 0, account]);
    for (start, bytes) in [(0x10_0000, 0x1000), (0xf_f000, 0x2000), (0x7ff_f000, 0x10_0000), (0, 1 << 40)] {
        assert_eq!(try_range(&caller, start, bytes), Err(Error::Denied), "RAM");
    }
    for (start, bytes) in [(0x800, 0x1000), (0x1000, 0x800), (0x1000, 0)] {
        assert_eq!(try_range(&caller, start, bytes), Err(Error::BadArgument));
    }
    for (start, bytes) in [(1 << 52, 0x1000), (!0xfff, 0x1000), (0xfee0_0000, !0xfff)] {
        assert_eq!(try_range(&caller, start, bytes), Err(Error::Denied));
    }
    assert_eq!(caller.one(device::memory, &[resource, 0xfee0_0000, 0x1000, 3, account]), Err(Error::BadArgument));
    let memory = try_range(&caller, 0xfee0_0000, 0x2000).unwrap();
    assert_eq!(try_range(&caller, 0xfee0_1000, 0x1000), Err(Error::Busy));
    caller.close(memory);
    assert!(try_range(&caller, 0xfee0_1000, 0x1000).is_ok());
}

#[test]
fn what_a_resource_does_not_say_is_refused() {
    let caller = Caller::new();
    let (power, account) = (caller.resource(ResourceKind::Inspect), caller.account);
    assert_eq!(caller.one(device::power, &[power, 0, 0]), Err(Error::WrongKind));
    assert_eq!(caller.one(device::power, &[account, 0, 0]), Err(Error::WrongKind));
    let power = caller.resource(ResourceKind::Power);
    assert_eq!(caller.one(device::power, &[power, 2, 0]), Err(Error::BadArgument));
    assert_eq!(caller.one(device::power, &[power, 0, 256]), Err(Error::BadArgument));
    assert_eq!(caller.one(device::split_resource, &[power, 1, 1, account]), Err(Error::Denied));
    assert_eq!(caller.one(device::split_resource, &[power, 0, 1, power]), Err(Error::WrongKind));
}
