//! Writer and reader of a ring, and a reader against a writer that breaks the rules.

use super::*;
use crate::{Memory, fake};
use abi::ring::LOG_RING_HEADER;
use core::sync::atomic::Ordering::Relaxed;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;

fn ring() -> (Memory, LogWriter, LogReader) {
    let memory = Memory::create(&fake::account(), 8192).expect("memory");
    let writer = LogWriter::open(memory.map_writable().expect("mapped")).expect("large enough");
    let reader = LogReader::open(memory.map().expect("mapped")).expect("a ring");
    (memory, writer, reader)
}

#[test]
fn records_come_out_as_they_went_in() {
    let (_, mut writer, mut reader) = ring();
    assert_eq!(reader.next(), None);
    writer.write(Level::Error, "the disk is full");
    writer.write(Level::Debug, "");
    writer.write(Level::Info, &"ü".repeat(600));
    let entries: Vec<Entry> = reader.by_ref().collect();
    assert_eq!(entries.len(), 3);
    assert_eq!((entries[0].level, entries[0].text.as_str()), (Level::Error, "the disk is full"));
    assert_eq!(entries[1].text, "");
    assert_eq!(entries[2].text, "ü".repeat(500));
    assert!(entries[0].time <= entries[2].time);
}

#[test]
fn the_last_records_can_be_had_alone() {
    let texts = |reader: &mut LogReader| reader.by_ref().map(|entry| entry.text).collect::<Vec<_>>();
    for written in [0, 1, 3, 4, 900] {
        for count in [0, 1, 3] {
            let (memory, mut writer, mut all) = ring();
            (0..written).for_each(|n| writer.write(Level::Info, &std::format!("record {n}")));
            let mut reader = LogReader::open(memory.map().expect("mapped")).expect("a ring");
            reader.skip_to_last(count);
            let all = texts(&mut all);
            assert_eq!(texts(&mut reader), all[all.len().saturating_sub(count)..], "{count} of {written}");
            writer.write(Level::Info, "one more");
            assert_eq!(texts(&mut reader), ["one more"]);
        }
    }
}

#[test]
fn a_slow_reader_loses_the_oldest_and_is_told() {
    let (_, mut writer, mut reader) = ring();
    for n in 0..500 {
        writer.write(Level::Info, &std::format!("record {n}"));
    }
    let entries: Vec<Entry> = reader.by_ref().collect();
    assert!(entries[0].lost > 0 && entries[1..].iter().all(|entry| entry.lost == 0));
    let numbers: Vec<u32> =
        entries.iter().map(|entry| entry.text["record ".len()..].parse().expect("a number")).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&499) && numbers.len() > 100);
}

#[test]
fn the_next_incarnation_continues_the_ring() {
    let (memory, mut writer, mut reader) = ring();
    writer.write(Level::Info, "before");
    drop(writer);
    let mut writer = LogWriter::open(memory.map_writable().expect("mapped")).expect("a ring");
    writer.write(Level::Info, "after");
    assert_eq!(reader.by_ref().map(|entry| entry.text).collect::<Vec<_>>(), ["before", "after"]);
}

#[test]
fn control_characters_do_not_reach_a_terminal() {
    let (_, mut writer, mut reader) = ring();
    writer.write(Level::Info, "\x1b[2Jgone\n");
    assert_eq!(reader.next().expect("one").text, "\u{fffd}[2Jgone\u{fffd}");
}

#[test]
fn levels_read_by_name_and_number() {
    assert_eq!(("warning".parse(), "7".parse()), (Ok(Level::Warning), Ok(Level::Debug)));
    assert_eq!("loud".parse::<Level>(), Err(level::NoSuchLevel));
    assert_eq!(Level::Notice.to_string(), "notice");
}

proptest! {
    #[test]
    fn any_texts_pass_in_order(texts in proptest::collection::vec(".{0,1200}", 1..40)) {
        let (_, mut writer, mut reader) = ring();
        for text in &texts {
            writer.write(Level::Notice, text);
            let cut = (0..=text.len().min(1000)).rev().find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
            let shown: String = text[..cut].chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(reader.next().map(|entry| entry.text), Some(shown));
        }
    }

    #[test]
    fn a_hostile_writer_neither_stops_nor_traps_the_reader(
        words in proptest::collection::vec((0usize..1024, any::<u64>()), 0..200),
        head in any::<u64>(), held in 0u64..9000, near in 0u64..64,
    ) {
        let (memory, mut writer, mut reader) = ring();
        (0..40).for_each(|n| writer.write(Level::Info, &std::format!("{n}")));
        let ring = memory.map_writable().expect("mapped");
        for (word, value) in words {
            ring.word_u64(LOG_RING_HEADER as usize + word % 1020 * 8).store(value, Relaxed);
        }
        ring.word_u64(16).store(head & !near, Relaxed);
        ring.word_u64(24).store(head.wrapping_sub(held) & !near, Relaxed);
        let mut last = LogReader::open(memory.map().expect("mapped")).expect("a ring");
        last.skip_to_last(3);
        prop_assert!((0..1200).take_while(|_| last.next().is_some()).count() < 1100);
        // Every call ends, and so do they together: each record is at least 8 bytes of the ring.
        prop_assert!((0..1200).take_while(|_| reader.next().is_some()).count() < 1100);
    }
}
