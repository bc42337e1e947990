//! Processes: made, started, killed, reset, inspected, watched, read.

use abi::memory::Protection;
use abi::process::ProcessState;
use abi::{ExitReason, Rights, Syscall};
use guest::process::{self, PATIENCE, reason, run, wait_until_dead};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, puppet, tests};
use libsys::channel::Event;
use libsys::process::ThreadStart;
use libsys::time::deadline_after;
use libsys::{Channel, Error, Memory, Object, Process, sys};

pub const TESTS: &[Test] = tests![
    a_process_ends_with_its_code,
    a_new_process_needs_a_thread_to_start,
    it_starts_once,
    killing_a_new_process,
    killing_the_dead_changes_nothing,
    the_reason_of_a_kill_is_checked,
    a_fault_is_recorded,
    a_panic_leaves_its_message,
    the_watcher_is_told,
    who_watches_the_dead_is_told_at_once,
    a_reset_makes_it_new,
    the_living_are_not_reset,
    a_new_one_is_reset_at_once,
    memory_of_the_dead_is_read,
    reading_stops_where_nothing_is,
    rights_are_needed,
    the_last_handle_ends_the_dead,
    names_are_shown,
];

fn new() -> Outcome<Process> {
    Ok(Process::create(system().account, "new")?)
}

fn a_process_ends_with_its_code() -> Outcome {
    let record = run("forty-two", || 42)?;
    check_eq!((reason(&record), record.code, record.incarnation), (ExitReason::Exit, 42, 1));
    check!(record.time > 0 && record.thread > 0);
    Ok(())
}

fn a_new_process_needs_a_thread_to_start() -> Outcome {
    check_eq!(new()?.start(), Err(Error::BadState));
    Ok(())
}

fn it_starts_once() -> Outcome {
    let server = puppet::start()?;
    check_eq!(server.process.start(), Err(Error::BadState));
    server.process.kill(ExitReason::Killed, 0)?;
    check_eq!(server.process.start(), Err(Error::BadState));
    Ok(())
}

fn killing_a_new_process() -> Outcome {
    let process = new()?;
    process.kill(ExitReason::Killed, 5)?;
    let record = wait_until_dead(&process)?;
    check_eq!((reason(&record), record.code, record.thread), (ExitReason::Killed, 5, 0));
    Ok(())
}

fn killing_the_dead_changes_nothing() -> Outcome {
    let process = new()?;
    process.kill(ExitReason::Killed, 5)?;
    process.kill(ExitReason::Hung, 6)?;
    let record = wait_until_dead(&process)?;
    process.kill(ExitReason::Hung, 7)?;
    check_eq!(process.exit_record()?, record);
    check_eq!((reason(&record), record.code), (ExitReason::Killed, 5));
    Ok(())
}

fn the_reason_of_a_kill_is_checked() -> Outcome {
    let process = new()?;
    for number in [0, 1, 2, 3, 10, 13, 14, 99, u64::MAX] {
        check_eq!(refused(Syscall::ProcessKill, [process.handle().0, number, 0]), Some(Error::BadArgument));
    }
    check_eq!(process.exit_record()?.state, ProcessState::New as u32);
    Ok(())
}

fn a_fault_is_recorded() -> Outcome {
    let record = run("faults", || puppet::fault())?;
    check_eq!((reason(&record), record.address, record.code), (ExitReason::PageFault, 0x10, 6));
    check!(record.registers.rip != 0 && record.registers.rsp != 0);
    Ok(())
}

fn a_panic_leaves_its_message() -> Outcome {
    let child = process::launch("panics", || panic!("so it is")).spawn(system().account)?;
    let record = process::wait_for(&child)?;
    check_eq!(reason(&record), ExitReason::Panic);
    let message = libsys::panic::message_of(&child.process, record.code).unwrap_or_default();
    check!(message.contains("so it is"), "{message}");
    Ok(())
}

fn the_watcher_is_told() -> Outcome {
    let channel = Channel::create(system().account)?;
    let process = new()?;
    process.watch(Some((&channel, 0b100)))?;
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    process.kill(ExitReason::Killed, 0)?;
    check_eq!(channel.receive(Some(deadline_after(PATIENCE))), Ok(Event::Signals(0b100)));
    let other = new()?;
    other.watch(Some((&channel, 0b1000)))?;
    other.watch(None)?;
    other.kill(ExitReason::Killed, 0)?;
    check_eq!(channel.receive(Some(0)), Err(Error::TimedOut));
    Ok(())
}

fn who_watches_the_dead_is_told_at_once() -> Outcome {
    let channel = Channel::create(system().account)?;
    let process = new()?;
    process.kill(ExitReason::Killed, 0)?;
    process.watch(Some((&channel, 1)))?;
    check_eq!(channel.receive(Some(0)), Ok(Event::Signals(1)));
    Ok(())
}

fn a_reset_makes_it_new() -> Outcome {
    let mut server = puppet::start()?;
    server.process.kill(ExitReason::Hung, 1)?;
    server.reset()?;
    let record = server.process.exit_record()?;
    check_eq!((record.state, record.incarnation), (ProcessState::New as u32, 2));
    server.load()?;
    let session = server.session(1)?;
    let about = process::ask(&session, puppet::ABOUT, abi::Class::Fail, [0; 8])?;
    check_eq!(about[5], 2);
    // It has started with every signal bit set.
    check_eq!(puppet::status_of(&session)?.signals, u64::MAX);
    Ok(())
}

fn the_living_are_not_reset() -> Outcome {
    let server = puppet::start()?;
    check_eq!(server.process.reset(None), Err(Error::BadState));
    Ok(())
}

fn a_new_one_is_reset_at_once() -> Outcome {
    let channel = Channel::create(system().account)?;
    let process = new()?;
    process.reset(Some((&channel, 2)))?;
    check_eq!(channel.receive(Some(0)), Ok(Event::Signals(2)));
    check_eq!(process.exit_record()?.incarnation, 1);
    Ok(())
}

static KNOWN: [u8; 16] = *b"known to be here";

fn memory_of_the_dead_is_read() -> Outcome {
    let child = process::launch("corpse", || 0).spawn(system().account)?;
    process::wait_for(&child)?;
    let mut found = [0; 16];
    check_eq!(child.process.read(KNOWN.as_ptr() as u64, &mut found), Ok(16));
    check_eq!(found, KNOWN);
    child.process.reset(None)?;
    process::eventually("it is new", || Ok(child.process.exit_record()?.state == ProcessState::New as u32))()?;
    check_eq!(child.process.read(KNOWN.as_ptr() as u64, &mut found), Err(Error::BadAddress));
    Ok(())
}

fn reading_stops_where_nothing_is() -> Outcome {
    let process = new()?;
    let memory = Memory::create(system().account, 4096)?;
    memory.map_writable()?.store_u8(4095, 7);
    process.map(&memory, 0x40_0000, 0, 4096, Protection::READ)?;
    let mut found = [0; 64];
    check_eq!(sys::process_read(process.handle(), 0x40_0fff, &mut found), Ok(1));
    check_eq!(found[0], 7);
    check_eq!(sys::process_read(process.handle(), 0x40_1000, &mut found), Err(Error::BadAddress));
    check_eq!(refused(Syscall::ProcessRead, [process.handle().0, 0x40_0000, 4096]), Some(Error::BadArgument));
    Ok(())
}

fn rights_are_needed() -> Outcome {
    let process = new()?;
    let seen = process.duplicate(Rights::INSPECT)?;
    check!(seen.exit_record().is_ok());
    check_eq!(seen.start(), Err(Error::Denied));
    check_eq!(seen.kill(ExitReason::Killed, 0), Err(Error::Denied));
    check_eq!(seen.reset(None), Err(Error::Denied));
    check_eq!(seen.watch(None), Err(Error::Denied));
    let start = ThreadStart { entry: 0x40_0000, stack: 0, argument: 0, pages: 0x50_0000, thread_block: 0 };
    check_eq!(seen.create_thread(start, system().account).err(), Some(Error::Denied));
    let managed = process.duplicate(Rights::MANAGE)?;
    check_eq!(managed.exit_record().err(), Some(Error::Denied));
    check_eq!(managed.read(0x40_0000, &mut [0]), Err(Error::Denied));
    Ok(())
}

fn the_last_handle_ends_the_dead() -> Outcome {
    let before = guest::counts::Counts::settled()?;
    let process = new()?;
    process.kill(ExitReason::Killed, 0)?;
    wait_until_dead(&process)?;
    drop(process);
    drop(new()?);
    before.wait_until_back()
}

fn names_are_shown() -> Outcome {
    let inspect = crate::given(&system().inspect)?;
    let process = Process::create(system().account, "a name of sixteen and more")?;
    let number = process.exit_record()?.process;
    let record = libsys::inspect::processes(inspect).filter_map(Result::ok).find(|record| record.process == number);
    check_eq!(record.map(|record| record.name), Some(*b"a name of sixtee"));
    Ok(())
}
