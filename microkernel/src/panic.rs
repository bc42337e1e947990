//! The kernel's end: a panic, or an error during boot. The host tool reads what is printed here.

use crate::arch::{Frame, apic, power, processor, serial, stacks};
use core::fmt::{Arguments, Write};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering::*};

/// Exit values for `isa-debug-exit`.
const PANIC_EXIT: u8 = 0x7f;
const BOOT_ERROR_EXIT: u8 = 0x7e;
/// Lines of a backtrace.
const DEPTH: usize = 32;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Whether some CPU panics: the others then stop.
pub fn is_panicking() -> bool {
    PANICKING.load(Acquire)
}

/// Ends a boot that cannot go on, with one line.
pub fn boot_error(text: Arguments) -> ! {
    if !cfg!(target_os = "none") {
        panic!("BOOT ERROR: {text}");
    }
    let _ = writeln!(serial::Serial, "BOOT ERROR: {text}");
    power::debug_exit(BOOT_ERROR_EXIT);
    processor::halt()
}

/// Panics because of an exception, with the registers that it interrupted.
pub fn at(frame: &Frame, text: Arguments) -> ! {
    if !cfg!(target_os = "none") {
        panic!("{text}");
    }
    report(text, Some(frame), frame.rip.get(), frame.rbp.get())
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let frame_pointer: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame_pointer, options(nomem, nostack, preserves_flags)) };
    let place = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    report(
        format_args!("{} at {}:{}", info.message(), place.0, place.1),
        None,
        panic as *const () as u64,
        frame_pointer,
    )
}

fn report(text: Arguments, frame: Option<&Frame>, rip: u64, frame_pointer: u64) -> ! {
    if PANICKING.swap(true, AcqRel) {
        // Another CPU was first, or this one panicked again: either way it is being said.
        power::debug_exit(PANIC_EXIT);
        processor::halt();
    }
    let mut out = serial::Serial;
    if stacks::containing((&raw const out) as u64).is_some() {
        // On its final stack, so the APIC is mapped too.
        apic::stop_others();
    }
    let _ = writeln!(out, "\nKERNEL PANIC: {text}");
    if let Some(frame) = frame {
        print_registers(&mut out, frame);
    }
    let _ = writeln!(out, "backtrace:\n  #0 {rip:#018x}");
    // The stack of what was interrupted, which can be another than this.
    let stack = stacks::containing(frame_pointer).map_or(0..0, |(_, stack)| stack);
    for (n, address) in callers(frame_pointer, stack).enumerate() {
        let _ = writeln!(out, "  #{} {address:#018x}", n + 1);
    }
    let _ = writeln!(out, "END PANIC");
    power::debug_exit(PANIC_EXIT);
    processor::halt()
}

fn print_registers(out: &mut impl Write, frame: &Frame) {
    let r = frame.registers();
    let lines = [
        [("rip", r.rip), ("rsp", r.rsp), ("rflags", r.rflags)],
        [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx)],
        [("rdx", r.rdx), ("rsi", r.rsi), ("rdi", r.rdi)],
        [("rbp", r.rbp), ("r8", r.r8), ("r9", r.r9)],
        [("r10", r.r10), ("r11", r.r11), ("r12", r.r12)],
        [("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
    ];
    let _ = writeln!(out, "registers:");
    for line in lines {
        for (name, value) in line {
            let _ = write!(out, "  {name:6} {value:#018x}");
        }
        let _ = writeln!(out);
    }
}

/// The return addresses that the frame pointers lead to, as long as they lead upwards in this stack.
fn callers(mut frame_pointer: u64, stack: Range<u64>) -> impl Iterator<Item = u64> {
    let next = move || {
        if !frame_pointer.is_multiple_of(8) || frame_pointer < stack.start || frame_pointer + 16 > stack.end {
            return None;
        }
        // SAFETY: both words are on a mapped stack of this CPU, whatever they mean.
        let [above, address] = unsafe { *(frame_pointer as *const [u64; 2]) };
        // What is not above is no caller's: a frame pointer of user code, or nonsense.
        frame_pointer = if above > frame_pointer { above } else { 0 };
        Some(address)
    };
    core::iter::from_fn(next).take(DEPTH)
}
