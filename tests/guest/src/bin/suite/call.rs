//! Calls: what travels, how they end, keeping, parking, resuming, abandoning.

use abi::{Class, Error as E, Handle, Header, Rights, Syscall};
use core::time::Duration;
use guest::process::{PATIENCE, ask, ask_for};
use guest::puppet::{self, status_of};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::message::{self, CallPage};
use libsys::time::{deadline_after, now};
use libsys::{Channel, Error, Memory, Object, Session, sys, thread};

pub const TESTS: &[Test] = tests![
    words_and_payload_travel,
    the_badge_and_the_client_are_stamped,
    a_once_call_carries_its_key,
    handles_of_a_request_are_duplicated,
    handles_of_a_reply_are_moved,
    no_more_handles_than_there_is_room_for,
    handles_without_the_right_do_not_travel,
    malformed_headers_are_refused,
    a_call_needs_the_right,
    a_deadline_before_it_is_received,
    a_deadline_after_it_was_received,
    a_deadline_that_is_over,
    a_kept_call_is_answered_later,
    an_abandoned_call,
    a_parked_call,
    a_parked_call_times_out_unseen,
    a_resumed_call_is_current,
    progress_of_a_call,
    a_reply_without_a_call,
    a_second_reply,
    receiving_with_a_call_in_hand,
    a_reply_that_makes_no_sense,
    a_caller_that_left,
    threads_of_one_process_call_each_other,
    a_call_to_oneself,
    a_kept_call_is_its_servers_alone,
];

/// Long enough for a server to get a call, also where the emulator is kept waiting.
const LONG: Duration = Duration::from_millis(300);

fn words_and_payload_travel() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    let words = [1, u64::MAX, 3, 1 << 63, 5, 6, 7, 8];
    check_eq!(ask(&session, puppet::ECHO, Class::Fail, words), Ok(words));
    for bytes in [1, 7, 8, 64, 1000, abi::PAYLOAD_BYTES] {
        let mut page = CallPage::take();
        page.payload_mut().fill(0xee);
        for (index, byte) in page.payload_mut()[..bytes].iter_mut().enumerate() {
            *byte = (index * 7) as u8;
        }
        drop(page);
        let (header, _) =
            ask_for(&session, Header::words(puppet::ECHO, Class::Replay).with_payload(bytes), words, PATIENCE)?;
        check_eq!(header.payload_bytes(), bytes);
        let page = CallPage::take();
        check!(
            page.received(bytes).iter().enumerate().all(|(index, byte)| *byte == (index * 7) as u8),
            "{bytes} bytes"
        );
    }
    Ok(())
}

fn the_badge_and_the_client_are_stamped() -> Outcome {
    let server = puppet::start()?;
    for badge in [0, 1, u64::MAX] {
        let [seen, client, faults, hangs, again, incarnation, handles, _] =
            ask(&server.session(badge)?, puppet::ABOUT, Class::Fail, [0; 8])?;
        check_eq!((seen, client), (badge, sys::identify().process));
        check_eq!((faults, hangs, again, incarnation, handles), (0, 0, 0, 1, 0));
    }
    Ok(())
}

fn a_once_call_carries_its_key() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    CallPage::take().set_key(0xf0, 0x0f);
    check_eq!(ask(&session, puppet::ABOUT, Class::Once, [0; 8])?[7], 0xff);
    Ok(())
}

fn send(session: &Session, handles: &[Handle], method: u32) -> Result<[u64; 8], Error> {
    let mut page = CallPage::take();
    page.handles_mut()[..handles.len()].copy_from_slice(handles);
    drop(page);
    ask_for(session, Header::words(method, Class::Fail).with_handles(handles.len()), [0; 8], PATIENCE)
        .map(|(_, words)| words)
}

fn handles_of_a_request_are_duplicated() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    let memory = Memory::create(system().account, 4096)?;
    let before = server.account.usage()?.used.handles;
    for count in 0..=4 {
        check_eq!(send(&session, &[memory.handle(); 4][..count], puppet::ABOUT)?[6], count as u64);
    }
    check!(memory.info().is_ok());
    // The puppet has closed its own.
    check_eq!(server.account.usage()?.used.handles, before);
    Ok(())
}

fn handles_of_a_reply_are_moved() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    for count in 0..=4u64 {
        let header = Header::words(puppet::GIVE, Class::Fail).with_reply_handles(4);
        let (reply, _) = ask_for(&session, header, [count; 8], PATIENCE)?;
        check_eq!(reply.handles() as u64, count);
        let handles = *CallPage::take().handles();
        for handle in &handles[..count as usize] {
            let memory = Memory::from_handle(*handle);
            check_eq!(memory.inspect_handle()?.rights, Rights::READ | Rights::INSPECT);
            check_eq!(memory.info()?.bytes, 4096);
        }
    }
    Ok(())
}

fn no_more_handles_than_there_is_room_for() -> Outcome {
    let account = system().account.split(guest::process::SMALL)?;
    let server = puppet::start()?;
    let session = server.session(1)?;
    let header = Header::words(puppet::GIVE, Class::Fail).with_reply_handles(1);
    let (reply, _) = ask_for(&session, header, [3; 8], PATIENCE)?;
    check_eq!(reply.handles(), 3);
    let handles = *CallPage::take().handles();
    drop(Memory::from_handle(handles[0]));
    check_eq!((handles[1], handles[2]), (Handle::NONE, Handle::NONE));
    drop(account);
    Ok(())
}

fn handles_without_the_right_do_not_travel() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    let single = Memory::create(system().account, 4096)?.duplicate(Rights::READ)?;
    check_eq!(send(&session, &[single.handle()], puppet::ABOUT), Err(Error::Denied));
    check_eq!(send(&session, &[Handle::NONE], puppet::ABOUT), Err(Error::BadHandle));
    check_eq!(send(&session, &[Handle::new(9999, 1)], puppet::ABOUT), Err(Error::BadHandle));
    Ok(())
}

fn malformed_headers_are_refused() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    for header in [3969, 5 << 13, 6 << 16, 3 << 19, 1 << 22, 1 << 23, 1 << 31] {
        check_eq!(refused(Syscall::Call, [session.handle().0, header]), Some(Error::BadMessage));
    }
    Ok(())
}

fn a_call_needs_the_right() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?.duplicate(Rights::DUPLICATE | Rights::INSPECT)?;
    check_eq!(session.call(Header::default(), [0; 8]), Err(Error::Denied));
    check_eq!(refused(Syscall::Call, [server.channel.handle().0, 0]), Some(Error::WrongKind));
    check_eq!(refused(Syscall::Call, [0, 0]), Some(Error::BadHandle));
    Ok(())
}

fn a_deadline_before_it_is_received() -> Outcome {
    let server = guest::process::Server::prepare(puppet::serve)?;
    let session = server.session(1)?;
    // It does not run while there is no server; a cancel ends it.
    let inspect = crate::given(&system().inspect)?;
    let waits = || {
        Ok(libsys::inspect::calls(inspect).any(|call| call.is_ok_and(|call| call.client == sys::identify().process)))
    };
    let caller = thread::spawn(move || ask_for(&session, Header::default(), [0; 8], LONG))?;
    guest::process::eventually("the call is queued", waits)()?;
    libsys::time::sleep(LONG * 2);
    check!(waits()?);
    let object = caller.object().map(Object::handle).unwrap_or(Handle::NONE);
    check_eq!(sys::thread_cancel(object), Ok(()));
    check_eq!(caller.join().err(), Some(Error::NotStarted));

    // With a server that is busy it does.
    let server = puppet::start()?;
    let (session, other) = (server.session(1)?, server.session(2)?);
    let busy = thread::spawn(move || session.call(Header::words(puppet::SPIN, Class::Fail), [0; 8]).err())?;
    let number = server.process.exit_record()?.process;
    let spins = || {
        let current = abi::inspect::CallState::Current as u32;
        Ok(libsys::inspect::calls(inspect)
            .any(|call| call.is_ok_and(|call| call.server == number && call.state == current)))
    };
    guest::process::eventually("the server spins", spins)()?;
    let refused = ask_for(&other, Header::words(puppet::ECHO, Class::Fail), [0; 8], Duration::from_millis(5));
    check_eq!(refused.err(), Some(Error::NotStarted));
    server.process.kill(abi::ExitReason::Killed, 0)?;
    check_eq!(busy.join(), Some(Error::PeerDied));
    Ok(())
}

fn a_deadline_after_it_was_received() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    let kept = ask_for(&session, Header::words(puppet::KEEP, Class::Fail), [0; 8], LONG);
    check_eq!(kept.err(), Some(Error::Unknown));
    let status = status_of(&session)?;
    check_eq!((status.withdrawn, status.kept), (1, 0));
    Ok(())
}

fn a_deadline_that_is_over() -> Outcome {
    let server = guest::process::Server::prepare(puppet::serve)?;
    let session = server.session(1)?;
    message::set_call_deadline(1);
    check_eq!(session.call(Header::default().with_deadline(), [0; 8]), Err(Error::NotStarted));
    Ok(())
}

/// Makes a call in a thread, and returns when the puppet has it.
fn in_hand(server: &guest::process::Server, method: u32) -> Outcome<thread::JoinHandle<Result<u64, Error>>> {
    let (session, other) = (server.session(1)?, server.session(2)?);
    let before = status_of(&other)?.kept;
    let caller = thread::spawn(move || ask(&session, method, Class::Fail, [0; 8]).map(|words| words[0]))?;
    guest::process::eventually("the call is received", || Ok(status_of(&other)?.kept > before))()?;
    Ok(caller)
}

fn a_kept_call_is_answered_later() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    let callers = [in_hand(&server, puppet::KEEP)?, in_hand(&server, puppet::KEEP)?];
    for answer in [11, 22] {
        check_eq!(ask(&session, puppet::ANSWER, Class::Fail, [answer; 8])?[0], 0);
    }
    let [first, second] = callers;
    check_eq!((first.join(), second.join()), (Ok(11), Ok(22)));
    check_eq!(ask(&session, puppet::ANSWER, Class::Fail, [0; 8])?[0], E::BadHandle as u64);
    Ok(())
}

fn an_abandoned_call() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    check_eq!(ask(&session, puppet::ABANDON, Class::Fail, [0; 8]), Err(Error::Abandoned));
    for how in [1, 2] {
        let caller = in_hand(&server, puppet::KEEP)?;
        check_eq!(ask(&session, puppet::ABANDON, Class::Fail, [how; 8])?[0], 0);
        check_eq!(caller.join(), Err(Error::Abandoned));
    }
    Ok(())
}

fn a_parked_call() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    let caller = in_hand(&server, puppet::PARK)?;
    check_eq!(status_of(&session)?.last, 0);
    check_eq!(ask(&session, puppet::ANSWER, Class::Fail, [7; 8])?[0], 0);
    check_eq!(caller.join(), Ok(7));
    Ok(())
}

fn a_parked_call_times_out_unseen() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    // Where the emulator is kept waiting, the server may not have had it in time.
    for _ in 0..10 {
        let parked = ask_for(&session, Header::words(puppet::PARK, Class::Fail), [0; 8], LONG);
        check_eq!(parked.err(), Some(Error::NotStarted));
        if status_of(&session)?.withdrawn == 1 {
            return Ok(());
        }
    }
    Err(guest::test::Failure::new("it was never withdrawn"))
}

fn a_resumed_call_is_current() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    for method in [puppet::KEEP, puppet::PARK] {
        let caller = in_hand(&server, method)?;
        check_eq!(ask(&session, puppet::RESUME, Class::Fail, [4; 8])?[0], 4);
        // What it was answered is the status of the resume.
        check_eq!(caller.join(), Ok(0));
        check_eq!(status_of(&session)?.last, 0);
    }
    Ok(())
}

fn progress_of_a_call() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(3)?;
    let caller = in_hand(&server, puppet::KEEP)?;
    check_eq!(ask(&session, puppet::PROGRESS, Class::Fail, [0; 8])?[0], 0);
    ask(&session, puppet::ANSWER, Class::Fail, [0; 8])?;
    caller.join()?;
    check_eq!(refused(Syscall::CallProgress, [0]), Some(Error::BadState));
    check_eq!(refused(Syscall::CallProgress, [session.handle().0]), Some(Error::WrongKind));
    Ok(())
}

fn a_reply_without_a_call() -> Outcome {
    let channel = Channel::create(system().account)?;
    check_eq!(sys::reply(Header::default(), [0; 8]), Err(Error::BadState));
    check_eq!(channel.reply_receive(Header::default(), [0; 8], Some(0)), Err(Error::BadState));
    check_eq!(sys::call_keep(), Err(Error::BadState));
    check_eq!(sys::call_abandon(Handle::NONE), Err(Error::BadState));
    for call in [Syscall::CallReply, Syscall::CallResume, Syscall::CallPark] {
        check_eq!(refused(call, [0]), Some(Error::BadHandle));
        check_eq!(refused(call, [channel.handle().0]), Some(Error::WrongKind));
    }
    Ok(())
}

fn a_second_reply() -> Outcome {
    let server = puppet::start()?;
    let session = server.session(1)?;
    ask(&session, puppet::TWICE, Class::Fail, [0; 8])?;
    check_eq!(status_of(&session)?.last, E::BadState as u64);
    Ok(())
}

fn receiving_with_a_call_in_hand() -> Outcome {
    let server = puppet::start()?;
    check_eq!(ask(&server.session(1)?, puppet::RECEIVE, Class::Fail, [0; 8])?[0], E::BadState as u64);
    Ok(())
}

fn a_reply_that_makes_no_sense() -> Outcome {
    let server = puppet::start()?;
    check_eq!(ask(&server.session(1)?, puppet::BAD_REPLY, Class::Fail, [0; 8])?[0], E::BadMessage as u64);
    Ok(())
}

fn a_caller_that_left() -> Outcome {
    let channel = Channel::create(system().account)?;
    let session = channel.mint(1, system().account)?;
    let caller = thread::spawn(move || {
        message::set_call_deadline(deadline_after(Duration::from_millis(2)));
        loop {
            match session.call(Header::default().with_deadline(), [0; 8]) {
                Err(Error::Deadlock) => thread::yield_now(),
                other => return other.err(),
            }
        }
    })?;
    // The deadline may pass before this thread receives: then there is nothing to answer.
    if let Ok(sys::Event::Call { .. }) = channel.receive(Some(deadline_after(PATIENCE))) {
        // Waiting for anything would take note of it already.
        let start = now();
        while now() < start + 10_000_000 {
            thread::yield_now();
        }
        check_eq!(channel.reply_receive(Header::default(), [0; 8], Some(0)), Err(Error::CallerGone));
        check_eq!(sys::reply(Header::default(), [0; 8]), Err(Error::BadState));
        check_eq!(caller.join(), Some(Error::Unknown));
    }
    Ok(())
}

fn threads_of_one_process_call_each_other() -> Outcome {
    let channel = Channel::create(system().account)?;
    let session = channel.mint(5, system().account)?;
    let server = thread::spawn(move || -> Result<(), Error> {
        let sys::Event::Call { badge, words, .. } = channel.receive(Some(deadline_after(PATIENCE)))? else {
            return Err(Error::BadState);
        };
        sys::reply(Header::default(), [badge + words[0]; 8])
    })?;
    let answer = loop {
        match ask(&session, 1, Class::Fail, [10; 8]) {
            Err(Error::Deadlock) => thread::yield_now(),
            other => break other,
        }
    };
    check_eq!(answer, Ok([15; 8]));
    check_eq!(server.join(), Ok(()));
    Ok(())
}

fn a_call_to_oneself() -> Outcome {
    let channel = Channel::create(system().account)?;
    let session = channel.mint(5, system().account)?;
    check_eq!(ask(&session, 1, Class::Fail, [0; 8]), Err(Error::Deadlock));
    Ok(())
}

fn a_kept_call_is_its_servers_alone() -> Outcome {
    let channel = Channel::create(system().account)?;
    let session = channel.mint(5, system().account)?;
    let caller = thread::spawn(move || {
        loop {
            match ask(&session, 1, Class::Fail, [0; 8]) {
                Err(Error::Deadlock) => thread::yield_now(),
                other => return other.err(),
            }
        }
    })?;
    let sys::Event::Call { .. } = channel.receive(Some(deadline_after(PATIENCE)))? else {
        return Err(guest::test::Failure::new("no call"));
    };
    let call = sys::call_keep()?;
    check_eq!(sys::handle_duplicate(call, Rights::all(), 0), Err(Error::Denied));
    check_eq!(sys::handle_inspect(call)?.kind, abi::Kind::Call);
    sys::call_park(call)?;
    sys::handle_close(call)?;
    check_eq!(caller.join(), Some(Error::Abandoned));
    Ok(())
}
