//! Whatever a client sends, the server answers, counts it, and goes on.

use crate::Served;
use crate::every::{Every, EveryClient};
use libsys::abi::{Handle, PAYLOAD_BYTES};
use libsys::client::{self, Client};
use libsys::message::CallPage;
use libsys::wire::{Class, Header, Method, Refusal, Status};
use libsys::{Memory, Object, Session, fake};
use proptest::prelude::*;

/// Sends a raw request: how it was answered.
fn send(session: &Session, header: Header, words: [u64; 8], payload: &[u8], handles: &[Handle]) -> Option<Status> {
    let mut page = CallPage::take();
    page.payload_mut()[..payload.len()].copy_from_slice(payload);
    page.handles_mut()[..handles.len()].copy_from_slice(handles);
    drop(page);
    let header = header.with_payload(payload.len()).with_handles(handles.len());
    let (reply, _) = session.call(header, words).expect("a reply");
    // What a reply brought is closed, so that handles can be counted.
    for handle in &CallPage::take().handles()[..reply.handles()] {
        let _ = libsys::sys::handle_close(*handle);
    }
    Status::from_number(reply.method())
}

fn method(name: &str) -> Method {
    *<dyn Every>::METHODS.iter().find(|method| method.name == name).expect("a method of this name")
}

#[test]
fn each_kind_of_bad_request_is_refused_and_counted() {
    let served = Served::start();
    let shop: EveryClient = served.client(1);
    let session = shop.link().session();
    let memory = Memory::create(&fake::account(), 4096).expect("memory");
    let handles = served.process.open_handles();
    let (add, order, exchange) = (method("add"), method("order"), method("exchange"));
    let refused = |status: Option<Status>| match status {
        Some(Status::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let words = [1; 8];

    assert_eq!(refused(send(session, add.header(), words, &[1], &[])), Refusal::Malformed, "words with a payload");
    assert_eq!(refused(send(session, method("scalars").header(), [300; 8], &[], &[])), Refusal::Malformed);
    assert_eq!(refused(send(session, order.header(), words, &[1, 2], &[])), Refusal::Malformed, "cut short");
    assert_eq!(refused(send(session, order.header(), words, &[0; 40], &[])), Refusal::Malformed, "left over");
    assert_eq!(refused(send(session, order.header(), words, &[], &[])), Refusal::Malformed, "nothing at all");
    for class in [Class::Once, Class::Fail] {
        assert_eq!(refused(send(session, Header::words(add.identity, class), words, &[], &[])), Refusal::WrongClass);
    }
    assert_eq!(refused(send(session, Header::words(0xffff_ffff, Class::Fail), words, &[], &[])), Refusal::Unsupported);
    assert_eq!(refused(send(session, add.header(), words, &[], &[memory.handle()])), Refusal::WrongHandles);
    assert_eq!(refused(send(session, exchange.header(), words, &[], &[])), Refusal::WrongHandles);
    assert_eq!(
        refused(send(session, exchange.header(), words, &[], &[memory.handle()])),
        Refusal::WrongHandles,
        "kind"
    );
    let two = [session.handle(), session.handle()];
    assert_eq!(
        refused(send(session, exchange.header(), words, &[], &two)),
        Refusal::WrongHandles,
        "kind of the second"
    );
    let name = method("name");
    assert_eq!(refused(send(session, name.header(), words, &[9, 1], &[memory.handle()])), Refusal::Malformed);
    assert_eq!(refused(send(session, name.header(), [u64::MAX; 8], &[], &[memory.handle()])), Refusal::Malformed);
    assert_eq!(refused(send(session, name.header(), [0; 8], &[], &[session.handle()])), Refusal::WrongHandles);
    let no_room = Header::words(exchange.identity, exchange.class);
    assert_eq!(refused(send(session, no_room, words, &[], &[session.handle()])), Refusal::WrongHandles);
    assert_eq!(refused(send(session, Header::words(0, Class::Replay), words, &[1, 2, 3], &[])), Refusal::Malformed);
    assert_eq!(refused(send(session, Header::words(77, Class::Fail), words, &[], &two)), Refusal::Unsupported);

    let counts = client::statistics(session).expect("counts");
    assert_eq!((counts.malformed, counts.wrong_class, counts.unsupported, counts.wrong_handles), (8, 2, 2, 6));
    assert_eq!(served.process.open_handles(), handles, "handles that were not expected are closed");
    assert_eq!(shop.add(1, 2), Ok(3));
    assert_eq!((shop.name("cat", Some(&memory)), shop.name(&"x".repeat(500), None)), (Ok(4), Ok(500)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_request_ends_the_server(
        index in 0..<dyn Every>::METHODS.len() + 2,
        class in 0..3u64,
        words in any::<[u64; 8]>(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        plausible in any::<bool>(),
        handles in 0..5usize,
        reply_handles in 0..5usize,
    ) {
        thread_local! {
            static SERVED: (Served, Session, Memory) = {
                let served = Served::start();
                let session = served.session(1);
                (served, session, Memory::create(&fake::account(), 4096).expect("memory"))
            };
        }
        let methods = <dyn Every>::METHODS;
        let (identity, declared) = methods.get(index).map_or((index as u32, Class::Replay), |m| (m.identity, m.class));
        // Those that die or wait by design are for other tests.
        if methods.get(index).is_some_and(|m| ["die", "die_once", "wait", "wake", "set_timer"].contains(&m.name)) {
            return Ok(());
        }
        let class = if plausible { declared } else { Class::from_number(class).expect("a class") };
        SERVED.with(|(served, session, memory)| {
            let before = served.process.open_handles();
            let offered = [session.handle(), memory.handle(), session.handle(), memory.handle()];
            let handles = handles.min(4);
            let header = Header::words(identity, class).with_reply_handles(reply_handles.min(4));
            let payload = &payload[..payload.len().min(PAYLOAD_BYTES)];
            let status = send(session, header, words, payload, &offered[..handles]);
            prop_assert!(status.is_some());
            // The server's own work on the request is over with its next answer.
            send(session, method("add").header(), words, &[], &[]);
            prop_assert_eq!(served.process.open_handles(), before);
            Ok(())
        })?;
    }

    #[test]
    fn no_reply_harms_the_client(number in any::<u32>(), words in any::<[u64; 8]>(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
        // A server that answers anything with the given bytes, once for each method.
        let process = fake::FakeProcess::new();
        let channel = process.new_channel();
        let served = Served { process, channel };
        let session = served.session(1);
        let (sent, header) = (payload.clone(), Header::words(number % 10, Class::Fail).with_payload(payload.len()));
        process.spawn(move || {
            let channel = libsys::Channel::from_handle(channel);
            let mut event = channel.receive(None);
            loop {
                event = match event {
                    Ok(libsys::sys::Event::Call { .. }) => {
                        libsys::message::ServePage::take().payload_mut()[..sent.len()].copy_from_slice(&sent);
                        channel.reply_receive(header, words, None)
                    }
                    Ok(_) => channel.receive(None),
                    Err(_) => return,
                };
            }
        });
        let shop: EveryClient = client::unchecked(session);
        let mut buffer = [0; 16];
        let _ = (shop.add(1, 2), shop.scalars(1, 1, 1, 1, true, 'a', 1, 1), shop.divide(1, 1), shop.order(crate::every::an_order()));
        let _ = (shop.reverse(vec![1]), shop.read(0, &mut buffer), shop.look_up("a", &mut buffer), shop.seen());
        process.kill(libsys::abi::ExitReason::Killed);
    }
}
