//! Time: the clock, and deadlines in order.

use core::time::Duration;
use guest::system::system;
use guest::test::{Outcome, Test};
use guest::{check, check_eq, tests};
use libsys::time::{deadline_after, now, sleep};
use libsys::{Channel, Error, sys, thread};

pub const TESTS: &[Test] = tests![
    the_clock_is_monotonic,
    the_clock_is_the_counter,
    the_clock_is_the_same_on_every_cpu,
    a_sleep_lasts,
    deadlines_pass_in_order,
    a_deadline_at_the_end_of_time,
    many_deadlines_at_once,
];

fn the_clock_is_monotonic() -> Outcome {
    let mut last = sys::clock_read().nanoseconds;
    for _ in 0..10_000 {
        let next = sys::clock_read().nanoseconds;
        check!(next >= last, "{last} then {next}");
        last = next;
    }
    Ok(())
}

fn the_clock_is_the_counter() -> Outcome {
    let clocks = sys::clock_read();
    check!(clocks.tsc_hertz > 1_000_000 && clocks.tsc > 0);
    let (before, between, after) = (sys::clock_read().nanoseconds, now(), sys::clock_read().nanoseconds);
    check!(before <= between + 100_000 && between <= after + 100_000, "{before}, {between}, {after}");
    Ok(())
}

fn the_clock_is_the_same_on_every_cpu() -> Outcome {
    let cpus = libsys::inspect::system(crate::given(&system().inspect)?)?.cpus;
    let mut last = 0;
    for round in 0..cpus * 8 {
        thread::set_affinity(1 << (round % cpus))?;
        let next = sys::clock_read().nanoseconds;
        check!(next >= last, "CPU {} is at {next}, another was at {last}", round % cpus);
        last = next;
    }
    thread::set_affinity(u64::MAX)?;
    Ok(())
}

fn a_sleep_lasts() -> Outcome {
    for milliseconds in [1, 5, 20] {
        let start = now();
        sleep(Duration::from_millis(milliseconds));
        check!(now() - start >= milliseconds * 1_000_000);
    }
    Ok(())
}

fn deadlines_pass_in_order() -> Outcome {
    let start = now();
    let sleepers: alloc::vec::Vec<_> = [30u64, 10, 20]
        .into_iter()
        .map(|milliseconds| {
            thread::spawn(move || {
                let channel = Channel::create(libsys::env::account())?;
                let result = channel.receive(Some(start + milliseconds * 1_000_000));
                Ok::<_, Error>((milliseconds, result, now()))
            })
        })
        .collect::<Result<_, _>>()?;
    for sleeper in sleepers {
        let (milliseconds, result, woken) = sleeper.join()?;
        check_eq!(result, Err(Error::TimedOut));
        check!(woken >= start + milliseconds * 1_000_000);
    }
    Ok(())
}

fn a_deadline_at_the_end_of_time() -> Outcome {
    let channel = Channel::create(system().account)?;
    let signaller = channel.signaller(1)?;
    let waiter = thread::spawn(move || channel.receive(Some(u64::MAX)))?;
    sleep(Duration::from_millis(2));
    signaller.signal(1)?;
    check_eq!(waiter.join(), Ok(libsys::channel::Event::Signals(1)));
    Ok(())
}

fn many_deadlines_at_once() -> Outcome {
    let deadline = deadline_after(Duration::from_millis(10));
    let waiters: alloc::vec::Vec<_> = (0..5)
        .map(|_| {
            thread::spawn(move || {
                Channel::create(libsys::env::account()).and_then(|channel| channel.receive(Some(deadline)))
            })
        })
        .collect::<Result<_, _>>()?;
    for waiter in waiters {
        check_eq!(waiter.join(), Err(Error::TimedOut));
    }
    Ok(())
}
