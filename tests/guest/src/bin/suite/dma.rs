//! DMA domains: Memory attached and released.

use abi::Rights;
use guest::process;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::channel::Event;
use libsys::time::deadline_after;
use libsys::{Channel, DmaDomain, Error, Memory, Object, env};

pub const TESTS: &[Test] = tests![
    attached_memory_has_device_addresses,
    placed_pages_are_attached_one_by_one,
    attached_memory_is_not_sealed,
    a_release_is_of_what_is_attached,
    a_domain_is_exclusive,
    rights_are_needed,
    a_dead_process_keeps_its_memory_attached,
    what_cannot_be_attached,
];

fn domain(requester: u16) -> Outcome<DmaDomain> {
    Ok(DmaDomain::create(crate::given(&system().dma)?, requester, system().account, None)?)
}

fn attached_memory_has_device_addresses() -> Outcome {
    let domain = domain(0xf0)?;
    let memory = Memory::create_dma(system().account, 32 * 4096)?;
    let _mapping = memory.map_writable()?;
    let attachment = domain.attach(&memory)?;
    check_eq!((attachment.segments.len(), attachment.segments[0].bytes), (1, 32 * 4096));
    check!(attachment.segments[0].address % 4096 == 0);
    domain.release(Some(attachment.number))?;
    Ok(())
}

fn placed_pages_are_attached_one_by_one() -> Outcome {
    let domain = domain(0xf1)?;
    let memory = Memory::create(system().account, 8 * 4096)?;
    check_eq!(domain.attach(&memory).err(), Some(Error::BadState));
    let mapping = memory.map_writable()?;
    for page in 0..8 {
        mapping.store_u8(page * 4096, 1);
    }
    let attachment = domain.attach(&memory)?;
    check_eq!(attachment.segments.iter().map(|segment| segment.bytes).sum::<u64>(), 8 * 4096);
    domain.release(None)?;
    Ok(())
}

fn attached_memory_is_not_sealed() -> Outcome {
    let domain = domain(0xf2)?;
    let memory = Memory::create_dma(system().account, 4096)?;
    let _mapping = memory.map_writable()?;
    let attachment = domain.attach(&memory)?;
    check_eq!(memory.seal(), Err(Error::Busy));
    domain.release(Some(attachment.number))?;
    check_eq!(memory.seal(), Ok(()));
    check_eq!(domain.attach(&memory).err(), Some(Error::Sealed));
    Ok(())
}

fn a_release_is_of_what_is_attached() -> Outcome {
    let domain = domain(0xf3)?;
    check_eq!(domain.release(Some(1)), Err(Error::BadArgument));
    let memory = Memory::create_dma(system().account, 4096)?;
    let _mapping = memory.map_writable()?;
    let (first, second) = (domain.attach(&memory)?, domain.attach(&memory)?);
    check!(first.number != second.number);
    domain.release(Some(first.number))?;
    check_eq!(domain.release(Some(first.number)), Err(Error::BadArgument));
    domain.release(None)?;
    check_eq!(domain.release(Some(second.number)), Err(Error::BadArgument));
    Ok(())
}

fn a_domain_is_exclusive() -> Outcome {
    let first = domain(0xf4)?;
    let again = DmaDomain::create(crate::given(&system().dma)?, 0xf4, system().account, None);
    check_eq!(again.err(), Some(Error::Busy));
    drop(first);
    domain(0xf4)?;
    Ok(())
}

fn rights_are_needed() -> Outcome {
    let resource = crate::given(&system().dma)?;
    let seen = resource.duplicate(Rights::INSPECT)?;
    check_eq!(DmaDomain::create(&seen, 0xf5, system().account, None).err(), Some(Error::Denied));
    let domain = domain(0xf5)?;
    let memory = Memory::create_dma(system().account, 4096)?;
    let _mapping = memory.map_writable()?;
    check_eq!(domain.attach(&memory.duplicate(Rights::READ)?).err(), Some(Error::Denied));
    check_eq!(domain.duplicate(Rights::MANAGE)?.attach(&memory).err(), Some(Error::Denied));
    check_eq!(domain.duplicate(Rights::INSPECT)?.release(None), Err(Error::Denied));
    Ok(())
}

fn a_dead_process_keeps_its_memory_attached() -> Outcome {
    fn attaches() -> u64 {
        let Ok(domain) = env::get().take::<DmaDomain>("domain") else { return 1 };
        let Ok(memory) = env::get().take::<Memory>("memory") else { return 2 };
        u64::from(domain.attach(&memory).is_err()) * 3
    }
    let channel = Channel::create(system().account)?;
    let domain = DmaDomain::create(crate::given(&system().dma)?, 0xf6, system().account, Some((&channel, 0b100)))?;
    let memory = Memory::create_dma(system().account, 4096)?;
    let mapping = memory.map_writable()?;
    let launch = process::launch("driver", attaches).grant("domain", &domain, Rights::INSPECT).grant(
        "memory",
        &memory,
        Rights::all(),
    );
    let record = process::run_launch(launch)?;
    check_eq!(record.code, 0);
    check_eq!(channel.receive(Some(deadline_after(process::PATIENCE))), Ok(Event::Signals(0b100)));
    drop(mapping);
    check_eq!(memory.seal(), Err(Error::Busy));
    domain.release(None)?;
    check_eq!(memory.seal(), Ok(()));
    Ok(())
}

fn what_cannot_be_attached() -> Outcome {
    let domain = domain(0xf7)?;
    let physical = crate::given(&system().physical)?;
    let device = Memory::of_device(physical, 0xd_0000_0000, 4096, libsys::memory::Caching::Uncached, system().account)?;
    check_eq!(domain.attach(&device).err(), Some(Error::BadArgument));
    Ok(())
}
