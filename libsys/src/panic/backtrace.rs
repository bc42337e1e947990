//! Walking frame pointers.

/// Most addresses in a backtrace.
#[cfg(any(target_os = "none", test))]
const DEPTH: usize = 32;

/// The return addresses above a frame pointer, as long as frames lie on the stack and go upward. `load` reads a word of the stack.
#[cfg(any(target_os = "none", test))]
fn walk(mut frame: usize, (start, end): (usize, usize), load: impl Fn(usize) -> usize) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let on_stack = frame >= start && frame.checked_add(16).is_some_and(|top| top <= end) && frame.is_multiple_of(8);
        if !on_stack {
            return None;
        }
        let (next, address) = (load(frame), load(frame + 8));
        frame = if next > frame { next } else { 0 };
        (address != 0).then_some(address)
    })
    .take(DEPTH)
}

/// The return addresses of the calling function and those above it, on a stack with these bounds.
#[cfg(target_os = "none")]
#[inline(always)]
pub(super) fn of_caller(stack: (usize, usize)) -> impl Iterator<Item = usize> {
    let frame: usize;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    walk(frame, stack, |address| {
        // SAFETY: `walk` keeps within the thread's own stack, and to multiples of 8.
        unsafe { (address as *const usize).read_volatile() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn it_ends_at_the_stacks_end_and_at_anything_odd() {
        let words = [0x1020usize, 0xa, 0, 0, 0x1030, 0xb, 0x1020, 0xc];
        let load = |address: usize| words[(address - 0x1000) / 8];
        let trace = |frame| walk(frame, (0x1000, 0x1040), load).collect::<Vec<_>>();
        assert_eq!(trace(0x1000), [0xa, 0xb, 0xc]);
        assert_eq!((trace(0x0ff8), trace(0x1038), trace(0x1001)), (Vec::new(), Vec::new(), Vec::new()));
        assert_eq!(trace(usize::MAX - 7), Vec::<usize>::new());
    }
}
