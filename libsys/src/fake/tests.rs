//! The fake kernel keeps the rules that servers are tested against.

use super::*;
use crate::message::{CallPage, ServePage};
use crate::sys::{Event, Served};
use crate::{Channel, KeptCall, Memory, Object, Session};
use abi::{Class, Header};
use core::ops::ControlFlow;

const READ: Header = Header::words(1, Class::Replay);
const WRITE: Header = Header::words(2, Class::Fail);

/// A server process with a channel, and a session to it in the calling process.
fn server(badge: u64) -> (FakeProcess, Handle, Session) {
    let server = FakeProcess::new();
    let channel = server.new_channel();
    let minted = server.run(|| {
        let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
        channel.mint(badge, &account()).expect("a session").into_handle()
    });
    let minted = minted.expect("alive");
    let session = server.take(minted, Rights::all());
    server.run(|| {
        // It is the server's own use, and not the last: nobody is told.
        crate::sys::handle_close(minted).expect("open");
    });
    (server, channel, session)
}

/// Receives until something other than signals comes.
fn next(channel: Handle) -> Event {
    loop {
        match crate::sys::receive(channel, None).expect("a delivery") {
            Event::Signals(_) => {}
            event => return event,
        }
    }
}

#[test]
fn a_call_carries_words_payload_and_badge() {
    let (process, channel, session) = server(7);
    let serving = process.spawn(move || {
        let Event::Call { badge, header, words } = next(channel) else { panic!("no call") };
        assert_eq!((badge, header.method(), words[7]), (7, 1, 8));
        let mut page = ServePage::take();
        let length = page.received(header.payload_bytes()).len();
        page.payload_mut()[..length].reverse();
        drop(page);
        crate::sys::reply(Header::default().with_payload(length), [words[0] + 1; 8]).expect("a caller");
    });
    let mut page = CallPage::take();
    page.payload_mut()[..3].copy_from_slice(b"abc");
    drop(page);
    let (header, words) = session.call(READ.with_payload(3), [1, 2, 3, 4, 5, 6, 7, 8]).expect("a reply");
    assert_eq!(words, [2; 8]);
    assert_eq!(CallPage::take().received(header.payload_bytes()), b"cba");
    assert_eq!(serving.join().expect("joined"), Some(()));
}

#[test]
fn serving_goes_on_until_it_is_stopped() {
    let (process, channel, session) = server(3);
    let serving = process.spawn(move || {
        let mut calls = 0;
        let end = crate::sys::serve(channel, None, None, |badge, header, words| {
            calls += 1;
            match words[0] {
                3 => ControlFlow::Break("three"),
                word => ControlFlow::Continue((header, [word + badge; 8], None)),
            }
        });
        let then = crate::sys::reply(Header::default(), [7; 8]).and_then(|()| crate::sys::receive(channel, None));
        (calls, end, then)
    });
    assert_eq!([1, 2, 3].map(|word| session.call(READ, [word; 8]).expect("a reply").1[0]), [4, 5, 7]);
    drop(session);
    let close = Event::Close { badge: 3, client: FakeProcess::current().number(), last: true };
    assert_eq!(serving.join().expect("joined"), Some((3, Ok(Served::Stopped("three")), Ok(close))));
}

#[test]
fn requests_duplicate_handles_and_replies_move_them() {
    let (process, channel, session) = server(1);
    let serving = process.spawn(move || {
        let Event::Call { header, .. } = next(channel) else { panic!("no call") };
        assert_eq!(header.handles(), 1);
        let page = ServePage::take();
        let received = page.handles()[0];
        drop(page);
        assert_eq!(crate::sys::memory_inspect(received).expect("memory").bytes, 8192);
        crate::sys::reply(Header::default().with_handles(1), [0; 8]).expect("a caller");
        assert_eq!(crate::sys::memory_inspect(received), Err(Error::BadHandle), "moved away");
    });
    let memory = Memory::create(&account(), 5000).expect("memory");
    CallPage::take().handles_mut()[0] = memory.handle();
    let (header, _) = session.call(READ.with_handles(1).with_reply_handles(1), [0; 8]).expect("a reply");
    assert_eq!(header.handles(), 1);
    let back = Memory::from_handle(CallPage::take().handles()[0]);
    assert_ne!(back.handle(), memory.handle());
    assert_eq!(back.inspect_handle().expect("one").object, memory.inspect_handle().expect("one").object);
    assert_eq!(serving.join().expect("joined"), Some(()));
}

#[test]
fn a_fault_replays_reads_and_fails_writes() {
    let (process, channel, session) = server(1);
    let serve = move || {
        loop {
            let Event::Call { header, .. } = next(channel) else { continue };
            let stamp = ServePage::take().stamp();
            if header.method() == 2 || stamp.faults == 0 {
                panic!("a fault");
            }
            assert!(header.is_replayed());
            crate::sys::reply(Header::default(), [stamp.faults.into(); 8]).expect("a caller");
        }
    };
    let supervisor = std::thread::spawn(move || {
        process.spawn(serve).join().expect("joined");
        assert_eq!(process.exit_record().reason, ExitReason::Panic as u32);
        process.restart();
        process.spawn(serve).join().expect("joined");
    });
    assert_eq!(session.call(READ, [0; 8]).expect("replayed").1, [1; 8]);
    assert_eq!(session.call(WRITE, [0; 8]), Err(Error::PeerDied));
    supervisor.join().expect("joined");
}

#[test]
fn deadlines_say_whether_a_server_saw_the_call() {
    let (process, channel, session) = server(1);
    crate::message::set_call_deadline(nanoseconds() + 1_000_000);
    assert_eq!(session.call(WRITE.with_deadline(), [0; 8]), Err(Error::NotStarted));
    let serving = process.spawn(move || {
        let Event::Call { .. } = next(channel) else { panic!("no call") };
        let kept = KeptCall::keep().expect("kept");
        assert_eq!(next(channel), Event::Withdrawn(kept.handle()));
        assert_eq!(kept.reply(Header::default(), [0; 8]), Err(Error::CallerGone));
    });
    crate::message::set_call_deadline(nanoseconds() + 20_000_000);
    assert_eq!(session.call(WRITE.with_deadline(), [0; 8]), Err(Error::Unknown));
    assert_eq!(serving.join().expect("joined"), Some(()));
}

#[test]
fn a_close_comes_until_it_is_acknowledged() {
    let (process, channel, session) = server(9);
    let client = FakeProcess::current().number();
    drop(session);
    let close = Event::Close { badge: 9, client, last: true };
    process.run(|| assert_eq!(next(channel), close)).expect("alive");
    process.kill(ExitReason::Killed);
    process.restart();
    process
        .run(|| {
            assert_eq!(next(channel), close);
            crate::sys::session_acknowledge(channel, 9, client).expect("delivered");
            assert_eq!(crate::sys::session_acknowledge(channel, 9, client), Err(Error::BadState));
        })
        .expect("alive");
}

#[test]
fn a_call_into_the_own_chain_is_refused() {
    let own = channel();
    let session = own.mint(0, &account()).expect("a session");
    assert_eq!(session.call(READ, [0; 8]), Err(Error::Deadlock));
}

#[test]
fn rights_and_kinds_are_checked() {
    let memory = Memory::create(&account(), 1).expect("memory");
    assert_eq!(crate::sys::receive(memory.handle(), Some(0)), Err(Error::WrongKind));
    assert_eq!(memory.duplicate(Rights::READ).expect("less").seal(), Err(Error::Denied));
    let signaller = channel().signaller(0b10).expect("a signaller");
    assert_eq!(signaller.signal(0b01), Err(Error::Denied));
    assert_eq!(crate::sys::receive(signaller.handle(), Some(0)), Err(Error::Denied));
    memory.seal().expect("sealed");
    assert_eq!(memory.map_writable().map(drop), Err(Error::Sealed));
    assert_eq!(memory.map_sealed().expect("mapped").len(), 4096);
}

#[test]
#[should_panic(expected = "page is in use")]
fn a_call_with_the_page_in_hand_is_a_mistake() {
    let (_, _, session) = server(1);
    let _page = CallPage::take();
    let _ = session.call(READ, [0; 8]);
}
