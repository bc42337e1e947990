//! Memory: made, mapped, unmapped, protected, sealed, inspected.

use abi::memory::{END_ADDRESS, LARGEST, LOWEST_ADDRESS, MemoryKind, Protection};
use abi::{Handle, Rights, Syscall};
use core::sync::atomic::Ordering::Relaxed;
use guest::process;
use guest::raw::{call, refused};
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::{Error, Memory, Object, Process, sys};

pub const TESTS: &[Test] = tests![
    it_is_zeroed_and_placed_when_touched,
    sizes_are_whole_pages,
    kinds_are_checked,
    dma_memory_is_placed_and_zeroed,
    mappings_share_their_memory,
    a_part_is_mapped,
    addresses_are_chosen_apart,
    addresses_are_checked,
    what_is_taken_is_refused,
    protection_needs_rights,
    protection_words_are_checked,
    protection_changes,
    unmapped_is_unmapped,
    sealed_memory_stays_as_it_is,
    sealing_reaches_every_mapping,
    sealed_memory_is_executed,
    mapping_into_another_process,
    inspection_needs_the_right,
    a_mapping_keeps_its_memory,
    memory_comes_back_zeroed,
];

const PAGE: u64 = 4096;
const READ: Protection = Protection::READ;
const WRITE: Protection = Protection::READ.union(Protection::WRITE);
const EXECUTE: Protection = Protection::READ.union(Protection::EXECUTE);

fn memory(pages: u64) -> Outcome<Memory> {
    Ok(Memory::create(system().account, pages * PAGE)?)
}

fn map(memory: &Memory, address: u64, offset: u64, bytes: u64, protection: Protection) -> Result<u64, Error> {
    sys::memory_map(Handle::NONE, memory.handle(), address, offset, bytes, protection)
}

fn unmap(address: u64) -> Result<(), Error> {
    // SAFETY: nothing in Rust refers to what these tests map by hand.
    unsafe { sys::memory_unmap(Handle::NONE, address) }
}

fn protect(address: u64, word: u32) -> Result<(), Error> {
    // SAFETY: as in `unmap`.
    unsafe { sys::memory_protect(Handle::NONE, address, word) }
}

fn it_is_zeroed_and_placed_when_touched() -> Outcome {
    let memory = memory(20)?;
    check_eq!(memory.info()?.resident_frames, 0);
    let mapping = memory.map_writable()?;
    for page in [0, 7, 19] {
        check_eq!(mapping.load_u64(page * 4096 + 8, Relaxed), 0);
        mapping.word_u64(page * 4096 + 8).store(page as u64, Relaxed);
    }
    let info = memory.info()?;
    check_eq!((info.bytes, info.kind, info.sealed), (20 * PAGE, MemoryKind::Anonymous, false));
    check_eq!(info.resident_frames, 3);
    Ok(())
}

fn sizes_are_whole_pages() -> Outcome {
    let account = system().account.handle();
    for bytes in [0, 1, 4095, 4097, LARGEST + PAGE, u64::MAX] {
        check_eq!(sys::memory_create(account, bytes, MemoryKind::Anonymous), Err(Error::BadArgument));
        check_eq!(sys::memory_create(account, bytes, MemoryKind::Dma), Err(Error::BadArgument));
    }
    check_eq!(sys::memory_create(account, LARGEST, MemoryKind::Anonymous), Err(Error::AccountExhausted));
    Ok(())
}

fn kinds_are_checked() -> Outcome {
    let account = system().account.handle();
    for kind in [2, 3, 255, u64::MAX] {
        check_eq!(refused(Syscall::MemoryCreate, [account.0, PAGE, kind]), Some(Error::BadArgument));
    }
    Ok(())
}

fn dma_memory_is_placed_and_zeroed() -> Outcome {
    let memory = Memory::create_dma(system().account, 40 * PAGE)?;
    let mapping = memory.map_writable()?;
    for page in 0..40 {
        check_eq!(mapping.load_u64(page * 4096, Relaxed), 0);
    }
    let info = memory.info()?;
    check_eq!((info.kind, info.resident_frames), (MemoryKind::Dma, 40));
    Ok(())
}

fn mappings_share_their_memory() -> Outcome {
    let memory = memory(2)?;
    let (first, second) = (memory.map_writable()?, memory.map()?);
    first.word_u64(PAGE as usize).store(99, Relaxed);
    check_eq!(second.load_u64(PAGE as usize, Relaxed), 99);
    check!(first.address() != second.address());
    Ok(())
}

fn a_part_is_mapped() -> Outcome {
    let memory = memory(8)?;
    memory.map_writable()?.word_u64(3 * 4096).store(3, Relaxed);
    let part = memory.map_part(3 * PAGE, PAGE)?;
    check_eq!((part.bytes(), part.load_u64(0, Relaxed)), (4096, 3));
    check_eq!(memory.map_part(8 * PAGE, PAGE).err(), Some(Error::BadArgument));
    check_eq!(memory.map_part(7 * PAGE, 2 * PAGE).err(), Some(Error::BadArgument));
    check_eq!(map(&memory, 0, 1, PAGE, READ), Err(Error::BadArgument));
    check_eq!(map(&memory, 0, 0, 0, READ), Err(Error::BadArgument));
    check_eq!(map(&memory, 0, u64::MAX - PAGE + 1, PAGE, READ), Err(Error::BadArgument));
    Ok(())
}

fn addresses_are_chosen_apart() -> Outcome {
    let memory = memory(1)?;
    let mut all: alloc::vec::Vec<u64> = (0..5).map(|_| map(&memory, 0, 0, PAGE, READ)).collect::<Result<_, _>>()?;
    all.sort_unstable();
    check!(all.windows(2).all(|pair| pair[1] - pair[0] >= 2 * PAGE), "no guard between {all:x?}");
    for address in all {
        unmap(address)?;
    }
    Ok(())
}

fn addresses_are_checked() -> Outcome {
    let memory = memory(1)?;
    for address in
        [PAGE, LOWEST_ADDRESS - PAGE, END_ADDRESS, 0x8000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - PAGE + 1]
    {
        check_eq!(map(&memory, address, 0, PAGE, READ), Err(Error::BadAddress));
    }
    check_eq!(map(&memory, 0x40_0000_0800, 0, PAGE, READ), Err(Error::BadArgument));
    for address in [LOWEST_ADDRESS, END_ADDRESS - PAGE] {
        check_eq!(map(&memory, address, 0, PAGE, READ), Ok(address));
        unmap(address)?;
    }
    Ok(())
}

fn what_is_taken_is_refused() -> Outcome {
    let memory = memory(4)?;
    let place = 0x40_0000_0000;
    check_eq!(map(&memory, place, 0, 4 * PAGE, READ), Ok(place));
    for (address, pages) in [(place, 1), (place + 3 * PAGE, 1), (place - PAGE, 2), (place - PAGE, 4), (place + PAGE, 4)]
    {
        check_eq!(map(&memory, address, 0, pages * PAGE, READ), Err(Error::BadAddress));
    }
    check_eq!(map(&memory, place + 4 * PAGE, 0, PAGE, READ), Ok(place + 4 * PAGE));
    unmap(place + 4 * PAGE)?;
    unmap(place)?;
    Ok(())
}

fn protection_needs_rights() -> Outcome {
    let memory = memory(1)?;
    let read = memory.duplicate(Rights::READ)?;
    check_eq!(map(&read, 0, 0, PAGE, WRITE), Err(Error::Denied));
    check_eq!(map(&read, 0, 0, PAGE, EXECUTE), Err(Error::Denied));
    let address = map(&read, 0, 0, PAGE, READ)?;
    check_eq!(protect(address, WRITE.bits()), Err(Error::Denied));
    unmap(address)?;
    let blind = memory.duplicate(Rights::DUPLICATE)?;
    check_eq!(map(&blind, 0, 0, PAGE, READ), Err(Error::Denied));
    check_eq!(blind.seal(), Err(Error::Denied));
    Ok(())
}

fn protection_words_are_checked() -> Outcome {
    let memory = memory(1)?;
    let address = map(&memory, 0, 0, PAGE, READ)?;
    for word in [2, 4, 6, 7, 8, 0x80, 0x1000, 1 << 31] {
        check_eq!(refused(Syscall::MemoryMap, [0, memory.handle().0, 0, 0, PAGE, word]), Some(Error::BadArgument));
        check_eq!(protect(address, word as u32), Err(Error::BadArgument));
    }
    check_eq!(refused(Syscall::MemoryMap, [0, memory.handle().0, 0, 0, PAGE, 1 << 40 | 1]), Some(Error::BadArgument));
    unmap(address)?;
    Ok(())
}

fn protection_changes() -> Outcome {
    let memory = memory(1)?;
    let address = map(&memory, 0, 0, PAGE, WRITE)?;
    let word = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
    // SAFETY: mapped as it is read and written.
    unsafe {
        word.write_volatile(5);
        protect(address, READ.bits())?;
        check_eq!(word.read_volatile(), 5);
        protect(address, 0)?;
        protect(address, WRITE.bits())?;
        word.write_volatile(6);
        check_eq!(word.read_volatile(), 6);
    }
    check_eq!(protect(address, EXECUTE.bits()), Err(Error::Sealed));
    check_eq!(protect(address + PAGE, READ.bits()), Err(Error::BadAddress));
    unmap(address)?;
    Ok(())
}

fn unmapped_is_unmapped() -> Outcome {
    let memory = memory(600)?;
    let address = map(&memory, 0, 0, 600 * PAGE, WRITE)?;
    for page in (0..600).step_by(50) {
        // SAFETY: mapped for writing.
        unsafe { core::ptr::with_exposed_provenance_mut::<u64>((address + page * PAGE) as usize).write_volatile(1) };
    }
    check_eq!(unmap(address + PAGE), Err(Error::BadAddress));
    check_eq!(unmap(address + 1), Err(Error::BadAddress));
    unmap(address)?;
    check_eq!(unmap(address), Err(Error::BadAddress));
    check_eq!(map(&memory, address, 0, PAGE, READ), Ok(address));
    unmap(address)?;
    Ok(())
}

fn sealed_memory_stays_as_it_is() -> Outcome {
    let memory = memory(1)?;
    memory.map_writable()?.store_u8(0, 1);
    memory.seal()?;
    check_eq!(memory.seal(), Ok(()));
    check!(memory.info()?.sealed);
    check_eq!(memory.map_writable().err(), Some(Error::Sealed));
    let address = map(&memory, 0, 0, PAGE, READ)?;
    check_eq!(protect(address, WRITE.bits()), Err(Error::Sealed));
    unmap(address)?;
    check_eq!(memory.map_sealed()?[0], 1);
    Ok(())
}

fn sealing_reaches_every_mapping() -> Outcome {
    fn writes_when_told() -> u64 {
        let env = libsys::env::get();
        let (Ok(memory), Ok(channel)) = (env.take::<Memory>("memory"), env.take::<libsys::Channel>("back")) else {
            return 1;
        };
        let Ok(mapping) = memory.map_writable() else { return 2 };
        mapping.store_u8(0, 1);
        let _ = channel.signal(1);
        // Until it is sealed, this goes well.
        loop {
            mapping.store_u8(0, 2);
        }
    }
    let memory = memory(1)?;
    let channel = libsys::Channel::create(system().account)?;
    let launch = process::launch("writer", writes_when_told)
        .grant("memory", &memory, Rights::all())
        .grant_signal("back", &channel, 1);
    let child = launch.spawn(system().account)?;
    channel.receive(Some(libsys::time::deadline_after(process::PATIENCE)))?;
    memory.seal()?;
    let record = process::wait_for(&child)?;
    check_eq!(process::reason(&record), abi::ExitReason::PageFault);
    Ok(())
}

fn sealed_memory_is_executed() -> Outcome {
    let memory = memory(1)?;
    // mov eax, 77; ret
    memory.map_writable()?.copy_in(0, &[0xb8, 77, 0, 0, 0, 0xc3]);
    check_eq!(map(&memory, 0, 0, PAGE, EXECUTE), Err(Error::Sealed));
    memory.seal()?;
    let address = map(&memory, 0, 0, PAGE, EXECUTE)?;
    // SAFETY: the code above is a function that returns a number.
    let function = unsafe { core::mem::transmute::<usize, extern "C" fn() -> u32>(address as usize) };
    check_eq!(function(), 77);
    unmap(address)?;
    Ok(())
}

fn mapping_into_another_process() -> Outcome {
    let process = Process::create(system().account, "new")?;
    let memory = memory(2)?;
    check_eq!(process.map(&memory, 0x40_0000, 0, PAGE, READ), Ok(0x40_0000));
    check_eq!(process.map(&memory, 0x40_0000, 0, PAGE, READ), Err(Error::BadAddress));
    let chosen = process.map(&memory, 0, 0, 2 * PAGE, WRITE)?;
    check!(chosen != 0);
    // SAFETY: another process, that does not run.
    unsafe {
        check_eq!(sys::memory_protect(process.handle(), chosen, READ.bits()), Ok(()));
        check_eq!(sys::memory_unmap(process.handle(), chosen), Ok(()));
        check_eq!(sys::memory_unmap(process.handle(), chosen), Err(Error::BadAddress));
    }
    process.kill(abi::ExitReason::Killed, 0)?;
    check_eq!(process.map(&memory, 0x50_0000, 0, PAGE, READ), Err(Error::BadState));
    Ok(())
}

fn inspection_needs_the_right() -> Outcome {
    let memory = memory(1)?;
    check_eq!(memory.duplicate(Rights::READ)?.info().err(), Some(Error::Denied));
    check_eq!(refused(Syscall::MemoryInspect, [system().account.handle().0]), Some(Error::WrongKind));
    check_eq!(call(Syscall::MemoryInspect, [memory.handle().0]).results[..3], [PAGE, 0, 0]);
    Ok(())
}

fn a_mapping_keeps_its_memory() -> Outcome {
    let memory = memory(1)?;
    let mapping = memory.map_writable()?;
    drop(memory);
    mapping.store_u8(9, 9);
    check_eq!(mapping.load_u8(9), 9);
    Ok(())
}

fn memory_comes_back_zeroed() -> Outcome {
    for _ in 0..4 {
        let memory = memory(64)?;
        let mapping = memory.map_writable()?;
        for page in 0..64 {
            check_eq!(mapping.load_u64(page * 4096 + 64, Relaxed), 0);
            mapping.word_u64(page * 4096 + 64).store(u64::MAX, Relaxed);
        }
    }
    Ok(())
}
