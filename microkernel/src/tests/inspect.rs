//! Views of the system: every listing tells everything once, page by page, also while what it lists changes.

use super::caller::Caller;
use crate::arch::processor::set_time;
use crate::object::{Channel, Session};
use crate::syscall::inspect;
use abi::boot::ResourceKind;
use abi::inspect::*;
use abi::process::ProcessState;
use abi::{Error, ExitRecord, Handle, Kind, Rights, Usage};
use zerocopy::FromBytes;

/// A whole listing, and how many calls it took.
fn list<R: FromBytes>(caller: &Caller, resource: u64, subject: Subject, argument: u64) -> (Vec<R>, usize) {
    let (mut all, mut cursor, mut calls) = (Vec::new(), 0, 0);
    loop {
        let [count, next, ..] = caller.call(inspect::system, &[resource, subject as u64, cursor, argument]).unwrap();
        all.extend(caller.records::<R>(count));
        calls += 1;
        assert!(calls < 1000, "a cursor goes in circles");
        match next {
            0 => return (all, calls),
            next => cursor = next,
        }
    }
}

#[test]
fn processes_and_threads() {
    let caller = Caller::new();
    let resource = caller.resource(ResourceKind::Inspect);
    let others: Vec<_> = (0..120).map(|_| caller.another()).collect();
    let (processes, calls) = list::<ProcessRecord>(&caller, resource, Subject::Processes, 0);
    let expected = [caller.process.number()].into_iter().chain(others.iter().map(|(process, _)| process.number()));
    assert_eq!(processes.iter().map(|record| record.process).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(calls > 1 && processes[0].name.starts_with(b"caller\0"));
    assert_eq!((processes[0].threads, processes[0].state), (1, ProcessState::New as u32));
    let (threads, calls) = list::<ThreadRecord>(&caller, resource, Subject::Threads, 0);
    let expected = [caller.thread.number()].into_iter().chain(others.iter().map(|(_, thread)| thread.number()));
    assert_eq!(threads.iter().map(|record| record.thread).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(calls > 1);
    let (one, _) = list::<ThreadRecord>(&caller, resource, Subject::Threads, others[7].0.number());
    assert_eq!(one.iter().map(|record| record.thread).collect::<Vec<_>>(), [others[7].1.number()]);
    assert!(list::<CallRecord>(&caller, resource, Subject::Calls, 0).0.is_empty());
}

#[test]
fn a_listing_survives_the_end_of_what_its_cursor_names() {
    let caller = Caller::new();
    let resource = caller.resource(ResourceKind::Inspect);
    let others: Vec<_> = (0..120).map(|_| caller.another()).collect();
    let [_, next, ..] = caller.call(inspect::system, &[resource, Subject::Processes as u64, 0, 0]).unwrap();
    let kernel = caller.kernel();
    let gone = others.iter().find(|(process, _)| process.number() == next).expect("the cursor names the next");
    kernel.processes.remove(gone.0.get(kernel));
    let [count, ..] = caller.call(inspect::system, &[resource, Subject::Processes as u64, next, 0]).unwrap();
    let first = caller.records::<ProcessRecord>(count)[0].process;
    let expected = others.iter().map(|(process, _)| process.number()).find(|number| *number > next);
    assert_eq!(Some(first), expected);
}

#[test]
fn channels_and_handles() {
    let caller = Caller::new();
    let resource = caller.resource(ResourceKind::Inspect);
    let mut channels: Vec<_> = (0..150).map(|_| caller.channel().number()).collect();
    let (listed, calls) = list::<ChannelRecord>(&caller, resource, Subject::Channels, 0);
    assert!(calls > 1);
    assert_eq!(listed.iter().map(|record| record.channel).collect::<Vec<_>>(), channels);
    assert!(listed.iter().all(|record| record.server == caller.process.number()));

    let channel = caller.channel();
    channels.push(channel.number());
    let session = Session::mint(caller.kernel(), caller.root(), channel.get(caller.kernel()), 77).unwrap();
    let handle = caller.give(session);
    let many: Vec<_> = (0..200).map(|_| caller.give(caller.root().to_ref())).collect();
    let (handles, calls) = list::<HandleRecord>(&caller, resource, Subject::Handles, caller.process.number());
    assert!(calls > 1);
    assert_eq!(handles.len(), many.len() + 3);
    let record = handles.iter().find(|record| record.handle == handle).unwrap();
    assert_eq!((record.kind, record.detail, record.keep), (Kind::Session as u8, channel.number(), 0));
    assert_eq!(record.rights, Rights::of(Kind::Session).bits());
}

#[test]
fn sessions_live_and_closed() {
    let mut caller = Caller::new();
    let channel: crate::object::Ref<Channel> = caller.channel();
    let server = caller.give(channel.clone());
    let sessions: Vec<_> = (0..300)
        .map(|badge| {
            caller.give(Session::mint(caller.kernel(), caller.root(), channel.get(caller.kernel()), badge).unwrap())
        })
        .collect();
    caller.close(sessions[5]);
    let (mut all, mut cursor) = (Vec::new(), 0);
    loop {
        let [count, next, ..] = caller.call(inspect::sessions, &[server, cursor]).unwrap();
        all.extend(caller.records::<SessionRecord>(count));
        if next == 0 {
            break;
        }
        cursor = next;
    }
    assert_eq!(all.len(), 300);
    assert!(
        all.iter()
            .all(|record| record.handles == (record.badge != 5) as u64 && record.client == caller.process.number())
    );
}

#[test]
fn ranges_of_both_kinds() {
    let caller = Caller::new();
    let (kernel, resource) = (caller.kernel(), caller.resource(ResourceKind::Inspect));
    let mut expected = Vec::new();
    for (kind, unit) in [(ResourceKind::Ports, 8), (ResourceKind::Physical, 4096)] {
        for n in (0..200).rev() {
            kernel.ranges.claim(kernel, caller.root(), kind, n * 2 * unit, unit, n).unwrap();
            expected.push((kind as u64, n * 2 * unit, unit, n));
        }
    }
    kernel.ranges.claim(kernel, caller.root(), ResourceKind::Ports, 0xffff, 1, 1).unwrap();
    expected.push((ResourceKind::Ports as u64, 0xffff, 1, 1));
    expected.sort_by_key(|(kind, start, ..)| (*kind != ResourceKind::Ports as u64, *start));
    let (ranges, calls) = list::<RangeRecord>(&caller, resource, Subject::Ranges, 0);
    assert!(calls > 3);
    let ranges: Vec<_> =
        ranges.iter().map(|record| (record.kind, record.start, record.length, record.process)).collect();
    assert_eq!(ranges, expected);
}

#[test]
fn the_rest() {
    let caller = Caller::new();
    let resource = caller.resource(ResourceKind::Inspect);
    set_time(12_345);
    let (system, _) = list::<SystemRecord>(&caller, resource, Subject::System, 0);
    assert_eq!((system[0].uptime, system[0].processes, system[0].threads, system[0].cpus), (12_345, 1, 1, 1));
    assert_eq!(system[0].handles, 2);
    let (cpus, _) = list::<CpuRecord>(&caller, resource, Subject::Cpus, 0);
    assert_eq!((cpus.len(), cpus[0].thread), (1, 0));
    let (mappings, _) = list::<MappingRecord>(&caller, resource, Subject::Mappings, caller.process.number());
    assert!(mappings.iter().map(|record| record.bytes).sum::<u64>() >= 8192, "the message pages");
    assert_eq!(caller.call(inspect::clock, &[]).unwrap()[..2], [12_345, 12_345]);
    assert_eq!(
        caller.call(inspect::identify, &[]).unwrap()[..4],
        [caller.process.number(), caller.thread.number(), 1, 0]
    );
    caller.call(inspect::account, &[caller.account]).unwrap();
    assert_eq!(caller.records::<Usage>(1)[0], caller.root().usage());
    let own = caller.give(caller.process.clone());
    caller.call(inspect::process, &[own]).unwrap();
    assert_eq!(caller.records::<ExitRecord>(1)[0], caller.process.get(caller.kernel()).record());
}

#[test]
fn bad_arguments() {
    let caller = Caller::new();
    let (resource, power) = (caller.resource(ResourceKind::Inspect), caller.resource(ResourceKind::Power));
    let try_it =
        |resource, subject, cursor, argument| caller.call(inspect::system, &[resource, subject, cursor, argument]);
    assert_eq!(try_it(power, 0, 0, 0), Err(Error::WrongKind));
    assert_eq!(try_it(Handle::NONE.0, 0, 0, 0), Err(Error::BadHandle));
    assert_eq!(try_it(resource, 10, 0, 0), Err(Error::BadArgument));
    for subject in [Subject::Mappings, Subject::Handles] {
        assert_eq!(try_it(resource, subject as u64, 0, 0), Err(Error::BadArgument));
    }
    assert_eq!(try_it(resource, Subject::Threads as u64, 0, 1 << 60), Err(Error::BadArgument));
    for subject in 0..10 {
        for cursor in [1, 0xffff, 1 << 16, 1 << 40, 1 << 63, u64::MAX] {
            let number = if subject < 3 { 0 } else { caller.process.number() };
            assert!(try_it(resource, subject, cursor, number).is_ok(), "{subject} {cursor:#x}");
        }
    }
}
