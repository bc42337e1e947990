//! The locks over the fake kernel, with real threads and deadlines.

use super::*;
use crate::thread::{self, scope};
use crate::time::{Duration, deadline_after};
use std::vec::Vec;

#[test]
fn many_threads_count() {
    let counter = Mutex::new(0);
    scope(|scope| {
        for _ in 0..6 {
            scope
                .spawn(|| {
                    for _ in 0..200 {
                        *counter.lock() += 1;
                    }
                })
                .expect("a thread");
        }
    });
    assert_eq!(counter.into_inner(), 1200);
}

#[test]
fn deadlines_end_waits() {
    let (mutex, condvar, semaphore) = (Mutex::new(()), Condvar::new(), Semaphore::new(0));
    let soon = || Some(deadline_after(Duration::from_millis(2)));
    assert!(!condvar.wait_until(mutex.lock(), soon()).1);
    assert!(!semaphore.acquire_until(soon()));
    let (sender, receiver) = mpsc::bounded::<u8>(1);
    assert_eq!(receiver.receive_until(soon()), Err(mpsc::ReceiveError::Empty));
    assert_eq!(receiver.try_receive(), Err(mpsc::ReceiveError::Empty));
    sender.try_send(1).expect("room");
    assert_eq!(sender.try_send(2), Err(mpsc::SendError::Full(2)));
    drop(receiver);
    assert_eq!(sender.send(3), Err(mpsc::SendError::Disconnected(3)));
}

#[test]
fn a_queue_between_threads_keeps_the_order_of_each() {
    let (sender, receiver) = mpsc::bounded(4);
    let handles: Vec<_> = (0..3)
        .map(|thread| {
            let sender = sender.clone();
            thread::spawn(move || (0..100).for_each(|n| sender.send((thread, n)).expect("a receiver")))
                .expect("a thread")
        })
        .collect();
    drop(sender);
    let mut next = [0; 3];
    while let Ok((thread, n)) = receiver.receive() {
        assert_eq!(n, next[thread as usize]);
        next[thread as usize] += 1;
    }
    assert_eq!(next, [100; 3]);
    handles.into_iter().for_each(|handle| handle.join());
}

#[test]
fn a_lock_waits_with_a_call_in_hand() {
    use crate::{Channel, Object, fake};
    use abi::{Class, Header, Rights};
    let server = fake::FakeProcess::new();
    let channel = server.new_channel();
    /// Of the server process: a lock is shared within one.
    static LOCK: Mutex<u64> = Mutex::new(0);
    let session = server.run(|| {
        let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
        channel.mint(0, &fake::account()).expect("a session").into_handle()
    });
    let session: crate::Session = server.take(session.expect("alive"), Rights::all());
    let client = std::thread::spawn({
        let client = fake::FakeProcess::new();
        let session = client.grant(&session, Rights::all(), false);
        move || client.run(|| crate::sys::call(session, Header::words(1, Class::Fail), [0; 8]))
    });
    server.run(|| {
        let guard = LOCK.lock();
        let serving = thread::spawn(move || {
            let channel = core::mem::ManuallyDrop::new(Channel::from_handle(channel));
            while !matches!(channel.receive(None), Ok(crate::sys::Event::Call { .. })) {}
            *LOCK.lock() += 1;
            crate::sys::reply(Header::default(), [*LOCK.lock(); 8]).expect("a caller");
        });
        crate::time::sleep(Duration::from_millis(20));
        drop(guard);
        serving.expect("a thread").join();
    });
    assert_eq!(client.join().expect("joined").expect("alive").expect("a reply").1, [1; 8]);
}
