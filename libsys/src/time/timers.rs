//! A queue of timers, for a loop that waits with a deadline.

use alloc::collections::BTreeSet;
use core::time::Duration;

/// A timer that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    /// First, so that the set is in order of deadlines.
    deadline: u64,
    number: u64,
}

/// Timers of a service: each expires once, at a deadline in nanoseconds of the monotonic clock.
#[derive(Debug, Default)]
pub struct Timers {
    armed: BTreeSet<TimerId>,
    last: u64,
}

impl Timers {
    /// None set.
    pub const fn new() -> Timers {
        Timers { armed: BTreeSet::new(), last: 0 }
    }

    /// Sets a timer to a deadline.
    pub fn at(&mut self, deadline: u64) -> TimerId {
        self.last += 1;
        let timer = TimerId { deadline, number: self.last };
        self.armed.insert(timer);
        timer
    }

    /// Sets a timer to expire after a while.
    pub fn after(&mut self, duration: Duration) -> TimerId {
        self.at(super::deadline_after(duration))
    }

    /// Takes a timer back: whether it had not expired.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.armed.remove(&timer)
    }

    /// When the next one expires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.armed.first().map(|timer| timer.deadline)
    }

    /// Takes out the first timer whose deadline is not after `now`.
    pub fn expired(&mut self, now: u64) -> Option<TimerId> {
        if self.next_deadline()? <= now { self.armed.pop_first() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_order_and_once() {
        let mut timers = Timers::new();
        let (late, early, same) = (timers.at(30), timers.at(10), timers.at(10));
        let cancelled = timers.at(5);
        assert!(timers.cancel(cancelled) && !timers.cancel(cancelled));
        assert_eq!(timers.next_deadline(), Some(10));
        assert_eq!(timers.expired(9), None);
        assert_eq!([timers.expired(10), timers.expired(10), timers.expired(10)], [Some(early), Some(same), None]);
        assert_eq!(timers.expired(u64::MAX), Some(late));
        assert_eq!(timers.next_deadline(), None);
    }
}
