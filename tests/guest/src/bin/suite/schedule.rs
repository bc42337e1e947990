//! Scheduling: policies, priorities, weights, affinity.

use abi::schedule::WEIGHTS;
use abi::{Parameters, Policy, Syscall};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use guest::raw::refused;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::time::{Duration, now};
use libsys::{Channel, Error, Object, ThreadObject, sys, thread};

pub const TESTS: &[Test] = tests![
    parameters_are_checked,
    real_time_needs_the_resource,
    real_time_runs_first,
    weights_share_a_cpu,
    affinity_is_kept,
    affinity_is_checked,
    every_cpu_runs_threads,
    a_spinning_thread_is_preempted,
];

fn set(thread: u64, policy: u64, priority: u64, weight: u64, resource: u64) -> Option<Error> {
    refused(Syscall::ThreadSchedule, [thread, policy, priority, weight, resource])
}

fn parameters_are_checked() -> Outcome {
    let resource = crate::given(&system().realtime)?.handle().0;
    for (policy, priority, weight) in [
        (0, 1, 1024),
        (1, 0, 1024),
        (1, 64, 1024),
        (2, 0, 1024),
        (2, 255, 1024),
        (2, 256, 1024),
        (3, 1, 1024),
        (u64::MAX, 1, 1024),
        (0, 0, u64::from(*WEIGHTS.start()) - 1),
        (0, 0, u64::from(*WEIGHTS.end()) + 1),
        (0, 0, 1 << 32 | 1024),
    ] {
        check_eq!(set(0, policy, priority, weight, resource), Some(Error::BadArgument));
    }
    check_eq!(set(0, 0, 0, 1024, 0), None);
    Ok(())
}

fn real_time_needs_the_resource() -> Outcome {
    check_eq!(set(0, 1, 10, 1024, 0), Some(Error::BadHandle));
    check_eq!(set(0, 1, 10, 1024, crate::given(&system().inspect)?.handle().0), Some(Error::WrongKind));
    let seen = crate::given(&system().realtime)?.duplicate(abi::Rights::INSPECT)?;
    check_eq!(set(0, 2, 10, 1024, seen.handle().0), Some(Error::Denied));
    check_eq!(set(0, 2, 10, 1024, crate::given(&system().realtime)?.handle().0), None);
    check_eq!(set(0, 0, 0, 1024, 0), None);
    Ok(())
}

fn real_time_runs_first() -> Outcome {
    static RAN: AtomicU64 = AtomicU64::new(0);
    RAN.store(0, SeqCst);
    let resource = crate::given(&system().realtime)?.handle().0;
    thread::set_affinity(1)?;
    let channel = Channel::create(system().account)?;
    let signaller = channel.signaller(1)?;
    let first = thread::Builder::new().affinity(1).spawn(move || {
        let _ = channel.receive(None);
        let start = now();
        while now() < start + 20_000_000 {}
        RAN.store(1, SeqCst);
    })?;
    let object = first.object().map(Object::handle).unwrap_or(abi::Handle::NONE);
    check_eq!(set(object.0, 1, 30, 1024, resource), None);
    let inspect = crate::given(&system().inspect)?;
    let number = sys::handle_inspect(object)?.object;
    guest::process::eventually("it waits", || {
        let waits = |record: libsys::inspect::ThreadRecord| {
            record.thread == number && record.state == libsys::inspect::ThreadState::Receiving as u32
        };
        Ok(libsys::inspect::threads(inspect, Some(sys::identify().process)).any(|record| record.is_ok_and(waits)))
    })()?;
    // It runs at once on the same CPU, and until it ends.
    signaller.signal(1)?;
    check_eq!(RAN.load(SeqCst), 1);
    first.join();
    thread::set_affinity(u64::MAX)?;
    Ok(())
}

fn weights_share_a_cpu() -> Outcome {
    static STOP: AtomicU64 = AtomicU64::new(0);
    STOP.store(0, SeqCst);
    let spin = |weight: u32| -> Outcome<thread::JoinHandle<()>> {
        let parameters = Parameters { policy: Policy::Fair, priority: 0, weight };
        Ok(thread::Builder::new().affinity(1).parameters(parameters).spawn(|| while STOP.load(SeqCst) == 0 {})?)
    };
    let (heavy, light) = (spin(4096)?, spin(1024)?);
    let inspect = crate::given(&system().inspect)?;
    let own = sys::identify().process;
    let run_time = |object: Option<&ThreadObject>| -> Outcome<u64> {
        let number = object.ok_or(guest::test::Failure::new("no handle"))?.inspect_handle()?.object;
        let all = libsys::inspect::threads(inspect, Some(own)).filter_map(Result::ok);
        Ok(all.into_iter().find(|record| record.thread == number).map_or(0, |record| record.run_time))
    };
    // An emulator that is stopped for a while counts that as the running thread's time: the more there is, the less it matters.
    let shared = guest::process::eventually("4 to 1, in the long run", || {
        libsys::time::sleep(Duration::from_millis(400));
        let (more, less) = (run_time(heavy.object())?, run_time(light.object())?);
        Ok(more > less * 2 && more < less * 8)
    })();
    STOP.store(1, SeqCst);
    heavy.join();
    light.join();
    shared
}

fn affinity_is_kept() -> Outcome {
    let cpus = libsys::inspect::system(crate::given(&system().inspect)?)?.cpus;
    for cpu in 0..cpus {
        thread::set_affinity(1 << cpu)?;
        for _ in 0..20 {
            thread::yield_now();
            check_eq!(sys::identify().cpu, cpu);
        }
    }
    thread::set_affinity(u64::MAX)?;
    Ok(())
}

fn affinity_is_checked() -> Outcome {
    for set in [0, 1 << 63, 1 << 40] {
        check_eq!(thread::set_affinity(set), Err(Error::BadArgument));
    }
    Ok(())
}

fn every_cpu_runs_threads() -> Outcome {
    let cpus = libsys::inspect::system(crate::given(&system().inspect)?)?.cpus;
    for cpu in 0..cpus {
        let there = thread::Builder::new().affinity(1 << cpu).spawn(|| {
            // It starts at once, and moves then.
            while sys::identify().cpu != 0 && now() == 0 {}
            thread::yield_now();
            sys::identify().cpu
        })?;
        let _ = there.join();
    }
    let all: alloc::vec::Vec<_> =
        libsys::inspect::cpus(crate::given(&system().inspect)?).filter_map(Result::ok).collect();
    check_eq!(all.len() as u64, cpus);
    check!(all.iter().all(|cpu| cpu.busy + cpu.idle > 0), "{all:?}");
    Ok(())
}

fn a_spinning_thread_is_preempted() -> Outcome {
    static STOP: AtomicU64 = AtomicU64::new(0);
    STOP.store(0, SeqCst);
    thread::set_affinity(1)?;
    let spinner = thread::Builder::new().affinity(1).spawn(|| while STOP.load(SeqCst) == 0 {})?;
    for _ in 0..5 {
        libsys::time::sleep(Duration::from_millis(2));
    }
    STOP.store(1, SeqCst);
    spinner.join();
    thread::set_affinity(u64::MAX)?;
    Ok(())
}
