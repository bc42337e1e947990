//! Processor exceptions (Intel SDM vol. 3A §7.15): what they mean for a process, and the end when they happen in the kernel.

use super::context::Frame;
use super::{processor, stacks, vectors};
use abi::process::ExitReason;
use x86_64::structures::idt::ExceptionVector;

/// Page fault: the exception that the core may answer.
pub const PAGE_FAULT: u64 = 14;

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
    let (error, rip) = (frame.error.get(), frame.rip.get());
    let place = format_args!("(error code {error:#x}, address {address:#x}) at {rip:#x}");
    match ExceptionVector::try_from(vector as u8) {
        // The processor could not push the page fault's frame.
        Ok(ExceptionVector::Double) if stacks::is_guard(address) => {
            crate::panic::at(frame, format_args!("kernel stack overflow {place}"))
        }
        Ok(name) => crate::panic::at(frame, format_args!("exception «{name:?}» {place}")),
        Err(_) => crate::panic::at(frame, format_args!("exception {vector} {place}")),
    }
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
