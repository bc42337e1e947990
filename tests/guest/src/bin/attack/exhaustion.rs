//! Endless anything: refused at one's own account, and all given back in the end.

use crate::must;
use abi::{Error, Syscall};
use alloc::vec::Vec;
use guest::raw::{call, refused};
use libsys::{Channel, Object, env};

fn account() -> u64 {
    env::account().handle().0
}

/// Repeats a system call until it is refused, at most as often: the error, and how often it was not.
fn until_refused<const N: usize>(number: Syscall, arguments: [u64; N], most: u64) -> (Option<Error>, u64) {
    for count in 0..most {
        if let Some(error) = refused(number, arguments) {
            return (Some(error), count);
        }
    }
    (None, most)
}

/// More than any account of these attacks has.
const MOST: u64 = 100_000;

crate::refused! {
    handles {
        let (error, _) = until_refused(Syscall::HandleDuplicate, [account(), u64::MAX >> 53, 0], MOST);
        must!(error, Some(Error::AccountExhausted));
    }
    pages {
        let (error, count) = until_refused(Syscall::MemoryCreate, [account(), 4096 * 8, 0], MOST);
        must!(error, Some(Error::AccountExhausted));
        must!(count > 5);
    }
    large_pages {
        must!(until_refused(Syscall::MemoryCreate, [account(), 1 << 20, 1], MOST).0.is_some());
        must!(until_refused(Syscall::MemoryCreate, [account(), 1 << 37, 0], MOST).0, Some(Error::AccountExhausted));
    }
    touched_pages {
        let mut maps = Vec::new();
        loop {
            let made = call(Syscall::MemoryCreate, [account(), 4096 * 4, 0]);
            if made.error().is_some() {
                break;
            }
            let map = call(Syscall::MemoryMap, [0, made.results[0], 0, 0, 4096 * 4, 3]);
            if map.error().is_some() {
                break;
            }
            maps.push(map.results[0]);
        }
        for map in maps {
            for page in 0..4 {
                // SAFETY: just mapped for writing, and nothing in Rust refers to it.
                unsafe { core::ptr::with_exposed_provenance_mut::<u64>((map + page * 4096) as usize).write_volatile(1) };
            }
        }
    }
    threads {
        let mut count = 0;
        while libsys::thread::spawn(|| loop { libsys::thread::park() }).map(core::mem::forget).is_ok() {
            count += 1;
            must!(count < 100);
        }
        must!(count > 1);
    }
    processes {
        let (error, count) = until_refused(Syscall::ProcessCreate, [account(), 0x41, 0], MOST);
        must!(error, Some(Error::AccountExhausted));
        must!(count == guest::process::SMALL.processes - 1);
    }
    sessions {
        let channel = Channel::create(env::account()).expect("a channel");
        let (error, count) = until_refused(Syscall::SessionMint, [channel.handle().0, 7, account()], MOST);
        must!(error, Some(Error::AccountExhausted));
        must!(count == guest::process::SMALL.sessions);
    }
    closed_sessions {
        // Closing does not free them before the server has acknowledged it.
        let channel = Channel::create(env::account()).expect("a channel");
        let mut count = 0;
        loop {
            let minted = call(Syscall::SessionMint, [channel.handle().0, count, account()]);
            if minted.error().is_some() {
                must!(minted.error(), Some(Error::AccountExhausted));
                break;
            }
            must!(refused(Syscall::HandleClose, [minted.results[0]]), None);
            count += 1;
            must!(count < MOST);
        }
    }
    channels {
        must!(until_refused(Syscall::ChannelCreate, [account(), 0], MOST).0, Some(Error::AccountExhausted));
    }
    accounts_in_a_row {
        must!(until_refused(Syscall::AccountSplit, [account(), 1, 0, 0, 0, 0], MOST).0, Some(Error::AccountExhausted));
    }
    accounts_in_each_other {
        let mut inner = account();
        let mut depth = 0;
        loop {
            let usage = call(Syscall::AccountRead, [inner]);
            must!(usage.error(), None);
            let split = call(Syscall::AccountSplit, [inner, 300 - depth * 10, 1, 0, 0, 0]);
            if let Some(error) = split.error() {
                must!(error == Error::BadState || error == Error::AccountExhausted);
                break;
            }
            inner = split.results[0];
            depth += 1;
            must!(depth < 40);
        }
        must!(depth > 3);
    }
    resources_that_it_has_not {
        for call in [Syscall::PortsCreate, Syscall::InterruptCreate, Syscall::DmaDomainCreate, Syscall::ResourceSplit, Syscall::MemoryDevice] {
            must!(refused(call, [account(), 0x80, 1, account(), account()]), Some(Error::WrongKind));
        }
    }
    signals {
        let signaller = crate::lent("signaller");
        for _ in 0..10_000 {
            must!(refused(Syscall::Signal, [signaller, 0b11]), None);
        }
    }
    processes_that_keep_each_other {
        // Handles in a circle: nothing but the end of their account ends them.
        let own = env::process().handle().0;
        let other = call(Syscall::ProcessCreate, [account(), 0x41, 0]);
        must!(other.error(), None);
        let other = other.results[0];
        let all = u64::from(abi::Rights::all().bits());
        must!(refused(Syscall::HandleGrant, [other, own, all, 0, 1]), None);
        must!(refused(Syscall::HandleKeep, [other, 1]), None);
        must!(refused(Syscall::ProcessKill, [other, abi::ExitReason::Killed as u64, 0]), None);
    }
    bombs {
        // Each process makes as many as it can, and leaves them behind.
        fn bomb() -> u64 {
            let mut children = Vec::new();
            for _ in 0..3 {
                let limits = libsys::Limits { frames: 120, handles: 24, threads: 2, sessions: 2, processes: 1 };
                match guest::process::launch_parent("bomb", bomb).limits(limits).stack_bytes(16 * 1024).spawn(env::account()) {
                    Ok(child) => children.push(child),
                    Err(_) => break,
                }
            }
            core::mem::forget(children);
            0
        }
        bomb();
    }
}
