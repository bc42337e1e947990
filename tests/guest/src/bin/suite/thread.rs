//! Threads: made, cancelled, ended.

use abi::memory::Protection;
use abi::{Header, Rights, Syscall};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use guest::process::{self, PATIENCE, reason};
use guest::raw::{self, refused};
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::channel::Event;
use libsys::process::ThreadStart;
use libsys::time::deadline_after;
use libsys::{Channel, Error, Memory, Object, Process, ThreadObject, sys, thread};

pub const TESTS: &[Test] = tests![
    threads_start_with_their_arguments,
    a_thread_of_a_new_process_waits_for_its_start,
    where_it_may_start,
    message_pages_have_a_place_of_their_own,
    an_exit_is_signalled,
    the_last_exit_ends_the_process,
    a_receive_is_cancelled,
    a_call_is_cancelled_before_it_is_received,
    a_call_is_cancelled_after_it_was_received,
    what_waits_for_nothing_is_not_cancelled,
    rights_are_needed,
    who_it_is,
    yielding_returns,
    thread_storage_is_its_own,
];

fn place(pages: u64) -> ThreadStart {
    ThreadStart { entry: 0x40_0000, stack: 0x60_0000, argument: 0, pages, thread_block: 0 }
}

/// A process with code that ends its thread at once, with what is in `rdi` as code.
fn small_process() -> Outcome<Process> {
    let process = Process::create(system().account, "small")?;
    let code = Memory::create(system().account, 4096)?;
    // mov rdx, rdi; xor edi, edi; xor esi, esi; mov eax, ThreadExit; syscall
    let text = [0x48, 0x89, 0xfa, 0x31, 0xff, 0x31, 0xf6, 0xb8, Syscall::ThreadExit as u8, 0, 0, 0, 0x0f, 0x05];
    code.map_writable()?.copy_in(0, &text);
    code.seal()?;
    process.map(&code, 0x40_0000, 0, 4096, Protection::READ | Protection::EXECUTE)?;
    Ok(process)
}

fn threads_start_with_their_arguments() -> Outcome {
    let process = small_process()?;
    process.create_thread(ThreadStart { argument: 0x1234, ..place(0x50_0000) }, system().account)?;
    process.start()?;
    let record = process::wait_until_dead(&process)?;
    check_eq!((reason(&record), record.code), (abi::ExitReason::Exit, 0x1234));
    Ok(())
}

fn a_thread_of_a_new_process_waits_for_its_start() -> Outcome {
    let process = small_process()?;
    let thread = process.create_thread(place(0x50_0000), system().account)?;
    check_eq!(thread.cancel(), Err(Error::BadState));
    thread::yield_now();
    check_eq!(process.exit_record()?.state, abi::process::ProcessState::New as u32);
    process.kill(abi::ExitReason::Killed, 0)?;
    let again = raw::call(
        Syscall::ThreadCreate,
        [process.handle().0, 0x40_0000, 0, 0, 0x58_0000, 0, system().account.handle().0],
    );
    check_eq!(again.error(), Some(Error::BadState));
    Ok(())
}

fn where_it_may_start() -> Outcome {
    let process = small_process()?;
    let create = |start| process.create_thread(start, system().account).err();
    let good = place(0x50_0000);
    for address in [abi::memory::END_ADDRESS, 0x8000_0000_0000, u64::MAX] {
        check_eq!(create(ThreadStart { entry: address, ..good }), Some(Error::BadAddress));
        check_eq!(create(ThreadStart { thread_block: address, ..good }), Some(Error::BadAddress));
    }
    check_eq!(create(ThreadStart { stack: abi::memory::END_ADDRESS + 8, ..good }), Some(Error::BadAddress));
    check_eq!(create(ThreadStart { stack: abi::memory::END_ADDRESS, ..good }), None);
    Ok(())
}

fn message_pages_have_a_place_of_their_own() -> Outcome {
    let process = small_process()?;
    let create = |pages| process.create_thread(place(pages), system().account).err();
    check_eq!(create(0), Some(Error::BadAddress));
    check_eq!(create(0x50_0008), Some(Error::BadArgument));
    check_eq!(create(0x40_0000), Some(Error::BadAddress));
    check_eq!(create(0x3f_f000), Some(Error::BadAddress));
    check_eq!(create(0x50_0000), None);
    check_eq!(create(0x50_0000), Some(Error::BadAddress));
    check_eq!(create(0x50_1000), Some(Error::BadAddress));
    Ok(())
}

fn an_exit_is_signalled() -> Outcome {
    let process = small_process()?;
    let code = Memory::create(system().account, 4096)?;
    // Two threads: one exits and signals the channel in rdi, the other spins.
    let text = [0xbe, 0x08, 0, 0, 0, 0xb8, Syscall::ThreadExit as u8, 0, 0, 0, 0x0f, 0x05];
    code.map_writable()?.copy_in(0, &text);
    code.map_writable()?.copy_in(64, &[0xeb, 0xfe]);
    code.seal()?;
    process.map(&code, 0x48_0000, 0, 4096, Protection::READ | Protection::EXECUTE)?;
    let channel = Channel::create(system().account)?;
    let there = process.grant_channel(&channel, Rights::SIGNAL, 0x8, false)?;
    process.create_thread(ThreadStart { entry: 0x48_0040, ..place(0x54_0000) }, system().account)?;
    process.create_thread(ThreadStart { entry: 0x48_0000, argument: there.0, ..place(0x50_0000) }, system().account)?;
    process.start()?;
    check_eq!(channel.receive(Some(deadline_after(PATIENCE))), Ok(Event::Signals(8)));
    check_eq!(process.exit_record()?.state, abi::process::ProcessState::Running as u32);
    process.kill(abi::ExitReason::Killed, 0)?;
    Ok(())
}

fn the_last_exit_ends_the_process() -> Outcome {
    let process = small_process()?;
    for number in 0..3 {
        process.create_thread(ThreadStart { argument: 9, ..place(0x50_0000 + number * 0x3000) }, system().account)?;
    }
    process.start()?;
    let record = process::wait_until_dead(&process)?;
    check_eq!((reason(&record), record.code), (abi::ExitReason::Exit, 9));
    Ok(())
}

/// Cancels until the thread was waiting.
fn cancel(object: Option<&ThreadObject>) -> Outcome {
    let object = object.ok_or(guest::test::Failure::new("a thread without a handle"))?;
    process::eventually("it waits", || match object.cancel() {
        Ok(()) => Ok(true),
        Err(Error::BadState) => Ok(false),
        Err(error) => Err(error.into()),
    })()
}

fn a_receive_is_cancelled() -> Outcome {
    let channel = Channel::create(system().account)?;
    let waiter = thread::spawn(move || channel.receive(None))?;
    cancel(waiter.object())?;
    check_eq!(waiter.join(), Err(Error::TimedOut));
    Ok(())
}

fn a_call_is_cancelled_before_it_is_received() -> Outcome {
    let server = process::Server::prepare(guest::puppet::serve)?;
    let session = server.session(1)?;
    let caller = thread::spawn(move || session.call(Header::default(), [0; 8]))?;
    cancel(caller.object())?;
    check_eq!(caller.join(), Err(Error::NotStarted));
    Ok(())
}

fn a_call_is_cancelled_after_it_was_received() -> Outcome {
    let server = guest::puppet::start()?;
    let (session, other) = (server.session(1)?, server.session(2)?);
    let caller = thread::spawn(move || session.call(Header::words(guest::puppet::KEEP, abi::Class::Fail), [0; 8]))?;
    process::eventually("it is kept", || Ok(guest::puppet::status_of(&other)?.kept == 1))()?;
    cancel(caller.object())?;
    check_eq!(caller.join(), Err(Error::Unknown));
    check_eq!(guest::puppet::status_of(&other)?.withdrawn, 1);
    Ok(())
}

fn what_waits_for_nothing_is_not_cancelled() -> Outcome {
    static STOP: AtomicU64 = AtomicU64::new(0);
    STOP.store(0, SeqCst);
    let spinner = thread::spawn(|| while STOP.load(SeqCst) == 0 {})?;
    check_eq!(spinner.object().map(ThreadObject::cancel), Some(Err(Error::BadState)));
    STOP.store(1, SeqCst);
    spinner.join();
    Ok(())
}

fn rights_are_needed() -> Outcome {
    let process = small_process()?;
    let thread = process.create_thread(place(0x50_0000), system().account)?;
    let seen = thread.duplicate(Rights::INSPECT)?;
    check_eq!(seen.cancel(), Err(Error::Denied));
    check_eq!(seen.set_affinity(1), Err(Error::Denied));
    check_eq!(seen.schedule(abi::Parameters::DEFAULT), Err(Error::Denied));
    check_eq!(refused(Syscall::ThreadCancel, [process.handle().0]), Some(Error::WrongKind));
    check_eq!(refused(Syscall::ThreadCancel, [0]), Some(Error::BadHandle));
    Ok(())
}

fn who_it_is() -> Outcome {
    let here = sys::identify();
    check_eq!((here.process, here.incarnation), (libsys::env::process().exit_record()?.process, 1));
    let there = thread::spawn(sys::identify)?.join();
    check!(there.process == here.process && there.thread != here.thread);
    Ok(())
}

fn yielding_returns() -> Outcome {
    for _ in 0..100 {
        sys::thread_yield();
    }
    check_eq!(raw::call(Syscall::Null, []).error(), None);
    Ok(())
}

fn thread_storage_is_its_own() -> Outcome {
    let numbers: alloc::vec::Vec<_> = (0..4).map(|n| thread::spawn(move || (n, thread::current().number()))).collect();
    let mut seen = alloc::vec::Vec::new();
    for (n, handle) in numbers.into_iter().enumerate() {
        let (argument, number) = handle?.join();
        check_eq!(argument, n);
        check!(!seen.contains(&number));
        seen.push(number);
    }
    Ok(())
}
