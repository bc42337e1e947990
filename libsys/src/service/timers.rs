//! Timers of a server: it lends them to the loop ([`super::Server::timers`]), which wakes up for them.

use alloc::collections::BTreeMap;

/// A server's name for one of its timers.
pub type TimerId = u32;

/// Timers, each with the moment at which it expires, in nanoseconds of the monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    at: BTreeMap<TimerId, u64>,
    /// In order of expiry.
    order: BTreeMap<(u64, TimerId), ()>,
}

impl Timers {
    /// No timers.
    pub const fn new() -> Timers {
        Timers { at: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// Sets a timer, in place of where it stood.
    pub fn set(&mut self, timer: TimerId, at: u64) {
        self.cancel(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer), ());
    }

    /// Stops a timer; whether it was set.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        match self.at.remove(&timer) {
            Some(at) => self.order.remove(&(at, timer)).is_some(),
            None => false,
        }
    }

    /// When the next one expires.
    pub fn next_deadline(&self) -> Option<u64> {
        self.order.first_key_value().map(|((at, _), ())| *at)
    }

    /// Takes out a timer that has expired, the earliest first.
    pub fn expired(&mut self, now: u64) -> Option<TimerId> {
        let ((at, timer), ()) = self.order.first_key_value()?;
        let (at, timer) = (*at, *timer);
        (at <= now && self.cancel(timer)).then_some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_order_and_once() {
        let mut timers = Timers::new();
        timers.set(1, 30);
        timers.set(2, 10);
        timers.set(3, 20);
        timers.set(1, 15);
        assert!(timers.cancel(3) && !timers.cancel(3));
        assert_eq!((timers.next_deadline(), timers.expired(9)), (Some(10), None));
        assert_eq!((timers.expired(99), timers.expired(99), timers.expired(99)), (Some(2), Some(1), None));
        assert_eq!(timers.next_deadline(), None);
    }
}
