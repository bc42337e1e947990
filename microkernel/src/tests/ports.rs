//! Ports, and rings of bytes between them and Memory, with a device that counts what is read from it.

use super::caller::Caller;
use crate::arch::processor::set_port_device;
use crate::object::{IoPorts, Memory, Ref};
use crate::syscall::device;
use abi::boot::ResourceKind;
use abi::memory::{Caching, MemoryKind};
use abi::ports::{BURST, Gate};
use abi::ring::{BYTE_RING_HEADER, BYTE_RING_LARGEST};
use abi::{Error, Handle};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use x86_64::PhysAddr;

const BASE: u16 = 0x3f8;
const STATUS: u16 = 5;
const GATE: Gate = Gate { data: 0, status: 5, mask: 0x21, value: 0x01, count: 255 };

/// A device with a queue each way; bit 0 of its status: there is input.
#[derive(Default)]
struct Uart {
    input: VecDeque<u8>,
    output: Vec<u8>,
    busy: bool,
    /// Reads of the data port without input.
    lost: u32,
}

fn uart() -> Rc<RefCell<Uart>> {
    let uart = Rc::new(RefCell::new(Uart::default()));
    let device = uart.clone();
    set_port_device(Box::new(move |port, width, value| {
        let mut uart = device.borrow_mut();
        assert_eq!(width, 1);
        match (port - BASE, value) {
            (0, Some(value)) => {
                uart.output.push(value as u8);
                0
            }
            (0, None) => uart.input.pop_front().unwrap_or_else(|| {
                uart.lost += 1;
                0
            }) as u32,
            (STATUS, None) => !uart.input.is_empty() as u32 | if uart.busy { 0x20 } else { 0 },
            other => panic!("{other:?}"),
        }
    }));
    uart
}

struct Setup {
    ports: Ref<IoPorts>,
    memory: Ref<Memory>,
    caller: Caller,
}

/// A ring at `offset`; its indices start close to wrapping.
fn setup(pages: u64, offset: u64, capacity: u64, start: u64) -> Setup {
    let caller = Caller::new();
    let ports = IoPorts::create(caller.kernel(), caller.root(), BASE.into(), 8, 1).unwrap();
    let memory = Memory::create(caller.kernel(), caller.root(), pages * 4096, MemoryKind::Anonymous).unwrap();
    let setup = Setup { ports, memory, caller };
    for (field, value) in [start, start, capacity, 0].into_iter().enumerate() {
        setup.set(offset + field as u64 * 8, value);
    }
    setup
}

impl Setup {
    fn set(&self, offset: u64, value: u64) {
        self.memory.write(self.caller.kernel(), offset, &value.to_le_bytes()).unwrap();
    }

    fn get(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.memory.read(offset, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn byte(&self, offset: u64, capacity: u64, index: u64) -> u8 {
        let mut byte = [0];
        self.memory.read(offset + BYTE_RING_HEADER + index % capacity, &mut byte).unwrap();
        byte[0]
    }

    fn drain(&self, offset: u64, gate: Gate) -> Result<(u64, u8), Error> {
        self.ports.drain(self.caller.kernel(), &self.memory, offset, gate)
    }

    fn fill(&self, offset: u64, gate: Gate) -> Result<(u64, u8), Error> {
        self.ports.fill(self.caller.kernel(), &self.memory, offset, gate)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What the device received comes out of the ring in order, whatever the ring's place, size and indices.
    #[test]
    fn no_byte_is_lost_on_the_way_in(
        offset in (0u64..600).prop_map(|n| n * 8),
        capacity in (0u32..13).prop_map(|n| 1u64 << n),
        start in prop_oneof![Just(0), Just(u64::MAX - 5), any::<u64>()],
        rounds in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0u64..300, 0u8..=255), 1..20),
    ) {
        let (uart, setup) = (uart(), setup(4, offset, capacity, start));
        let (mut sent, mut got, mut tail) = (Vec::new(), Vec::new(), start);
        for (bytes, taken, count) in rounds {
            uart.borrow_mut().input.extend(&bytes);
            sent.extend(bytes);
            let waiting = uart.borrow().input.len() as u64;
            let room = capacity - setup.get(offset).wrapping_sub(tail);
            let (moved, status) = setup.drain(offset, Gate { count, ..GATE }).unwrap();
            prop_assert_eq!(moved, waiting.min(room).min(BURST).min(count.into()));
            prop_assert_eq!(status & 1 != 0, waiting > moved);
            for _ in 0..taken.min(setup.get(offset).wrapping_sub(tail)) {
                got.push(setup.byte(offset, capacity, tail));
                tail = tail.wrapping_add(1);
            }
            setup.set(offset + 8, tail);
        }
        prop_assert_eq!(uart.borrow().lost, 0);
        let mut rest: Vec<u8> = Vec::new();
        while tail != setup.get(offset) {
            rest.push(setup.byte(offset, capacity, tail));
            tail = tail.wrapping_add(1);
        }
        rest.extend(&uart.borrow().input);
        got.extend(rest);
        prop_assert_eq!(got, sent);
    }

    /// Indices and capacities of any kind move no byte beyond the ring, and none off the device without room for it.
    #[test]
    fn hostile_rings_are_refused_or_harmless(head: u64, tail in prop_oneof![any::<u64>(), 0u64..70], near: bool, capacity in prop_oneof![any::<u64>(), (0u32..64).prop_map(|n| 1u64 << n)]) {
        let (uart, setup) = (uart(), setup(2, 4064, 16, 0));
        let head = if near { tail.wrapping_add(head % 40) } else { head };
        uart.borrow_mut().input.extend(0..100);
        // A frame of bytes on both sides that must not change.
        setup.memory.write(setup.caller.kernel(), 0, &[0xaa; 4064]).unwrap();
        for (field, value) in [head, tail, capacity].into_iter().enumerate() {
            setup.set(4064 + field as u64 * 8, value);
        }
        let fits = capacity.is_power_of_two() && capacity <= 4096;
        let used = head.wrapping_sub(tail);
        let drained = setup.drain(4064, GATE);
        if !capacity.is_power_of_two() || capacity > BYTE_RING_LARGEST {
            prop_assert_eq!(drained, Err(Error::BadState));
        } else if !fits {
            prop_assert_eq!(drained, Err(Error::BadArgument));
        } else if used > capacity {
            prop_assert_eq!(drained, Err(Error::BadState));
        } else {
            prop_assert_eq!(drained.unwrap().0, (capacity - used).min(BURST));
        }
        let moved = drained.map_or(0, |(moved, _)| moved);
        prop_assert_eq!(uart.borrow().input.len() as u64, 100 - moved);
        prop_assert_eq!(setup.fill(4064, Gate { mask: 0, value: 0, ..GATE }).is_ok(), fits && used <= capacity);
        let mut before = [0; 4064];
        setup.memory.read(0, &mut before).unwrap();
        prop_assert!(before.iter().all(|byte| *byte == 0xaa));
    }
}

#[test]
fn filling_asks_the_gate_once_and_takes_what_there_is() {
    let (uart, setup) = (uart(), setup(1, 0, 64, u64::MAX - 9));
    for index in 0..40u64 {
        let place = u64::MAX.wrapping_sub(9).wrapping_add(index) % 64;
        setup.memory.write(setup.caller.kernel(), BYTE_RING_HEADER + place, &[index as u8]).unwrap();
    }
    setup.set(0, (u64::MAX - 9).wrapping_add(40));
    let gate = Gate { mask: 0x20, value: 0, count: 16, ..GATE };
    uart.borrow_mut().busy = true;
    assert_eq!(setup.fill(0, gate), Ok((0, 0x20)));
    uart.borrow_mut().busy = false;
    assert_eq!(setup.fill(0, gate), Ok((16, 0)));
    assert_eq!(setup.fill(0, gate), Ok((16, 0)));
    assert_eq!(setup.fill(0, gate), Ok((8, 0)));
    assert_eq!(setup.fill(0, gate), Ok((0, 0)));
    assert_eq!(uart.borrow().output, (0..40).collect::<Vec<u8>>());
    assert_eq!(setup.get(8), setup.get(0));
}

#[test]
fn rings_have_to_be_in_memory_that_can_be_written() {
    let (_uart, setup) = (uart(), setup(1, 0, 64, 0));
    for offset in [4, 4096, 4064 + 8, u64::MAX - 7, !7] {
        assert_eq!(setup.drain(offset, GATE), Err(Error::BadArgument), "{offset:#x}");
    }
    assert_eq!(setup.drain(4064, GATE), Err(Error::BadState), "a capacity of 0");
    assert_eq!(setup.drain(0, Gate { data: 8, ..GATE }), Err(Error::BadArgument));
    assert_eq!(setup.drain(0, Gate { status: 8, ..GATE }), Err(Error::BadArgument));
    let _ = setup.memory.seal(setup.caller.kernel());
    assert_eq!(setup.drain(0, GATE), Err(Error::Sealed));
    assert_eq!(setup.fill(0, GATE), Err(Error::Sealed));
    let range = PhysAddr::new(0x1000)..PhysAddr::new(0x2000);
    let registers = Memory::device(setup.caller.kernel(), setup.caller.root(), range, Caching::Uncached).unwrap();
    assert_eq!(setup.ports.drain(setup.caller.kernel(), &registers, 0, GATE), Err(Error::BadArgument));
}

#[test]
fn ports_are_exclusive_and_checked() {
    let mut caller = Caller::new();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    set_port_device(Box::new(move |port, width, value| {
        log.borrow_mut().push((port, width, value));
        0x1234_5678
    }));
    let (resource, account) = (caller.resource(ResourceKind::Ports), caller.account);
    let ports = caller.one(device::create_ports, &[resource, 0x60, 5, account]).unwrap();
    for (first, count) in [(0x60, 5), (0x64, 1), (0x50, 0x11), (0x5f, 100), (0, 0x1_0000)] {
        assert_eq!(caller.one(device::create_ports, &[resource, first, count, account]), Err(Error::Busy));
    }
    for (first, count) in [(0xffff, 2), (0x1_0000, 1), (u64::MAX, 1), (0, u64::MAX)] {
        assert_eq!(caller.one(device::create_ports, &[resource, first, count, account]), Err(Error::Denied));
    }
    assert_eq!(caller.one(device::create_ports, &[resource, 0x70, 0, account]), Err(Error::BadArgument));
    let physical = caller.resource(ResourceKind::Physical);
    assert_eq!(caller.one(device::create_ports, &[physical, 0x70, 1, account]), Err(Error::WrongKind));

    assert_eq!(caller.one(device::port_in, &[ports, 1, 4]), Ok(0x1234_5678));
    assert_eq!(caller.one(device::port_out, &[ports, 4, 1, 0xff]), Ok(0));
    assert_eq!(*seen.borrow(), [(0x61, 4, None), (0x64, 1, Some(0xff))]);
    for (offset, width) in [(2, 4), (5, 1), (4, 2), (0, 3), (0, 8), (0, 0), (u64::MAX, 1), (u64::MAX, 2)] {
        assert_eq!(caller.one(device::port_in, &[ports, offset, width]), Err(Error::BadArgument));
        assert_eq!(caller.one(device::port_out, &[ports, offset, width, 0]), Err(Error::BadArgument));
    }
    assert_eq!(caller.one(device::port_out, &[ports, 0, 1, 0x100]), Err(Error::BadArgument));
    assert_eq!(seen.borrow().len(), 2, "what is refused touches no port");
    let memory = Memory::create(caller.kernel(), caller.root(), 4096, MemoryKind::Anonymous).unwrap();
    let memory = caller.give(memory);
    assert_eq!(caller.one(device::drain_ports, &[ports, memory, 0, 1 << 40]), Err(Error::BadArgument));
    assert_eq!(caller.one(device::drain_ports, &[memory, memory, 0, 0]), Err(Error::WrongKind));
    assert_eq!(caller.one(device::drain_ports, &[Handle::NONE.0, memory, 0, 0]), Err(Error::BadHandle));

    caller.close(ports);
    assert!(caller.one(device::create_ports, &[resource, 0x60, 5, account]).is_ok(), "a closed range is free");
}
