//! What each CPU keeps for the entry code: where its frame and its stack are, its task state and segments.
//!
//! GS base points to it in the kernel. It is the first field of the core's `Cpu`, so a pointer to one is a pointer to
//! the other. The entry code knows the offsets below.

use super::{context, processor, stacks};
use core::cell::{Cell, UnsafeCell};
use core::mem::offset_of;
use x86_64::VirtAddr;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// Kernel code segment selector.
pub const KERNEL_CODE: u16 = 0x08;
/// Kernel data segment selector.
pub const KERNEL_DATA: u16 = 0x10;
/// Task state selector.
const TASK_STATE: u16 = 0x28;

/// Offset of the stack top in a [`CpuLocal`].
pub const STACK_TOP: usize = offset_of!(CpuLocal, stack_top);
/// Offset of the scratch word.
pub const SCRATCH: usize = offset_of!(CpuLocal, scratch);
/// Offset of TSS.RSP0: the end of the current thread's frame.
pub const FRAME_END: usize = offset_of!(CpuLocal, task_state) + offset_of!(TaskStateSegment, privilege_stack_table);

/// See the module. The first cache line is what entry, exit and switch use.
#[repr(C, align(64))]
pub struct CpuLocal {
    this: Cell<*const CpuLocal>,
    /// Where the system call entry keeps the user's stack pointer for two instructions.
    scratch: Cell<u64>,
    /// Where this CPU's stack starts.
    pub stack_top: Cell<u64>,
    /// Which CPU this is; the boot CPU is 0.
    pub index: Cell<u32>,
    /// At 4 modulo 8, so that RSP0, at its offset 4, is aligned.
    task_state: UnsafeCell<TaskStateSegment>,
    segments: UnsafeCell<GlobalDescriptorTable>,
}

const _: () = assert!(FRAME_END.is_multiple_of(8) && FRAME_END < 64);

// SAFETY: `install` runs once, on the CPU that it is for, before anything else uses the fields; afterwards only
// that CPU writes, with interrupts off, and others only read `index`.
unsafe impl Sync for CpuLocal {}

impl CpuLocal {
    /// Of a CPU that has not started.
    pub const fn new() -> CpuLocal {
        CpuLocal {
            this: Cell::new(core::ptr::null()),
            scratch: Cell::new(0),
            stack_top: Cell::new(0),
            index: Cell::new(0),
            task_state: UnsafeCell::new(TaskStateSegment::new()),
            segments: UnsafeCell::new(GlobalDescriptorTable::new()),
        }
    }

    /// Sets where interrupts and system calls from user mode put the registers.
    #[inline(always)]
    pub fn set_frame(&self, frame: &context::Frame) {
        let end = core::ptr::from_ref(frame).wrapping_add(1) as u64;
        // SAFETY: the field is in this structure, aligned (asserted above), and written by its own CPU only; the
        // processor reads it when it changes to ring 0, which it does not while this runs.
        unsafe {
            self.task_state
                .get()
                .cast::<u8>()
                .add(offset_of!(TaskStateSegment, privilege_stack_table))
                .cast::<u64>()
                .write(end)
        };
    }

    /// Makes this the running CPU's: segments, task state, GS base. Once for each CPU, on its own stack.
    pub fn install(&'static self, index: usize) {
        self.this.set(self);
        self.index.set(index as u32);
        self.stack_top.set(stacks::top(index));
        processor::set_cpu_local(self);
        // SAFETY: nothing else refers to the two tables before they are loaded below, as this runs once.
        let (task_state, segments) = unsafe { (&mut *self.task_state.get(), &mut *self.segments.get()) };
        for ist in 0..stacks::INTERRUPT_STACKS {
            task_state.interrupt_stack_table[ist] = VirtAddr::new(stacks::interrupt_top(index, ist));
        }
        // The order that `sysret` wants (AMD APM vol. 2 §6.1.1); `context` has the user's selectors.
        segments.append(Descriptor::kernel_code_segment());
        segments.append(Descriptor::kernel_data_segment());
        segments.append(Descriptor::user_data_segment());
        segments.append(Descriptor::user_code_segment());
        // The descriptor's limit ends before the I/O bitmap's offset: no port is open to user code (Intel SDM vol. 1 §19.5.2).
        // SAFETY: the task state lives as long as this CpuLocal, which is 'static.
        segments.append(unsafe { Descriptor::tss_segment_unchecked(self.task_state.get()) });
        load_segments(segments);
    }
}

/// Loads the tables and the segment registers.
fn load_segments(segments: &'static GlobalDescriptorTable) {
    if !cfg!(target_os = "none") {
        return;
    }
    use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
    use x86_64::registers::segmentation::SegmentSelector;
    segments.load();
    // SAFETY: the selectors name the descriptors that `install` made: flat 64-bit code and data of ring 0, an available task state.
    // FS and GS are left alone, as loading them would clear their bases.
    unsafe {
        CS::set_reg(SegmentSelector(KERNEL_CODE));
        SS::set_reg(SegmentSelector(KERNEL_DATA));
        DS::set_reg(SegmentSelector(0));
        ES::set_reg(SegmentSelector(0));
        x86_64::instructions::tables::load_tss(SegmentSelector(TASK_STATE));
    }
}
