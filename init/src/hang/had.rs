//! What time a service had for what it is at: on a busy machine, and on a busy host, less than what has passed. [`super`] judges by it.

use super::waits;
use libsys::abi::inspect::{CallRecord, CallState, ThreadRecord, ThreadState};

/// The time that a service had for what it is at: a call, its start. On a busy machine that is less than what has passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Had {
    /// Nanoseconds.
    pub(super) time: u64,
    /// How long its threads had run at the last look, and in which incarnation.
    ran: u64,
    incarnation: u64,
}

/// What the threads of a process do at a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads {
    /// Nanoseconds that they had run when they last left their processors.
    ran: u64,
    /// One is on a processor: how long it has run there is not known.
    runs: bool,
    /// It is not for the process to go on: one waits for a processor, or for the answer to a call.
    waits: bool,
}

impl Had {
    /// Counts from the last look to this one, which is `sweep` at most: what the machine lost besides was nobody's. Of that, who waits had as much as it ran, and who
    /// could run all of it. `oldest` is how long the service has been at anything: so it had no more for that.
    pub(super) fn count(&mut self, threads: Threads, incarnation: u64, sweep: u64, oldest: u64) {
        if incarnation != self.incarnation {
            *self = Had { time: 0, ran: 0, incarnation };
        }
        let ran = threads.ran.saturating_sub(self.ran);
        let passed = if threads.waits && !threads.runs { ran.min(sweep) } else { sweep };
        self.time = self.time.saturating_add(passed).min(oldest);
        self.ran = threads.ran;
    }
}

/// The age of the oldest call to a process that is not parked.
pub(super) fn oldest_call(calls: &[CallRecord], process: u64) -> u64 {
    let ages = calls.iter().filter(|call| call.server == process && call.state != CallState::Parked as u32);
    ages.map(|call| call.age).max().unwrap_or(0)
}

/// What the threads of a process do.
pub(super) fn threads_of(threads: &[ThreadRecord], calls: &[CallRecord], process: u64) -> Threads {
    let own = || threads.iter().filter(|thread| thread.process == process);
    let is = |state: ThreadState| own().any(|thread| thread.state == state as u32);
    Threads {
        ran: own().map(|thread| thread.run_time).sum(),
        runs: is(ThreadState::Running),
        waits: is(ThreadState::Ready) || waits(calls, process),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(client: u64, server: u64, age: u64, state: CallState) -> CallRecord {
        CallRecord { client, server, age, state: state as u32, ..CallRecord::default() }
    }

    #[test]
    fn who_gets_no_processor_had_no_time() {
        const SWEEP: u64 = 500;
        let mut had = Had::default();
        let mut look = |ran, runs, waits, oldest| {
            had.count(Threads { ran, runs, waits }, 1, SWEEP, oldest);
            had.time
        };
        // It was never on a processor; then for a while.
        assert_eq!([look(0, false, true, 9000), look(0, false, true, 9500), look(30, false, true, 9900)], [0, 0, 30]);
        // It is on one, and then sleeps.
        assert_eq!([look(30, true, false, 9900), look(700, false, false, 9900)], [530, 1030]);
        // More than the time between two looks is nobody's; and another call is a new one.
        assert_eq!([look(2000, false, true, 9900), look(2010, false, true, 20)], [1530, 20]);
        had.count(Threads { ran: 40, runs: false, waits: true }, 2, SWEEP, 9900);
        assert_eq!(had.time, 40, "another incarnation");
    }

    #[test]
    fn threads_wait_for_processors_and_for_answers() {
        let thread = |process, state: ThreadState| ThreadRecord {
            process,
            state: state as u32,
            run_time: 7,
            ..ThreadRecord::default()
        };
        let threads =
            [thread(1, ThreadState::Ready), thread(2, ThreadState::Running), thread(3, ThreadState::Receiving)];
        let calls =
            [call(3, 2, 50, CallState::Current), call(9, 2, 70, CallState::Queued), call(8, 2, 90, CallState::Parked)];
        let of = |process| threads_of(&threads, &calls, process);
        assert_eq!(of(1), Threads { ran: 7, runs: false, waits: true });
        assert_eq!(of(2), Threads { ran: 7, runs: true, waits: false });
        assert_eq!(of(3), Threads { ran: 7, runs: false, waits: true });
        assert_eq!([1, 2].map(|process| oldest_call(&calls, process)), [0, 70]);
    }
}
