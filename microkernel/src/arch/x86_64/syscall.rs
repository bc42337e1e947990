//! Entering the kernel by `syscall`, and leaving it: every thread returns to user mode through `return_to_user`.
//!
//! `syscall` (Intel SDM vol. 3A §5.8.8) leaves RIP in RCX and RFLAGS in R11 and touches no stack. What is kept is in the ABI; the rest of
//! the frame keeps what it held. A `sysret` to an address that is not canonical would fault in ring 0: it cannot happen, as the
//! highest page of the user's half is never mapped (`abi::memory::END_ADDRESS`), and so no `syscall` instruction ends there.

use super::context::{ENTRY_SYSCALL, Frame, USER_DATA};
use super::cpu_local::{FRAME_END, KERNEL_CODE, KERNEL_DATA, SCRATCH, STACK_TOP};
use abi::Syscall;
use core::arch::{asm, naked_asm};
use core::mem::{offset_of, size_of};
use core::sync::atomic::AtomicBool;

/// Where a register of the frame is from the end of the frame.
macro_rules! from_end {
    ($field:ident) => {
        offset_of!(Frame, $field) as isize - size_of::<Frame>() as isize
    };
}

/// The same, after the three uppermost words but CS were pushed.
macro_rules! pushed {
    ($field:ident) => {
        from_end!($field) + 24
    };
}

/// Where a register of the frame is after everything before RCX was popped.
macro_rules! popped {
    ($field:ident) => {
        offset_of!(Frame, $field) - offset_of!(Frame, rcx)
    };
}

const _: () = assert!(Syscall::Null as u64 == 0 && Syscall::Call as u64 == 1);
const _: () = assert!(ENTRY_SYSCALL == 0 && pushed!(rflags) == 0);

/// Flags that are cleared on entry: TF, IF, DF, IOPL, NT, AC.
const FLAGS_CLEARED: u64 = 0x4_7700;

/// Sets where `syscall` goes. Once for each CPU.
pub fn enable() {
    use x86_64::registers::model_specific::{LStar, SFMask, Star};
    use x86_64::registers::rflags::RFlags;
    if !cfg!(target_os = "none") {
        return;
    }
    // `sysret` adds 16 and 8 to the selector for CS and SS (AMD APM vol. 2 §6.1.1).
    // SAFETY: the selectors are those of `CpuLocal::install`, and the entry is the code below.
    unsafe { Star::write_raw(KERNEL_DATA | 3, KERNEL_CODE) };
    LStar::write(x86_64::VirtAddr::new(entry as *const () as u64));
    SFMask::write(RFlags::from_bits_retain(FLAGS_CLEARED));
}

/// Returns to the current thread, which entered by `syscall`, with the words of another frame as its own, and these results. Gives the kernel
/// lock up once they are read. Nothing on the stack is kept.
///
/// The words are not written to the thread's own frame first: its next entry overwrites that anyway.
///
/// # Safety
/// The caller holds the lock whose flag `lock` is, and has forgotten the guard. The current thread's `entry` is [`ENTRY_SYSCALL`].
#[inline(always)]
pub unsafe fn return_with_words(words: &Frame, status: u64, r0: u64, r1: u64, lock: &AtomicBool) -> ! {
    // SAFETY: as the exit code in `entry`; a plain store releases the lock, as x86 keeps stores behind earlier loads (Intel SDM vol. 3A §8.2.2).
    unsafe {
        asm!(
            "mov rdx, [rcx + {rdx}]",
            "mov r8, [rcx + {r8}]",
            "mov r9, [rcx + {r9}]",
            "mov r10, [rcx + {r10}]",
            "mov r12, [rcx + {r12}]",
            "mov r13, [rcx + {r13}]",
            "mov r14, [rcx + {r14}]",
            "mov r15, [rcx + {r15}]",
            "mov byte ptr [r11], 0",
            "mov rsp, gs:[{frame_end}]",
            "mov rcx, [rsp + {end_rip}]",
            "mov r11, [rsp + {end_rflags}]",
            "mov rbx, [rsp + {end_rbx}]",
            "mov rbp, [rsp + {end_rbp}]",
            "mov rsp, [rsp + {end_rsp}]",
            "swapgs",
            "sysretq",
            frame_end = const FRAME_END,
            rdx = const offset_of!(Frame, rdx),
            r8 = const offset_of!(Frame, r8),
            r9 = const offset_of!(Frame, r9),
            r10 = const offset_of!(Frame, r10),
            r12 = const offset_of!(Frame, r12),
            r13 = const offset_of!(Frame, r13),
            r14 = const offset_of!(Frame, r14),
            r15 = const offset_of!(Frame, r15),
            end_rip = const from_end!(rip),
            end_rflags = const from_end!(rflags),
            end_rsp = const from_end!(rsp),
            end_rbx = const from_end!(rbx),
            end_rbp = const from_end!(rbp),
            in("rcx") words,
            in("rax") status,
            in("rdi") r0,
            in("rsi") r1,
            in("r11") lock.as_ptr(),
            options(noreturn)
        )
    }
}

/// The entry. Interrupts are off, the stack is the user's, GS base too.
#[unsafe(naked)]
#[unsafe(link_section = ".text.entry")]
unsafe extern "C" fn entry() {
    naked_asm!(
        "swapgs",
        "mov gs:[{scratch}], rsp",
        "mov rsp, gs:[{frame_end}]",
        "push {user_data}",
        "push qword ptr gs:[{scratch}]",
        "push r11",
        "mov [rsp + {rip}], rcx",
        "mov [rsp + {rax}], rax",
        "mov [rsp + {rdi}], rdi",
        "mov [rsp + {rsi}], rsi",
        "mov [rsp + {rdx}], rdx",
        "mov [rsp + {r8}], r8",
        "mov [rsp + {r9}], r9",
        "mov [rsp + {r10}], r10",
        "mov [rsp + {r12}], r12",
        "mov [rsp + {r13}], r13",
        "mov [rsp + {r14}], r14",
        "mov [rsp + {r15}], r15",
        "mov [rsp + {rbx}], rbx",
        "mov [rsp + {rbp}], rbp",
        "mov qword ptr [rsp + {entry}], 0",
        "cmp rax, {call_number}",
        // Null: its status, 0, is already where its number, 0, was.
        "jb return_to_user",
        "mov rdi, gs:[0]",
        "mov rsp, gs:[{stack_top}]",
        "je 3f",
        "cmp rax, {reply_receive_number}",
        "je 4f",
        "cmp rax, {receive_number}",
        "je 5f",
        "call {syscall}",
        "jmp return_to_user",
        // These two do not return, but come to the exit by themselves.
        "3: call {call}",
        "4: call {reply_receive}",
        "5: call {receive}",
        // Leaving, as the current frame says. Interrupts are off and the GS base is the kernel's.
        ".global return_to_user",
        "return_to_user:",
        "mov rsp, gs:[{frame_end}]",
        "sub rsp, {frame_bytes}",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop rax",
        "pop rbx",
        "pop rbp",
        "cmp qword ptr [rsp + {popped_entry}], 0",
        "jne 2f",
        "mov rcx, [rsp + {popped_rip}]",
        "mov r11, [rsp + {popped_rflags}]",
        "mov rsp, [rsp + {popped_rsp}]",
        "swapgs",
        "sysretq",
        "2: pop rcx",
        "pop r11",
        "add rsp, 16", // The entry and the error code.
        "swapgs",
        "iretq",
        scratch = const SCRATCH,
        frame_end = const FRAME_END,
        stack_top = const STACK_TOP,
        frame_bytes = const size_of::<Frame>(),
        user_data = const USER_DATA,
        call_number = const Syscall::Call as u64,
        reply_receive_number = const Syscall::ReplyReceive as u64,
        receive_number = const Syscall::Receive as u64,
        syscall = sym crate::entry::syscall,
        call = sym crate::entry::call,
        reply_receive = sym crate::entry::reply_receive,
        receive = sym crate::entry::receive,
        rip = const pushed!(rip),
        rax = const pushed!(rax),
        rdi = const pushed!(rdi),
        rsi = const pushed!(rsi),
        rdx = const pushed!(rdx),
        r8 = const pushed!(r8),
        r9 = const pushed!(r9),
        r10 = const pushed!(r10),
        r12 = const pushed!(r12),
        r13 = const pushed!(r13),
        r14 = const pushed!(r14),
        r15 = const pushed!(r15),
        rbx = const pushed!(rbx),
        rbp = const pushed!(rbp),
        entry = const pushed!(entry),
        popped_entry = const popped!(entry),
        popped_rip = const popped!(rip),
        popped_rflags = const popped!(rflags),
        popped_rsp = const popped!(rsp),
    )
}
