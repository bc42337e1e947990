//! Accounts: splitting, reading, revoking.

use abi::{ExitReason, Rights, Syscall};
use guest::process::{SMALL, reason, wait_until_dead};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, puppet, tests};
use libsys::{Account, Channel, Error, Limits, Memory, Object, Process};

pub const TESTS: &[Test] = tests![
    a_split_is_promised_at_once,
    a_split_of_more_is_refused_and_takes_nothing,
    charges_come_and_go,
    every_limit_is_a_limit,
    splitting_and_charging_need_the_right,
    reading_needs_the_right,
    revoking_ends_processes_and_charges,
    revoking_reaches_what_is_below,
    revoking_gives_back_what_is_not_used,
    an_account_outlives_its_handle,
    accounts_are_sixteen_deep,
];

fn small() -> Outcome<Account> {
    Ok(system().account.split(SMALL)?)
}

fn a_split_is_promised_at_once() -> Outcome {
    let outer = small()?;
    let before = outer.usage()?.used;
    let limits = Limits { frames: 100, handles: 10, threads: 2, sessions: 3, processes: 1 };
    let inner = outer.split(limits)?;
    let after = outer.usage()?.used;
    check_eq!(inner.usage()?.limits, limits);
    check_eq!(after.handles - before.handles, limits.handles);
    check_eq!((after.threads, after.sessions, after.processes), (2, 3, 1));
    check!(after.frames - before.frames >= limits.frames);
    drop(inner);
    check_eq!(outer.usage()?.used.threads, 0);
    Ok(())
}

fn a_split_of_more_is_refused_and_takes_nothing() -> Outcome {
    let outer = small()?;
    let before = outer.usage()?.used;
    for index in 0..5 {
        let mut limits = [1; 5];
        limits[index] = 1 << 20;
        let [frames, handles, threads, sessions, processes] = limits;
        let refused = outer.split(Limits { frames, handles, threads, sessions, processes });
        check_eq!(refused.err(), Some(Error::AccountExhausted));
    }
    check_eq!(outer.usage()?.used, before);
    Ok(())
}

fn charges_come_and_go() -> Outcome {
    let account = small()?;
    let first = Memory::create(&account, 4096)?;
    let before = account.usage()?.used.frames;
    let memory = Memory::create(&account, 16 * 4096)?;
    check!(account.usage()?.used.frames >= before + 16);
    drop(memory);
    check_eq!(account.usage()?.used.frames, before);
    drop(first);
    Ok(())
}

fn every_limit_is_a_limit() -> Outcome {
    let account = system().account.split(Limits { frames: 30, handles: 0, threads: 0, sessions: 0, processes: 0 })?;
    check_eq!(Memory::create(&account, 4096 * 64).err(), Some(Error::AccountExhausted));
    check_eq!(Process::create(&account, "none").err(), Some(Error::AccountExhausted));
    let channel = Channel::create(&account)?;
    check_eq!(channel.mint(1, &account).err(), Some(Error::AccountExhausted));
    let process = Process::create(system().account, "other")?;
    let start =
        libsys::process::ThreadStart { entry: 0x40_0000, stack: 0, argument: 0, pages: 0x50_0000, thread_block: 0 };
    check_eq!(process.create_thread(start, &account).err(), Some(Error::AccountExhausted));
    Ok(())
}

fn splitting_and_charging_need_the_right() -> Outcome {
    let poor = small()?.duplicate(Rights::INSPECT | Rights::MANAGE)?;
    check_eq!(poor.split(Limits::default()).err(), Some(Error::Denied));
    check_eq!(Memory::create(&poor, 4096).err(), Some(Error::Denied));
    check_eq!(Channel::create(&poor).err(), Some(Error::Denied));
    check_eq!(Process::create(&poor, "none").err(), Some(Error::Denied));
    Ok(())
}

fn reading_needs_the_right() -> Outcome {
    let account = small()?;
    check_eq!(account.duplicate(Rights::CHARGE)?.usage().err(), Some(Error::Denied));
    check_eq!(account.duplicate(Rights::INSPECT)?.usage()?.limits, SMALL);
    check_eq!(refused(Syscall::AccountRevoke, [account.duplicate(Rights::INSPECT)?.handle().0]), Some(Error::Denied));
    Ok(())
}

fn revoking_ends_processes_and_charges() -> Outcome {
    let server = puppet::start()?;
    server.account.revoke()?;
    let record = wait_until_dead(&server.process)?;
    check_eq!(reason(&record), ExitReason::Revoked);
    check_eq!(server.account.usage()?.revoked, 1);
    check_eq!(Memory::create(&server.account, 4096).err(), Some(Error::AccountExhausted));
    check_eq!(server.account.split(Limits::default()).err(), Some(Error::AccountExhausted));
    check_eq!(server.account.revoke(), Ok(()));
    Ok(())
}

fn revoking_reaches_what_is_below() -> Outcome {
    let room = Limits { frames: 800, handles: 100, threads: 10, sessions: 20, processes: 5 };
    let outer = system().account.split(room)?;
    let inner = outer.split(SMALL)?;
    let process = Process::create(&inner, "below")?;
    outer.revoke()?;
    check_eq!(reason(&wait_until_dead(&process)?), ExitReason::Revoked);
    check_eq!(Memory::create(&inner, 4096).err(), Some(Error::AccountExhausted));
    Ok(())
}

fn revoking_gives_back_what_is_not_used() -> Outcome {
    let outer = small()?;
    let before = outer.usage()?.used;
    let inner = outer.split(Limits { frames: 100, handles: 10, threads: 2, sessions: 3, processes: 1 })?;
    let memory = Memory::create(&inner, 16 * 4096)?;
    inner.revoke()?;
    let kept = inner.usage()?;
    check_eq!(kept.limits, kept.used);
    let after = outer.usage()?.used;
    check_eq!((after.handles, after.threads, after.sessions), (before.handles, before.threads, before.sessions));
    check!((16..40).contains(&(after.frames - before.frames)));
    drop(memory);
    inner.revoke()?;
    check!(outer.usage()?.used.frames - before.frames < 16);
    drop(inner);
    Ok(())
}

fn an_account_outlives_its_handle() -> Outcome {
    let outer = small()?;
    let inner = outer.split(Limits { frames: 50, ..Limits::default() })?;
    let memory = Memory::create(&inner, 4096)?;
    let used = outer.usage()?.used.frames;
    drop(inner);
    check_eq!(outer.usage()?.used.frames, used);
    check_eq!(memory.info()?.bytes, 4096);
    drop(memory);
    check!(outer.usage()?.used.frames < used);
    Ok(())
}

fn accounts_are_sixteen_deep() -> Outcome {
    let mut chain = alloc::vec![small()?];
    loop {
        let frames = 390 - 20 * chain.len() as u64;
        match chain[chain.len() - 1].split(Limits { frames, ..Limits::default() }) {
            Ok(next) => chain.push(next),
            Err(error) => {
                check_eq!(error, Error::BadState);
                break;
            }
        }
        check!(chain.len() < 20);
    }
    check!(chain.len() > 10, "{}", chain.len());
    Ok(())
}
