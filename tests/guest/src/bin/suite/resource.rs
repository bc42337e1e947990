//! Resources: splitting, and what they give the right to.

use abi::{Rights, Syscall};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check_eq, tests};
use libsys::memory::Caching;
use libsys::{Error, Memory, Object, Ports, Resource};

pub const TESTS: &[Test] = tests![
    a_part_is_within_the_whole,
    a_part_gives_its_part_only,
    splitting_needs_the_right,
    kinds_are_not_mixed,
    ram_is_no_device,
    device_memory_is_exclusive,
    device_memory_is_not_sealed,
];

fn ports() -> Outcome<&'static Resource> {
    crate::given(&system().ports)
}

fn a_part_is_within_the_whole() -> Outcome {
    let part = ports()?.split(0x80, 16, system().account)?;
    for (start, length) in [(0x7f, 1), (0x90, 1), (0x80, 17), (0, 1), (u64::MAX, 1), (0x80, u64::MAX)] {
        check_eq!(part.split(start, length, system().account).err(), Some(Error::Denied));
    }
    check_eq!(part.split(0x80, 0, system().account).err(), Some(Error::BadArgument));
    part.split(0x8f, 1, system().account)?.split(0x8f, 1, system().account)?;
    Ok(())
}

fn a_part_gives_its_part_only() -> Outcome {
    let part = ports()?.split(0x80, 2, system().account)?;
    check_eq!(Ports::create(&part, 0x82, 1, system().account).err(), Some(Error::Denied));
    check_eq!(Ports::create(&part, 0x80, 3, system().account).err(), Some(Error::Denied));
    Ports::create(&part, 0x80, 2, system().account)?;
    Ok(())
}

fn splitting_needs_the_right() -> Outcome {
    let seen = ports()?.duplicate(Rights::INSPECT)?;
    check_eq!(seen.split(0x80, 1, system().account).err(), Some(Error::Denied));
    check_eq!(Ports::create(&seen, 0x80, 1, system().account).err(), Some(Error::Denied));
    Ok(())
}

fn kinds_are_not_mixed() -> Outcome {
    let ports = ports()?;
    check_eq!(
        Memory::of_device(ports, 0xfee0_0000, 4096, Caching::Uncached, system().account).err(),
        Some(Error::WrongKind)
    );
    check_eq!(libsys::inspect::system(ports).err(), Some(Error::WrongKind));
    check_eq!(ports.power(libsys::resource::Power::Off, 0), Error::WrongKind);
    let inspect = crate::given(&system().inspect)?;
    check_eq!(Ports::create(inspect, 0x80, 1, system().account).err(), Some(Error::WrongKind));
    Ok(())
}

fn ram_is_no_device() -> Outcome {
    let physical = crate::given(&system().physical)?;
    for address in [0x10_0000, 0x20_0000, 0x100_0000] {
        check_eq!(
            Memory::of_device(physical, address, 4096, Caching::Uncached, system().account).err(),
            Some(Error::Denied)
        );
    }
    let account = system().account.handle().0;
    let create = |start: u64, bytes: u64, caching: u64| {
        refused(Syscall::MemoryDevice, [physical.handle().0, start, bytes, caching, account])
    };
    check_eq!(create(0xfed0_0001, 4096, 0), Some(Error::BadArgument));
    check_eq!(create(0xfed0_0000, 4095, 0), Some(Error::BadArgument));
    check_eq!(create(0xfed0_0000, 0, 0), Some(Error::BadArgument));
    check_eq!(create(0xfed0_0000, 4096, 3), Some(Error::BadArgument));
    check_eq!(create(1 << 52, 4096, 0), Some(Error::Denied));
    check_eq!(create(u64::MAX - 4095, 4096, 0), Some(Error::Denied));
    Ok(())
}

fn device_memory_is_exclusive() -> Outcome {
    let physical = crate::given(&system().physical)?;
    let create = |start, bytes| Memory::of_device(physical, start, bytes, Caching::Uncached, system().account);
    // Nothing is behind these addresses on any machine of the tests.
    let place = 0xd_0000_0000;
    let memory = create(place, 0x4000)?;
    check_eq!(memory.info()?.kind, abi::memory::MemoryKind::Device);
    for (start, bytes) in
        [(place, 0x1000), (place + 0x3000, 0x1000), (place - 0x1000, 0x2000), (place - 0x1000, 0x10000)]
    {
        check_eq!(create(start, bytes).err(), Some(Error::Busy));
    }
    drop(memory);
    create(place, 0x1000)?;
    Ok(())
}

fn device_memory_is_not_sealed() -> Outcome {
    let physical = crate::given(&system().physical)?;
    let memory = Memory::of_device(physical, 0xd_0000_0000, 4096, Caching::Uncached, system().account)?;
    check_eq!(memory.seal(), Err(Error::BadState));
    Ok(())
}
