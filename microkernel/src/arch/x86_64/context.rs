//! What the processor needs to run a thread: its registers and thread pointer.

use abi::process::Registers;
use core::cell::Cell;

/// User code segment selector, RPL 3: GDT order null, kernel code, kernel data, user data, user code
/// (what `sysret` wants: AMD APM vol. 2 §6.1.1).
pub const USER_CODE: u64 = 0x20 | 3;
/// User data segment selector, RPL 3.
pub const USER_DATA: u64 = 0x18 | 3;

/// RFLAGS of a new thread: interrupts on and the bit that is always one.
const INITIAL_RFLAGS: u64 = 0x202;

/// [`Frame::entry`] of a thread that entered by `syscall`, and so leaves by `sysret`.
pub const ENTRY_SYSCALL: u64 = 0;
/// [`Frame::entry`] of a thread that entered otherwise, and so leaves by `iretq` with all registers.
pub const ENTRY_TRAP: u64 = 1;

/// A thread's registers while it is not running. The hardware pushes the last five fields when an interrupt or
/// exception comes from user mode, as TSS.RSP0 is the end of this frame: so the order is fixed.
///
/// The kernel reads and writes a frame only while its thread does not run, under the kernel lock.
#[repr(C, align(16))]
#[derive(Default)]
pub struct Frame {
    pub r15: Cell<u64>,
    pub r14: Cell<u64>,
    pub r13: Cell<u64>,
    pub r12: Cell<u64>,
    pub r10: Cell<u64>,
    pub r9: Cell<u64>,
    pub r8: Cell<u64>,
    pub rdx: Cell<u64>,
    pub rsi: Cell<u64>,
    pub rdi: Cell<u64>,
    pub rax: Cell<u64>,
    pub rbx: Cell<u64>,
    pub rbp: Cell<u64>,
    /// Not kept by `syscall`, which destroys it.
    pub rcx: Cell<u64>,
    /// Not kept by `syscall`, which destroys it.
    pub r11: Cell<u64>,
    /// [`ENTRY_SYSCALL`] or [`ENTRY_TRAP`].
    pub entry: Cell<u64>,
    /// Error code of the exception, or 0: the processor pushes it between here and `rip`.
    pub error: Cell<u64>,
    pub rip: Cell<u64>,
    pub cs: Cell<u64>,
    pub rflags: Cell<u64>,
    pub rsp: Cell<u64>,
    pub ss: Cell<u64>,
}

const _: () = assert!(size_of::<Frame>() == 22 * 8 && size_of::<Frame>().is_multiple_of(16));

/// Everything of a thread that the processor holds while it runs.
#[repr(C, align(16))]
pub struct Context {
    /// The registers. First, and 16-byte aligned with its end: see [`Frame`].
    pub frame: Frame,
    /// FS base, the thread pointer of user space. In the register while the thread runs.
    pub fs_base: Cell<u64>,
}

impl Context {
    /// The context of a thread that starts at `entry` with `argument` in `rdi`.
    pub fn new(entry: u64, stack: u64, argument: u64, fs_base: u64) -> Context {
        let frame = Frame {
            rdi: Cell::new(argument),
            entry: Cell::new(ENTRY_TRAP),
            rip: Cell::new(entry),
            cs: Cell::new(USER_CODE),
            rflags: Cell::new(INITIAL_RFLAGS),
            rsp: Cell::new(stack),
            ss: Cell::new(USER_DATA),
            ..Frame::default()
        };
        Context { frame, fs_base: Cell::new(fs_base) }
    }
}

impl Frame {
    /// The eight message words, in their order.
    #[inline(always)]
    pub fn words(&self) -> [&Cell<u64>; abi::WORDS] {
        [&self.rdx, &self.r8, &self.r9, &self.r10, &self.r12, &self.r13, &self.r14, &self.r15]
    }

    /// Copies the eight message words to another frame.
    #[inline(always)]
    pub fn copy_words(&self, to: &Frame) {
        self.words().into_iter().zip(to.words()).for_each(|(from, to)| to.set(from.get()));
    }

    /// Argument or result `n` of a system call: `rdi`, `rsi`, then the words.
    #[inline(always)]
    pub fn argument(&self, n: usize) -> &Cell<u64> {
        match n {
            0 => &self.rdi,
            1 => &self.rsi,
            _ => self.words()[n - 2],
        }
    }

    /// All registers, for an exit record.
    pub fn registers(&self) -> Registers {
        Registers {
            rax: self.rax.get(),
            rbx: self.rbx.get(),
            rcx: self.rcx.get(),
            rdx: self.rdx.get(),
            rsi: self.rsi.get(),
            rdi: self.rdi.get(),
            rbp: self.rbp.get(),
            rsp: self.rsp.get(),
            r8: self.r8.get(),
            r9: self.r9.get(),
            r10: self.r10.get(),
            r11: self.r11.get(),
            r12: self.r12.get(),
            r13: self.r13.get(),
            r14: self.r14.get(),
            r15: self.r15.get(),
            rip: self.rip.get(),
            rflags: self.rflags.get(),
        }
    }
}
