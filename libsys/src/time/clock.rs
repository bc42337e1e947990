//! Reading the clock.

#[cfg(target_os = "none")]
use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Nanoseconds per tick of the counter, times 2^32; 0 until it is known.
#[cfg(target_os = "none")]
static SCALE: AtomicU64 = AtomicU64::new(0);
/// The counter and the clock at one moment.
#[cfg(target_os = "none")]
static TSC: AtomicU64 = AtomicU64::new(0);
#[cfg(target_os = "none")]
static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds of the monotonic clock.
#[cfg(target_os = "none")]
#[inline]
pub fn now() -> u64 {
    let scale = match SCALE.load(Acquire) {
        0 => learn(),
        scale => scale,
    };
    // SAFETY: user mode may read the counter (CR4.TSD is clear).
    let tsc = unsafe { core::arch::x86_64::_rdtsc() };
    NANOSECONDS.load(Relaxed) + scaled(tsc.saturating_sub(TSC.load(Relaxed)), scale)
}

/// Nanoseconds of the monotonic clock.
#[cfg(not(target_os = "none"))]
pub fn now() -> u64 {
    crate::fake::nanoseconds()
}

/// Asks the kernel how the counter runs, once.
#[cfg(target_os = "none")]
#[cold]
fn learn() -> u64 {
    static LEARNT: crate::sync::Once = crate::sync::Once::new();
    LEARNT.call_once(|| {
        let clocks = crate::sys::clock_read();
        TSC.store(clocks.tsc, Relaxed);
        NANOSECONDS.store(clocks.nanoseconds, Relaxed);
        // Last, and with release: who sees it sees the others.
        SCALE.store(scale_of(clocks.tsc_hertz), Release);
    });
    SCALE.load(Relaxed)
}

/// Nanoseconds per tick at a frequency, times 2^32.
#[cfg(any(target_os = "none", test))]
fn scale_of(hertz: u64) -> u64 {
    let scale = (1_000_000_000u128 << 32) / u128::from(hertz.max(1));
    u64::try_from(scale).unwrap_or(u64::MAX)
}

#[cfg(any(target_os = "none", test))]
#[inline]
fn scaled(ticks: u64, scale: u64) -> u64 {
    ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_ticks_is_a_year() {
        for hertz in [1_000_000_000, 2_893_437_000, 5_000_000_000, 24_000_000] {
            let seconds = 365 * 86_400;
            let year = scaled(seconds * hertz, scale_of(hertz));
            let error = (year as i128 - i128::from(seconds) * 1_000_000_000).unsigned_abs();
            assert!(error < 50_000_000, "{error} ns off at {hertz} Hz");
        }
    }
}
