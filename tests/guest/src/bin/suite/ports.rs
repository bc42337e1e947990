//! I/O ports: made, read, written, drained into rings and filled from them.

use abi::ports::Gate;
use abi::ring::{BYTE_RING_HEADER, BYTE_RING_LARGEST};
use abi::{Rights, Syscall};
use core::sync::atomic::Ordering::Relaxed;
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::{Error, Memory, Object, Ports};

pub const TESTS: &[Test] = tests![
    a_port_is_read_and_written,
    widths_and_offsets_are_checked,
    ports_are_exclusive,
    reading_and_writing_need_their_rights,
    a_ring_is_drained_and_filled,
    a_gate_that_is_closed,
    hostile_rings,
    rings_in_the_wrong_place,
    gates_are_checked,
];

/// The CMOS clock: index and data.
const CMOS: (u16, u16) = (0x70, 2);

fn cmos() -> Outcome<Ports> {
    Ok(Ports::create(crate::given(&system().ports)?, CMOS.0, CMOS.1, system().account)?)
}

fn a_port_is_read_and_written() -> Outcome {
    let ports = cmos()?;
    // Status register D: the battery is good.
    ports.write_u8(0, 0x0d)?;
    check_eq!(ports.read_u8(1)? & 0x7f, 0);
    // A byte of its memory.
    for value in [0x5a, 0xa5] {
        ports.write_u8(0, 0x50)?;
        ports.write_u8(1, value)?;
        check_eq!(ports.read_u8(1)?, value);
    }
    Ok(())
}

fn widths_and_offsets_are_checked() -> Outcome {
    let ports = cmos()?;
    let handle = ports.handle().0;
    for (offset, width) in [(2, 1), (1, 2), (0, 4), (0, 0), (0, 3), (0, 8), (u64::MAX, 1), (1 << 32, 1), (0, u64::MAX)]
    {
        check_eq!(refused(Syscall::PortIn, [handle, offset, width]), Some(Error::BadArgument));
        check_eq!(refused(Syscall::PortOut, [handle, offset, width, 0]), Some(Error::BadArgument));
    }
    check_eq!(refused(Syscall::PortOut, [handle, 0, 1, 0x100]), Some(Error::BadArgument));
    check_eq!(refused(Syscall::PortOut, [handle, 0, 2, 0x1_0000]), Some(Error::BadArgument));
    Ok(())
}

fn ports_are_exclusive() -> Outcome {
    let resource = crate::given(&system().ports)?;
    let create = |first, count| Ports::create(resource, first, count, system().account).err();
    let ports = cmos()?;
    check_eq!(create(0x71, 1), Some(Error::Busy));
    check_eq!(create(0x6f, 2), Some(Error::Busy));
    check_eq!(create(0x60, 0x100), Some(Error::Busy));
    drop(ports);
    check_eq!(create(0x71, 1), None);
    let account = system().account.handle().0;
    check_eq!(refused(Syscall::PortsCreate, [resource.handle().0, 0xffff, 2, account]), Some(Error::Denied));
    check_eq!(refused(Syscall::PortsCreate, [resource.handle().0, 0x80, 0, account]), Some(Error::BadArgument));
    check_eq!(refused(Syscall::PortsCreate, [resource.handle().0, u64::MAX, 1, account]), Some(Error::Denied));
    Ok(())
}

fn reading_and_writing_need_their_rights() -> Outcome {
    let ports = cmos()?;
    let (read, write) = (ports.duplicate(Rights::READ)?, ports.duplicate(Rights::WRITE)?);
    check_eq!(read.write_u8(0, 1), Err(Error::Denied));
    check_eq!(write.read_u8(0), Err(Error::Denied));
    check!(read.read_u8(1).is_ok() && write.write_u8(0, 0x0d).is_ok());
    let ring = ring(64, 0, 0)?;
    check_eq!(write.drain(&ring, 0, OPEN), Err(Error::Denied));
    check_eq!(read.fill(&ring, 0, OPEN), Err(Error::Denied));
    check_eq!(ports.drain(&ring.duplicate(Rights::READ)?, 0, OPEN), Err(Error::Denied));
    check_eq!(ports.fill(&ring.duplicate(Rights::WRITE)?, 0, OPEN), Err(Error::Denied));
    Ok(())
}

/// Always open: the index port as data and status.
const OPEN: Gate = Gate { data: 0, status: 0, mask: 0, value: 0, count: 16 };

/// A ring with these indices.
fn ring(capacity: u64, head: u64, tail: u64) -> Outcome<Memory> {
    let memory = Memory::create(system().account, 8192)?;
    let mapping = memory.map_writable()?;
    for (offset, word) in [head, tail, capacity].into_iter().enumerate() {
        mapping.word_u64(offset * 8).store(word, Relaxed);
    }
    Ok(memory)
}

fn indices(memory: &Memory) -> Outcome<(u64, u64)> {
    let mapping = memory.map()?;
    Ok((mapping.load_u64(0, Relaxed), mapping.load_u64(8, Relaxed)))
}

fn a_ring_is_drained_and_filled() -> Outcome {
    let ports = cmos()?;
    let memory = ring(64, 60, 60)?;
    let moved = ports.drain(&memory, 0, OPEN)?;
    check_eq!((moved.bytes, indices(&memory)?), (16, (76, 60)));
    // No more than fits.
    for _ in 0..4 {
        ports.drain(&memory, 0, OPEN)?;
    }
    check_eq!(indices(&memory)?, (124, 60));
    check_eq!(ports.drain(&memory, 0, OPEN)?.bytes, 0);
    let mapping = memory.map_writable()?;
    mapping.store_u8(BYTE_RING_HEADER as usize + 60, 0x0b);
    let moved = ports.fill(&memory, 0, Gate { count: 1, ..OPEN })?;
    check_eq!((moved.bytes, indices(&memory)?), (1, (124, 61)));
    check_eq!(ports.fill(&memory, 0, Gate { count: 255, ..OPEN })?.bytes, 63);
    check_eq!(ports.fill(&memory, 0, OPEN)?.bytes, 0);
    Ok(())
}

fn a_gate_that_is_closed() -> Outcome {
    let ports = cmos()?;
    let memory = ring(64, 10, 0)?;
    let closed = Gate { mask: 0, value: 1, ..OPEN };
    check_eq!(ports.drain(&memory, 0, closed)?.bytes, 0);
    check_eq!(ports.fill(&memory, 0, closed)?.bytes, 0);
    check_eq!(indices(&memory)?, (10, 0));
    Ok(())
}

fn hostile_rings() -> Outcome {
    let ports = cmos()?;
    for capacity in [0, 3, 63, u64::MAX, 1 << 63, BYTE_RING_LARGEST * 2] {
        let memory = ring(capacity, 0, 0)?;
        check_eq!(ports.drain(&memory, 0, OPEN), Err(Error::BadState));
        check_eq!(ports.fill(&memory, 0, OPEN), Err(Error::BadState));
    }
    let memory = ring(8192, 0, 0)?;
    check_eq!(ports.drain(&memory, 0, OPEN), Err(Error::BadArgument));
    for (head, tail) in [(0, 1), (65, 0), (u64::MAX, 0), (1 << 63, 0), (0, u64::MAX - 64)] {
        let memory = ring(64, head, tail)?;
        check_eq!(ports.drain(&memory, 0, OPEN), Err(Error::BadState));
        check_eq!(ports.fill(&memory, 0, OPEN), Err(Error::BadState));
    }
    // Indices that wrap are no harm.
    let memory = ring(64, 2, u64::MAX - 2)?;
    check_eq!(ports.drain(&memory, 0, OPEN)?.bytes, 16);
    Ok(())
}

fn rings_in_the_wrong_place() -> Outcome {
    let ports = cmos()?;
    let memory = ring(64, 0, 0)?;
    for offset in [4, 8192, 8192 - 16, u64::MAX, u64::MAX - 7, 1 << 40] {
        check_eq!(ports.drain(&memory, offset, OPEN), Err(Error::BadArgument));
        check_eq!(ports.fill(&memory, offset, OPEN), Err(Error::BadArgument));
    }
    memory.seal()?;
    check_eq!(ports.drain(&memory, 0, OPEN), Err(Error::Sealed));
    check_eq!(ports.fill(&memory, 0, OPEN), Err(Error::Sealed));
    Ok(())
}

fn gates_are_checked() -> Outcome {
    let ports = cmos()?;
    let memory = ring(64, 0, 0)?;
    for gate in [Gate { data: 2, ..OPEN }, Gate { status: 2, ..OPEN }, Gate { data: 255, ..OPEN }] {
        check_eq!(ports.drain(&memory, 0, gate), Err(Error::BadArgument));
        check_eq!(ports.fill(&memory, 0, gate), Err(Error::BadArgument));
    }
    let word = OPEN.to_word() | 1 << 40;
    check_eq!(refused(Syscall::PortsDrain, [ports.handle().0, memory.handle().0, 0, word]), Some(Error::BadArgument));
    Ok(())
}
