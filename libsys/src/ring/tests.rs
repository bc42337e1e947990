//! Rings between two sides, and against a side that breaks the rules.

use super::*;
use crate::fake;
use core::sync::atomic::Ordering::Relaxed;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

fn ring(capacity: u64) -> (Arc<WritableMapping>, Producer, Consumer) {
    let memory = create(&fake::account(), capacity).expect("memory");
    let mapping = Arc::new(memory.map_writable().expect("mapped"));
    let producer = Producer::attach(mapping.clone(), 0).expect("a ring");
    let consumer = Consumer::attach(mapping.clone(), 0).expect("a ring");
    (mapping, producer, consumer)
}

#[test]
fn each_side_hears_when_it_may_have_waited() {
    let (_, mut producer, mut consumer) = ring(4);
    assert_eq!(producer.write(b"ab"), Ok(Moved { bytes: 2, wake_peer: true }));
    assert_eq!(producer.write(b"cdef"), Ok(Moved { bytes: 2, wake_peer: false }));
    assert_eq!(producer.write_or_lose(b"ef"), Ok(Moved { bytes: 0, wake_peer: false }));
    let mut bytes = [0; 3];
    assert_eq!(consumer.read(&mut bytes), Ok(Moved { bytes: 3, wake_peer: true }));
    assert_eq!((&bytes, consumer.lost()), (b"abc", 2));
    assert_eq!(consumer.read(&mut bytes), Ok(Moved { bytes: 1, wake_peer: false }));
    assert_eq!(consumer.read(&mut bytes), Ok(Moved { bytes: 0, wake_peer: false }));
    assert_eq!(producer.write(b"g"), Ok(Moved { bytes: 1, wake_peer: true }));
}

#[test]
fn what_is_staged_is_seen_when_it_is_published() {
    let (mapping, mut producer, mut consumer) = ring(8);
    assert_eq!((producer.stage(b"abcde"), producer.position(), producer.room()), (Ok(5), 5, Ok(3)));
    assert_eq!(consumer.available(), Ok(0));
    // Where a commit told of it, the next incarnation goes on from there; otherwise from what was published.
    let mut other = Producer::attach(mapping.clone(), 0).expect("sound");
    assert_eq!((other.position(), other.publish().bytes), (0, 0));
    let mut producer = Producer::resume(mapping.clone(), 0, producer.position()).expect("sound");
    assert_eq!(producer.publish(), Moved { bytes: 5, wake_peer: true });
    assert_eq!(producer.publish(), Moved { bytes: 0, wake_peer: false });
    assert_eq!(producer.stage(b"fghijk"), Ok(3));
    producer.publish();
    let mut bytes = [0; 3];
    assert_eq!((consumer.take(&mut bytes), &bytes, consumer.position()), (Ok(3), b"abc", 3));
    assert_eq!((consumer.available(), producer.room()), (Ok(5), Ok(0)));
    let mut consumer = Consumer::resume(mapping.clone(), 0, consumer.position()).expect("sound");
    assert_eq!(consumer.publish(), Moved { bytes: 3, wake_peer: true });
    assert_eq!((consumer.skip(9), producer.room()), (Ok(5), Ok(3)));
    // Positions that cannot be.
    assert!(Consumer::resume(mapping.clone(), 0, 9).is_err());
    assert!(Producer::resume(mapping.clone(), 0, 12).is_err());
    assert!(Producer::resume(mapping, 0, u64::MAX).is_err());
}

#[test]
fn threads_pass_a_stream_and_sleep_between() {
    let (_, mut producer, mut consumer) = ring(64);
    let (to_consumer, to_producer) = (fake::channel(), fake::channel());
    let (wake_consumer, wake_producer) = (to_consumer.signaller(1), to_producer.signaller(1));
    let (wake_consumer, wake_producer) = (wake_consumer.expect("a handle"), wake_producer.expect("a handle"));
    let writing = crate::thread::spawn(move || {
        let stream: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let moved = producer.write(&rest[..rest.len().min(7)]).expect("sound").signal(&wake_consumer, 1);
            rest = &rest[moved.bytes..];
            if moved.bytes == 0 {
                to_producer.receive(None).expect("a signal");
            }
        }
    });
    let mut received = 0u32;
    while received < 5000 {
        let mut bytes = [0; 11];
        let moved = consumer.read(&mut bytes).expect("sound").signal(&wake_producer, 1);
        for byte in &bytes[..moved.bytes] {
            assert_eq!(*byte, received as u8);
            received += 1;
        }
        if moved.bytes == 0 {
            to_consumer.receive(None).expect("a signal");
        }
    }
    writing.expect("a thread").join();
}

#[test]
fn nonsense_is_told_apart() {
    let (mapping, producer, consumer) = ring(16);
    mapping.word_u64(0).store(17, Relaxed);
    assert_eq!(consumer.available(), Err(BadRing));
    mapping.word_u64(8).store(1, Relaxed);
    assert_eq!(producer.room(), Err(BadRing));
    assert!(Consumer::attach(mapping.clone(), 0).is_ok());
    for capacity in [0, 3, 8192, 1 << 21, u64::MAX] {
        mapping.word_u64(16).store(capacity, Relaxed);
        assert!(Producer::attach(mapping.clone(), 0).is_err());
    }
    assert!(Producer::attach(mapping.clone(), usize::MAX & !7).is_err());
    assert!(Producer::attach(mapping, 4096 - 24).is_err());
}

proptest! {
    #[test]
    fn it_is_a_queue(steps in proptest::collection::vec((any::<bool>(), 0usize..40), 0..200)) {
        let (_, mut producer, mut consumer) = ring(32);
        let (mut model, mut next) = (VecDeque::<u8>::new(), 0u8);
        for (write, bytes) in steps {
            if write {
                let data: Vec<u8> = (0..bytes).map(|n| next.wrapping_add(n as u8)).collect();
                let moved = producer.write(&data).expect("sound").bytes;
                prop_assert_eq!(moved, bytes.min(32 - model.len()));
                model.extend(&data[..moved]);
                next = next.wrapping_add(moved as u8);
            } else {
                let mut data = std::vec![0; bytes];
                let moved = consumer.read(&mut data).expect("sound").bytes;
                prop_assert_eq!(moved, bytes.min(model.len()));
                prop_assert!(model.drain(..moved).eq(data[..moved].iter().copied()));
            }
        }
    }

    #[test]
    fn a_hostile_peer_is_harmless(values in proptest::collection::vec((0usize..4, any::<u64>()), 1..20)) {
        let (mapping, mut producer, mut consumer) = ring(32);
        for (field, value) in values {
            mapping.word_u64(field * 8).store(value, Relaxed);
            let _ = (producer.write(b"hello"), consumer.read(&mut [0; 64]), producer.write_or_lose(&[0; 100]));
        }
    }
}
