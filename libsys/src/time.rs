//! Time: the monotonic clock, sleeping, and the timers of a service loop.
//!
//! The clock is the processor's time-stamp counter, scaled by what `ClockRead` says once: reading it enters no kernel.

mod clock;
mod timers;

pub use clock::now;
pub use core::time::Duration;
pub use timers::{TimerId, Timers};

use core::ops::{Add, Sub};

/// A moment of the monotonic clock, which starts at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// This moment.
    #[inline]
    pub fn now() -> Instant {
        Instant(now())
    }

    /// The moment so many nanoseconds after boot.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Instant {
        Instant(nanoseconds)
    }

    /// Nanoseconds since boot: what deadlines of system calls are in.
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// How long ago it was; nothing for a moment to come.
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// The moment after a while; the end of time where that is beyond it.
    fn add(self, after: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The time between two moments; nothing where `earlier` is the later one.
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The deadline for something that may take `timeout` from now.
pub fn deadline_after(timeout: Duration) -> u64 {
    (Instant::now() + timeout).nanoseconds()
}

/// Waits for a while. A call that the thread serves stays its current one.
pub fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration);
}

/// Waits until a moment.
pub fn sleep_until(moment: Instant) {
    crate::thread::parking::sleep_until(moment.nanoseconds());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_sleep_lasts() {
        let before = Instant::now();
        sleep(Duration::from_millis(3));
        assert!(before.elapsed() >= Duration::from_millis(3));
        assert_eq!(before - Instant::now(), Duration::ZERO);
        assert_eq!((before + Duration::MAX).nanoseconds(), u64::MAX);
    }
}
