//! Address spaces: the rules of mapping one by one, then random steps against a model.

use super::machine::Machine;
use crate::address_space::{AddressSpace, FIRST_CHOICE, FaultKind, Placement};
use crate::arch;
use crate::object::reference::ObjectType;
use crate::object::{Account, Memory, Ref};
use crate::radix::{ADDRESS, PRESENT};
use crate::shootdown::{Progress, Ticket};
use abi::memory::{Caching, END_ADDRESS, LOWEST_ADDRESS, MAPPINGS, MemoryKind};
use abi::{Error, Rights};
use proptest::prelude::*;
use std::collections::BTreeSet;
use x86_64::PhysAddr;

const PAGE: u64 = 4096;
const READ: u64 = 1;
const WRITE: u64 = 2;
const EXECUTE: u64 = 4;
const ALL: Rights = Rights::READ.union(Rights::WRITE).union(Rights::EXECUTE);

/// Error codes of page faults of user code.
const FAULT_READ: u64 = 4;
const FAULT_WRITE: u64 = 4 | 2;
const FAULT_FETCH: u64 = 4 | 16;

struct Fixture {
    account: Ref<Account>,
    space: Box<AddressSpace>,
    /// Last, as it has to outlive the others.
    machine: Machine,
}

impl Fixture {
    fn new(frames: u64) -> Fixture {
        let machine = Machine::new(frames as usize + 64);
        let account = machine.account(frames);
        let space = Box::new(AddressSpace::new(&machine.kernel, account.get(&machine.kernel)).unwrap());
        Fixture { machine, account, space }
    }

    fn memory(&self, pages: u64) -> Ref<Memory> {
        let kernel = &self.machine.kernel;
        Memory::create(kernel, self.account.get(kernel), pages * PAGE, MemoryKind::Anonymous).unwrap()
    }

    fn map(&self, memory: &Ref<Memory>, placement: Placement) -> Result<u64, Error> {
        self.space.map(&self.machine.kernel, memory.get(&self.machine.kernel), placement)
    }

    fn fault(&self, address: u64, code: u64) -> Result<(), FaultKind> {
        self.space.fault(&self.machine.kernel, address, code)
    }

    fn unmap(&self, address: u64) -> Result<(), Error> {
        while self.space.unmap(&self.machine.kernel, address)? == Progress::More {}
        Ok(())
    }

    fn protect(&self, address: u64, word: u64) -> Result<(), Error> {
        while self.space.protect(&self.machine.kernel, address, word)? == Progress::More {}
        Ok(())
    }

    fn seal(&self, memory: &Memory) {
        while memory.seal(&self.machine.kernel) == Ok(Progress::More) {}
    }

    /// The page table entry of an address, as the processor would find it.
    fn entry(&self, address: u64) -> u64 {
        let mut word = self.space.root.get().as_u64() | PRESENT;
        for shift in [39, 30, 21, 12] {
            if word & PRESENT == 0 {
                return 0;
            }
            let table = arch::direct_map(PhysAddr::new(word & ADDRESS)).cast::<u64>();
            // SAFETY: a present entry points to a table.
            word = unsafe { table.add((address >> shift) as usize & 511).read() };
        }
        word
    }

    fn used(&self) -> u64 {
        self.account.usage().used.frames
    }

    /// Clears the space, frees everything and checks that nothing is left.
    fn finish(mut self) {
        while self.space.clear(&self.machine.kernel) == Progress::More {}
        assert_eq!(self.space.resident.get(), 0);
        self.space.close(&self.machine.kernel);
        self.machine.reap_all();
        assert_eq!(self.used(), 0);
        assert_eq!(self.machine.kernel.counts.of(ObjectType::Mapping), 0);
        let Fixture { mut machine, account, space } = self;
        drop(space);
        drop(account);
        machine.reap_all();
        assert_eq!(machine.kernel.frames.free.get(), machine.kernel.frames.total.get() - 1, "the root account's");
    }
}

fn at(address: u64, pages: u64, word: u64) -> Placement {
    Placement { address, offset: 0, bytes: pages * PAGE, word, rights: ALL }
}

#[test]
fn the_rules_of_mapping() {
    let fixture = Fixture::new(200);
    let memory = fixture.memory(16);
    let sealed = fixture.memory(16);
    fixture.seal(&sealed);
    let taken = 0x40_0000;
    fixture.map(&memory, at(taken, 4, READ)).unwrap();
    let good = at(0x10_0000, 4, READ);
    let used = fixture.used();
    let refused = [
        (Placement { address: 0x10_0001, ..good }, Error::BadArgument),
        (Placement { offset: 1, ..good }, Error::BadArgument),
        (Placement { bytes: 0, ..good }, Error::BadArgument),
        (Placement { bytes: 4097, ..good }, Error::BadArgument),
        (Placement { bytes: 17 * PAGE, ..good }, Error::BadArgument),
        (Placement { offset: 13 * PAGE, ..good }, Error::BadArgument),
        (Placement { offset: !4095, ..good }, Error::BadArgument),
        (Placement { offset: PAGE, bytes: !4095, ..good }, Error::BadArgument),
        (Placement { word: 1 << 3, ..good }, Error::BadArgument),
        (Placement { word: 1 << 12, ..good }, Error::BadArgument),
        (Placement { word: 1 << 32, ..good }, Error::BadArgument),
        (Placement { word: WRITE, ..good }, Error::BadArgument),
        (Placement { word: EXECUTE, ..good }, Error::BadArgument),
        (Placement { word: READ | WRITE | EXECUTE, ..good }, Error::BadArgument),
        (Placement { word: READ | EXECUTE, ..good }, Error::Sealed),
        (Placement { rights: Rights::WRITE, ..good }, Error::Denied),
        (Placement { rights: Rights::READ, word: READ | WRITE, ..good }, Error::Denied),
        (Placement { rights: Rights::READ | Rights::WRITE, word: READ | EXECUTE, ..good }, Error::Denied),
        (Placement { address: PAGE, ..good }, Error::BadAddress),
        (Placement { address: LOWEST_ADDRESS - PAGE, ..good }, Error::BadAddress),
        (Placement { address: END_ADDRESS - 3 * PAGE, ..good }, Error::BadAddress),
        (Placement { address: END_ADDRESS, ..good }, Error::BadAddress),
        (Placement { address: 0xffff_8000_0000_0000, ..good }, Error::BadAddress),
        (Placement { address: !4095, ..good }, Error::BadAddress),
        (Placement { address: taken, ..good }, Error::BadAddress),
        (Placement { address: taken - 3 * PAGE, ..good }, Error::BadAddress),
        (Placement { address: taken + 3 * PAGE, ..good }, Error::BadAddress),
        (Placement { address: taken + PAGE, bytes: PAGE, ..good }, Error::BadAddress),
    ];
    for (placement, error) in refused {
        assert_eq!(fixture.map(&memory, placement), Err(error), "{placement:x?}");
    }
    let write_sealed = at(0x10_0000, 1, READ | WRITE);
    assert_eq!(fixture.map(&sealed, write_sealed), Err(Error::Sealed));
    assert_eq!(fixture.used(), used, "what is refused costs nothing");

    let allowed = [
        (&memory, at(LOWEST_ADDRESS, 1, READ)),
        (&memory, at(END_ADDRESS - 4 * PAGE, 4, READ | WRITE)),
        (&memory, at(taken - 4 * PAGE, 4, READ)),
        (&memory, at(taken + 4 * PAGE, 4, 0)),
        (&sealed, at(0x50_0000, 4, READ | EXECUTE)),
        (&memory, Placement { offset: 12 * PAGE, rights: Rights::empty(), word: 0, ..good }),
    ];
    for (memory, placement) in allowed {
        assert_eq!(fixture.map(memory, placement), Ok(placement.address), "{placement:x?}");
    }
    drop((memory, sealed));
    fixture.finish();
}

#[test]
fn the_kernel_chooses_the_first_room_between_guard_pages() {
    let fixture = Fixture::new(200);
    let memory = fixture.memory(16);
    let base = FIRST_CHOICE;
    let choose = |pages| fixture.map(&memory, at(0, pages, READ));
    assert_eq!(choose(4), Ok(base));
    assert_eq!(choose(1), Ok(base + 5 * PAGE));
    assert_eq!(choose(2), Ok(base + 7 * PAGE));
    fixture.unmap(base + 5 * PAGE).unwrap();
    assert_eq!(choose(2), Ok(base + 10 * PAGE), "two pages and guards do not fit");
    assert_eq!(choose(1), Ok(base + 5 * PAGE));
    fixture.map(&memory, at(base - 2 * PAGE, 2, READ)).unwrap();
    fixture.unmap(base).unwrap();
    assert_eq!(choose(3), Ok(base + PAGE));
    drop(memory);
    fixture.finish();
}

#[test]
fn faults_are_answered_or_explained() {
    let fixture = Fixture::new(200);
    let (memory, text) = (fixture.memory(8), fixture.memory(8));
    fixture.map(&memory, at(0x10_0000, 4, READ | WRITE)).unwrap();
    fixture.map(&memory, at(0x20_0000, 4, READ)).unwrap();
    fixture.map(&memory, at(0x30_0000, 1, 0)).unwrap();
    fixture.map(&memory, at(0x30_1000, 4, READ | WRITE)).unwrap();
    fixture.seal(&text);
    fixture.map(&text, at(0x40_0000, 4, READ | EXECUTE)).unwrap();
    let cases = [
        (0x10_0000, FAULT_READ, Ok(())),
        (0x10_3fff, FAULT_WRITE, Ok(())),
        (0x10_0000, FAULT_FETCH, Err(FaultKind::Protection)),
        (0x10_4000, FAULT_READ, Err(FaultKind::NotMapped)),
        (0x0f_ffff, FAULT_WRITE, Err(FaultKind::StackOverflow)),
        (0x0f_efff, FAULT_WRITE, Err(FaultKind::NotMapped)),
        (0x20_0000, FAULT_READ, Ok(())),
        (0x20_0000, FAULT_WRITE, Err(FaultKind::Protection)),
        (0x1f_ffff, FAULT_READ, Err(FaultKind::NotMapped)),
        (0x30_0fff, FAULT_WRITE, Err(FaultKind::StackOverflow)),
        (0x30_0fff, FAULT_READ, Err(FaultKind::StackOverflow)),
        (0x40_0000, FAULT_FETCH, Ok(())),
        (0x40_0000, FAULT_WRITE, Err(FaultKind::Protection)),
        (0, FAULT_READ, Err(FaultKind::NotMapped)),
        (0xffff_8000_0000_0000, FAULT_WRITE, Err(FaultKind::NotMapped)),
        (u64::MAX, FAULT_READ, Err(FaultKind::NotMapped)),
    ];
    for (address, code, answer) in cases {
        assert_eq!(fixture.fault(address, code), answer, "{address:#x} {code:#x}");
    }
    assert_eq!(fixture.fault(0x10_0000, FAULT_READ | 1), Ok(()), "a TLB that remembers less is no error");
    drop((memory, text));
    fixture.finish();
}

#[test]
fn entries_are_what_the_processor_needs() {
    let fixture = Fixture::new(200);
    let (memory, text) = (fixture.memory(2), fixture.memory(2));
    fixture.seal(&text);
    let kernel = &fixture.machine.kernel;
    let device = |caching| {
        let range = PhysAddr::new(0xfe00_0000)..PhysAddr::new(0xfe00_1000);
        Memory::device(kernel, fixture.account.get(kernel), range, caching).unwrap()
    };
    const NO_EXECUTE: u64 = 1 << 63;
    // Present, user, accessed; and dirty with write (Intel SDM vol. 3A §4.5.4).
    let cases = [
        (memory.clone(), READ, 0x25 | NO_EXECUTE),
        (memory.clone(), READ | WRITE, 0x67 | NO_EXECUTE),
        (text.clone(), READ | EXECUTE, 0x25),
        (device(Caching::Uncached), READ | WRITE, 0x7f | NO_EXECUTE),
        (device(Caching::WriteCombining), READ | WRITE, 0x6f | NO_EXECUTE),
        (device(Caching::WriteBack), READ, 0x25 | NO_EXECUTE),
    ];
    for (memory, word, flags) in cases {
        let address = fixture.map(&memory, at(0, 1, word)).unwrap();
        assert_eq!(fixture.entry(address), 0);
        fixture.fault(address, FAULT_READ).unwrap();
        assert_eq!(fixture.entry(address), memory.frame(0).unwrap().as_u64() | flags, "{word:#x}");
    }
    drop((memory, text));
    fixture.finish();
}

#[test]
fn protection_changes_within_what_the_handle_allows() {
    let fixture = Fixture::new(400);
    let memory = fixture.memory(32);
    let rights = Rights::READ | Rights::WRITE;
    let address = fixture.map(&memory, Placement { rights, ..at(0, 32, READ | WRITE) }).unwrap();
    for page in 0..20 {
        fixture.fault(address + page * PAGE, FAULT_WRITE).unwrap();
    }
    assert_eq!(fixture.protect(address, READ | EXECUTE), Err(Error::Denied));
    assert_eq!(fixture.protect(address, READ | 1 << 20), Err(Error::BadArgument));
    assert_eq!(fixture.protect(address + PAGE, READ), Err(Error::BadAddress));
    assert_eq!(fixture.protect(address, READ | 3 << 8), Err(Error::Unsupported));
    fixture.protect(address, READ).unwrap();
    for page in 0..32 {
        let entry = fixture.entry(address + page * PAGE);
        assert_eq!(entry != 0, page < 20);
        assert!(entry == 0 || entry & 2 == 0);
    }
    assert_eq!(fixture.fault(address, FAULT_WRITE | 1), Err(FaultKind::Protection));
    fixture.protect(address, 0).unwrap();
    assert_eq!((fixture.entry(address), fixture.space.resident.get()), (0, 0));
    assert_eq!(fixture.fault(address, FAULT_READ), Err(FaultKind::Protection));
    fixture.protect(address, READ | WRITE).unwrap();
    assert_eq!(fixture.fault(address, FAULT_WRITE), Ok(()));
    fixture.seal(&memory);
    assert_eq!(fixture.entry(address) & 2, 0);
    assert_eq!(fixture.fault(address, FAULT_WRITE | 1), Err(FaultKind::Protection));
    assert_eq!(fixture.protect(address, READ | WRITE), Err(Error::Sealed));
    assert_eq!(fixture.protect(address, READ | EXECUTE), Err(Error::Denied), "the handle did not have the right");
    drop(memory);
    fixture.finish();
}

#[test]
fn long_operations_are_cut_into_steps() {
    let fixture = Fixture::new(9000);
    let memory = fixture.memory(4000);
    let kernel = &fixture.machine.kernel;
    let address = fixture.map(&memory, at(0x3fff_0000, 4000, READ | WRITE)).unwrap();
    let other = fixture.map(&memory, at(0x3fef_0000, 16, READ | WRITE)).unwrap();
    (0..4000).for_each(|page| fixture.fault(address + page * PAGE, FAULT_WRITE).unwrap());
    let mut steps = 0;
    while memory.seal(kernel) == Ok(Progress::More) {
        assert!(!memory.is_sealed(kernel));
        assert_eq!(fixture.fault(address, FAULT_WRITE), Err(FaultKind::Protection));
        steps += 1;
    }
    assert!((7..=12).contains(&steps) && memory.is_sealed(kernel), "{steps}");
    let mut steps = 0;
    while fixture.space.unmap(kernel, address).unwrap() == Progress::More {
        steps += 1;
    }
    assert!((7..=10).contains(&steps), "{steps}");
    assert_eq!(fixture.space.unmap(kernel, address), Err(Error::BadAddress));
    assert_eq!(fixture.fault(other, FAULT_READ), Ok(()));
    drop(memory);
    fixture.finish();
}

#[test]
fn a_huge_mapping_costs_what_is_used() {
    let fixture = Fixture::new(300);
    let kernel = &fixture.machine.kernel;
    let range = PhysAddr::new(1 << 40)..PhysAddr::new((1 << 40) + (1 << 36));
    let memory = Memory::device(kernel, fixture.account.get(kernel), range, Caching::WriteBack).unwrap();
    let big = Placement { address: 1 << 40, offset: 0, bytes: 1 << 36, word: READ, rights: ALL };
    assert_eq!(fixture.map(&memory, big), Err(Error::AccountExhausted), "its page tables are promised");
    let part = Placement { bytes: 1 << 28, ..big };
    let used = fixture.used();
    fixture.map(&memory, part).unwrap();
    assert_eq!(fixture.used() - used, 128 + 1 + 1 + 1, "tables, and the mapping's slab page");
    fixture.fault(big.address, FAULT_READ).unwrap();
    fixture.fault(big.address + (1 << 28) - 1, FAULT_READ).unwrap();
    let mut steps = 0;
    while fixture.space.unmap(kernel, big.address).unwrap() == Progress::More {
        steps += 1;
    }
    assert!(steps < 6, "{steps}");
    drop(memory);
    fixture.finish();
}

#[test]
fn there_are_so_many_mappings() {
    let fixture = Fixture::new(700);
    let memory = fixture.memory(1);
    for number in 0..MAPPINGS as u64 {
        // In an order that fills gaps as well.
        let place = number.wrapping_mul(0x9e37) % 512;
        fixture.map(&memory, at(0x10_0000 + place * 2 * PAGE, 1, READ)).unwrap();
    }
    assert_eq!(fixture.map(&memory, at(0, 1, READ)), Err(Error::BadAddress));
    for number in 0..MAPPINGS as u64 {
        assert_eq!(fixture.fault(0x10_0000 + number * 2 * PAGE, FAULT_READ), Ok(()));
        assert_eq!(fixture.fault(0x10_1000 + number * 2 * PAGE, FAULT_READ), Err(FaultKind::NotMapped));
        let record = fixture.space.record(&fixture.machine.kernel, number as usize).unwrap();
        assert_eq!(
            (record.address, record.bytes, record.memory),
            (0x10_0000 + number * 2 * PAGE, PAGE, memory.number())
        );
    }
    drop(memory);
    fixture.finish();
}

#[test]
fn programs_get_the_pages_around_at_once_and_readers_what_is_there() {
    let fixture = Fixture::new(300);
    let kernel = &fixture.machine.kernel;
    let memory = fixture.memory(40);
    let text: Vec<u8> = (0..30 * 4096).map(|n| (n / 4096) as u8 + 1).collect();
    memory.write(kernel, 0, &text).unwrap();
    fixture.seal(&memory);
    let address = fixture.map(&memory, Placement { offset: 2 * PAGE, ..at(0x10_4000, 38, READ | EXECUTE) }).unwrap();
    fixture.fault(address + PAGE, FAULT_FETCH).unwrap();
    assert_eq!(fixture.space.resident.get(), 12, "up to the next multiple of 16");
    let mut bytes = [0; 4096];
    assert_eq!(fixture.space.read(kernel, address + 27 * PAGE + 4000, &mut bytes), 4096);
    assert!(bytes[..96].iter().all(|byte| *byte == 30) && bytes[96..].iter().all(|byte| *byte == 0));
    assert_eq!(fixture.space.read(kernel, address + 38 * PAGE - 10, &mut bytes), 10);
    assert_eq!(fixture.space.read(kernel, address - 1, &mut bytes), 0);
    assert_eq!(fixture.space.read(kernel, u64::MAX - 3, &mut bytes), 0);
    assert_eq!(fixture.space.translate(kernel, address + 7), memory.frame(2).map(|frame| frame + 7));
    assert_eq!(fixture.space.translate(kernel, address + 35 * PAGE), None);
    fixture.space.populate(kernel, address + 34 * PAGE, 2);
    assert_ne!(fixture.entry(address + 35 * PAGE), 0);
    drop(memory);
    fixture.finish();
}

#[derive(Debug, Clone)]
enum Step {
    Map { memory: usize, place: u64, offset: u64, pages: u64, word: u64 },
    Unmap { which: usize, steps: usize },
    Protect { which: usize, word: u64 },
    Fault { place: u64, code: u64 },
    Seal { memory: usize, steps: usize },
}

/// Pages around the borders of tables.
fn place() -> impl Strategy<Value = u64> {
    (prop_oneof![Just(0x200u64), Just(0x3_ffe0), Just(0x800_0000 - 40)], 0u64..1200)
        .prop_map(|(base, offset)| base + offset)
}

fn word() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(READ), Just(READ | WRITE), Just(READ | EXECUTE)]
}

fn code() -> impl Strategy<Value = u64> {
    prop_oneof![Just(FAULT_READ), Just(FAULT_WRITE), Just(FAULT_FETCH)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..4, place(), 0u64..600, 1u64..1100, word())
            .prop_map(|(memory, place, offset, pages, word)| Step::Map { memory, place, offset, pages, word }),
        2 => (any::<usize>(), 1usize..5).prop_map(|(which, steps)| Step::Unmap { which, steps }),
        2 => (any::<usize>(), word()).prop_map(|(which, word)| Step::Protect { which, word }),
        8 => (place(), code()).prop_map(|(place, code)| Step::Fault { place, code }),
        1 => (0usize..4, 1usize..4).prop_map(|(memory, steps)| Step::Seal { memory, steps }),
    ]
}

struct Shown {
    start: u64,
    pages: u64,
    memory: usize,
    offset: u64,
    word: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_its_model(steps in prop::collection::vec(step(), 1..60)) {
        let mut fixture = Fixture::new(8000);
        let sizes = [1, 40, 700, 1200];
        let memories = sizes.map(|pages| fixture.memory(pages));
        // So that slab pages do not come and go: one mapping that stays, and few others.
        fixture.map(&memories[0], at(0x7000_0000_0000, 1, READ)).unwrap();
        let basis = fixture.used() - 3;
        let mut shown: Vec<Shown> = Vec::new();
        let mut sealing = [false; 4];
        for step in steps {
            match step {
                Step::Map { memory, place, offset, pages, word } => {
                    if shown.len() >= 12 {
                        continue;
                    }
                    let placement = Placement { offset: offset * PAGE, ..at(place * PAGE, pages, word) };
                    let fits = offset + pages <= sizes[memory];
                    let free = shown.iter().all(|other| place + pages <= other.start || other.start + other.pages <= place);
                    let sealed = memories[memory].is_sealed(&fixture.machine.kernel);
                    let allowed = (word & WRITE == 0 || !sealing[memory]) && (word & EXECUTE == 0 || sealed);
                    let result = fixture.map(&memories[memory], placement);
                    let expected = match () {
                        _ if !fits => Err(Error::BadArgument),
                        _ if !allowed => Err(Error::Sealed),
                        _ if !free => Err(Error::BadAddress),
                        _ => Ok(place * PAGE),
                    };
                    prop_assert_eq!(result, expected);
                    if result.is_ok() {
                        shown.push(Shown { start: place, pages, memory, offset, word });
                    }
                }
                Step::Unmap { which, steps } if !shown.is_empty() => {
                    let number = which % shown.len();
                    let address = shown[number].start * PAGE;
                    let mut done = false;
                    for _ in 0..steps {
                        match fixture.space.unmap(&fixture.machine.kernel, address).unwrap() {
                            Progress::Done(ticket) => {
                                prop_assert_eq!(ticket, Ticket::DONE);
                                done = true;
                                break;
                            }
                            Progress::More => {}
                        }
                    }
                    if done {
                        shown.swap_remove(number);
                    } else {
                        let kernel = &fixture.machine.kernel;
                        let records = (0..fixture.space.mappings()).filter_map(|number| fixture.space.record(kernel, number));
                        let left = records.into_iter().find(|record| record.address == address).unwrap().bytes / PAGE;
                        prop_assert!(left < shown[number].pages);
                        shown[number].pages = left;
                    }
                }
                Step::Protect { which, word } if !shown.is_empty() => {
                    let number = which % shown.len();
                    let one = &mut shown[number];
                    let sealed = memories[one.memory].is_sealed(&fixture.machine.kernel);
                    let allowed = (word & WRITE == 0 || !sealing[one.memory]) && (word & EXECUTE == 0 || sealed);
                    let result = fixture.protect(one.start * PAGE, word);
                    prop_assert_eq!(result, if allowed { Ok(()) } else { Err(Error::Sealed) });
                    if allowed {
                        one.word = word;
                    }
                }
                Step::Fault { place, code } => {
                    let needed = if code & 16 != 0 { EXECUTE } else if code & 2 != 0 { WRITE } else { READ };
                    let here = shown.iter().find(|one| (one.start..one.start + one.pages).contains(&place));
                    let guard = here.is_none_or(|one| one.word & 7 == 0)
                        && shown.iter().any(|one| one.start == place + 1 && one.word & WRITE != 0);
                    let expected = match here {
                        Some(one) if one.word & needed != 0 => Ok(()),
                        _ if guard => Err(FaultKind::StackOverflow),
                        Some(_) => Err(FaultKind::Protection),
                        None => Err(FaultKind::NotMapped),
                    };
                    // A step of sealing may have taken the right to write without this model knowing how far it is.
                    let unknown = code & 2 != 0 && here.is_some_and(|one| sealing[one.memory]);
                    let result = fixture.fault(place * PAGE + 123, code);
                    prop_assert!(unknown || result == expected, "{:?} {:?}", result, expected);
                    if let (Ok(()), Some(one)) = (result, here) {
                        let frame = memories[one.memory].frame(one.offset + place - one.start).unwrap();
                        let entry = fixture.entry(place * PAGE);
                        prop_assert_eq!(entry & ADDRESS, frame.as_u64());
                        prop_assert!(entry & 2 != 0 || code & 2 == 0);
                        prop_assert!(entry >> 63 == 0 || code & 16 == 0);
                    }
                }
                Step::Seal { memory, steps } => {
                    sealing[memory] = true;
                    for _ in 0..steps {
                        if memories[memory].seal(&fixture.machine.kernel).unwrap() != Progress::More {
                            prop_assert!(memories[memory].is_sealed(&fixture.machine.kernel));
                            shown.iter_mut().filter(|one| one.memory == memory).for_each(|one| one.word &= !WRITE);
                            break;
                        }
                    }
                }
                _ => {}
            }
            // Charges are the tables that the mappings can need, each once; entries agree with mappings.
            let tables: BTreeSet<(u32, u64)> = shown
                .iter()
                .flat_map(|one| (one.start..one.start + one.pages).flat_map(|page| [9, 18, 27].map(|shift| (shift, page >> shift))))
                .collect();
            fixture.machine.reap_all();
            prop_assert_eq!(fixture.used() - basis - 3, tables.len() as u64);
            let mut resident = 0;
            for one in &shown {
                for page in one.start..one.start + one.pages {
                    let entry = fixture.entry(page * PAGE);
                    if entry != 0 {
                        resident += 1;
                        prop_assert_eq!(Some(PhysAddr::new(entry & ADDRESS)), memories[one.memory].frame(one.offset + page - one.start));
                        prop_assert!(entry & 2 == 0 || one.word & WRITE != 0);
                        prop_assert!(entry >> 63 == 1 || one.word & EXECUTE != 0);
                        prop_assert!(entry & 2 == 0 || !memories[one.memory].is_sealed(&fixture.machine.kernel));
                    }
                }
            }
            prop_assert_eq!(fixture.space.resident.get(), resident);
        }
        drop(memories);
        fixture.finish();
    }
}
