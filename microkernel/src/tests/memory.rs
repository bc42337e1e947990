//! Memory: kinds, charges, reading and writing.

use super::machine::Machine;
use crate::arch;
use crate::object::{Account, Memory, Ref};
use crate::shootdown::{Progress, Ticket};
use abi::Error;
use abi::memory::{Caching, LARGEST, MemoryKind};
use x86_64::PhysAddr;

const PAGE: u64 = 4096;

fn used(account: &Account) -> u64 {
    account.usage().used.frames
}

fn make(machine: &Machine, account: &Ref<Account>, pages: u64, kind: MemoryKind) -> Result<Ref<Memory>, Error> {
    Memory::create(&machine.kernel, account.get(&machine.kernel), pages * PAGE, kind)
}

#[test]
fn charges_pages_and_nodes_at_once_and_gives_them_back() {
    let mut machine = Machine::new(4096);
    let free = machine.kernel.frames.free.get();
    // Nodes: none for a few, one, a root and two leaves.
    for (pages, nodes) in [(1, 0), (2, 0), (3, 1), (512, 1), (513, 3)] {
        let account = machine.account(pages + nodes + 1);
        let memory = make(&machine, &account, pages, MemoryKind::Anonymous).unwrap();
        assert_eq!(used(&account), pages + nodes + 1, "{pages} pages, and the object's slab page");
        assert_eq!(memory.resident.get(), 0);
        for page in (0..pages).rev() {
            assert_eq!(memory.frame(page), None);
            let frame = memory.place(&machine.kernel, page);
            assert_eq!((memory.frame(page), memory.place(&machine.kernel, page)), (Some(frame), frame));
            // SAFETY: the Memory's frame.
            let bytes = unsafe { std::slice::from_raw_parts_mut(arch::direct_map(frame), 4096) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(0xff);
        }
        assert_eq!(memory.resident.get(), pages);
        assert_eq!(memory.frame(pages), None);
        assert_eq!(used(&account), pages + nodes + 1);
        drop(memory);
        machine.reap_all();
        assert_eq!(used(&account), 0);
        drop(account);
        machine.reap_all();
        assert_eq!(machine.kernel.frames.free.get(), free);
    }
}

#[test]
fn bad_sizes_and_poor_accounts_are_refused() {
    let machine = Machine::new(1024);
    let account = machine.account(100);
    let kernel = &machine.kernel;
    for bytes in [0, 1, 4095, 4097, LARGEST + PAGE, u64::MAX, u64::MAX - 4095] {
        let made = Memory::create(kernel, account.get(kernel), bytes, MemoryKind::Anonymous);
        assert_eq!(made.err(), Some(Error::BadArgument), "{bytes:#x}");
    }
    assert_eq!(make(&machine, &account, 1, MemoryKind::Device).err(), Some(Error::BadArgument));
    for kind in [MemoryKind::Anonymous, MemoryKind::Dma] {
        for bytes in [LARGEST / PAGE, 101, 100] {
            assert_eq!(make(&machine, &account, bytes, kind).err(), Some(Error::AccountExhausted));
        }
    }
    assert_eq!(used(&account), 0, "nothing is left behind");
}

#[test]
fn dma_memory_is_adjacent_zeroed_and_given_back_exactly() {
    let mut machine = Machine::new(1024);
    let start = (machine.kernel.frames.shape(), used(&machine.root));
    let account = machine.account(400);
    for frame in (0..300).map(|_| machine.kernel.frames.allocate(0).unwrap()).collect::<Vec<_>>() {
        // SAFETY: our frame, which we dirty and give back.
        unsafe { arch::direct_map(frame).write_bytes(0xaa, 4096) };
        machine.kernel.frames.free(frame, 0);
    }
    let memory = make(&machine, &account, 300, MemoryKind::Dma).unwrap();
    assert_eq!(used(&account), 301);
    assert!(!memory.is_prepared());
    assert_eq!(memory.read(0, &mut [0; 8]), Err(Error::BadArgument));
    let mut steps = 0;
    while memory.prepare() == Progress::More {
        steps += 1;
    }
    assert_eq!((steps, memory.prepare()), (300 / 16, Progress::Done(Ticket::DONE)));
    let first = memory.frame(0).unwrap();
    for page in 0..300 {
        assert_eq!(memory.frame(page), Some(first + page * PAGE));
        let mut bytes = [1; 4096];
        memory.read(page * PAGE, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4096]);
    }
    assert_eq!(make(&machine, &account, 99, MemoryKind::Dma).map(|_| ()), Ok(()));
    assert_eq!(make(&machine, &machine.root, 700, MemoryKind::Dma).err(), Some(Error::AccountExhausted));
    drop(memory);
    drop(account);
    machine.reap_all();
    assert_eq!((machine.kernel.frames.shape(), used(&machine.root)), start);
    assert_eq!(make(&machine, &machine.root, 1000, MemoryKind::Dma).err(), Some(Error::NoContiguousMemory));
    assert_eq!(used(&machine.root), start.1);
}

#[test]
fn reads_and_writes_across_pages() {
    let machine = Machine::new(64);
    let (account, kernel) = (machine.account(20), &machine.kernel);
    let memory = make(&machine, &account, 3, MemoryKind::Anonymous).unwrap();
    let bytes: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
    memory.write(kernel, 4000, &bytes).unwrap();
    let mut back = vec![0xff; 3 * 4096];
    memory.read(0, &mut back).unwrap();
    assert!(back[..4000].iter().chain(&back[9000..]).all(|byte| *byte == 0));
    assert_eq!(back[4000..9000], bytes);
    assert_eq!(memory.resident.get(), 3);
    for offset in [3 * PAGE, 3 * PAGE - 7, u64::MAX - 3] {
        assert_eq!(memory.read(offset, &mut [0; 8]), Err(Error::BadArgument));
        assert_eq!(memory.write(kernel, offset, &[0; 8]), Err(Error::BadArgument));
    }
    assert_eq!(memory.read(3 * PAGE, &mut []), Ok(()));
    assert_eq!(memory.seal(kernel), Ok(Progress::Done(Ticket::DONE)));
    assert_eq!(memory.write(kernel, 0, &[0]), Err(Error::Sealed));
    assert!(memory.is_sealed(kernel));
}

#[test]
fn device_memory_is_only_a_range() {
    let machine = Machine::new(64);
    let (account, kernel) = (machine.account(20), &machine.kernel);
    let range = |start, end| PhysAddr::new(start)..PhysAddr::new(end);
    let make = |start, end| Memory::device(kernel, account.get(kernel), range(start, end), Caching::WriteCombining);
    let memory = make(0xfe00_0000, 0xfe00_4000).unwrap();
    assert_eq!(memory.frame(3), Some(PhysAddr::new(0xfe00_3000)));
    assert_eq!((memory.frame(4), memory.device_range()), (None, Some(range(0xfe00_0000, 0xfe00_4000))));
    assert_eq!(memory.read(0, &mut [0; 4]), Err(Error::BadArgument));
    assert_eq!(memory.write(kernel, 0, &[0; 4]), Err(Error::BadArgument));
    assert_eq!(memory.seal(kernel), Err(Error::BadState));
    for (start, end) in [(0x1000, 0x1000), (0x1001, 0x2001), (0x1000, 0x1fff), (0x2000, 0x1000)] {
        assert_eq!(make(start, end).err(), Some(Error::BadArgument));
    }
}

#[test]
fn adopted_memory_is_sealed_and_stays() {
    let mut machine = Machine::new(64);
    let account = machine.account(20);
    let block = machine.kernel.frames.allocate(2).unwrap();
    // SAFETY: our frames.
    unsafe { arch::direct_map(block).write_bytes(7, 4 * 4096) };
    let memory = Memory::adopt(&machine.kernel, account.get(&machine.kernel), block + 5..block + 3 * PAGE + 9).unwrap();
    assert_eq!((memory.bytes(), used(&account), memory.is_sealed(&machine.kernel)), (4 * PAGE, 1, true));
    let mut bytes = [0; 3];
    memory.read(PAGE, &mut bytes).unwrap();
    assert_eq!(bytes, [7; 3]);
    let free = machine.kernel.frames.free.get();
    drop(memory);
    machine.reap_all();
    assert_eq!(machine.kernel.frames.free.get(), free + 1, "only the object's slab page");
}

#[test]
fn sealing_waits_for_devices() {
    let machine = Machine::new(64);
    let (account, kernel) = (machine.account(20), &machine.kernel);
    let memory = make(&machine, &account, 1, MemoryKind::Anonymous).unwrap();
    memory.add_device_writer().unwrap();
    assert_eq!(memory.seal(kernel), Err(Error::Busy));
    assert!(!memory.sealing.get());
    memory.remove_device_writer();
    assert_eq!(memory.seal(kernel), Ok(Progress::Done(Ticket::DONE)));
    assert_eq!(memory.add_device_writer(), Err(Error::Sealed));
}
