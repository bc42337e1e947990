//! The first instructions: from the 32-bit entry of PVH (Xen's `docs/misc/pvh.pandoc`, «PVH boot ABI»: EBX holds the address of the start
//! info, paging is off, segments are flat) to 64-bit Rust at the kernel's linked address.
//!
//! The tables made here map the first 4 GiB of physical memory twice, at 0 and at `PHYSICAL_BASE`, and the first GiB at `KERNEL_BASE`.
//! They serve until `kernel_space` has made the final ones, and again when other CPUs start (`smp`).

use super::layout;
use core::arch::global_asm;

/// Exit value of `isa-debug-exit` for an error during boot.
pub const BOOT_ERROR_EXIT: u8 = 0x7e;

unsafe extern "C" {
    /// The boot page table's top level.
    pub static boot_pml4: u8;
}

global_asm!(
    // XEN_ELFNOTE_PHYS32_ENTRY (xen/include/public/elfnote.h): where to enter, physical.
    ".pushsection .note.Xen, \"a\", @note",
    ".balign 4",
    ".long 4, 8, 18",
    ".asciz \"Xen\"",
    ".quad pvh_start - {base}",
    ".popsection",
    ".pushsection .bss.boot, \"aw\", @nobits",
    ".balign 4096",
    ".global boot_pml4",
    "boot_pml4: .skip 4096",
    "boot_pdpt: .skip 4096",
    "boot_pdpt_high: .skip 4096",
    "boot_pd: .skip 4 * 4096",
    "boot_stack: .skip 32768",
    "boot_stack_end:",
    ".popsection",
    ".pushsection .boot, \"ax\", @progbits",
    ".code32",
    ".global pvh_start",
    "pvh_start:",
    "cli",
    "cld",
    "rdtsc",
    "movl %eax, %esi",
    "movl %edx, %edi",
    "movl %ebx, %ebp",
    // Long mode, before anything that needs it (Intel SDM vol. 2A CPUID, leaf 80000001H).
    "movl $0x80000000, %eax",
    "cpuid",
    "cmpl $0x80000001, %eax",
    "jb 9f",
    "movl $0x80000001, %eax",
    "cpuid",
    "btl $29, %edx",
    "jnc 9f",
    // Present, writable: 3. The high halves of the entries are zero, as all of .bss.
    "movl $(boot_pdpt - {base} + 3), %eax",
    "movl %eax, boot_pml4 - {base}",
    "movl %eax, boot_pml4 - {base} + 256 * 8",
    "movl $(boot_pdpt_high - {base} + 3), boot_pml4 - {base} + 511 * 8",
    "movl $(boot_pd - {base} + 3), %eax",
    "movl %eax, boot_pdpt_high - {base} + 510 * 8",
    "movl $(boot_pdpt - {base}), %edx",
    "movl $4, %ecx",
    "2: movl %eax, (%edx)",
    "addl $8, %edx",
    "addl $4096, %eax",
    "loop 2b",
    // 2 MiB pages: present, writable, large.
    "movl $(boot_pd - {base}), %edx",
    "movl $0x83, %eax",
    "movl $2048, %ecx",
    "3: movl %eax, (%edx)",
    "addl $8, %edx",
    "addl $0x200000, %eax",
    "loop 3b",
    // Into 64-bit mode (Intel SDM vol. 3A §10.8.5): PAE, table, EFER.LME, paging with write protection.
    "movl $0x20, %eax",
    "movl %eax, %cr4",
    "movl $(boot_pml4 - {base}), %eax",
    "movl %eax, %cr3",
    "movl $0xc0000080, %ecx",
    "rdmsr",
    "orl $0x100, %eax",
    "wrmsr",
    "movl $0x80010011, %eax",
    "movl %eax, %cr0",
    "lgdt boot_gdt_low - {base}",
    "ljmp $8, $(5f - {base})",
    // No long mode: said here, as no Rust code can run.
    "9: movl $(boot_no_long_mode - {base}), %esi",
    "movw $0x3f8, %dx",
    "4: lodsb",
    "testb %al, %al",
    "jz 6f",
    "outb %al, %dx",
    "jmp 4b",
    "6: movb ${exit}, %al",
    "movw $0xf4, %dx",
    "outb %al, %dx",
    "7: hlt",
    "jmp 7b",
    ".code64",
    "5: movabsq $8f, %rax",
    "jmp *%rax",
    "8: lgdt boot_gdt_high(%rip)",
    "xorl %eax, %eax",
    "movw %ax, %ds",
    "movw %ax, %es",
    "movw %ax, %ss",
    "movw %ax, %fs",
    "movw %ax, %gs",
    "movq $boot_stack_end, %rsp",
    "movl %esi, %esi",
    "shlq $32, %rdi",
    "orq %rdi, %rsi",
    "movl %ebp, %edi",
    "xorl %ebp, %ebp",
    "call {start}",
    "ud2",
    ".balign 8",
    "boot_gdt: .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff",
    "boot_gdt_low: .word 23",
    ".quad boot_gdt - {base}",
    "boot_gdt_high: .word 23",
    ".quad boot_gdt",
    "boot_no_long_mode: .asciz \"BOOT ERROR: this processor has no 64-bit mode\\r\\n\"",
    ".popsection",
    base = const layout::KERNEL_BASE,
    exit = const BOOT_ERROR_EXIT,
    start = sym super::boot::start,
    options(att_syntax)
);
