//! Handles that are forged, stale, of others, of other kinds; rights that one does not have; system calls that do not exist.

use crate::{lent, must};
use abi::{Error, Handle, Header, Rights, Syscall};
use guest::puppet;
use guest::random::Random;
use guest::raw::{self, call, refused};
use libsys::message::CallPage;
use libsys::time::deadline_after;
use libsys::{Account, Channel, Memory, Object, env, message};

fn account() -> u64 {
    env::account().handle().0
}

/// Every system call that acts upon a handle in its first argument, which must not be none.
const NEED_A_HANDLE: &[Syscall] = &[
    Syscall::Call,
    Syscall::Receive,
    Syscall::ReplyReceive,
    Syscall::CallReply,
    Syscall::CallResume,
    Syscall::CallPark,
    Syscall::ChannelCreate,
    Syscall::ChannelClose,
    Syscall::Signal,
    Syscall::SessionMint,
    Syscall::SessionList,
    Syscall::SessionAcknowledge,
    Syscall::HandleDuplicate,
    Syscall::HandleClose,
    Syscall::HandleInspect,
    Syscall::HandleKeep,
    Syscall::HandleGrant,
    Syscall::AccountSplit,
    Syscall::AccountRead,
    Syscall::AccountRevoke,
    Syscall::ProcessCreate,
    Syscall::ProcessStart,
    Syscall::ProcessReset,
    Syscall::ProcessInspect,
    Syscall::ProcessWatch,
    Syscall::ProcessRead,
    Syscall::ThreadCancel,
    Syscall::MemoryCreate,
    Syscall::MemoryDevice,
    Syscall::MemorySeal,
    Syscall::MemoryInspect,
    Syscall::InterruptCreate,
    Syscall::InterruptAcknowledge,
    Syscall::InterruptMask,
    Syscall::PortsCreate,
    Syscall::PortIn,
    Syscall::PortOut,
    Syscall::PortsDrain,
    Syscall::PortsFill,
    Syscall::DmaDomainCreate,
    Syscall::DmaAttach,
    Syscall::DmaRelease,
    Syscall::DmaList,
    Syscall::ResourceSplit,
    Syscall::SystemInspect,
    Syscall::SystemPower,
];

/// Those that act upon handles of every kind.
const ANY_KIND: &[Syscall] =
    &[Syscall::HandleDuplicate, Syscall::HandleClose, Syscall::HandleInspect, Syscall::HandleKeep];

crate::refused! {
    numbers_of_no_system_call {
        for number in [62, 63, 100, 0xff, 0x100, 1 << 31, 1 << 32, (1 << 32) + 1, u64::MAX, 1 << 63] {
            must!(raw::number(number, [account(); 10]).error(), Some(Error::BadSyscall));
        }
    }
    forged_handles {
        let mut random = Random::new(1);
        for call in NEED_A_HANDLE {
            must!(refused(*call, [0]), Some(Error::BadHandle));
            for _ in 0..100 {
                let forged = Handle::new(random.below(1 << 14) as u32, 2 + random.below(1 << 31) as u32 + 1000);
                must!(refused(*call, [forged.0]), Some(Error::BadHandle));
            }
        }
    }
    stale_handles {
        let memory = Memory::create(env::account(), 4096).expect("memory");
        let stale = memory.handle().0;
        drop(memory);
        let _next = Memory::create(env::account(), 4096).expect("memory");
        for call in NEED_A_HANDLE {
            must!(refused(*call, [stale]), Some(Error::BadHandle));
        }
    }
    handles_of_the_neighbour {
        // What it has at these numbers is its own; here they are the attacker's own handles, or nothing.
        let process = lent("neighbour");
        for slot in 20..64 {
            let handle = Handle::new(slot, 1).0;
            if raw::call(Syscall::HandleInspect, [handle]).error().is_none() {
                continue;
            }
            for call in NEED_A_HANDLE {
                must!(refused(*call, [handle]), Some(Error::BadHandle));
            }
        }
        must!(refused(Syscall::HandleGrant, [process, lent("lent"), Rights::all().bits().into(), 0, 0]), Some(Error::Denied));
    }
    handles_of_another_kind {
        let memory = lent("lent");
        for call in NEED_A_HANDLE {
            if ANY_KIND.contains(call) || *call == Syscall::MemorySeal || *call == Syscall::MemoryInspect {
                continue;
            }
            must!(refused(*call, [memory]), Some(Error::WrongKind));
        }
        must!(refused(Syscall::MemoryInspect, [lent("session")]), Some(Error::WrongKind));
        must!(refused(Syscall::MemorySeal, [account()]), Some(Error::WrongKind));
    }
    rights_by_duplication {
        let lent = lent("lent");
        let all = u64::from(Rights::all().bits());
        let copy = call(Syscall::HandleDuplicate, [lent, all, u64::MAX]);
        must!(copy.error(), None);
        let (more, first) = (call(Syscall::HandleInspect, [copy.results[0]]), call(Syscall::HandleInspect, [lent]));
        must!(more.results[1] == first.results[1]);
    }
    rights_by_grant_to_oneself {
        let lent = lent("lent");
        let own = env::process().handle().0;
        let copy = call(Syscall::HandleGrant, [own, lent, u64::from(Rights::all().bits()), u64::MAX, 0]);
        must!(copy.error(), None);
        must!(call(Syscall::HandleInspect, [copy.results[0]]).results[1] == call(Syscall::HandleInspect, [lent]).results[1]);
    }
    rights_by_message {
        // To a channel of its own, and back.
        let channel = Channel::create(env::account()).expect("a channel");
        let session = channel.mint(1, env::account()).expect("a session").into_handle();
        let lent = lent("lent");
        let server = libsys::thread::spawn(move || {
            let _ = channel.receive(Some(deadline_after(guest::process::PATIENCE)));
            let page = libsys::message::ServePage::take();
            let got = page.handles()[0];
            drop(page);
            let rights = call(Syscall::HandleInspect, [got.0]).results[1];
            let _ = libsys::sys::reply(Header::default(), [rights; 8]);
        });
        let server = server.expect("a thread");
        let mut page = CallPage::take();
        page.handles_mut()[0] = Handle(lent);
        drop(page);
        message::set_call_deadline(deadline_after(guest::process::PATIENCE));
        let header = Header::default().with_handles(1).with_deadline();
        // The thread may not wait yet: the call would be one to itself.
        let answer = loop {
            match libsys::sys::call(session, header, [0; 8]) {
                Err(Error::Deadlock) => libsys::thread::yield_now(),
                other => break other,
            }
        };
        server.join();
        must!(answer.map(|(_, words)| words[0]) == Ok(call(Syscall::HandleInspect, [lent]).results[1]));
    }
    handles_without_duplicate_by_message {
        let session = lent("session");
        let mut page = CallPage::take();
        page.handles_mut()[0] = Handle(lent("single"));
        drop(page);
        let header = Header::words(puppet::ABOUT, abi::Class::Replay);
        must!(refused(Syscall::Call, [session, header.with_handles(1).0]), Some(Error::Denied));
        let mut page = CallPage::take();
        *page.handles_mut() = [Handle(u64::MAX); 4];
        drop(page);
        must!(refused(Syscall::Call, [session, header.with_handles(4).0]), Some(Error::BadHandle));
        must!(refused(Syscall::HandleDuplicate, [lent("sealed"), 0, 0]), None);
    }
    malformed_headers {
        let session = lent("session");
        let valid = Header::words(puppet::ECHO, abi::Class::Replay);
        for bits in [3969, 8191, 5 << 13, 7 << 13, 5 << 16, 7 << 16, 3 << 19, 1 << 22, 1 << 23, 1 << 31, 0xff80_0000] {
            must!(refused(Syscall::Call, [session, (valid.0 & !(3 << 19)) | bits]), Some(Error::BadMessage));
        }
    }
    the_neighbours_process {
        let neighbour = lent("neighbour");
        must!(refused(Syscall::ProcessKill, [neighbour, abi::ExitReason::Killed as u64, 0]), Some(Error::Denied));
        must!(refused(Syscall::ProcessReset, [neighbour, 0, 0]), Some(Error::Denied));
        must!(refused(Syscall::ProcessStart, [neighbour]), Some(Error::Denied));
        must!(refused(Syscall::ProcessWatch, [neighbour, 0, 0]), Some(Error::Denied));
        must!(refused(Syscall::ChannelCreate, [account(), neighbour]), Some(Error::Denied));
        must!(refused(Syscall::ProcessInspect, [neighbour]), None);
    }
    signals_beyond_the_mask {
        let signaller = lent("signaller");
        for bits in [0b100, u64::MAX, 1 << 63, 0b111] {
            must!(refused(Syscall::Signal, [signaller, bits]), Some(Error::Denied));
            must!(refused(Syscall::ProcessWatch, [env::process().handle().0, signaller, bits]), Some(Error::Denied));
            must!(refused(Syscall::ThreadExit, [signaller, bits, 0]), Some(Error::Denied));
        }
        let copy = call(Syscall::HandleDuplicate, [signaller, u64::from(Rights::all().bits()), u64::MAX]).results[0];
        must!(refused(Syscall::Signal, [copy, 0b100]), Some(Error::Denied));
        must!(refused(Syscall::Signal, [copy, 0b11]), None);
    }
    a_channel_that_it_may_signal {
        let signaller = lent("signaller");
        must!(refused(Syscall::Receive, [signaller, 0]), Some(Error::Denied));
        must!(refused(Syscall::SessionMint, [signaller, 1, account()]), Some(Error::Denied));
        must!(refused(Syscall::ChannelClose, [signaller]), Some(Error::Denied));
        must!(refused(Syscall::SessionList, [signaller, 0]), Some(Error::Denied));
        must!(refused(Syscall::SessionAcknowledge, [signaller, 77, 1]), Some(Error::Denied));
    }
    more_than_its_account {
        let usage = env::account().usage().expect("its own");
        let limits = usage.limits;
        for index in 0..5 {
            for amount in [1 << 32, u64::MAX, u64::MAX / 2 + 1] {
                let mut arguments = [account(), 0, 0, 0, 0, 0];
                arguments[1 + index] = amount;
                must!(refused(Syscall::AccountSplit, arguments), Some(Error::AccountExhausted));
            }
        }
        let all = [account(), limits.frames, limits.handles, limits.threads, limits.sessions, limits.processes];
        must!(refused(Syscall::AccountSplit, all), Some(Error::AccountExhausted));
        must!(env::account().usage().map(|after| after.used) == Ok(usage.used));
    }
    real_time_without_the_right {
        for policy in [1, 2] {
            for resource in [0, account(), lent("neighbour")] {
                must!(refused(Syscall::ThreadSchedule, [0, policy, 63, 1024, resource]).is_some());
            }
        }
        for (policy, priority, weight) in [(3, 0, 1024), (0, 1, 1024), (0, 0, 0), (0, 0, 1 << 40), (1, 0, 1024), (1, 64, 1024), (u64::MAX, 0, 1024)] {
            must!(refused(Syscall::ThreadSchedule, [0, policy, priority, weight, 0]), Some(Error::BadArgument));
        }
        must!(refused(Syscall::ThreadAffinity, [0, 0]), Some(Error::BadArgument));
        must!(refused(Syscall::ThreadAffinity, [0, 1 << 63]), Some(Error::BadArgument));
    }
    replies_to_nobody {
        must!(refused(Syscall::Reply, [0, 0]), Some(Error::BadState));
        must!(refused(Syscall::CallKeep, [0]), Some(Error::BadState));
        must!(refused(Syscall::CallAbandon, [0]), Some(Error::BadState));
        must!(refused(Syscall::CallProgress, [0]), Some(Error::BadState));
        let channel = Channel::create(env::account()).expect("a channel");
        must!(refused(Syscall::ReplyReceive, [channel.handle().0, 0]), Some(Error::BadState));
        must!(refused(Syscall::SessionAcknowledge, [channel.handle().0, 1, 1]), Some(Error::BadState));
    }
    revoke_what_is_not_its_own {
        let weak = env::account().duplicate(Rights::CHARGE | Rights::INSPECT).expect("a duplicate");
        must!(weak.revoke(), Err(Error::Denied));
        let blind: Account = env::account().duplicate(Rights::CHARGE).expect("a duplicate");
        must!(blind.usage().err(), Some(Error::Denied));
        let poor: Account = env::account().duplicate(Rights::INSPECT).expect("a duplicate");
        must!(Memory::create(&poor, 4096).err(), Some(Error::Denied));
    }
    random_arguments {
        // None of it has an effect beyond this process: what it ends with is its own affair.
        let mut random = Random::new(7);
        for _ in 0..20_000 {
            let call = *random.pick(Syscall::ALL);
            let ends = [Syscall::ProcessKill, Syscall::ThreadExit, Syscall::Receive, Syscall::AccountRevoke, Syscall::MemoryUnmap, Syscall::MemoryProtect];
            if !ends.contains(&call) {
                let arguments = core::array::from_fn(|_| random.number() >> random.below(64));
                raw::number(call as u64, arguments);
            }
        }
    }
}
