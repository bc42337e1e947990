//! Processor exceptions (Intel SDM vol. 3A §7.15): what they mean for a process, and the end when they happen in the kernel.

use super::context::Frame;
use super::{processor, stacks, vectors};
use abi::process::ExitReason;

/// Page fault: the exception that the core may answer.
pub const PAGE_FAULT: u64 = 14;

/// Double fault.
const DOUBLE_FAULT: u64 = 8;

/// Bits of a page fault's error code (Intel SDM vol. 3A §5.7).
pub mod page_fault {
    /// The page is there, and does not allow the access.
    pub const PRESENT: u64 = 1 << 0;
    /// The access was a write.
    pub const WRITE: u64 = 1 << 1;
    /// The access was user code's own. One that the processor makes for it, to a descriptor table or (by emulators) to the stack of
    /// a return to another ring, is not.
    pub const USER: u64 = 1 << 2;
    /// The access was an instruction fetch.
    pub const FETCH: u64 = 1 << 4;
    /// The protection key does not allow the access.
    pub const KEY: u64 = 1 << 5;
}

const NAMES: [&str; 22] = [
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid task state",
    "segment not present",
    "stack fault",
    "general protection fault",
    "page fault",
    "reserved exception",
    "floating-point error",
    "alignment check",
    "machine check",
    "vector floating-point error",
    "virtualization exception",
    "control protection fault",
];

/// The exit reason of a process that raised an exception, and the code that goes with it.
pub fn reason(vector: u64, error: u64) -> (ExitReason, u64) {
    match vector {
        0 => (ExitReason::DivideError, 0),
        1 | 3 => (ExitReason::Breakpoint, vector),
        6 => (ExitReason::IllegalInstruction, vector),
        7 | 16 | 19 => (ExitReason::FloatingPoint, vector),
        13 => (ExitReason::GeneralProtection, error),
        PAGE_FAULT => (ExitReason::PageFault, error),
        _ => (ExitReason::Exception, vector),
    }
}

/// An exception in kernel mode, or one that is fatal anywhere. GS cannot be relied on.
pub extern "C" fn in_kernel(frame: &Frame, vector: u64, address: u64) -> ! {
    if vector == u64::from(vectors::NMI) && crate::panic::is_panicking() {
        processor::halt();
    }
    let name = match NAMES.get(vector as usize) {
        // The processor could not push the page fault's frame.
        Some(_) if vector == DOUBLE_FAULT && stacks::is_guard(address) => "kernel stack overflow",
        Some(name) => name,
        None => "reserved exception",
    };
    let (error, rip) = (frame.error.get(), frame.rip.get());
    crate::panic::at(frame, format_args!("{name} (error code {error:#x}, address {address:#x}) at {rip:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_carry_their_code() {
        assert_eq!(reason(14, 7), (ExitReason::PageFault, 7));
        assert_eq!(reason(13, 0x18), (ExitReason::GeneralProtection, 0x18));
        assert_eq!(reason(7, 0), (ExitReason::FloatingPoint, 7));
        assert_eq!(reason(17, 0), (ExitReason::Exception, 17));
    }
}
