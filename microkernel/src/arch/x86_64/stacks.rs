//! The stacks of the CPUs: a slot each in the stack window, in which every stack has an unmapped page below it.
//!
//! | page of the slot | holds |
//! |---|---|
//! | 1–4 | the kernel's stack |
//! | 6–7, 9–10, 12–13 | NMI, double fault, machine check |

use super::layout::{MAX_CPUS, STACKS_BASE};
use core::ops::Range;

/// Bytes of address space for each CPU's slot.
pub const SLOT_BYTES: u64 = 64 * 1024;

/// Stacks that the interrupt stack table names.
pub const INTERRUPT_STACKS: usize = 3;

/// The pages of a slot that are mapped.
pub const PAGES: [Range<u64>; 1 + INTERRUPT_STACKS] = [1..5, 6..8, 9..11, 12..14];

fn end(cpu: usize, stack: usize) -> u64 {
    STACKS_BASE + cpu as u64 * SLOT_BYTES + PAGES[stack].end * 4096
}

/// Where the kernel's stack of a CPU starts: its highest address.
pub fn top(cpu: usize) -> u64 {
    end(cpu, 0)
}

/// Where interrupt stack `ist` of a CPU starts.
pub fn interrupt_top(cpu: usize, ist: usize) -> u64 {
    end(cpu, 1 + ist)
}

/// The stack that an address is on, and whose it is. It works without GS, and so in every exception handler.
pub fn containing(address: u64) -> Option<(usize, Range<u64>)> {
    let offset = address.checked_sub(STACKS_BASE)?;
    let cpu = (offset / SLOT_BYTES) as usize;
    let page = offset % SLOT_BYTES / 4096;
    let pages = PAGES.iter().find(|pages| pages.contains(&page)).filter(|_| cpu < MAX_CPUS)?;
    let slot = STACKS_BASE + cpu as u64 * SLOT_BYTES;
    Some((cpu, slot + pages.start * 4096..slot + pages.end * 4096))
}

/// Whether an address is in the stack window, and on no stack.
pub fn is_guard(address: u64) -> bool {
    (STACKS_BASE..STACKS_BASE + MAX_CPUS as u64 * SLOT_BYTES).contains(&address) && containing(address).is_none()
}

/// Leaves the current stack for good and goes on in `next`, on the stack that starts at `top`.
pub fn continue_on(top: u64, next: extern "C" fn() -> !) -> ! {
    // SAFETY: the stack is the running CPU's own and nothing is on it; nobody returns to the old one. A zero frame
    // pointer ends backtraces.
    unsafe {
        core::arch::asm!("mov rsp, {}", "xor ebp, ebp", "call {}", "ud2", in(reg) top, in(reg) next, options(noreturn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_pages_are_on_no_stack() {
        assert_eq!(containing(top(3) - 1), Some((3, top(3) - 4 * 4096..top(3))));
        assert_eq!(containing(top(3)), None);
        assert!(is_guard(top(3)) && !is_guard(top(3) - 1) && !is_guard(0));
        assert_eq!(containing(interrupt_top(63, 2) - 8).map(|(cpu, _)| cpu), Some(63));
        assert_eq!(containing(STACKS_BASE + 64 * SLOT_BYTES + 4096), None);
        assert_eq!(containing(0), None);
    }
}
