//! The system as a whole: clocks, identity, inspection, power, numbers of no system call.

use abi::inspect::Subject;
use abi::{Error as E, Rights, Syscall};
use guest::raw::{self, refused};
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, puppet, tests};
use libsys::inspect::{self, SystemRecord};
use libsys::{Error, Object, sys};

pub const TESTS: &[Test] = tests![
    numbers_of_no_system_call,
    registers_are_kept,
    the_null_call_does_nothing,
    counts_follow_what_is_made,
    every_subject_is_listed,
    subjects_and_processes_are_checked,
    inspection_needs_the_right,
    power_needs_its_resource,
    channels_calls_and_sessions_are_shown,
];

fn numbers_of_no_system_call() -> Outcome {
    for number in [Syscall::ALL.len() as u64, 255, 1 << 32, u64::MAX] {
        check_eq!(raw::number(number, [0; 10]).error(), Some(E::BadSyscall));
    }
    Ok(())
}

fn registers_are_kept() -> Outcome {
    #[cfg(target_os = "none")]
    for number in [Syscall::Null as u64, Syscall::ThreadYield as u64, u64::MAX] {
        let (rbx, rbp): (u64, u64);
        // SAFETY: the registers are put back.
        unsafe {
            core::arch::asm!(
                "push rbx", "push rbp",
                "mov rbx, 0x1111", "mov rbp, 0x2222",
                "syscall",
                "mov rcx, rbx", "mov r11, rbp",
                "pop rbp", "pop rbx",
                inlateout("rax") number => _, out("rdi") _, out("rsi") _, out("rdx") _, out("r8") _, out("r9") _, out("r10") _,
                out("r12") _, out("r13") _, out("r14") _, out("r15") _, lateout("rcx") rbx, lateout("r11") rbp,
            );
        }
        check_eq!((rbx, rbp), (0x1111, 0x2222));
    }
    Ok(())
}

fn the_null_call_does_nothing() -> Outcome {
    check_eq!(raw::call(Syscall::Null, [1, 2, 3]).status, 0);
    Ok(())
}

fn record() -> Outcome<SystemRecord> {
    Ok(inspect::system(crate::given(&system().inspect)?)?)
}

fn counts_follow_what_is_made() -> Outcome {
    // What earlier tests had is given back.
    guest::counts::Counts::settled()?;
    let before = record()?;
    let channel = libsys::Channel::create(system().account)?;
    let memory = libsys::Memory::create(system().account, 4096)?;
    let process = libsys::Process::create(system().account, "new")?;
    let account = system().account.split(libsys::Limits::default())?;
    let session = channel.mint(1, system().account)?;
    let after = record()?;
    check_eq!((after.channels, after.memories), (before.channels + 1, before.memories + 1));
    check_eq!((after.processes, after.accounts), (before.processes + 1, before.accounts + 1));
    check_eq!((after.sessions, after.handles), (before.sessions + 1, before.handles + 5));
    check!(after.uptime > before.uptime && after.frames > after.free_frames);
    drop((session, channel, memory, process, account));
    Ok(())
}

fn every_subject_is_listed() -> Outcome {
    let resource = crate::given(&system().inspect)?;
    let own = sys::identify().process;
    for number in 0..10 {
        let subject = Subject::from_number(number).ok_or(guest::test::Failure::new("no subject"))?;
        // To its end, which comes.
        let mut cursor = 0;
        for round in 0.. {
            let answer = raw::call(Syscall::SystemInspect, [resource.handle().0, subject as u64, cursor, own]);
            check_eq!((subject, answer.error()), (subject, None));
            cursor = answer.results[1];
            if cursor == 0 {
                break;
            }
            check!(round < 1000, "{subject:?} has no end");
        }
    }
    check!(inspect::processes(resource).any(|record| record.is_ok_and(|record| record.process == own)));
    let handles = inspect::handles(resource, own).filter_map(Result::ok).count() as u64;
    let shown = inspect::processes(resource).filter_map(Result::ok).find(|record| record.process == own);
    check_eq!(shown.map(|record| record.handles), Some(handles));
    check!(inspect::mappings(resource, own).filter_map(Result::ok).count() > 4);
    Ok(())
}

fn subjects_and_processes_are_checked() -> Outcome {
    let resource = crate::given(&system().inspect)?.handle().0;
    for subject in [10, 99, u64::MAX] {
        check_eq!(refused(Syscall::SystemInspect, [resource, subject, 0, 0]), Some(Error::BadArgument));
    }
    for subject in [Subject::Mappings, Subject::Handles] {
        for process in [0, 1 << 40, u64::MAX] {
            check_eq!(
                refused(Syscall::SystemInspect, [resource, subject as u64, 0, process]),
                Some(Error::BadArgument)
            );
        }
    }
    // Cursors from nowhere show something, or nothing.
    let mut random = guest::random::Random::new(9);
    for _ in 0..200 {
        let (subject, cursor) = (random.below(10), random.number() >> random.below(64));
        raw::call(Syscall::SystemInspect, [resource, subject, cursor, sys::identify().process]);
    }
    Ok(())
}

fn inspection_needs_the_right() -> Outcome {
    let resource = crate::given(&system().inspect)?;
    check_eq!(inspect::system(&resource.duplicate(Rights::MANAGE)?).err(), Some(Error::Denied));
    check_eq!(refused(Syscall::SystemInspect, [system().account.handle().0, 0, 0, 0]), Some(Error::WrongKind));
    Ok(())
}

fn power_needs_its_resource() -> Outcome {
    let resource = crate::given(&system().inspect)?;
    for action in 0..3 {
        check_eq!(refused(Syscall::SystemPower, [resource.handle().0, action, 0x10]), Some(Error::WrongKind));
        check_eq!(refused(Syscall::SystemPower, [0, action, 0x10]), Some(Error::BadHandle));
    }
    Ok(())
}

fn channels_calls_and_sessions_are_shown() -> Outcome {
    let resource = crate::given(&system().inspect)?;
    let server = puppet::start()?;
    let (session, other) = (server.session(1)?, server.session(2)?);
    let caller = libsys::thread::spawn(move || guest::process::ask(&session, puppet::PARK, abi::Class::Fail, [3; 8]))?;
    guest::process::eventually("it is parked", || Ok(puppet::status_of(&other)?.kept == 1))()?;
    let number = server.process.exit_record()?.process;
    let call = inspect::calls(resource).filter_map(Result::ok).find(|call| call.server == number);
    let call = call.ok_or(guest::test::Failure::new("no call is shown"))?;
    check_eq!(
        (call.client, call.state, call.age),
        (sys::identify().process, abi::inspect::CallState::Parked as u32, 0)
    );
    check_eq!(abi::Header(call.header).method(), puppet::PARK);
    let channel = inspect::channels(resource).filter_map(Result::ok).find(|channel| channel.channel == call.channel);
    let channel = channel.ok_or(guest::test::Failure::new("no channel is shown"))?;
    check_eq!((channel.server, channel.sessions, channel.closed), (number, 2, 0));
    guest::process::ask(&other, puppet::ANSWER, abi::Class::Fail, [8; 8])?;
    caller.join()?;
    Ok(())
}
