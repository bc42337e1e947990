//! Flags, segment bases and stack pointers that the kernel must not trust: made, then a system call, a fault, or time for interrupts.

use core::arch::asm;

/// Turns for interrupts to come: a few milliseconds.
const TURNS: u64 = 20_000_000;

/// Sets flags, and makes a system call that writes into a page of the program, by the kernel.
fn call_with_flags(flags: u64) -> u64 {
    let (status, process): (u64, u64);
    // SAFETY: Identify touches registers only; the flags are as they were before the block ends.
    unsafe {
        asm!(
            "pushfq",
            "pushfq",
            "or [rsp], {flags}",
            "popfq",
            "syscall",
            "popfq",
            flags = in(reg) flags,
            inlateout("rax") abi::Syscall::Identify as u64 => status,
            lateout("rdi") process, lateout("rsi") _, lateout("rdx") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("rcx") _, lateout("r11") _, lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    if status == 0 { process } else { 0 }
}

/// Sets flags, and waits for interrupts.
fn spin_with_flags(flags: u64) {
    // SAFETY: the flags are as they were before the block ends.
    unsafe {
        asm!(
            "pushfq", "pushfq", "or [rsp], {flags}", "popfq",
            "2: dec {turns}", "jnz 2b",
            "popfq",
            flags = in(reg) flags, turns = inout(reg) TURNS => _,
        );
    }
}

/// Makes a system call, and waits for interrupts, on a stack pointer that leads nowhere.
fn without_stack(pointer: u64) -> u64 {
    let process: u64;
    // SAFETY: nothing is pushed meanwhile; the stack pointer is back before the block ends.
    unsafe {
        asm!(
            "push rbx",
            "mov rbx, rsp",
            "mov rsp, rdx",
            "syscall",
            "mov r8d, {turns}",
            "2: dec r8", "jnz 2b",
            "mov rsp, rbx",
            "pop rbx",
            turns = const TURNS,
            inlateout("rax") abi::Syscall::Identify as u64 => _,
            lateout("rdi") process, lateout("rsi") _, inlateout("rdx") pointer => _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("rcx") _, lateout("r11") _, lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
        );
    }
    process
}

/// Sets the GS base, waits for interrupts, makes a system call.
fn with_gs(base: u64) -> u64 {
    // SAFETY: nothing on the target goes through GS.
    unsafe { asm!("wrgsbase {}", in(reg) base) };
    spin_with_flags(0);
    libsys::sys::identify().process
}

fn gs() -> u64 {
    let base;
    // SAFETY: reading has no effect.
    unsafe { asm!("rdgsbase {}", out(reg) base) };
    base
}

mod survived {
    use super::*;
    #[allow(unused_imports)]
    use crate::must;

    crate::refused! {
        direction_in_a_call { must!(call_with_flags(0x400) == libsys::sys::identify().process) }
        nested_task_in_a_call { must!(call_with_flags(0x4000) == libsys::sys::identify().process) }
        alignment_in_a_call { must!(call_with_flags(0x4_0000) == libsys::sys::identify().process) }
        io_privilege_in_a_call { must!(call_with_flags(0x3000) == libsys::sys::identify().process) }
        identification_in_a_call { must!(call_with_flags(0x20_0000) == libsys::sys::identify().process) }
        direction_in_interrupts { spin_with_flags(0x400) }
        nested_task_in_interrupts { spin_with_flags(0x4000) }
        alignment_in_interrupts { spin_with_flags(0x4_0000) }
        call_with_stack_at_null { must!(without_stack(0) != 0) }
        call_with_stack_in_kernel { must!(without_stack(0xffff_ffff_8020_0000) != 0) }
        call_with_stack_not_canonical { must!(without_stack(0x8000_0000_0000_0000) != 0) }
        gs_in_kernel { must!(with_gs(0xffff_ffff_8020_0000) == libsys::sys::identify().process) }
        gs_in_user { must!(with_gs(0x1000) == libsys::sys::identify().process) }
        gs_is_nobody_elses {
            must!(gs() == 0);
            with_gs(0xdead_beef_0000);
        }
    }
}

mod died {
    use super::*;
    #[allow(unused_imports)]
    use crate::must;

    crate::dies! {
        direction_in_a_fault: PageFault {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("std", "mov rax, [0x18]", out("rax") _) }
        }
        alignment_in_a_fault: PageFault {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("pushfq", "or qword ptr [rsp], 0x40000", "popfq", "mov rax, [0x18]", out("rax") _) }
        }
        io_privilege: GeneralProtection {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("pushfq", "or qword ptr [rsp], 0x3000", "popfq", "cli") }
        }
        single_step_into_a_call: Breakpoint { call_with_flags(0x100) }
        single_step_behind_a_stack_load_into_a_call: Breakpoint {
            // SAFETY: the attack is that it faults.
            unsafe {
                asm!(
                    "mov ecx, ss", "xor eax, eax", "pushfq", "or qword ptr [rsp], 0x100", "popfq", "mov ss, ecx", "syscall", "nop",
                    out("rax") _, out("rcx") _, out("r11") _
                )
            }
        }
        fault_with_stack_not_canonical: PageFault | GeneralProtection | Exception {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("mov rsp, {}", "push rax", in(reg) 0x8000_0000_0000_0000u64) }
        }
        fault_with_stack_in_kernel: PageFault {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("mov rsp, {}", "push rax", in(reg) 0xffff_ffff_8020_0000u64) }
        }
        fault_with_gs_in_kernel: PageFault {
            with_gs(0xffff_ffff_8020_0000);
            guest::puppet::fault()
        }
        read_through_gs_in_kernel: PageFault {
            with_gs(0xffff_ffff_8020_0000);
            // SAFETY: the attack is that it faults.
            unsafe { asm!("mov rax, gs:[0]", out("rax") _) }
        }
        gs_not_canonical: GeneralProtection { with_gs(0x8000_0000_0000_0000) }
        fs_not_canonical: GeneralProtection {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("wrfsbase {}", in(reg) 0x8000_0000_0000_0000u64) }
        }
        fs_in_kernel: PageFault {
            // SAFETY: the attack is that it faults.
            unsafe { asm!("wrfsbase {}", "mov rax, fs:[0]", in(reg) 0xffff_ffff_8020_0000u64, out("rax") _) }
        }
    }
}

/// The attacks of this file.
pub const TESTS: &[guest::test::Test] = &{
    let mut all = [survived::TESTS[0]; survived::TESTS.len() + died::TESTS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = if index < survived::TESTS.len() {
            survived::TESTS[index]
        } else {
            died::TESTS[index - survived::TESTS.len()]
        };
        index += 1;
    }
    all
};
