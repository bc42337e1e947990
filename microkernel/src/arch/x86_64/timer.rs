//! This CPU's one-shot timer.

use super::apic;
use super::clock::{now, scaled};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Timer ticks for each nanosecond, times 2^32. On the host a tick is a nanosecond.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);

/// Sets the ticks in a second.
pub fn set_hertz(hertz: u64) {
    SCALE.store(((u128::from(hertz) << 32) / 1_000_000_000) as u64, Relaxed);
}

/// Interrupts with `TIMER_VECTOR` at a time of the monotonic clock, or at once if it is past. It may come early, by
/// rounding or as the timer is too narrow for the time: who handles it looks at the clock and arms it again.
pub fn arm(deadline: u64) {
    let ticks = scaled(deadline.saturating_sub(now()), SCALE.load(Relaxed));
    apic::start_timer(ticks.clamp(1, u32::MAX.into()) as u32);
}

/// Forgets the time. An interrupt that is already on its way still comes.
#[cfg(test)]
pub fn disarm() {
    apic::start_timer(0);
}

#[cfg(all(test, not(target_os = "none")))]
mod tests {
    use super::*;
    use crate::arch::processor;

    #[test]
    fn past_and_distant_deadlines_are_clamped() {
        processor::set_time(1000);
        for (deadline, ticks) in [(0, 1), (1000, 1), (1500, 500), (u64::MAX, u32::MAX)] {
            arm(deadline);
            assert_eq!(processor::timer(), ticks);
        }
        disarm();
        assert_eq!(processor::timer(), 0);
    }
}
