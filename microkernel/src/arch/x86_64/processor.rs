//! The instructions that only the kernel may execute, each as a function. `host` has the same functions for
//! the host; everything above is the same code in both places.

use super::cpu_local::CpuLocal;
use core::arch::asm;
use x86_64::instructions::port::Port;
use x86_64::{PhysAddr, VirtAddr};

/// Makes `local` what [`cpu_local`] finds.
pub fn set_cpu_local(local: &'static CpuLocal) {
    x86_64::registers::model_specific::GsBase::write(VirtAddr::from_ptr(local));
    x86_64::registers::model_specific::KernelGsBase::write(VirtAddr::zero());
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC has no effect on memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The FS base.
#[inline(always)]
pub fn fs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set; reading has no effect.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// Sets the FS base, which the kernel itself does not use. It must be canonical.
#[inline(always)]
pub fn set_fs_base(base: u64) {
    // SAFETY: CR4.FSGSBASE is set, and no kernel code goes through FS.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) };
}

/// Zeroes the GS base that user code will see.
#[inline(always)]
pub fn clear_user_gs_base() {
    // SAFETY: with interrupts off nothing looks at the kernel's GS base between the two swaps: NMI, double fault and machine check
    // handlers do not use it.
    unsafe { asm!("swapgs", "wrgsbase {}", "swapgs", in(reg) 0u64, options(nomem, nostack, preserves_flags)) };
}

/// Loads a top-level page table.
///
/// # Safety
/// Its upper half must be the kernel's.
#[inline(always)]
pub unsafe fn set_page_table(table: PhysAddr) {
    // SAFETY: the kernel's half stays the same, as the caller promises.
    unsafe { asm!("mov cr3, {}", in(reg) table.as_u64(), options(nostack, preserves_flags)) };
}

/// Reads `width` (1, 2 or 4) bytes from a port.
#[inline(always)]
pub fn port_read(port: u16, width: u8) -> u32 {
    // SAFETY: port I/O does not touch the kernel's memory; who may cause which is decided above.
    unsafe {
        match width {
            1 => Port::<u8>::new(port).read().into(),
            2 => Port::<u16>::new(port).read().into(),
            _ => Port::<u32>::new(port).read(),
        }
    }
}

/// Writes `width` (1, 2 or 4) bytes to a port.
#[inline(always)]
pub fn port_write(port: u16, width: u8, value: u32) {
    // SAFETY: as `port_read`. Ports of the DMA controller and of PCI configuration can make devices write memory:
    // the right to them is init's to give to the bus server.
    unsafe {
        match width {
            1 => Port::<u8>::new(port).write(value as u8),
            2 => Port::<u16>::new(port).write(value as u16),
            _ => Port::<u32>::new(port).write(value),
        }
    }
}

/// Reads a 32-bit register in the device window.
#[inline(always)]
pub fn register_read(address: VirtAddr) -> u32 {
    // SAFETY: the device window is mapped, uncached, and holds nothing but registers.
    unsafe { address.as_ptr::<u32>().read_volatile() }
}

/// Writes a 32-bit register in the device window.
#[inline(always)]
pub fn register_write(address: VirtAddr, value: u32) {
    // SAFETY: as `register_read`; the interrupt controllers' registers do not address memory.
    unsafe { address.as_mut_ptr::<u32>().write_volatile(value) };
}

/// Writes a byte-wide register in the device window.
pub fn register_write_byte(address: VirtAddr, value: u8) {
    // SAFETY: as `register_write`.
    unsafe { address.as_mut_ptr::<u8>().write_volatile(value) };
}

/// Waits for interrupts, which start anew at the stack's top and never come back here: awake until a time-stamp count, then halted.
pub fn idle(stack_top: u64, awake_until: u64) -> ! {
    // SAFETY: nothing on the stack is needed any more. An interrupt is handled wherever it comes, and the CPU becomes idle anew then.
    unsafe {
        asm!("mov rsp, rcx", "xor ebp, ebp", "sti", "2: rdtsc", "shl rdx, 32", "or rax, rdx", "cmp rax, rsi", "jb 2b", "3: hlt", "jmp 3b",
            in("rcx") stack_top, in("rsi") awake_until, options(noreturn))
    }
}

/// Resets the processor, as the last resort: an exception without a table to handle it.
pub fn triple_fault() -> ! {
    let none = x86_64::structures::DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    // SAFETY: nothing after this is expected to run.
    unsafe {
        x86_64::instructions::tables::lidt(&none);
        asm!("ud2", options(noreturn));
    }
}

/// Stops this CPU for ever.
pub fn halt() -> ! {
    loop {
        // SAFETY: with interrupts off only an NMI ends the HLT, and that leads back here.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Goes to the common exit code (`syscall.rs`), which takes everything from the current thread's frame.
#[inline(always)]
pub fn return_to_user() -> ! {
    // SAFETY: the exit code needs GS base and a current frame, which whoever runs in the core has; it leaves this stack.
    unsafe { asm!("jmp return_to_user", options(noreturn)) }
}
