//! A driver that dies at every point of a client's work: the client notices nothing, and the data is right.

use crate::world::World;
use libsys::block::{Disk, DiskError, Request, Segment};
use libsys::env;
use libsys::protocol::block::{BlockStatus, Flags, Operation};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Writes, reads and compares: blocking requests larger than one of the device's, and many at a time.
fn work(mut disk: Disk) {
    let buffer = disk.allocate(32 * 512, env::account()).expect("a buffer");
    let pattern = |round: u8| -> Vec<u8> { (0..32 * 512).map(|index| (index / 7) as u8 ^ round).collect() };
    buffer.copy_in(0, &pattern(1));
    disk.write_at(16, &buffer, 0, 32 * 512).expect("written");
    disk.flush().expect("flushed");
    buffer.zero(0, 32 * 512);
    disk.read_at(16, &buffer, 0, 32 * 512).expect("read");
    let mut read = vec![0; 32 * 512];
    buffer.copy_out(0, &mut read);
    assert!(read == pattern(1), "what was written is not what is read");

    // Many at a time: each sector of the buffer to a place of its own.
    buffer.copy_in(0, &pattern(2));
    for piece in 0..32u64 {
        let segment = Segment { buffer: buffer.number(), bytes: 512, offset: piece * 512 };
        let sector = 255 - piece * 3;
        let (operation, flags) = (Operation::Write, Flags::NONE);
        disk.submit(&Request { operation, flags, sector, sectors: 0, segments: &[segment] }).expect("room");
    }
    for _ in 0..32 {
        assert_eq!(disk.wait().expect("a completion").status, BlockStatus::Done);
    }
    assert_eq!((disk.wait(), disk.outstanding()), (None, 0));
    disk.perform(Operation::WriteZeroes, 255, 1).expect("zeros");
    buffer.zero(0, 32 * 512);
    for piece in 0..32u64 {
        disk.read_at(255 - piece * 3, &buffer, piece * 512, 512).expect("read");
    }
    buffer.copy_out(0, &mut read);
    let mut expected = pattern(2);
    expected[..512].fill(0);
    assert!(read == expected, "what was written is not what is read");
    let number = buffer.number();
    disk.take_back(number).expect("it was lent");
    assert!(disk.take_back(number).is_err());
}

#[test]
fn a_driver_that_lives() {
    let world = World::new(-1, 0, u64::MAX);
    world.with_disk(work);
    assert_eq!(world.device.deaths.load(Ordering::SeqCst), 0);
}

#[test]
fn a_driver_that_dies_once_at_every_point() {
    let mut point = 0;
    loop {
        let world = World::new(point, 0, u64::MAX);
        world.with_disk(work);
        if world.device.deaths.load(Ordering::SeqCst) == 0 {
            break;
        }
        point += 1;
    }
    assert!(point > 100, "the work has only {point} points");
}

#[test]
fn a_driver_that_dies_again_and_again() {
    for again in [60, 75, 100] {
        let world = World::new(again, again, u64::MAX);
        world.with_disk(work);
        assert!(world.device.deaths.load(Ordering::SeqCst) > 1);
    }
}

#[test]
fn a_driver_that_is_given_up_fails_what_is_outstanding_and_what_comes() {
    let world = World::new(40, 1, 3);
    let error = world.with_disk(|mut disk| {
        let buffer = disk.allocate(512, env::account()).expect("a buffer");
        loop {
            if let Err(error) = disk.write_at(0, &buffer, 0, 512) {
                assert!(disk.is_gone() && disk.read_at(0, &buffer, 0, 512) == Err(error));
                return error;
            }
        }
    });
    assert_eq!(error, DiskError::Failed(BlockStatus::Gone));
}

#[test]
fn bad_requests_are_refused_alone() {
    let world = World::new(-1, 0, u64::MAX);
    world.with_disk(|mut disk| {
        let buffer = disk.allocate(4096, env::account()).expect("a buffer");
        let failed = |status| Err(DiskError::Failed(status));
        assert_eq!(disk.read_at(256, &buffer, 0, 512), failed(BlockStatus::OutOfRange));
        assert_eq!(disk.read_at(u64::MAX, &buffer, 0, 4096), failed(BlockStatus::OutOfRange));
        assert_eq!(disk.read_at(0, &buffer, 0, 100), failed(BlockStatus::OutOfRange));
        assert_eq!(disk.read_at(0, &buffer, 4096, 512), failed(BlockStatus::BadBuffer));
        assert_eq!(disk.perform(Operation::Discard, 0, 1), failed(BlockStatus::Unsupported));
        assert_eq!(disk.read_at(255, &buffer, 3584, 512), Ok(()));
    });
}

#[test]
fn a_refusal_that_is_not_true_is_no_answer() {
    for (lies, outcome, complaints) in
        [(0, Ok(()), 0), (1, Ok(()), 1), (2, Ok(()), 2), (1000, Err(DiskError::Failed(BlockStatus::OutOfRange)), 2)]
    {
        let world = World::new(-1, 0, u64::MAX);
        world.with_disk(|mut disk| {
            let buffer = disk.allocate(1024, env::account()).expect("a buffer");
            world.device.lies.store(lies, Ordering::SeqCst);
            assert_eq!(disk.write_at(254, &buffer, 0, 1024), outcome, "{lies} lies");
            assert_eq!(world.complaints(), complaints, "{lies} lies");
            world.device.lies.store(0, Ordering::SeqCst);
            // What is true is believed, and the disk is as good as before.
            assert_eq!(disk.write_at(255, &buffer, 0, 1024), Err(DiskError::Failed(BlockStatus::OutOfRange)));
            assert_eq!(disk.read_at(254, &buffer, 0, 1024), Ok(()), "{lies} lies");
            assert_eq!(world.complaints(), complaints, "{lies} lies");
        });
    }
}

#[test]
fn a_driver_that_refuses_what_it_had_taken_is_replaced() {
    // Two complaints end it; each incarnation is given three attempts.
    for (refusals, is_served) in [(1, true), (2, true), (4, true), (100, false)] {
        let world = World::new(-1, 0, u64::MAX);
        let outcome = world.with_disk(|mut disk| {
            let buffer = disk.allocate(512, env::account()).expect("a buffer");
            disk.write_at(0, &buffer, 0, 512).expect("written");
            world.device.refuses.store(refusals, Ordering::SeqCst);
            world.driver.kill(libsys::abi::ExitReason::Killed);
            disk.read_at(0, &buffer, 0, 512)
        });
        let expected = if is_served { Ok(()) } else { Err(DiskError::Failed(BlockStatus::Gone)) };
        assert_eq!(outcome, expected, "{refusals} refusals");
        assert!(world.complaints() > 0, "{refusals} refusals");
    }
}

#[test]
fn a_request_that_a_driver_forgets_is_done_by_the_next() {
    let world = World::new(-1, 0, u64::MAX);
    let complaints = || world.complaints();
    world.with_disk(|mut disk| {
        let buffer = disk.allocate(512, env::account()).expect("a buffer");
        let segments = &[Segment { buffer: buffer.number(), bytes: 512, offset: 0 }];
        let (operation, flags) = (Operation::Read, Flags::NONE);
        let request = Request { operation, flags, sector: 7, sectors: 0, segments };
        disk.look_for_progress();
        disk.look_for_progress();
        assert_eq!(complaints(), 0, "there is nothing to do");
        world.device.forgets.store(1, Ordering::SeqCst);
        let forgotten = disk.submit(&request).expect("room");
        disk.commit();
        disk.look_for_progress();
        assert_eq!(complaints(), 0, "it may have come just now");
        disk.look_for_progress();
        assert_eq!(complaints(), 1);
        let other = disk.submit(&request).expect("room");
        assert_eq!(disk.wait().map(|completion| completion.id), Some(other), "the driver lives");
        assert_eq!(world.device.begun.load(Ordering::SeqCst), 2);
        disk.look_for_progress();
        assert_eq!(complaints(), 2);
        assert_eq!(disk.wait().map(|completion| completion.id), Some(forgotten));
        assert_eq!(disk.resubmitted(), 1);
        disk.submit(&request).expect("room");
        disk.look_for_progress();
        assert_eq!(disk.wait().map(|completion| completion.status), Some(BlockStatus::Done));
        disk.submit(&request).expect("room");
        disk.look_for_progress();
        assert_eq!(complaints(), 2, "the oldest request is another one");
    });
}

#[test]
fn a_death_that_nobody_tells_of_is_found() {
    let world = World::new(-1, 0, u64::MAX);
    world.with_disk(|mut disk| {
        let buffer = disk.allocate(512, env::account()).expect("a buffer");
        disk.write_at(0, &buffer, 0, 512).expect("written");
        world.forget_watchers();
        world.driver.kill(libsys::abi::ExitReason::Killed);
        let segments = &[Segment { buffer: buffer.number(), bytes: 512, offset: 0 }];
        let (operation, flags) = (Operation::Read, Flags::NONE);
        let submitted = disk.submit(&Request { operation, flags, sector: 7, sectors: 0, segments }).expect("room");
        disk.commit();
        let begin = Instant::now();
        let ended = loop {
            disk.look_for_progress();
            match disk.poll() {
                Some(completion) => break completion,
                None => assert!(begin.elapsed() < Duration::from_secs(20), "it is never done"),
            }
            std::thread::yield_now();
        };
        assert_eq!((ended.id, ended.status), (submitted, BlockStatus::Done));
    });
}

#[test]
fn who_waits_finds_a_server_that_has_forgotten() {
    // What is waited for: the request itself; the attachment that a doubted answer leads to, which a driver puts off until nothing is in flight; with another time limit there is no way out.
    for (forgets, lies) in [(1, 0), (1, 1)] {
        let world = World::new(-1, 0, u64::MAX);
        world.with_disk(|mut disk| {
            disk.set_patience(Duration::from_millis(20));
            let buffer = disk.allocate(1024, env::account()).expect("a buffer");
            disk.write_at(5, &buffer, 0, 1024).expect("written");
            let segments = &[Segment { buffer: buffer.number(), bytes: 512, offset: 0 }];
            let request = Request { operation: Operation::Read, flags: Flags::NONE, sector: 5, sectors: 0, segments };
            world.device.forgets.store(forgets, Ordering::SeqCst);
            disk.submit(&request).expect("room");
            world.device.lies.store(lies, Ordering::SeqCst);
            assert_eq!(disk.read_at(5, &buffer, 0, 1024), Ok(()), "{lies} lies");
            assert_eq!(disk.wait().map(|completion| completion.status), Some(BlockStatus::Done), "{lies} lies");
            assert_eq!(world.complaints(), 2, "{lies} lies");
        });
    }
}

#[test]
fn a_time_limit_holds_whatever_the_patience() {
    for patience in [1, 30, 1000] {
        let world = World::new(-1, 0, u64::MAX);
        world.with_disk(|mut disk| {
            disk.set_patience(Duration::from_millis(patience));
            disk.set_timeout(Some(Duration::from_millis(40)));
            let buffer = disk.allocate(512, env::account()).expect("a buffer");
            world.device.forgets.store(u64::MAX, Ordering::SeqCst);
            let outcome = disk.read_at(5, &buffer, 0, 512);
            assert_eq!(outcome, Err(DiskError::Kernel(libsys::Error::TimedOut)), "{patience} ms");
        });
    }
}
