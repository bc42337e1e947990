//! Records over memory that stops taking stores at any moment, as if the process were killed there.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;

/// Memory that takes so many more stores; of the last block of bytes only a part.
#[derive(Clone, Debug)]
struct Dying {
    bytes: Rc<RefCell<Vec<u8>>>,
    stores: Rc<RefCell<usize>>,
}

const BYTES: usize = HALVES + 4 * RESERVE + 4096;

impl Dying {
    fn new() -> Dying {
        Dying { bytes: Rc::new(RefCell::new(vec![0; BYTES])), stores: Rc::new(RefCell::new(usize::MAX)) }
    }

    fn lives(&self) -> bool {
        let mut stores = self.stores.borrow_mut();
        *stores = stores.saturating_sub(1);
        *stores > 0
    }
}

impl Storage for Dying {
    fn bytes(&self) -> usize {
        BYTES
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes.borrow()[offset..offset + into.len()]);
    }

    fn write(&mut self, offset: usize, from: &[u8]) {
        // The second half of it first: bytes come in any order.
        let middle = from.len() / 2;
        for range in [middle..from.len(), 0..middle] {
            if self.lives() {
                self.bytes.borrow_mut()[offset + range.start..offset + range.end].copy_from_slice(&from[range]);
            }
        }
    }

    fn word(&self, offset: usize) -> u64 {
        word(&self.bytes.borrow(), offset)
    }

    fn set_word(&mut self, offset: usize, value: u64) {
        if self.lives() {
            self.bytes.borrow_mut()[offset..offset + WORD].copy_from_slice(&value.to_le_bytes());
        }
    }
}

type Model = BTreeMap<u64, Vec<u8>>;

fn open(memory: &Dying) -> Records<Dying> {
    Records::of(memory.clone()).expect("room")
}

fn content(records: &Records<Dying>) -> Model {
    records.all::<Vec<u8>>(1).into_iter().map(|(key, value)| (key.first, value)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, usize),
    Remove(u64),
    Commit,
    RollBack,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u64, 0..500usize).prop_map(|(key, bytes)| Step::Put(key, bytes)),
        2 => (0..12u64).prop_map(Step::Remove),
        3 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn the_last_commit_is_found_whenever_it_dies(steps in prop::collection::vec(step(), 1..60), death in 1..120usize) {
        let memory = Dying::new();
        let mut records = open(&memory);
        *memory.stores.borrow_mut() = death;
        let (mut committed, mut staged) = (Model::new(), Model::new());
        for (number, step) in steps.iter().enumerate() {
            let before = committed.clone();
            match step {
                Step::Put(key, bytes) => {
                    let value = vec![number as u8; *bytes];
                    if records.put(RecordKey::new(1, *key), &value).is_ok() {
                        staged.insert(*key, value);
                    }
                }
                Step::Remove(key) => {
                    records.remove(RecordKey::new(1, *key));
                    staged.remove(key);
                }
                Step::Commit => {
                    records.commit();
                    committed = staged.clone();
                }
                Step::RollBack => {
                    records.roll_back();
                    staged = committed.clone();
                }
                Step::Restart => {
                    records = open(&memory);
                    staged = committed.clone();
                }
            }
            if *memory.stores.borrow() == 0 {
                *memory.stores.borrow_mut() = usize::MAX;
                let found = content(&open(&memory));
                prop_assert!(found == before || found == committed, "{:?} is neither {:?} nor {:?}", found, before, committed);
                return Ok(());
            }
            prop_assert_eq!(&content(&records), &committed);
        }
        // A start may write, too.
        *memory.stores.borrow_mut() = usize::MAX;
        prop_assert_eq!(content(&open(&memory)), committed);
    }

    #[test]
    fn what_is_written_over_is_noticed_and_harms_nobody(at in 0..BYTES, bytes in prop::collection::vec(any::<u8>(), 1..64)) {
        let memory = Dying::new();
        let mut records = open(&memory);
        for number in 0..40 {
            records.put(RecordKey::new(1, number % 7), &vec![number as u8; 100]).expect("room");
            records.commit();
        }
        for (offset, byte) in bytes.iter().enumerate().take_while(|(offset, _)| at + offset < BYTES) {
            memory.bytes.borrow_mut()[at + offset] = *byte;
        }
        let mut records = open(&memory);
        let last = content(&records).get(&4).is_some_and(|value| value[0] == 39);
        prop_assert!(last || records.is_damaged(), "a loss that nobody is told of");
        for (_, value) in content(&records) {
            prop_assert!(value.len() == 100 && value.iter().all(|byte| *byte == value[0]));
        }
        // And goes on.
        records.put(RecordKey::new(1, 99), &vec![1u8]).expect("room");
        records.commit();
        prop_assert!(content(&open(&memory)).get(&99).is_some_and(|value| *value == [1u8]));
    }
}

#[test]
fn a_start_does_not_read_what_all_before_it_have_written() {
    let memory = Dying::new();
    for number in 0..500u64 {
        let mut records = open(&memory);
        assert!(records.end <= 2 * records.live + MOST_OUTDATED, "{} bytes at start {number}", records.end);
        assert_eq!(records.get::<u64>(RecordKey::new(1, 3)), number.checked_sub(1));
        for key in 0..4 {
            records.put(RecordKey::new(1, key), &number).expect("room");
            records.commit();
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_things_can_go_on() {
    let memory = Dying::new();
    let mut records = open(&memory);
    let mut count = 0;
    while records.put(RecordKey::new(1, count), &vec![7u8; 1000]).is_ok() {
        records.commit();
        count += 1;
    }
    assert!(count > 4);
    assert_eq!(content(&records).len() as u64, count);
    for key in 0..count {
        records.remove(RecordKey::new(1, key));
    }
    records.commit();
    assert!(content(&open(&memory)).is_empty());
    for number in 0..1000u64 {
        records.put(RecordKey::new(1, number % 3), &number.to_le_bytes().to_vec()).expect("room");
        records.commit();
    }
    assert_eq!(content(&open(&memory)).len(), 3);
}

#[test]
fn replies_fit_as_long_as_there_is_the_reserve() {
    let mut records = Records::of(Dying::new()).expect("room");
    let longest = vec![7; abi::PAYLOAD_BYTES + 200];
    let mut clients = 0;
    while records.has_reserve() {
        // Whatever else is staged with it.
        while records.put_bytes(RecordKey { kind: 1, first: clients, second: 0 }, &[0; 64]).is_ok() {
            records.remove(RecordKey { kind: 1, first: clients, second: 0 });
        }
        let key = RecordKey { kind: 2, first: clients, second: 0 };
        records.put_reply(key, core::iter::empty(), &longest);
        records.commit();
        assert_eq!(records.bytes_of(key).as_ref(), Some(&longest));
        clients += 1;
    }
    assert!(clients > 1);
    assert_eq!(records.put_bytes(RecordKey::new(1, 0), &[]), Err(Full));
}

#[test]
fn a_client_has_so_many_lanes_and_no_more() {
    use crate::client::Key;
    use crate::state::replies::{KeptReply, Known, ReplyKey};
    let memory = Dying::new();
    let mut records = open(&memory);
    let key = |lane: u64| ReplyKey { badge: 1, client: 7, key: Key { lane, sequence: 100 + lane } };
    for lane in 0..100 {
        let reply =
            KeptReply { header: Default::default(), words: [lane; _], handles: [Handle::NONE; _], payload: vec![] };
        records.stage_reply(&key(lane), &reply).expect("no handles");
        records.commit();
    }
    let is_known = |lane: &u64| matches!(records.reply_to(&key(*lane)), Known::Answered(_));
    assert_eq!(
        (0..100).filter(is_known).collect::<Vec<u64>>(),
        (36..100).collect::<Vec<u64>>(),
        "the oldest have gone"
    );
    records.forget_replies(1, 7);
    records.commit();
    assert!((0..100).all(|lane| records.reply_to(&key(lane)) == Known::New));
}

#[test]
fn what_is_staged_can_be_amended() {
    let memory = Dying::new();
    let mut records = open(&memory);
    let key = RecordKey::new(1, 5);
    assert!(!records.amend(key, b"none"));
    records.put_bytes(key, b"first").expect("room");
    records.put_bytes(key, b"other").expect("room");
    assert!(records.amend(key, b"third") && !records.amend(key, b"longer than it"));
    records.commit();
    assert_eq!(open(&memory).bytes_of(key).as_deref(), Some(&b"third"[..]));
    assert!(!records.amend(key, b"fifth"), "it is committed");
}
