//! DMA domains: what a device may reach stays where it is until the domain's owner says otherwise.

use super::caller::Caller;
use crate::object::dma_domain::{MOST_PAGES, MOST_SEGMENTS, RELEASE_BATCH, process_died};
use crate::object::reference::ObjectType;
use crate::object::{Memory, Ref};
use crate::syscall::{device, inspect};
use abi::Error;
use abi::boot::ResourceKind;
use abi::memory::{Caching, MemoryKind};
use x86_64::PhysAddr;

fn memory(caller: &Caller, pages: u64, kind: MemoryKind) -> Ref<Memory> {
    let memory = Memory::create(caller.kernel(), caller.root(), pages * 4096, kind).unwrap();
    while !memory.is_prepared() {
        memory.prepare();
    }
    memory
}

fn domain(caller: &Caller, channel: u64, bits: u64) -> u64 {
    let resource = caller.resource(ResourceKind::Dma);
    caller.one(device::create_dma_domain, &[resource, 0x18, caller.account, channel, bits]).unwrap()
}

#[test]
fn a_run_is_one_segment_and_pinned() {
    let mut caller = Caller::new();
    let memory = memory(&caller, 9, MemoryKind::Dma);
    let (domain, handle) = (domain(&caller, 0, 0), caller.give(memory.clone()));
    let [count, number, ..] = caller.call(device::attach_dma, &[domain, handle]).unwrap();
    let start = memory.frame(0).unwrap().as_u64();
    assert_eq!((count, caller.records::<[u64; 2]>(1)), (1, vec![[start, 9 * 4096]]));
    assert_eq!(memory.seal(caller.kernel()).err(), Some(Error::Busy));
    caller.close(handle);
    let free = caller.kernel().frames.free.get();
    drop(memory);
    caller.machine.reap_all();
    assert_eq!((caller.kernel().frames.free.get(), caller.kernel().counts.of(ObjectType::Memory)), (free, 2));
    assert_eq!(caller.one(device::release_dma, &[domain, number + 1]), Err(Error::BadArgument));
    assert_eq!(caller.one(device::release_dma, &[domain, number]), Ok(0));
    assert_eq!(caller.one(device::release_dma, &[domain, number]), Err(Error::BadArgument));
    caller.machine.reap_all();
    assert!(caller.kernel().frames.free.get() >= free + 9);
    assert_eq!(caller.kernel().counts.of(ObjectType::Attachment), 0);
}

#[test]
fn placed_pages_are_told_as_runs() {
    let caller = Caller::new();
    let memory = memory(&caller, 40, MemoryKind::Anonymous);
    let (domain, handle) = (domain(&caller, 0, 0), caller.give(memory.clone()));
    for page in 0..40 {
        assert_eq!(caller.one(device::attach_dma, &[domain, handle]), Err(Error::BadState), "{page} of 40 are placed");
        memory.place(caller.kernel(), page * 7 % 40);
    }
    let [count, ..] = caller.call(device::attach_dma, &[domain, handle]).unwrap();
    let pages =
        caller.records::<[u64; 2]>(count).into_iter().flat_map(|[start, bytes]| (start..start + bytes).step_by(4096));
    let frames = (0..40).map(|page| memory.frame(page).unwrap().as_u64());
    assert_eq!(pages.collect::<Vec<_>>(), frames.collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_attached_is_refused() {
    let caller = Caller::new();
    let domain = domain(&caller, 0, 0);
    let attach = |memory: &Ref<Memory>| caller.one(device::attach_dma, &[domain, caller.give(memory.clone())]);
    assert_eq!(attach(&memory(&caller, MOST_PAGES + 1, MemoryKind::Anonymous)), Err(Error::BadArgument));
    let range = PhysAddr::new(0x1000)..PhysAddr::new(0x2000);
    let registers = Memory::device(caller.kernel(), caller.root(), range, Caching::Uncached).unwrap();
    assert_eq!(attach(&registers), Err(Error::BadArgument));
    let sealed = memory(&caller, 1, MemoryKind::Dma);
    let _ = sealed.seal(caller.kernel());
    assert_eq!(attach(&sealed), Err(Error::Sealed));
    let unprepared = Memory::create(caller.kernel(), caller.root(), 100 * 4096, MemoryKind::Dma).unwrap();
    assert_eq!(attach(&unprepared), Err(Error::BadState));
    // Every second frame belongs to another: no two are adjacent.
    let pages = MOST_SEGMENTS as u64 + 1;
    let (scattered, other) =
        (memory(&caller, pages, MemoryKind::Anonymous), memory(&caller, pages, MemoryKind::Anonymous));
    for page in 0..pages {
        scattered.place(caller.kernel(), page);
        other.place(caller.kernel(), page);
    }
    assert_eq!(attach(&scattered), Err(Error::NoContiguousMemory));
    assert_eq!(caller.kernel().counts.of(ObjectType::Attachment), 0);
    let _ = scattered.seal(caller.kernel()).expect("no device writes it");
}

#[test]
fn the_owner_is_told_of_deaths_and_the_memory_stays() {
    let mut caller = Caller::new();
    let channel = caller.channel();
    let domain = domain(&caller, caller.give(channel.clone()), 0x10);
    let kernel = caller.kernel();
    let memory = caller.give(memory(&caller, 1, MemoryKind::Dma));
    let attached = 70;
    for _ in 0..attached {
        caller.one(device::attach_dma, &[domain, memory]).unwrap();
    }
    let (other, _) = caller.another();
    assert!(!process_died(kernel, other.get(kernel)));
    assert_eq!(channel.signals.get(), 0);
    let process = caller.process.get(kernel);
    let steps = std::iter::repeat_with(|| process_died(kernel, process)).take_while(|more| *more).count();
    assert!(steps > 1, "in bounded steps");
    assert_eq!((channel.signals.take(), process.attached.is_empty()), (0x10, true));
    assert_eq!(kernel.counts.of(ObjectType::Attachment), attached);
    let left = caller.one(device::release_dma, &[domain, 0]).unwrap();
    assert_eq!(left, attached - RELEASE_BATCH as u64);
    caller.close(domain);
    assert_eq!(caller.kernel().counts.of(ObjectType::Attachment), 0, "with its last handle a domain ends");
    assert_eq!(caller.kernel().counts.of(ObjectType::DmaDomain), 0);
}

#[test]
fn attachments_are_listed_with_who_lives() {
    let caller = Caller::new();
    let domain = domain(&caller, 0, 0);
    let kernel = caller.kernel();
    let memory = caller.give(memory(&caller, 1, MemoryKind::Dma));
    let attached: Vec<u64> = (0..300).map(|_| caller.call(device::attach_dma, &[domain, memory]).unwrap()[1]).collect();
    let list = || {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let [count, next, ..] = caller.call(inspect::attachments, &[domain, from]).unwrap();
            all.extend(caller.records::<[u64; 2]>(count));
            from = next;
            if next == 0 {
                return all;
            }
        }
    };
    let me = caller.process.number();
    assert_eq!(list(), attached.iter().map(|number| [*number, me]).collect::<Vec<_>>());
    while process_died(kernel, caller.process.get(kernel)) {}
    caller.one(device::release_dma, &[domain, attached[7]]).unwrap();
    let [alive, ..] = caller.call(device::attach_dma, &[domain, memory]).unwrap();
    assert_eq!(alive, 1);
    let all = list();
    assert_eq!((all.len(), all.iter().filter(|[_, process]| *process == 0).count()), (300, 299));
    assert_eq!(all.last().unwrap()[1], me);
}

#[test]
fn a_requester_has_one_domain() {
    let mut caller = Caller::new();
    let first = domain(&caller, 0, 0);
    let resource = caller.resource(ResourceKind::Dma);
    let again = |caller: &Caller, requester| {
        caller.one(device::create_dma_domain, &[resource, requester, caller.account, 0, 0])
    };
    assert_eq!(again(&caller, 0x18), Err(Error::Busy));
    assert!(again(&caller, 0x19).is_ok());
    assert_eq!(again(&caller, 0x1_0000), Err(Error::Denied));
    caller.close(first);
    assert!(again(&caller, 0x18).is_ok());
}
