//! The processor's random numbers, for the random server: others ask it.

/// Tries before a unit that has nothing is given up (Intel SDM vol. 1 §7.3.17).
const TRIES: usize = 10;

/// Bit of CPUID.1:ECX.
const RDRAND: u32 = 1 << 30;
/// Bit of CPUID.(7,0):EBX.
const RDSEED: u32 = 1 << 18;

/// 64 bits of the processor's generator, if it has one that answers.
pub fn rdrand() -> Option<u64> {
    if !has_rdrand() {
        return None;
    }
    let step = || {
        let (value, ok): (u64, u8);
        // SAFETY: the processor has the instruction, which changes a register and flags.
        unsafe { core::arch::asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) };
        (ok != 0).then_some(value)
    };
    (0..TRIES).find_map(|_| step())
}

/// 64 bits of the processor's entropy source, if it has one that answers.
pub fn rdseed() -> Option<u64> {
    if !has_rdseed() {
        return None;
    }
    let step = || {
        let (value, ok): (u64, u8);
        // SAFETY: as in `rdrand`.
        unsafe { core::arch::asm!("rdseed {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack)) };
        (ok != 0).then_some(value)
    };
    (0..TRIES).find_map(|_| step())
}

/// The time-stamp counter: its low bits are somewhat random where nothing better is.
pub fn time_stamp() -> u64 {
    // SAFETY: user mode may read the counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

fn has_rdrand() -> bool {
    core::arch::x86_64::__cpuid(1).ecx & RDRAND != 0
}

fn has_rdseed() -> bool {
    core::arch::x86_64::__cpuid(0).eax >= 7 && core::arch::x86_64::__cpuid_count(7, 0).ebx & RDSEED != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ() {
        for source in [rdrand, rdseed] {
            if let (Some(first), Some(second)) = (source(), source()) {
                assert_ne!(first, second);
            }
        }
        assert!(time_stamp() < time_stamp());
    }
}
