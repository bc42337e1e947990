//! Servers that do not get on: who has had a call for too long is replaced, unless he waits for somebody else himself.

use crate::record::Phase;
use crate::supervisor::Supervisor;
use alloc::format;
use alloc::vec::Vec;
use libsys::abi::ExitReason;
use libsys::abi::inspect::{CallRecord, CallState};
use libsys::inspect;
use libsys::log::Level;
use libsys::time;

/// Nanoseconds that a dead process may take until it can be started again.
const PATIENCE: u64 = 5_000_000_000;

/// Nanoseconds from one look at the calls to the next.
const SWEEP: u64 = 500_000_000;

impl Supervisor {
    /// Looks at all calls, when it is time.
    pub(crate) fn sweep(&mut self) {
        let now = time::now();
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let calls: Result<Vec<CallRecord>, _> = inspect::calls(&self.machine.inspect).collect();
        let Ok(calls) = calls else { return };
        let limit = |process: u64| {
            let index = self.by_process(process)?;
            limit_of(self.manifest.services[index].hang?, self.services[index].record.started, now)
        };
        let mut hung = blame(&calls, limit);
        hung.extend(self.late_starters(&calls, now));
        hung.extend(self.holders(&calls, now));
        for process in hung {
            self.replace(process);
        }
    }

    /// Services that were started and have not said that they serve.
    fn late_starters(&self, calls: &[CallRecord], now: u64) -> Vec<u64> {
        let late = self.services.iter().zip(&self.manifest.services).filter_map(|(service, entry)| {
            let objects = service.objects.as_ref()?;
            let is_late =
                service.record.phase == Phase::Starting && now > service.record.started.saturating_add(entry.hang?);
            (is_late && !waits(calls, objects.number)).then_some(objects.number)
        });
        late.collect()
    }

    /// A process that cannot be reset has work under way in a server, for which nobody waits any more. Whose: that of the servers
    /// that do not receive, and wait for nobody.
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
                let service = &self.services[index].record;
                let limit = self.manifest.services[index].hang.and_then(|hang| limit_of(hang, service.started, now));
                service.phase == Phase::Ready && limit.is_some_and(|limit| stuck > limit)
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
    fn who_has_just_started_is_not_to_blame_for_old_calls() {
        let calls = [call(9, 1, 5000, CallState::Queued)];
        assert_eq!(blame(&calls, |_| limit_of(2000, 4500, 6000)), []);
        assert_eq!(blame(&calls, |_| limit_of(2000, 3000, 6000)), [1]);
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
