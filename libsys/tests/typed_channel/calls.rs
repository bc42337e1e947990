//! Every kind of argument arrives as it was sent.

use crate::Served;
use crate::every::{ControlClient, EveryError, Order, Receipt, an_order};
use libsys::client::{self, CallError, Client, OpenError};
use libsys::wire::{Method, Shared};
use libsys::{Channel, Memory, Object, Rights, fake};

#[test]
fn scalars_travel_in_words() {
    let shop = Served::start().client(1);
    assert_eq!(shop.add(3, u64::MAX), Ok(2));
    let all = (255, -128, 65535, i32::MIN, true, 'ẞ', i64::MIN, u32::MAX);
    assert_eq!(shop.scalars(all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7), Ok(all));
    assert_eq!(shop.nothing(), Ok(()));
    assert_eq!(shop.divide(-7, 2), Ok(-3));
    assert_eq!(shop.divide(1, 0), Err(CallError::Failed(EveryError::Empty)));
}

#[test]
fn data_travels_by_postcard() {
    let shop = Served::start().client(1);
    assert_eq!(shop.order(an_order()), Ok(Receipt { number: 7, total: 300 << 40, late: false }));
    let error = shop.order(Order { count: 1001, ..an_order() });
    assert_eq!(error, Err(CallError::Failed(EveryError::TooMuch { limit: 1000 })));
    assert_eq!(shop.write(1, b"four", "äö", &an_order()), Ok(1 + 4 + 4 + 1));
    assert_eq!(shop.reverse(vec![1, 2, 3]), Ok(vec![3, 2, 1]));
    assert_eq!(shop.reverse(vec![]), Ok(vec![]));
}

#[test]
fn room_is_filled_in_place() {
    let shop = Served::start().client(1);
    let mut buffer = [0; 10];
    assert_eq!(shop.read(5, &mut buffer), Ok(10));
    assert_eq!(buffer, [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    assert_eq!(shop.read(0, &mut []), Ok(0));
    let mut large = vec![0; 10_000];
    assert_eq!(shop.read(0, &mut large), Ok(abi_payload()), "at most a message");
    assert_eq!(shop.read(101, &mut buffer), Err(CallError::Failed(EveryError::Empty)));
    assert_eq!(shop.look_up("beside borrowed text", &mut buffer), Ok(10));
    assert_eq!(&buffer, b"BESIDE BOR");
    assert_eq!(shop.look_up("ab", &mut buffer), Ok(2));
}

fn abi_payload() -> usize {
    libsys::abi::PAYLOAD_BYTES
}

#[test]
fn what_does_not_fit_is_an_error_on_either_side() {
    let shop = Served::start().client(1);
    assert_eq!(shop.reverse(vec![0; 4000]), Err(CallError::TooLarge));
    assert_eq!(shop.fill(5000), Err(CallError::Refused(libsys::wire::Refusal::Unencodable)));
    assert_eq!(shop.fill(3900).map(|bytes| bytes.len()), Ok(3900));
    assert_eq!(client::statistics(shop.link().session()).expect("counts").unencodable, 1);
}

#[test]
fn handles_go_both_ways_and_none_is_left_behind() {
    let served = Served::start();
    let shop = served.client(1);
    let account = fake::account();
    let session = served.session(2);
    let memory = Memory::create(&account, 4096).expect("memory");
    shop.nothing().expect("a reply");
    let (mine, theirs) = (fake::FakeProcess::current().open_handles(), served.process.open_handles());
    let (back, count, none) = shop.exchange(&session, None).expect("a reply");
    assert_eq!((count, none.is_none()), (1, true));
    assert_eq!(back.inspect_handle().expect("open").object, session.inspect_handle().expect("open").object);
    drop(back);
    let (back, count, some) = shop.exchange(&session, Some(&memory)).expect("a reply");
    assert_eq!((count, some.is_some()), (2, true));
    drop((back, some));
    let buffer = Shared { memory, offset: 96, bytes: 4000 };
    let (range, text) = shop.share(&buffer).expect("a reply");
    assert_eq!((range.offset, range.bytes, text.as_str()), (96, 4000, "yours"));
    assert_eq!(shop.share(&Shared { bytes: 4001, ..buffer }).map(drop), Err(CallError::Malformed));
    drop(range);
    shop.nothing().expect("a reply");
    // `mine` counted the Memory, which went with the last `Shared`.
    assert_eq!((fake::FakeProcess::current().open_handles() + 1, served.process.open_handles()), (mine, theirs));
}

#[test]
fn two_protocols_share_a_channel() {
    let served = Served::start();
    let shop = served.client(1);
    let control: ControlClient = client::open(served.session(2)).expect("all methods");
    let channel = fake::channel();
    control.notify(&channel.duplicate(Rights::SIGNAL | Rights::DUPLICATE).expect("a signaller"), 4).expect("a reply");
    control.strike().expect("a reply");
    assert_eq!(shop.add(1, 1), Ok(2));
    let mut bits = 0;
    while bits & 4 == 0 {
        let Ok(libsys::sys::Event::Signals(more)) = Channel::receive(&channel, None) else { panic!("no signal") };
        bits |= more & 4;
    }
}

#[test]
fn open_checks_that_the_server_has_every_method() {
    struct Newer(client::Link);
    impl Client for Newer {
        const PROTOCOL: &'static str = "Newer";
        const METHODS: &'static [Method] = &[
            <dyn crate::every::Every>::METHODS[0],
            Method { name: "subtract", identity: 12345, ..<dyn crate::every::Every>::METHODS[0] },
        ];
        fn over(link: client::Link) -> Self {
            Newer(link)
        }
        fn link(&self) -> &client::Link {
            &self.0
        }
        fn link_mut(&mut self) -> &mut client::Link {
            &mut self.0
        }
    }
    let served = Served::start();
    assert_eq!(client::open::<Newer>(served.session(1)).map(drop), Err(OpenError::Missing("subtract")));
    let newer: Newer = client::unchecked(served.session(2));
    let answer = newer.link().call::<u64, libsys::wire::NoError>(
        &Newer::METHODS[1],
        |_| Ok(()),
        |reply| reply.word(0),
        |_| false,
    );
    assert_eq!(answer, Err(CallError::Unsupported("subtract")));
    assert_eq!(client::statistics(newer.link().session()).expect("counts").unsupported, 1);
}
