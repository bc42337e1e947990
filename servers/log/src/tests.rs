//! Merging, keeping and reading, with rings that are as they should be and such that are not.

use super::*;
use libsys::abi::ring::LOG_RING_HEADER;
use libsys::log::LogWriter;
use libsys::protocol::registry::LogSource;
use libsys::{Memory, WritableMapping, fake};
use proptest::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

fn source(name: &str, process: u64) -> LogSource {
    LogSource { name: name.to_string(), process }
}

/// A ring that a collector reads: its Memory.
fn ring(sources: &mut Sources, name: &str, process: u64) -> Memory {
    let memory = Memory::create(&fake::account(), 8192).expect("memory");
    LogWriter::open(memory.map_writable().expect("mapped")).expect("a ring");
    sources.add(process as u32, source(name, process), memory.map().expect("mapped"));
    memory
}

/// A record at a time of the test's choice.
fn put(memory: &Memory, time: u64, text: &str) {
    let ring = memory.map_writable().expect("mapped");
    let head = ring.load_u64(16, Relaxed);
    let at = (LOG_RING_HEADER + head) as usize;
    ring.word_u64(at).store(time, Relaxed);
    ring.word_u64(at + 8).store(text.len() as u64 | 6 << 16 | 7 << 32, Relaxed);
    ring.copy_in(at + 16, text.as_bytes());
    ring.word_u64(16).store(head + 16 + text.len().next_multiple_of(8) as u64, Relaxed);
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.text.as_str()).collect()
}

fn record(number: u64, level: Level) -> Record {
    Record { time: number, level, source: "test".into(), process: 1, thread: 2, text: format!("record {number}") }
}

#[test]
fn rings_are_merged_by_time() {
    let mut sources = Sources::default();
    let (kernel, uart) = (ring(&mut sources, "kernel", 0), ring(&mut sources, "uart", 5));
    for (ring, time, text) in
        [(&uart, 20, "b"), (&kernel, 10, "a"), (&uart, 30, "c"), (&kernel, 30, "d"), (&uart, 40, "e")]
    {
        put(ring, time, text);
    }
    let (records, is_more) = sources.collect(1000);
    assert_eq!((texts(&records), is_more), (vec!["a", "b", "d", "c", "e"], false));
    assert_eq!((records[1].source.as_str(), records[1].process, records[1].thread), ("uart", 5, 7));
    assert_eq!(sources.collect(1000).0, []);
}

#[test]
fn times_that_cannot_be_are_put_right() {
    let mut sources = Sources::default();
    let (liar, honest) = (ring(&mut sources, "liar", 6), ring(&mut sources, "honest", 5));
    put(&honest, 50, "first");
    put(&liar, 70, "x");
    put(&liar, 0, "before that");
    put(&liar, u64::MAX, "in the future");
    put(&honest, 80, "last");
    let (records, _) = sources.collect(75);
    let times: Vec<u64> = records.iter().map(|record| record.time).collect();
    assert_eq!(times, [50, 70, 70, 75, 75]);
    assert_eq!(texts(&records)[..3], ["first", "x", "before that"]);
}

#[test]
fn what_was_overwritten_is_told() {
    let mut sources = Sources::default();
    let memory = Memory::create(&fake::account(), 4096).expect("memory");
    let mut writer = LogWriter::open(memory.map_writable().expect("mapped")).expect("a ring");
    sources.add(9, source("talker", 9), memory.map().expect("mapped"));
    for _ in 0..100 {
        writer.write(Level::Info, &"x".repeat(100));
    }
    let (records, _) = sources.collect(u64::MAX);
    assert!(records.len() < 100 && records[0].text.ends_with("were overwritten before they were read"));
    assert_eq!(records[0].level, Level::Warning);
}

#[test]
fn a_ring_is_awaited_and_what_is_none_is_harmless() {
    let mut sources = Sources::default();
    let [late, liar] = [(); 2].map(|()| Memory::create(&fake::account(), 4096).expect("memory"));
    sources.add(1, source("late", 1), late.map().expect("mapped"));
    sources.add(2, source("liar", 2), liar.map().expect("mapped"));
    scribble(&liar.map_writable().expect("mapped"), &[(0, libsys::abi::ring::LOG_MAGIC), (1, 12)]);
    assert_eq!(sources.collect(9).0, []);
    LogWriter::open(late.map_writable().expect("mapped")).expect("a ring");
    put(&late, 5, "at last");
    assert_eq!(texts(&sources.collect(9).0), ["at last"]);
}

#[test]
fn what_was_removed_is_not_read_again() {
    let mut sources = Sources::default();
    let (ended, other) = (ring(&mut sources, "ended", 3), ring(&mut sources, "other", 4));
    put(&ended, 1, "last words");
    assert_eq!(texts(&sources.collect(9).0), ["last words"]);
    sources.remove(3);
    put(&ended, 2, "from beyond");
    put(&other, 3, "alive");
    assert_eq!(texts(&sources.collect(9).0), ["alive"]);
}

#[test]
fn the_oldest_records_go_first_and_are_counted() {
    let mut store = Store::new(10 * (size_of::<Record>() + 13));
    for number in 0..25 {
        store.push(record(number, if number % 5 == 0 { Level::Error } else { Level::Debug }));
    }
    let all = store.read(Cursor::START, Level::Debug);
    assert_eq!((all.records.len(), all.lost, all.next), (10, 15, store.end()));
    let errors = store.read(Cursor(12), Level::Warning);
    assert_eq!((texts(&errors.records), errors.lost, errors.next), (vec!["record 15", "record 20"], 3, store.end()));
    let none = store.read(store.end(), Level::Debug);
    assert_eq!((none.records.len(), none.lost, none.next), (0, 0, store.end()));
    // A cursor of before a restart.
    assert_eq!(store.read(Cursor(u64::MAX), Level::Debug).next, store.end());
    assert_eq!((store.most_urgent(Cursor(21)), store.most_urgent(store.end())), (Some(Level::Debug), None));
}

#[test]
fn a_log_that_is_larger_than_a_message_is_read_in_parts() {
    let mut store = Store::new(1 << 20);
    for number in 0..1000 {
        store.push(record(number, Level::Notice));
    }
    let (mut cursor, mut read) = (Cursor::START, Vec::new());
    loop {
        let part = store.read(cursor, Level::Debug);
        assert_eq!(part.lost, 0);
        if part.next == cursor {
            break;
        }
        cursor = part.next;
        read.extend(part.records);
    }
    assert_eq!(read.iter().map(|record| record.time).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn who_follows_hears_of_what_is_urgent_enough() {
    let mut collector = Collector::new(1 << 16, None);
    let ring = ring(&mut collector.sources, "test", 3);
    let cx = libsys::driver::Context::new(7, libsys::Header(0), libsys::message::Stamp::default());
    let events = fake::channel();
    collector.notify(&cx, events.signaller(1).expect("a handle"), 1, Level::Warning);
    put(&ring, 1, "for information");
    let timer = collector.timers.after(OFTEN);
    collector.timer(timer);
    assert!(events.receive(Some(0)).is_err());
    collector.notify(&cx, events.signaller(1).expect("a handle"), 1, Level::Info);
    put(&ring, 2, "for information");
    assert_eq!(collector.read(Cursor::START, Level::Debug).records.len(), 2);
    assert!(events.receive(Some(0)).is_ok());
    assert_eq!(collector.show(&cx, None), Err(LogError::Denied));
}

#[test]
fn lines_say_when_who_and_what() {
    let record = Record { time: 12_003_004_999, ..record(1, Level::Error) };
    assert_eq!(line(&record), "[   12.003004] test: record 1\n");
    assert!(matches!("warning".parse(), Ok(Shown(Some(Level::Warning)))));
    assert!(matches!("none".parse(), Ok(Shown(None))) && "loud".parse::<Shown>().is_err());
}

fn scribble(ring: &WritableMapping, words: &[(u16, u64)]) {
    for (place, value) in words {
        ring.word_u64(usize::from(*place) % (ring.bytes() / 8) * 8).store(*value, Relaxed);
    }
}

proptest! {
    #[test]
    fn a_hostile_ring_spoils_nobody_elses_records(
        head in proptest::collection::vec((0u16..4, any::<u64>()), 0..4),
        body in proptest::collection::vec((any::<u16>(), any::<u64>()), 0..40),
        small in 0u64..8192,
    ) {
        let mut sources = Sources::default();
        let (hostile, honest) = (ring(&mut sources, "hostile", 6), ring(&mut sources, "honest", 5));
        let mapped = hostile.map_writable().expect("mapped");
        put(&hostile, 1, "hello");
        scribble(&mapped, &body);
        mapped.word_u64(16).store(small & !7, Relaxed);
        mapped.word_u64(24).store(0, Relaxed);
        put(&honest, 1, "one");
        let mut records = sources.collect(100).0;
        scribble(&mapped, &head);
        put(&honest, 2, "two");
        records.extend(sources.collect(100).0);
        prop_assert!(records.iter().all(|record| record.time <= 100 && record.text.len() <= 4 * 1000));
        records.retain(|record| record.source == "honest");
        prop_assert_eq!(texts(&records), ["one", "two"]);
    }
}
