//! Servers that do not get on are replaced, and nobody else is.
//!
//! | found | by |
//! |---|---|
//! | a loop that never ends, a livelock, in a request | the age of the request, unless its server waits for somebody else |
//! | the same without a request | the server was not seen to receive, to wait, or to have received anything since |
//! | servers that wait for each other | a circle of calls that are all overdue: who calls upwards, against the order of the manifest, is to blame |
//! | a start that does not come to its end | time since the start |
//! | work for a dead client that has no end | a process that cannot be reset |
//!
//! No hang is: a parked call; a server that works through events while a request takes long (it has [`PATIENT`] times as long); time that a server did not
//! have, because it waited for a processor ([`Had`]), or because init itself did not run, as when the machine was paused.

mod had;

use crate::record::Phase;
use crate::supervisor::Supervisor;
use alloc::format;
use alloc::vec::Vec;
use libsys::abi::ExitReason;
use libsys::abi::inspect::{CallRecord, CallState, ThreadRecord, ThreadState};
use libsys::inspect;
use libsys::log::Level;
use libsys::time;

use had::{Had, oldest_call, threads_of};

/// Nanoseconds that a dead process may take until it can be started again.
const PATIENCE: u64 = 5_000_000_000;

/// Nanoseconds from one look at the calls to the next, at most and at least: half of what a request may take the service that may take the shortest.
const LONGEST_SWEEP: u64 = 500_000_000;
const SHORTEST_SWEEP: u64 = 10_000_000;

/// The signal by which init sees that a service still takes any: one of those that every service has to bear at any time, as all are set at its start.
const PROBE: u64 = 1 << 55;

/// A look that comes so many times as late as it should means that the machine stood still.
const LATE: u64 = 3;

/// So many times as long as others may take a request whose thread is seen to work through events.
const PATIENT: u64 = 8;

/// What init remembers of its last looks. The next init begins anew.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// When the last one was.
    last: u64,
    /// When the machine last went on after it had stood still.
    resumed: u64,
    /// Threads of servers with overdue requests, and how long each had run.
    busy: Vec<(u64, u64)>,
}

/// When a service was last seen to get on, and how many calls it had been given by then.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    seen: u64,
    calls: u64,
    incarnation: u64,
    /// The service was signalled since, and has not taken that.
    is_probed: bool,
    had: Had,
}

impl Supervisor {
    /// Looks at all calls, when it is time.
    pub(crate) fn sweep(&mut self) {
        let now = time::now();
        if now < self.next_sweep {
            return;
        }
        let sweep = sweep_of(self.manifest.services.iter().filter_map(|service| service.hang).min());
        self.next_sweep = now + sweep;
        while self.tell_host() {}
        if now.saturating_sub(self.looks.last) > LATE * sweep {
            self.looks.resumed = now;
        }
        self.looks.last = now;
        let calls: Result<Vec<CallRecord>, _> = inspect::calls(&self.machine.inspect).collect();
        let Ok(calls) = calls else { return };
        self.count_time(&calls, now, sweep);
        let limit = |process: u64| {
            let index = self.by_process(process)?;
            let since = self.services[index].record.started.max(self.looks.resumed);
            limit_of(self.manifest.services[index].hang?, since, now)
        };
        let mut hung = blame(&calls, |process| limit(process).filter(|hang| self.had(process) > *hang));
        let order = |process: u64| {
            let index = self.by_process(process)?;
            self.manifest.order.iter().position(|other| *other == index)
        };
        if hung.is_empty() {
            hung.extend(circle(&calls, limit, order));
        }
        self.spare_who_works(&calls, &mut hung, now);
        hung.extend(self.late_starters(&calls, now));
        hung.extend(self.silent(&calls, now, sweep));
        hung.extend(self.holders(&calls, now));
        hung.sort_unstable();
        hung.dedup();
        for process in hung {
            self.replace(process);
        }
    }

    /// Counts for each service what it had of the time since the last look.
    fn count_time(&mut self, calls: &[CallRecord], now: u64, sweep: u64) {
        let threads: Vec<ThreadRecord> = inspect::threads(&self.machine.inspect, None).filter_map(Result::ok).collect();
        for service in &mut self.services {
            let Some(objects) = &service.objects else { continue };
            let start = (service.record.phase == Phase::Starting).then(|| now.saturating_sub(service.record.started));
            let silent = now.saturating_sub(service.progress.seen);
            let oldest = oldest_call(calls, objects.number).max(start.unwrap_or(0)).max(silent);
            let threads = threads_of(&threads, calls, objects.number);
            service.progress.had.count(threads, service.record.incarnation, sweep, oldest);
        }
    }

    /// Nanoseconds that the service whose process that is had for what it is at.
    fn had(&self, process: u64) -> u64 {
        self.by_process(process).map_or(0, |index| self.services[index].progress.had.time)
    }

    /// Takes those out whose serving threads are seen to wait for events and to have run since the last look: they get on, if slowly. A look to
    /// compare with is needed first, so nobody is replaced at the first one.
    fn spare_who_works(&mut self, calls: &[CallRecord], hung: &mut Vec<u64>, now: u64) {
        if hung.is_empty() {
            return self.looks.busy.clear();
        }
        let before = core::mem::take(&mut self.looks.busy);
        hung.retain(|process| {
            let threads: Vec<ThreadRecord> =
                inspect::threads(&self.machine.inspect, Some(*process)).filter_map(Result::ok).collect();
            self.looks.busy.extend(threads.iter().map(|thread| (thread.thread, thread.run_time)));
            let ran = |thread: &ThreadRecord| {
                before.iter().find(|(number, _)| *number == thread.thread).map(|(_, time)| thread.run_time > *time)
            };
            let is_new = threads.iter().all(|thread| ran(thread).is_none());
            let works = threads.iter().any(|thread| {
                let serves = calls.iter().any(|call| call.serving_thread == thread.thread);
                serves && thread.state == ThreadState::Receiving as u32 && ran(thread) == Some(true)
            });
            let index = self.by_process(*process);
            let hang = index.and_then(|index| self.manifest.services[index].hang).unwrap_or(u64::MAX);
            let may_take = hang.saturating_mul(PATIENT).min(now);
            !(is_new || works && self.had(*process) < may_take)
        });
    }

    /// Services that serve, and were not seen to get on for longer than a call may take them: they neither receive nor wait, were given nothing since, and
    /// have not even taken a signal.
    fn silent(&mut self, calls: &[CallRecord], now: u64, sweep: u64) -> Vec<u64> {
        let channels: Vec<_> = inspect::channels(&self.machine.inspect).filter_map(Result::ok).collect();
        let resumed = self.looks.resumed;
        let mut silent = Vec::new();
        for (service, entry) in self.services.iter_mut().zip(&self.manifest.services) {
            let (Some(objects), Some(hang)) = (&service.objects, entry.hang) else { continue };
            let Some(channel) = channels.iter().find(|channel| channel.channel == objects.channel_number) else {
                continue;
            };
            let progress = &mut service.progress;
            let gets_on = channel.receivers > 0
                || channel.calls != progress.calls
                || service.record.incarnation != progress.incarnation
                || service.record.phase != Phase::Ready
                || waits(calls, objects.number)
                || progress.is_probed && channel.signals & PROBE == 0
                || now.saturating_sub(resumed) < sweep;
            if gets_on {
                let (calls, incarnation) = (channel.calls, service.record.incarnation);
                *progress = Progress { seen: now, calls, incarnation, is_probed: false, ..*progress };
            } else if !progress.is_probed {
                progress.is_probed = objects.channel.signal(PROBE).is_ok();
            } else if now.saturating_sub(progress.seen) > hang
                && progress.had.time > hang
                && self_runs(&self.machine.inspect, objects.number)
            {
                silent.push(objects.number);
            }
        }
        silent
    }

    /// Services that were started and have not said that they serve.
    fn late_starters(&self, calls: &[CallRecord], now: u64) -> Vec<u64> {
        let late = self.services.iter().zip(&self.manifest.services).filter_map(|(service, entry)| {
            let objects = service.objects.as_ref()?;
            let since = service.record.started.max(self.looks.resumed);
            let hang = entry.hang?;
            let is_late = service.record.phase == Phase::Starting
                && now > since.saturating_add(hang)
                && service.progress.had.time > hang;
            (is_late && !waits(calls, objects.number)).then_some(objects.number)
        });
        late.collect()
    }

    /// A process that cannot be reset has work under way in a server, for which nobody waits any more. Whose: that of the servers
    /// that do not receive, wait for nobody, and were not seen to get on for as long.
    fn holders(&self, calls: &[CallRecord], now: u64) -> Vec<u64> {
        let since = self.services.iter().filter_map(|service| service.dead_since).min();
        let stuck = since.map_or(0, |since| now.saturating_sub(since));
        if stuck <= PATIENCE {
            return Vec::new();
        }
        let busy = inspect::channels(&self.machine.inspect).filter_map(Result::ok);
        let busy =
            busy.filter(|channel| channel.receivers == 0 && channel.closed == 0 && !waits(calls, channel.server));
        // Each may take as long for that as for any request.
        let is_late = |process: &u64| {
            self.by_process(*process).is_some_and(|index| {
                let (service, progress) = (&self.services[index].record, &self.services[index].progress);
                let limit = self.manifest.services[index].hang.and_then(|hang| limit_of(hang, service.started, now));
                let stuck = stuck.min(now.saturating_sub(progress.seen));
                service.phase == Phase::Ready && limit.is_some_and(|limit| stuck.min(progress.had.time) > limit)
            })
        };
        busy.map(|channel| channel.server).filter(is_late).collect()
    }

    fn replace(&mut self, process: u64) {
        let Some(index) = self.by_process(process) else { return };
        let Some(objects) = &self.services[index].objects else { return };
        let _ = objects.process.kill(ExitReason::Hung, 0);
        self.services[index].look = true;
        let text = format!("{} does not get on and is replaced", self.manifest.services[index].name);
        self.journal.write(Level::Warning, &text);
    }
}

/// Nanoseconds between two looks, where the shortest time that a request may take a service is this.
fn sweep_of(shortest_hang: Option<u64>) -> u64 {
    shortest_hang.map_or(LONGEST_SWEEP, |hang| (hang / 2).clamp(SHORTEST_SWEEP, LONGEST_SWEEP))
}

/// The age that a call of a service may reach which was started at a time: as many nanoseconds as its manifest entry says. A service that has been there for less than that
/// is not to blame for a call that waits since an earlier incarnation.
fn limit_of(hang: u64, started: u64, now: u64) -> Option<u64> {
    (now.saturating_sub(started) > hang).then_some(hang)
}

/// The processes to be replaced: each has had a call for longer than its limit, and waits for no other itself.
fn blame(calls: &[CallRecord], limit: impl Fn(u64) -> Option<u64>) -> Vec<u64> {
    let mut hung = Vec::new();
    for call in calls {
        let is_overdue = limit(call.server).is_some_and(|limit| call.age > limit);
        if is_overdue
            && call.state != CallState::Parked as u32
            && !waits(calls, call.server)
            && !hung.contains(&call.server)
        {
            hung.push(call.server);
        }
    }
    hung
}

/// Who is to blame for a circle of servers that wait for each other, all for longer than their limits: the one that calls a server which comes after it in the
/// order of the manifest, as calls go down; where nobody knows, the first that is found.
fn circle(
    calls: &[CallRecord],
    limit: impl Fn(u64) -> Option<u64>,
    order: impl Fn(u64) -> Option<usize>,
) -> Option<u64> {
    let is_overdue = |call: &&CallRecord| {
        call.state != CallState::Parked as u32 && limit(call.server).is_some_and(|limit| call.age > limit)
    };
    let next = |process: u64| calls.iter().filter(is_overdue).find(|call| call.client == process);
    for start in calls.iter().filter(is_overdue) {
        let mut way: Vec<&CallRecord> = Vec::new();
        let mut at = start.client;
        while let Some(call) = next(at) {
            if let Some(first) = way.iter().position(|known| known.client == call.client) {
                let upwards = |call: &&&CallRecord| order(call.client) < order(call.server);
                return way[first..].iter().find(upwards).or(way.get(first)).map(|call| call.client);
            }
            at = call.server;
            way.push(call);
        }
    }
    None
}

/// Whether a thread of a process runs, or would.
fn self_runs(resource: &libsys::Resource, process: u64) -> bool {
    let runs = |thread: &ThreadRecord| [ThreadState::Ready as u32, ThreadState::Running as u32].contains(&thread.state);
    inspect::threads(resource, Some(process)).filter_map(Result::ok).any(|thread| runs(&thread))
}

/// Whether a process waits for the answer to a call of its own.
fn waits(calls: &[CallRecord], process: u64) -> bool {
    calls.iter().any(|call| call.client == process)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(client: u64, server: u64, age: u64, state: CallState) -> CallRecord {
        CallRecord { client, server, age, state: state as u32, ..CallRecord::default() }
    }

    #[test]
    fn looks_are_as_often_as_the_shortest_time_wants() {
        assert_eq!(
            [None, Some(30_000_000_000), Some(100_000_000), Some(1)].map(sweep_of),
            [LONGEST_SWEEP, LONGEST_SWEEP, 50_000_000, SHORTEST_SWEEP]
        );
    }

    #[test]
    fn who_has_just_started_is_not_to_blame_for_old_calls() {
        let calls = [call(9, 1, 5000, CallState::Queued)];
        assert_eq!(blame(&calls, |_| limit_of(2000, 4500, 6000)), []);
        assert_eq!(blame(&calls, |_| limit_of(2000, 3000, 6000)), [1]);
    }

    #[test]
    fn who_calls_upwards_is_to_blame_for_a_circle() {
        let limit = |process| (process < 10).then_some(100);
        // 1 is above 2, which is above 3.
        let order = |process: u64| Some(10 - process as usize);
        let calls = [
            call(9, 1, 900, CallState::Current),
            call(1, 2, 800, CallState::Queued),
            call(2, 3, 700, CallState::Current),
            call(3, 1, 600, CallState::Queued),
        ];
        assert_eq!((blame(&calls, limit), circle(&calls, limit, order)), (vec![], Some(3)));
        // As long as one of them is in time, or parked, it is no circle.
        for (age, state) in [(50, CallState::Queued), (600, CallState::Parked)] {
            let [first, second, third, _] = calls;
            assert_eq!(circle(&[first, second, third, call(3, 1, age, state)], limit, order), None);
        }
        assert_eq!(circle(&calls[..3], limit, order), None);
    }

    #[test]
    fn the_deepest_overdue_server_is_to_blame() {
        let limit = |process| (process < 10).then_some(process * 100);
        let chain = [
            call(9, 1, 900, CallState::Current),
            call(1, 2, 800, CallState::Kept),
            call(2, 3, 700, CallState::Current),
            call(20, 3, 650, CallState::Queued),
        ];
        assert_eq!(blame(&chain, limit), [3]);
        // The deepest is not overdue: nobody is to blame yet.
        let early = [call(9, 1, 900, CallState::Current), call(1, 5, 450, CallState::Current)];
        assert_eq!(blame(&early, limit), []);
        // Parked calls have no age; others than services no limit.
        let patient = [call(9, 1, 900, CallState::Parked), call(9, 12, 9000, CallState::Current)];
        assert_eq!(blame(&patient, limit), []);
        assert_eq!(blame(&[call(9, 1, 101, CallState::Queued), call(8, 1, 105, CallState::Kept)], limit), [1]);
    }
}
