//! Starting the other CPUs (Intel SDM vol. 3A §9.4.4).
//!
//! All are started at once. Each takes a ticket, which is its index and says which stacks are its own: so CPUs that do not come leave no
//! gap, and one that comes when nobody waits any more finds no ticket, and halts.

use super::layout::{STACKS_BASE, direct_map};
use super::start_info::TRAMPOLINE;
use super::{apic, clock, features, kernel_space, stacks, syscall, vectors};
use crate::sync::tickets::Tickets;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicBool, Ordering::*};
use x86_64::PhysAddr;

static TICKETS: Tickets = Tickets::new();
static TRAMPOLINE_PLACED: AtomicBool = AtomicBool::new(false);

/// Nanoseconds between INIT and the first start-up message, and from that to the second. The SDM's 10 ms after INIT are for processors older than
/// any with FSGSBASE.
const INIT_WAIT: u64 = 20_000;
const START_UP_WAIT: u64 = 200_000;
/// How long the slowest CPU is waited for.
const PATIENCE: u64 = 1_000_000_000;

/// Starts all other CPUs of the firmware's table. Each ends in the core's `ap_main`. Returns how many CPUs there are now: their
/// indices are below that. `entry::cpu` must be ready for all of `apic::present_cpus()`.
pub fn start_others() -> usize {
    let present = apic::present_cpus() as u32;
    if present == 1 || !TRAMPOLINE_PLACED.load(Relaxed) {
        return 1;
    }
    let own = apic::own_identity();
    let others = || apic::present().filter(|&identity| identity != own);
    TICKETS.offer(present);
    others().for_each(apic::initialize);
    wait(INIT_WAIT, || false);
    // The second message is for CPUs that missed the first (SDM, same place); a running one ignores it.
    for _ in 0..2 {
        others().for_each(|identity| apic::start_up(identity, (TRAMPOLINE / 4096) as u8));
        if wait(START_UP_WAIT, || TICKETS.are_taken(present)) {
            break;
        }
    }
    wait(PATIENCE, || TICKETS.are_taken(present));
    let taken = TICKETS.close(present);
    if taken < present {
        crate::log!(Error, "{} of {present} CPUs did not start", present - taken);
    }
    // Whoever has a ticket is a few thousand instructions from here.
    if !wait(PATIENCE, || TICKETS.have_arrived(taken)) {
        crate::panic::boot_error(format_args!("a CPU died while it started"));
    }
    taken as usize
}

/// Waits until a condition holds, or for this many nanoseconds; returns whether it does.
fn wait(nanoseconds: u64, done: impl Fn() -> bool) -> bool {
    let end = clock::now() + nanoseconds;
    while !done() {
        if clock::now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// The first Rust code of another CPU, on its own stack and the final tables.
extern "C" fn start(index: usize) -> ! {
    features::enable();
    vectors::load();
    let cpu = crate::entry::cpu(index);
    cpu.arch.install(index);
    syscall::enable();
    apic::enable(index);
    TICKETS.arrive();
    crate::entry::ap_main(cpu)
}

/// Out of the trampoline: on the boot tables, without a stack.
#[unsafe(naked)]
unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        "mov rax, [rip + {table}]",
        "mov cr3, rax",
        "mov eax, 1",
        "lock xadd [rip + {tickets} + {next}], eax",
        "cmp eax, [rip + {tickets} + {offered}]",
        "jae 2f",
        "mov edi, eax",
        "imul rax, rax, {slot_bytes}",
        "movabs rsp, {first_top}",
        "add rsp, rax",
        "xor ebp, ebp",
        "call {start}",
        "2: cli",
        "hlt",
        "jmp 2b",
        table = sym kernel_space::TABLE,
        tickets = sym TICKETS,
        next = const Tickets::NEXT,
        offered = const Tickets::OFFERED,
        slot_bytes = const stacks::SLOT_BYTES,
        first_top = const STACKS_BASE + stacks::PAGES[0].end * 4096,
        start = sym start,
    )
}

#[cfg(target_os = "none")]
unsafe extern "C" {
    static ap_trampoline: u8;
    static ap_trampoline_end: u8;
}

/// Copies the trampoline to its page. On the boot tables, as the final ones do not map it.
#[cfg(target_os = "none")]
pub fn place_trampoline() {
    let start = &raw const ap_trampoline;
    // SAFETY: the code below lies between the two symbols and is shorter than a page; the page is RAM that nobody uses any
    // more, as the caller has seen in the memory map.
    unsafe {
        let bytes = (&raw const ap_trampoline_end).offset_from_unsigned(start);
        direct_map(PhysAddr::new(TRAMPOLINE)).copy_from_nonoverlapping(start, bytes);
    }
    TRAMPOLINE_PLACED.store(true, Relaxed);
}

/// There is no low memory on the host.
#[cfg(not(target_os = "none"))]
pub fn place_trampoline() {
    let _ = (direct_map(PhysAddr::new(TRAMPOLINE)), enter as *const ());
    TRAMPOLINE_PLACED.store(true, Relaxed);
}

// From real mode at the page that the start-up message named straight to 64-bit mode (AMD APM vol. 2 §14.6.1), on the boot tables, which map the page
// at its own address.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".pushsection .rodata.trampoline, \"a\", @progbits",
    ".code16",
    ".global ap_trampoline",
    "ap_trampoline:",
    "cli",
    "cld",
    "xorw %ax, %ax",
    "movw %ax, %ds",
    "lgdtl ap_table_pointer - ap_trampoline + {page}",
    // PAE; then the table, EFER.LME and NXE, paging and write protection with the caches on.
    "movl $0x20, %eax",
    "movl %eax, %cr4",
    "movl $(boot_pml4 - {base}), %eax",
    "movl %eax, %cr3",
    "movl $0xc0000080, %ecx",
    "movl $0x900, %eax",
    "xorl %edx, %edx",
    "wrmsr",
    "movl $0x80010011, %eax",
    "movl %eax, %cr0",
    "ljmpl $8, $(2f - ap_trampoline + {page})",
    ".code64",
    "2: movabsq ${enter}, %rax",
    "jmp *%rax",
    ".balign 8",
    "ap_table: .quad 0, 0x00af9b000000ffff",
    "ap_table_pointer: .word 15",
    ".long ap_table - ap_trampoline + {page}",
    ".global ap_trampoline_end",
    "ap_trampoline_end:",
    ".popsection",
    page = const TRAMPOLINE,
    base = const super::layout::KERNEL_BASE,
    enter = sym enter,
    options(att_syntax)
);
