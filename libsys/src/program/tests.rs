//! Loading good and broken executables, and what a child finds.

use super::*;
use crate::env::{Env, Startup, StreamKind, names};
use crate::fake;
use crate::start::block::{MAGIC, PREFIX_BYTES, decode};
use crate::{Channel, Limits};
use elf::abi::{PF_R, PF_W, PF_X, PT_DYNAMIC, PT_LOAD, PT_NOTE};
use proptest::prelude::*;
use std::string::ToString;
use std::vec;

/// A program header: type, flags, offset, address, bytes in the file and in memory.
type Header = (u32, u32, u64, u64, u64, u64);

const NOTE: Header = (PT_NOTE, PF_R, 0x200, 0x20_0200, 24, 24);
const CODE: Header = (PT_LOAD, PF_R | PF_X, 0x1000, 0x20_1000, 0x1800, 0x1800);
const CONSTANTS: Header = (PT_LOAD, PF_R, 0, 0x20_0000, 0x300, 0x300);
const DATA: Header = (PT_LOAD, PF_R | PF_W, 0x2900, 0x20_3900, 0x20, 0x2000);

/// An executable with these headers. Each byte after the note tells its place.
fn elf(headers: &[Header]) -> Vec<u8> {
    let mut file: Vec<u8> = (0..0x3000u32).map(|at| (at / 7) as u8).collect();
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0; 0x200]);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(20, &1u32.to_le_bytes());
    put(24, &0x20_1010u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    for (at, value) in [(52, 64u16), (54, 56), (56, headers.len() as u16), (58, 64)] {
        put(at, &value.to_le_bytes());
    }
    for (index, (kind, flags, offset, address, file_bytes, bytes)) in headers.iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (n, word) in [*offset, *address, *address, *file_bytes, *bytes, 0x1000].into_iter().enumerate() {
            put(at + 8 + n * 8, &word.to_le_bytes());
        }
    }
    put(0x200, &[6, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0]);
    put(0x20c, b"Skink\0\0\0");
    put(0x214, &abi::ABI_VERSION.to_le_bytes());
    file
}

fn good() -> Vec<u8> {
    elf(&[NOTE, CODE, CONSTANTS, DATA])
}

fn refusal(headers: &[Header]) -> LoadError {
    Image::parse(&elf(headers)).expect_err("refused")
}

#[test]
fn broken_executables_are_refused_by_name() {
    assert!(Image::parse(&good()).is_ok());
    let with = |at: usize, value: u8| {
        let mut file = good();
        file[at] = value;
        Image::parse(&file).expect_err("refused")
    };
    assert_eq!(with(0, 0), LoadError::NotElf);
    assert_eq!(with(18, 40), LoadError::WrongMachine);
    assert_eq!(with(16, 3), LoadError::NotStatic);
    assert_eq!(with(0x214, 9), LoadError::WrongAbi(9));
    assert_eq!(with(0x214, 9).to_string(), std::format!("built for ABI 9, this is ABI {}", abi::ABI_VERSION));
    assert_eq!(with(0x20c, b'L'), LoadError::NoAbiNote);
    assert_eq!(with(26, 0x10), LoadError::BadEntry(0x10_1010));
    assert_eq!(refusal(&[CODE, DATA]), LoadError::NoAbiNote);
    assert_eq!(refusal(&[NOTE, CODE, (PT_DYNAMIC, PF_R, 0, 0, 0, 0)]), LoadError::NotStatic);
    let writable_code = (PT_LOAD, PF_R | PF_W | PF_X, 0x1000, 0x20_1000, 0x100, 0x100);
    assert_eq!(refusal(&[NOTE, writable_code]), LoadError::WritableCode(0x20_1000));
    let bad = |header: Header| assert_eq!(refusal(&[NOTE, CODE, header]), LoadError::BadSegment(header.3));
    bad((PT_LOAD, PF_R | PF_W, 0x2900, 0x20_2900, 0x20, 0x20));
    bad((PT_LOAD, PF_R, 0x2900, 0x30_0000, 0x20, 0x20));
    bad((PT_LOAD, PF_R, 0x2900, 0x900, 0x20, 0x20));
    bad((PT_LOAD, PF_R, 0x2900, 0x30_0900, 0x701, 0x701));
    bad((PT_LOAD, PF_R, 0x2900, 0x30_0900, 0x20, 0x10));
    bad((PT_LOAD, PF_R | PF_W, 0x2900, 0x7fff_f900, 0x20, 0x701));
    bad((PT_LOAD, PF_R, 0x2900, u64::MAX - 0x6ff, 0x20, 0x800));
    bad((PT_LOAD, PF_R, u64::MAX - 0x6ff, 0x30_0900, 0x800, 0x800));
}

/// Starts a program in the fake kernel: what is mapped in it, and the startup data that it would read.
fn started(launch: Launch<'_>) -> (Vec<fake::FakeMapping>, Startup, Child) {
    let limits = Limits { frames: 100, handles: 20, threads: 2, sessions: 0, processes: 1 };
    let child = launch.limits(limits).spawn(&fake::account()).expect("started");
    let number = child.process.exit_record().expect("a record").process;
    let mappings = fake::FakeProcess::with_number(number).mappings();
    let block =
        &mappings.iter().find(|mapping| mapping.contents.starts_with(&MAGIC.to_le_bytes())).expect("a block").contents;
    let length = u64::from_le_bytes(block[8..16].try_into().expect("8 bytes")) as usize;
    let startup = decode(&block[PREFIX_BYTES..PREFIX_BYTES + length]).expect("startup data");
    (mappings, startup, child)
}

fn check_child(program: &Program, file: &[u8]) {
    let memory = Memory::create(&fake::account(), 1).expect("memory");
    let launch = Launch::new(program, "tester").argument("-v").variable("TERM", "ansi").parameter("log", "debug");
    let (mappings, startup, child) = started(launch.grant("buffer", &memory, Rights::READ));
    let at = |address: u64| mappings.iter().find(|mapping| mapping.address == address).expect("mapped");
    let (constants, code, data) = (at(0x20_0000), at(0x20_1000), at(0x20_3000));
    assert_eq!((code.protection, code.bytes, code.sealed), (5, 0x2000, true));
    assert_eq!(code.contents[..0x1800], file[0x1000..0x2800]);
    assert_eq!((constants.protection, constants.sealed), (1, true));
    assert_eq!(constants.contents[..0x300], file[..0x300]);
    assert_eq!((data.protection, data.bytes, data.sealed), (3, 0x3000, false));
    assert_eq!(data.contents[0x900..0x920], file[0x2900..0x2920]);
    assert!(data.contents[0x920..].iter().chain(&data.contents[..0x900]).all(|byte| *byte == 0));
    // Block and stack, behind the program, with a free page before each.
    let (block, stack) = (at(0x20_7000), mappings.last().expect("a stack"));
    assert_eq!((block.protection, stack.protection, stack.bytes), (1, 3, STACK_BYTES));
    assert_eq!(stack.address, 0x20_7000 + 0x1000 + 0x1000 + 0x2000 + 0x1000);

    assert_eq!(startup.arguments, ["tester", "-v"]);
    let number = child.process.exit_record().expect("a record").process;
    fake::FakeProcess::with_number(number)
        .run(|| {
            let env = Env::new(startup);
            assert_eq!((env.variable("TERM"), env.parameter("log")), (Some("ansi"), Some("debug")));
            assert_eq!(env.account().usage().expect("an account").limits.frames, 100);
            let buffer: Memory = env.take("buffer").expect("a buffer");
            assert!(buffer.map_part(0, 4096).is_ok() && buffer.map_writable_part(0, 4096).is_err());
            crate::exit(crate::ExitStatus(3));
        })
        .ok_or(())
        .expect_err("it ends");
    let record = child.wait().expect("a record");
    assert_eq!((record.reason, record.code), (abi::ExitReason::Exit as u32, 3));
}

#[test]
fn a_child_finds_its_program_and_what_it_was_given() {
    let file = good();
    let program = Program::load(&file, &fake::account()).expect("loaded");
    check_child(&program, &file);
    check_child(&program, &file);
}

#[test]
fn a_program_in_sealed_memory_is_not_copied() {
    let file = good();
    let memory = Memory::create(&fake::account(), 0x5000).expect("memory");
    memory.map_writable().expect("mapped").copy_in(0x1000, &file);
    let refused = |offset, bytes| Program::from_memory(&memory, offset, bytes, &fake::account()).expect_err("refused");
    assert_eq!(refused(0x1000, 0x3000), LoadError::Kernel(Error::BadState));
    memory.seal().expect("sealed");
    assert_eq!((refused(0x1000, u64::MAX), refused(0x1001, 0x3000)), (LoadError::NotElf, LoadError::NotElf));
    let program = Program::from_memory(&memory, 0x1000, 0x3000, &fake::account()).expect("loaded");
    assert_eq!(program.memory.inspect_handle().expect("one").object, memory.inspect_handle().expect("one").object);
    check_child(&program, &file);
}

#[test]
fn a_child_gets_the_streams_that_its_parent_has() {
    let parent = fake::FakeProcess::new();
    let startup = parent.run(|| {
        let (_reader, pipe) = crate::pipe::create(&fake::account()).expect("a pipe");
        let console = Channel::create(&fake::account()).and_then(|channel| channel.mint(1, &fake::account()));
        let handles = [
            (names::STDERR.to_string(), console.expect("a session").into_handle().0),
            (names::STDOUT.to_string(), pipe.session().duplicate(Rights::all()).expect("one").into_handle().0),
            (
                crate::pipe::memory_name(names::STDOUT),
                pipe.memory().duplicate(Rights::all()).expect("one").into_handle().0,
            ),
            (
                crate::pipe::signal_name(names::STDOUT),
                pipe.signal().duplicate(Rights::all()).expect("one").into_handle().0,
            ),
        ];
        let streams = vec![(names::STDOUT.to_string(), StreamKind::Pipe)];
        parent.set_startup(Startup { handles: handles.to_vec(), streams, ..Startup::default() });
        let program = Program::load(&good(), &fake::account()).expect("loaded");
        // A second time as well: they stay with the parent.
        let _first = Launch::new(&program, "first").with_streams();
        let (_, startup, _) = started(Launch::new(&program, "second").with_streams());
        startup
    });
    let startup = startup.expect("no panic");
    let mut names: Vec<&str> = startup.handles.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["account", "process", "stderr", "stdout", "stdout.memory", "stdout.signal"]);
    let kinds = [(names::STDOUT.to_string(), StreamKind::Pipe), (names::STDERR.to_string(), StreamKind::Console)];
    assert_eq!(startup.streams, kinds);
}

#[test]
fn an_account_that_is_too_small_leaves_nothing_behind() {
    let program = Program::load(&good(), &fake::account()).expect("loaded");
    let account = fake::account();
    let before = fake::FakeProcess::current().open_handles();
    let launch =
        Launch::new(&program, "poor").limits(Limits { frames: 10, handles: 20, threads: 1, sessions: 0, processes: 1 });
    assert_eq!(launch.spawn(&account).expect_err("refused"), LoadError::Kernel(Error::AccountExhausted));
    assert_eq!(fake::FakeProcess::current().open_handles(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn mutated_executables_never_trap_the_loader(changes in proptest::collection::vec((0usize..0x240, any::<u8>()), 1..12), cut in 0usize..0x3000) {
        let mut file = good();
        for (at, value) in changes {
            file[at] = value;
        }
        if cut % 4 == 0 {
            file.truncate(cut);
        }
        if let Ok(image) = Image::parse(&file) {
            for segment in image.constant().chain(image.data()) {
                prop_assert!(segment.contents(&file).len() as u64 == segment.file_bytes);
                prop_assert!(segment.address >= 0x1_0000 && segment.address + segment.bytes <= 0x8000_0000);
            }
        }
    }

    #[test]
    fn extreme_headers_never_trap_the_loader(fields in proptest::collection::vec((0usize..4, 0usize..6, prop_oneof![
        Just(0u64), Just(u64::MAX), Just(1 << 63), Just(0xfff), Just(0x7fff_ffff), Just(0x8000_0000), any::<u64>()
    ]), 1..6)) {
        let mut headers = [NOTE, CODE, CONSTANTS, DATA];
        for (header, field, value) in fields {
            let header = &mut headers[header];
            match field {
                0 => header.0 = value as u32,
                1 => header.1 = value as u32,
                2 => header.2 = value,
                3 => header.3 = value,
                4 => header.4 = value,
                _ => header.5 = value,
            }
        }
        let _ = Image::parse(&elf(&headers));
    }
}
