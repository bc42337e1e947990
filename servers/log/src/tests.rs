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
    add(sources, process as u32, source(name, process), &memory, Position::default());
    memory
}

fn add(sources: &mut Sources, place: u32, source: LogSource, memory: &Memory, position: Position) {
    let number = memory.inspect_handle().expect("a handle").object;
    sources.add(place, number, source, memory.map().expect("mapped"), position);
}

/// What is new, as records.
fn collect(sources: &mut Sources, now: u64) -> (Vec<Record>, bool) {
    sources.begin_round();
    let records = std::iter::from_fn(|| sources.next(now)).map(|collected| collected.record).collect();
    (records, sources.has_more())
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
    let (records, is_more) = collect(&mut sources, 1000);
    assert_eq!((texts(&records), is_more), (vec!["a", "b", "d", "c", "e"], false));
    assert_eq!((records[1].source.as_str(), records[1].process, records[1].thread), ("uart", 5, 7));
    assert_eq!(collect(&mut sources, 1000).0, []);
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
    let (records, _) = collect(&mut sources, 75);
    let times: Vec<u64> = records.iter().map(|record| record.time).collect();
    assert_eq!(times, [50, 70, 70, 75, 75]);
    assert_eq!(texts(&records)[..3], ["first", "x", "before that"]);
}

#[test]
fn what_was_overwritten_is_told() {
    let mut sources = Sources::default();
    let memory = Memory::create(&fake::account(), 4096).expect("memory");
    let mut writer = LogWriter::open(memory.map_writable().expect("mapped")).expect("a ring");
    add(&mut sources, 9, source("talker", 9), &memory, Position::default());
    for _ in 0..100 {
        writer.write(Level::Info, &"x".repeat(100));
    }
    let (records, _) = collect(&mut sources, u64::MAX);
    assert!(records.len() < 100 && records[0].text.ends_with("were overwritten before they were read"));
    assert_eq!(records[0].level, Level::Warning);
}

#[test]
fn a_ring_is_awaited_and_what_is_none_is_harmless() {
    let mut sources = Sources::default();
    let [late, liar] = [(); 2].map(|()| Memory::create(&fake::account(), 4096).expect("memory"));
    add(&mut sources, 1, source("late", 1), &late, Position::default());
    add(&mut sources, 2, source("liar", 2), &liar, Position::default());
    scribble(&liar.map_writable().expect("mapped"), &[(0, libsys::abi::ring::LOG_MAGIC), (1, 12)]);
    assert_eq!(collect(&mut sources, 9).0, []);
    LogWriter::open(late.map_writable().expect("mapped")).expect("a ring");
    put(&late, 5, "at last");
    assert_eq!(texts(&collect(&mut sources, 9).0), ["at last"]);
}

#[test]
fn what_was_removed_is_not_read_again() {
    let mut sources = Sources::default();
    let (ended, other) = (ring(&mut sources, "ended", 3), ring(&mut sources, "other", 4));
    put(&ended, 1, "last words");
    assert_eq!(texts(&collect(&mut sources, 9).0), ["last words"]);
    sources.remove(3);
    put(&ended, 2, "from beyond");
    put(&other, 3, "alive");
    assert_eq!(texts(&collect(&mut sources, 9).0), ["alive"]);
}

/// A store of so many bytes.
fn store(bytes: usize) -> (Memory, Store) {
    let memory = Memory::create(&fake::account(), bytes as u64).expect("memory");
    let store = Store::recover(memory.map_writable().expect("mapped"), Extent::default());
    (memory, store)
}

/// Adds a record, as the server does.
fn push(store: &mut Store, record: &Record) {
    if !store.push(record) {
        store.committed();
        assert!(store.push(record));
    }
}

#[test]
fn the_oldest_records_go_first_and_are_counted() {
    let (_memory, mut store) = store(store::SMALLEST);
    let of_number = |number| record(number, if number % 5 == 0 { Level::Error } else { Level::Debug });
    (0..2000).for_each(|number| push(&mut store, &of_number(number)));
    let all = store.read(Cursor::START, Level::Debug);
    let first = all.lost;
    let kept = 2000 - first;
    let bytes = store::encoded_bytes(&of_number(1999)) as u64;
    assert!(kept * bytes <= 3 * store::SMALLEST as u64 / 4 && (kept + 2) * bytes > 3 * store::SMALLEST as u64 / 4);
    assert_eq!((all.next.0 - first) as usize, all.records.len());
    assert_eq!(store.end(), Cursor(2000));
    let errors = store.read(Cursor(first - 3), Level::Warning);
    assert!(errors.records.iter().all(|record| record.time % 5 == 0 && record.time >= first) && errors.lost == 3);
    let none = store.read(store.end(), Level::Debug);
    assert_eq!((none.records.len(), none.lost, none.next), (0, 0, store.end()));
    // A cursor that nobody gave.
    assert_eq!(store.read(Cursor(u64::MAX), Level::Debug).next, store.end());
    assert_eq!((store.most_urgent(Cursor(1996)), store.most_urgent(store.end())), (Some(Level::Debug), None));
}

#[test]
fn the_store_outlives_the_server_at_any_instruction() {
    let (memory, mut store) = store(store::SMALLEST);
    let mut committed = store.extent();
    let mut numbers = 0..;
    for round in 0..400 {
        // Some are added and committed, some added only.
        for _ in 0..round % 7 {
            push(&mut store, &record(numbers.next().expect("endless"), Level::Info));
        }
        store.committed();
        let (end, first) = (store.end(), store.read(Cursor::START, Level::Debug));
        (committed, _) = (store.extent(), committed);
        while round % 3 == 0 && store.push(&record(u64::MAX, Level::Error)) {}
        store = Store::recover(memory.map_writable().expect("mapped"), committed);
        assert_eq!((store.end(), store.read(Cursor::START, Level::Debug)), (end, first), "round {round}");
    }
    assert!(store.read(Cursor::START, Level::Debug).lost > 0);
    // What makes no sense is dropped.
    memory.map_writable().expect("mapped").copy_in(0, &[0xff; store::SMALLEST]);
    let mut store = Store::recover(memory.map_writable().expect("mapped"), committed);
    assert_eq!(store.read(Cursor::START, Level::Debug).records, []);
    push(&mut store, &record(7, Level::Info));
    assert_eq!(texts(&store.read(Cursor::START, Level::Debug).records), ["record 7"]);
}

#[test]
fn a_log_that_is_larger_than_a_message_is_read_in_parts() {
    let (_memory, mut store) = store(1 << 20);
    (0..1000).for_each(|number| push(&mut store, &record(number, Level::Notice)));
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

fn state() -> Memory {
    Memory::create(&fake::account(), 64 << 10).expect("memory")
}

/// A collector with what the one before has left in its state.
fn collector(state: &Memory) -> Collector {
    let kept = state::Records::of(state.map_writable().expect("mapped")).expect("room");
    Collector::new(kept, &fake::account(), 1 << 16, None).expect("a collector")
}

#[test]
fn every_record_is_there_once_whatever_dies() {
    let state = state();
    let memories: Vec<Memory> = (0..3).map(|_| Memory::create(&fake::account(), 64 << 10).expect("memory")).collect();
    for memory in &memories {
        LogWriter::open(memory.map_writable().expect("mapped")).expect("a ring");
    }
    let mut written = 0;
    for round in 0..60 {
        let mut collector = collector(&state);
        for (number, memory) in memories.iter().enumerate() {
            let position = |number: u64| collector.kept.get(RecordKey::new(RING, number)).unwrap_or_default();
            let position = position(memory.inspect_handle().expect("a handle").object);
            // Their places change when others end.
            let place = ((number + round) % 3) as u32;
            add(&mut collector.sources, place, source(&format!("source {number}"), number as u64), memory, position);
        }
        for memory in &memories {
            put(memory, written, &format!("record {written}"));
            written += 1;
        }
        match round % 3 {
            0 => collector.look(),
            // It dies when a part is taken in, or none.
            1 => {
                collector.sources.begin_round();
                let Some(first) = collector.sources.next(u64::MAX) else { unreachable!("some are new") };
                assert!(collector.store.push(&first.record));
                collector.keep(RecordKey::new(RING, first.ring), &first.position);
                collector.commit();
                while let Some(rest) = collector.sources.next(u64::MAX) {
                    assert!(collector.store.push(&rest.record));
                }
            }
            _ => {}
        }
        core::mem::forget(collector);
    }
    let mut last = collector(&state);
    for (number, memory) in memories.iter().enumerate() {
        let object = memory.inspect_handle().expect("a handle").object;
        let position = last.kept.get(RecordKey::new(RING, object)).unwrap_or_default();
        add(&mut last.sources, number as u32, source("source", 1), memory, position);
    }
    let (mut cursor, mut found) = (Cursor::START, Vec::new());
    loop {
        let part = last.read(cursor, Level::Debug);
        if part.next == cursor {
            break;
        }
        cursor = part.next;
        found.extend(part.records.into_iter().map(|record| record.time));
    }
    found.sort_unstable();
    assert_eq!(found, (0..written).collect::<Vec<u64>>());
}

#[test]
fn settings_and_followers_outlive_the_server() {
    let (state, events) = (state(), fake::channel());
    let cx = |badge| libsys::driver::Context::new(badge, libsys::Header(0), libsys::message::Stamp::default());
    let mut before = collector(&state);
    before.show(&cx(libsys::service::CONTROL), Some(Level::Error)).expect("allowed");
    before.notify(&cx(7), events.signaller(1).expect("a handle"), 1, Level::Warning);
    before.kept.commit();
    core::mem::forget(before);
    let mut after = collector(&state);
    assert!(events.receive(Some(0)).is_ok(), "signalled, as one may have been lost");
    assert_eq!((after.showing.least, after.least.of_badge(7).copied()), (Some(Level::Error), Some(Level::Warning)));
    after.close(7, 1, true);
    after.kept.commit();
    core::mem::forget(after);
    assert!(collector(&state).subscribers.is_empty());
}

#[test]
fn who_follows_hears_of_what_is_urgent_enough() {
    let mut collector = collector(&state());
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
        let mut records = collect(&mut sources, 100).0;
        scribble(&mapped, &head);
        put(&honest, 2, "two");
        records.extend(collect(&mut sources, 100).0);
        prop_assert!(records.iter().all(|record| record.time <= 100 && record.text.len() <= 4 * 1000));
        records.retain(|record| record.source == "honest");
        prop_assert_eq!(texts(&records), ["one", "two"]);
    }
}
