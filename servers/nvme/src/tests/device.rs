//! A controller that a test plays: it works when a doorbell is rung, and lies when it is told to.

use crate::bus::Bus;
use crate::command::COMMAND_BYTES;
use crate::pages::PAGE;
use crate::registers::{
    ADMIN_COMPLETIONS, ADMIN_ENTRIES, ADMIN_SUBMISSIONS, CAPABILITIES, CONFIGURATION, DOORBELLS, STATUS,
};
use libsys::driver::{DmaBuffer, Register, Result};
use libsys::{WritableMapping, fake};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Capabilities as QEMU has them, with a time limit of half a second.
pub const CAPABILITIES_OF_QEMU: u64 = 0x0040_0020_0101_07ff;

/// The vector of the queue for blocks.
pub const VECTOR: u16 = 1;

/// Bytes that a controller moves with one command.
pub const MOST_BYTES: u64 = 64 * PAGE;

/// A namespace: bytes of a block, bytes of metadata, data.
pub struct Space {
    pub block_bytes: usize,
    pub metadata: u16,
    pub is_read_only: bool,
    pub data: Vec<u8>,
    /// First block and blocks.
    pub discarded: Vec<(u64, u64)>,
}

impl Space {
    pub fn new(block_bytes: usize, blocks: usize) -> Space {
        let data = (0..block_bytes * blocks).map(|at| (at / 256 * 31 + at) as u8).collect();
        Space { block_bytes, metadata: 0, is_read_only: false, data, discarded: Vec::new() }
    }
}

/// What is said wrongly in a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Number(u16),
    Queue(u16),
    Head(u16),
}

#[derive(Default)]
struct Queues {
    submissions: u64,
    completions: u64,
    entries: u32,
    completion_entries: u32,
    head: u32,
    tail: u32,
    next: u32,
    is_second_round: bool,
    acknowledged: u32,
}

/// How a controller behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Honest,
    /// It never becomes ready.
    NeverReady,
    /// It never stops being ready.
    NeverReset,
    /// It fails when it is enabled.
    Fails,
    /// It is not there.
    Gone,
    /// It takes commands and does not complete them.
    Silent,
    /// It refuses all admin commands.
    Refuses,
}

#[derive(Default)]
pub struct State {
    pub capabilities: u64,
    pub manner: Manner,
    pub spaces: BTreeMap<u32, Space>,
    /// It knows no lists of namespaces.
    pub is_old: bool,
    /// Completions wait until they are let go.
    pub holds: bool,
    pub held: Vec<(u16, u16, u16)>,
    pub lie: Option<Lie>,
    /// All commands for blocks, as they stood in the queue.
    pub commands: Vec<[u64; 8]>,
    /// What came in which order at the start.
    pub events: Vec<&'static str>,
    pub acknowledged: u32,
    configuration: u32,
    status: u32,
    registers: BTreeMap<usize, u32>,
    memory: Vec<(u64, WritableMapping)>,
    queues: [Queues; 2],
}

/// The controller.
#[derive(Clone)]
pub struct Device(pub Rc<RefCell<State>>);

impl Device {
    pub fn new(spaces: impl IntoIterator<Item = (u32, Space)>) -> Device {
        let state = State {
            capabilities: CAPABILITIES_OF_QEMU,
            spaces: spaces.into_iter().collect(),
            // As a driver that died left it.
            configuration: 1,
            status: 1,
            ..State::default()
        };
        Device(Rc::new(RefCell::new(state)))
    }

    /// Memory that the controller reaches.
    pub fn memory(&self, bytes: u64) -> DmaBuffer {
        let buffer = fake::dma_buffer(bytes).expect("memory");
        let mapping = buffer.memory().map_writable().expect("a mapping");
        assert!(buffer.device_address().is_multiple_of(PAGE));
        self.0.borrow_mut().memory.push((buffer.device_address(), mapping));
        buffer
    }

    /// Completes what was held, in an order.
    pub fn let_go(&self, order: impl FnOnce(&mut Vec<(u16, u16, u16)>)) {
        let state = &mut *self.0.borrow_mut();
        let mut held = std::mem::take(&mut state.held);
        order(&mut held);
        held.into_iter().for_each(|(queue, number, status)| state.complete(queue, number, status));
    }

    /// Writes a completion of the queue for blocks as it is.
    pub fn write_completion(&self, words: [u32; 4]) {
        self.0.borrow_mut().put(1, words);
    }
}

impl State {
    fn find(&self, address: u64, bytes: usize) -> (&WritableMapping, usize) {
        let is_it = |(start, memory): &&(u64, WritableMapping)| {
            address >= *start && address + bytes as u64 <= *start + memory.bytes() as u64
        };
        let (start, memory) = self.memory.iter().find(is_it).expect("an address of memory that it was given");
        (memory, (address - start) as usize)
    }

    fn read_u64(&self, address: u64) -> u64 {
        let (memory, at) = self.find(address, 8);
        let mut bytes = [0; 8];
        memory.copy_out(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn wide(&self, register: Register<u32>) -> u64 {
        let half = |at| u64::from(self.registers.get(&at).copied().unwrap_or(0));
        half(register.offset()) | half(register.offset() + 4) << 32
    }

    fn configure(&mut self, value: u32) {
        let was_enabled = self.configuration & 1 != 0;
        self.configuration = value;
        match (was_enabled, value & 1 != 0, self.manner) {
            (_, _, Manner::NeverReset) => {}
            (true, false, _) => {
                self.events.push("reset");
                self.status = 0;
                self.queues = Default::default();
            }
            (false, true, Manner::Fails) => self.status = 2,
            (false, true, Manner::NeverReady) => {}
            (false, true, _) => {
                self.events.push("enabled");
                self.status = 1;
                assert_eq!(value >> 16, 0x46, "entries of 64 and 16 bytes");
                let entries = self.registers[&ADMIN_ENTRIES.offset()];
                let (submissions, completions) = (self.wide(ADMIN_SUBMISSIONS), self.wide(ADMIN_COMPLETIONS));
                let (completion_entries, entries) = ((entries >> 16) + 1, (entries & 0xfff) + 1);
                self.queues[0] = Queues { submissions, completions, entries, completion_entries, ..Queues::default() };
            }
            _ => {}
        }
    }

    fn ring(&mut self, doorbell: usize, value: u32) {
        let (queue, is_completions) = (doorbell / 2, doorbell % 2 == 1);
        assert!(value < self.queues[queue].entries, "a doorbell of a queue that is there");
        if is_completions {
            self.queues[queue].acknowledged = value;
            return;
        }
        self.queues[queue].tail = value;
        while self.queues[queue].head != self.queues[queue].tail {
            let place = self.queues[queue].submissions + u64::from(self.queues[queue].head) * COMMAND_BYTES as u64;
            let command: [u64; 8] = std::array::from_fn(|word| self.read_u64(place + 8 * word as u64));
            self.queues[queue].head = (self.queues[queue].head + 1) % self.queues[queue].entries;
            let status = if queue == 0 { self.administer(&command) } else { self.carry_out(&command) };
            let number = (command[0] >> 16) as u16;
            if self.manner == Manner::Silent {
                continue;
            }
            if self.holds {
                self.held.push((queue as u16, number, status))
            } else {
                self.complete(queue as u16, number, status)
            }
        }
    }

    fn complete(&mut self, queue: u16, mut number: u16, status: u16) {
        let (mut head, mut shown) = (self.queues[usize::from(queue)].head as u16, queue);
        match self.lie.take() {
            Some(Lie::Number(other)) => number = other,
            Some(Lie::Queue(other)) => shown = other,
            Some(Lie::Head(other)) => head = other,
            None => {}
        }
        let place = u32::from(head) | u32::from(shown) << 16;
        self.put(usize::from(queue), [0, 0, place, u32::from(number) | u32::from(status) << 17]);
    }

    /// Puts a completion in, with the phase that is due.
    fn put(&mut self, queue: usize, mut words: [u32; 4]) {
        let Queues { completions, next, is_second_round, completion_entries, .. } = self.queues[queue];
        words[3] = words[3] & !(1 << 16) | u32::from(!is_second_round) << 16;
        let (memory, at) = self.find(completions + 16 * u64::from(next), 16);
        memory.copy_in(at, &words.map(u32::to_le_bytes).concat());
        let queue = &mut self.queues[queue];
        queue.next = (next + 1) % completion_entries;
        queue.is_second_round ^= queue.next == 0;
        assert_ne!(queue.next, queue.acknowledged, "there is room for completions");
    }

    fn administer(&mut self, command: &[u64; 8]) -> u16 {
        let (namespace, data, word10, word11) =
            ((command[0] >> 32) as u32, command[3], command[5] as u32, (command[5] >> 32) as u32);
        if self.manner == Manner::Refuses {
            return 1;
        }
        let mut page = vec![0; PAGE as usize];
        match command[0] as u8 {
            0x06 => match word10 {
                0 => self.describe(namespace, &mut page),
                1 => {
                    page[4..24].copy_from_slice(b"serial 7            ");
                    page[24..64].copy_from_slice(b"a model                                 ");
                    (page[77], page[525], page[520]) = (6, 1, 0x0c);
                    page[516..520].copy_from_slice(&9u32.to_le_bytes());
                }
                2 if !self.is_old => {
                    for (at, number) in self.spaces.keys().filter(|number| **number > namespace).enumerate() {
                        page[4 * at..][..4].copy_from_slice(&number.to_le_bytes());
                    }
                }
                _ => return 2,
            },
            0x09 => assert_eq!((word10, word11), (7, 0)),
            0x05 => {
                assert_eq!((word10 as u16, word11), (1, u32::from(VECTOR) << 16 | 3));
                self.queues[1] =
                    Queues { completions: data, completion_entries: (word10 >> 16) + 1, ..Queues::default() };
            }
            0x01 => {
                assert_eq!((word10 as u16, word11), (1, 1 << 16 | 1));
                (self.queues[1].submissions, self.queues[1].entries) = (data, (word10 >> 16) + 1);
            }
            other => panic!("an admin command {other}"),
        }
        if command[0] as u8 == 0x06 {
            let (memory, at) = self.find(data, page.len());
            memory.copy_in(at, &page);
        }
        0
    }

    fn describe(&self, namespace: u32, page: &mut [u8]) {
        let Some(space) = self.spaces.get(&namespace) else { return };
        let blocks = (space.data.len() / space.block_bytes) as u64;
        page[..8].copy_from_slice(&blocks.to_le_bytes());
        (page[24], page[64], page[99]) = (1 << 4, 7, space.is_read_only.into());
        // The third format.
        page[26] = 2;
        page[136..138].copy_from_slice(&space.metadata.to_le_bytes());
        page[138] = space.block_bytes.ilog2() as u8;
    }

    fn carry_out(&mut self, command: &[u64; 8]) -> u16 {
        self.commands.push(*command);
        let namespace = (command[0] >> 32) as u32;
        let Some(space) = self.spaces.get(&namespace) else { return 0x0b };
        let size = space.block_bytes as u64;
        let (block, blocks) = (command[5], (command[6] & 0xffff) + 1);
        let range = block * size..(block + blocks) * size;
        let is_inside = range.end <= space.data.len() as u64;
        match command[0] as u8 {
            0x00 => return 0,
            0x09 => {
                assert_eq!(command[5], 4 << 32, "one range to be given up");
                let (length, start) = (self.read_u64(command[3]) >> 32, self.read_u64(command[3] + 8));
                self.spaces.get_mut(&namespace).expect("it is there").discarded.push((start, length));
                return 0;
            }
            _ if !is_inside => return 0x80,
            0x08 => {
                self.spaces.get_mut(&namespace).expect("it is there").data[range.start as usize..range.end as usize]
                    .fill(0);
                return 0;
            }
            _ => assert!(range.end - range.start <= MOST_BYTES, "no more than it can"),
        }
        let is_write = command[0] as u8 == 1;
        let mut at = range.start as usize;
        for (address, bytes) in self.pages(command[3], command[4], range.end - range.start) {
            let mut data = vec![0; bytes];
            let (memory, offset) = self.find(address, bytes);
            if is_write {
                memory.copy_out(offset, &mut data);
            } else {
                memory.copy_in(offset, &self.spaces[&namespace].data[at..at + bytes]);
            }
            if is_write {
                self.spaces.get_mut(&namespace).expect("it is there").data[at..at + bytes].copy_from_slice(&data);
            }
            at += bytes;
        }
        0
    }

    /// The pages that a data pointer names.
    fn pages(&self, first: u64, second: u64, bytes: u64) -> Vec<(u64, usize)> {
        let mut left = bytes;
        let mut take = |address: u64| {
            let step = (PAGE - address % PAGE).min(left);
            left -= step;
            (address, step as usize)
        };
        let mut all = vec![take(first)];
        let listed = (bytes - all[0].1 as u64).div_ceil(PAGE);
        let addresses: Vec<u64> = match listed {
            0 => Vec::new(),
            1 => vec![second],
            _ => (0..listed).map(|index| self.read_u64(second + 8 * index)).collect(),
        };
        for address in addresses {
            assert!(address.is_multiple_of(PAGE), "pages in a list begin where pages begin");
            all.push(take(address));
        }
        assert!(first.is_multiple_of(4) && left == 0);
        all
    }
}

impl Bus for Device {
    fn read(&mut self, register: Register<u32>) -> u32 {
        let state = self.0.borrow();
        if state.manner == Manner::Gone {
            return u32::MAX;
        }
        if register == CAPABILITIES {
            state.capabilities as u32
        } else if register == CAPABILITIES.index(1, 4) {
            (state.capabilities >> 32) as u32
        } else if register == CONFIGURATION {
            state.configuration
        } else if register == STATUS {
            state.status
        } else {
            panic!("a register that a driver reads: {register:?}")
        }
    }

    fn write(&mut self, register: Register<u32>, value: u32) {
        let mut state = self.0.borrow_mut();
        if register == CONFIGURATION {
            state.configure(value);
        } else if let Some(doorbell) = register.offset().checked_sub(DOORBELLS) {
            let stride = 4 << (state.capabilities >> 32 & 0xf);
            assert!(doorbell.is_multiple_of(stride));
            state.ring(doorbell / stride, value);
        } else {
            state.registers.insert(register.offset(), value);
        }
    }

    fn reset_complete(&mut self) -> Result<()> {
        self.0.borrow_mut().events.push("reset complete");
        Ok(())
    }

    fn allocate(&mut self, bytes: u64) -> Result<DmaBuffer> {
        Ok(self.memory(bytes))
    }

    fn interrupt(&mut self, _: u64) -> Result<u16> {
        Ok(VECTOR)
    }

    fn holds_line(&mut self) -> bool {
        false
    }

    fn acknowledge(&mut self, _: bool) {
        self.0.borrow_mut().acknowledged += 1;
    }
}
