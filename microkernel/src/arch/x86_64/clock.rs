//! The monotonic clock: the time-stamp counter, scaled. All CPUs' counters run together from reset, as on every machine with an
//! invariant one (Intel SDM vol. 3B §18.17.4).

use super::{apic, features, pit, timer};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Nanoseconds for each count, times 2^32. On the host a count is a nanosecond.
static SCALE: AtomicU64 = AtomicU64::new(1 << 32);
static HERTZ: AtomicU64 = AtomicU64::new(1_000_000_000);
static START: AtomicU64 = AtomicU64::new(0);

/// Frequencies above are not believed.
const FASTEST: u64 = 100_000_000_000;

/// The time-stamp counter.
pub use super::processor::tsc;

/// Nanoseconds since boot.
#[inline(always)]
pub fn now() -> u64 {
    scaled(tsc().saturating_sub(START.load(Relaxed)), SCALE.load(Relaxed))
}

/// Counts of the time-stamp counter in a second.
pub fn tsc_hertz() -> u64 {
    HERTZ.load(Relaxed)
}

/// `value * scale / 2^32`, with the product in full.
#[inline(always)]
pub fn scaled(value: u64, scale: u64) -> u64 {
    ((u128::from(value) * u128::from(scale)) >> 32) as u64
}

/// Starts clock and timer, with the frequencies that CPUID gives, or as measured. On the boot CPU, whose APIC is enabled.
pub fn start(boot_tsc: u64) -> Result<(), &'static str> {
    let (tsc, timer) = match frequencies() {
        Some(known) => known,
        None => pit::measure()?,
    };
    if !(1_000_000..FASTEST).contains(&tsc) || !(10_000..FASTEST).contains(&timer) {
        return Err("the clocks' frequencies make no sense");
    }
    HERTZ.store(tsc, Relaxed);
    SCALE.store((1_000_000_000 << 32) / tsc, Relaxed);
    START.store(boot_tsc, Relaxed);
    timer::set_hertz(timer);
    Ok(())
}

/// Frequencies of the time-stamp counter and of the divided APIC timer, where CPUID has both.
fn frequencies() -> Option<(u64, u64)> {
    let wide = |register: u32| u64::from(register);
    // The ratio to the crystal, and, if it is known, the crystal's frequency, which is also the timer's (Intel SDM vol. 3B §18.7.3, vol. 3A §11.5.4).
    let [denominator, numerator, crystal, _] = features::cpuid(0x15, 0).map(wide);
    if denominator != 0 && numerator != 0 {
        let base = features::cpuid(0x16, 0).map(wide)[0] * 1_000_000;
        let crystal = if crystal != 0 { crystal } else { base * denominator / numerator };
        if crystal != 0 {
            return Some((crystal * numerator / denominator, crystal / apic::TIMER_DIVISOR));
        }
    }
    // Hypervisors' leaf for both, in kHz: there if the hypervisor bit is (VMware's convention, KVM's and QEMU's too).
    let is_virtual = features::cpuid(1, 0)[2] >> 31 != 0;
    let [tsc, bus, ..] = if is_virtual { features::cpuid(0x4000_0010, 0).map(wide) } else { [0; 4] };
    (tsc != 0 && bus != 0).then_some((tsc * 1000, bus * 1000 / apic::TIMER_DIVISOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_its_precision_for_centuries() {
        let scale = (1_000_000_000u64 << 32) / 3_000_000_000;
        let century = 3_000_000_000 * 3_155_760_000u64;
        let off = 3_155_760_000 * 1_000_000_000 - scaled(century, scale);
        assert!(off < 3_155_760_000, "one part in 10^9: {off}");
        assert_eq!(scaled(u64::MAX, 1 << 32), u64::MAX);
    }
}
