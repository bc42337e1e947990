//! Entering the kernel by exception or interrupt: the interrupt descriptor table and its entry code.
//!
//! From user mode the processor pushes into the current thread's frame, as TSS.RSP0 is the frame's end, and the entry code
//! pushes the rest there. From kernel mode an interrupt can only come out of `idle`, the one place where interrupts are on, and nothing of
//! that is kept; an exception is a bug in the kernel, and the end. So are NMI, double fault and machine check
//! from anywhere: they run on stacks of their own and use nothing that depends on GS.

use super::context::Frame;
use super::cpu_local::STACK_TOP;
use core::arch::naked_asm;
use core::mem::offset_of;
use spin::Once;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::idt::{Entry, HandlerFunc};
use x86_64::{PrivilegeLevel, VirtAddr};

/// Non-maskable interrupt.
pub const NMI: u8 = 2;
/// Breakpoint: the one exception that user code may raise with `int`.
const BREAKPOINT: u8 = 3;
/// Double fault.
const DOUBLE_FAULT: u8 = 8;
/// Machine check.
const MACHINE_CHECK: u8 = 18;

/// The vectors with a stack of their own, in the order of the interrupt stack table.
const OWN_STACK: [u8; super::stacks::INTERRUPT_STACKS] = [NMI, DOUBLE_FAULT, MACHINE_CHECK];

/// Bytes between the entries in [`stubs`].
const STUB_BYTES: u64 = 16;

type Table = [Entry<HandlerFunc>; 256];

static TABLE: Once<Table> = Once::new();

/// Loads the table. Once for each CPU.
pub fn load() {
    let table = TABLE.call_once(make);
    // SAFETY: the table is 'static and never changes; its entries lead to the code below.
    unsafe { lidt(&DescriptorTablePointer { limit: size_of::<Table>() as u16 - 1, base: VirtAddr::from_ptr(table) }) };
}

fn make() -> Table {
    let mut table = [const { Entry::missing() }; 256];
    for (vector, entry) in (0u8..=255).zip(&mut table) {
        let stub = VirtAddr::new(stubs as *const () as u64 + u64::from(vector) * STUB_BYTES);
        // SAFETY: the stubs are made for interrupt gates, and expect these stacks.
        unsafe {
            let options = entry.set_handler_addr(stub);
            if let Some(ist) = OWN_STACK.iter().position(|&own| own == vector) {
                options.set_stack_index(ist as u16);
            }
            if vector == BREAKPOINT {
                options.set_privilege_level(PrivilegeLevel::Ring3);
            }
        }
    }
    table
}

/// The 256 entries: 0 in place of an error code where the processor pushes none (Intel SDM vol. 3A table 7-1: 8, 10–14, 17, 21, 29, 30 have one), the frame's
/// `entry` (ENTRY_TRAP, 1), R11, and the vector in R11's low byte.
#[unsafe(naked)]
unsafe extern "C" fn stubs() {
    naked_asm!(
        ".balign 16",
        ".set vector, 0",
        ".rept 256",
        ".if (vector < 32) && ((0x60227d00 >> (vector & 31)) & 1)",
        ".byte 0x66, 0x90", // a nop of two bytes, as long as the push
        ".else",
        "push 0",
        ".endif",
        "push 1",
        "push r11",
        ".byte 0x41, 0xb3, vector", // mov r11b, vector
        ".if (vector == {nmi}) || (vector == {double_fault}) || (vector == {machine_check})",
        "jmp {fatal}",
        ".else",
        "jmp {ordinary}",
        ".endif",
        ".balign 16",
        ".set vector, vector + 1",
        ".endr",
        nmi = const NMI,
        double_fault = const DOUBLE_FAULT,
        machine_check = const MACHINE_CHECK,
        fatal = sym fatal,
        ordinary = sym ordinary,
    )
}

macro_rules! push_registers {
    () => {
        "push rcx
        push rbp
        push rbx
        push rax
        push rdi
        push rsi
        push rdx
        push r8
        push r9
        push r10
        push r12
        push r13
        push r14
        push r15
        movzx esi, r11b"
    };
}

/// Exceptions, and interrupts from 32 on.
#[unsafe(naked)]
unsafe extern "C" fn ordinary() {
    naked_asm!(
        push_registers!(),
        "test byte ptr [rsp + {cs}], 3",
        "jz 2f",
        "swapgs",
        "mov rdx, [rsp + {error}]",
        "4: mov rdi, gs:[0]",
        "mov rsp, gs:[{stack_top}]",
        // The user's DF and AC are still set, if they were: an interrupt gate clears TF, NT, RF and IF only.
        "push 2",
        "popfq",
        "cmp esi, 32",
        "jae 3f",
        "mov rcx, cr2",
        "call {trap}",
        "jmp return_to_user",
        "3: call {interrupt}",
        "jmp return_to_user",
        // In kernel mode: out of idle, or a bug.
        "2: cmp esi, 32",
        "jae 4b",
        "mov rdi, rsp",
        "mov rdx, cr2",
        "cld",
        "call {exception}",
        "ud2",
        cs = const offset_of!(Frame, cs),
        error = const offset_of!(Frame, error),
        stack_top = const STACK_TOP,
        trap = sym crate::entry::trap,
        interrupt = sym crate::entry::interrupt,
        exception = sym super::exception::in_kernel,
    )
}

/// What nothing comes back from, on its own stack.
#[unsafe(naked)]
unsafe extern "C" fn fatal() {
    naked_asm!(
        push_registers!(),
        "mov rdi, rsp",
        "mov rdx, cr2",
        "cld",
        "call {exception}",
        "ud2",
        exception = sym super::exception::in_kernel,
    )
}
