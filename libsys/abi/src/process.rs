//! Processes: exit reasons and records.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Why an incarnation of a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitReason {
    /// It has not ended.
    None = 0,
    /// Its last thread ended, or it asked for it; `code` is its exit status.
    Exit = 1,
    /// It panicked: it asked to end, and left its message in the corpse.
    Panic = 2,
    /// It touched an address that is not mapped, or not for that access. `code` is the page
    /// fault's error code (Intel SDM vol. 3A §4.7), `address` the address.
    PageFault = 3,
    /// A stack ran into its guard page, as far as the kernel can tell: an access right below a mapped stack.
    StackOverflow = 4,
    /// An instruction that does not exist or is privileged. `code` is the vector.
    IllegalInstruction = 5,
    /// Any other protection fault. `code` is the error code.
    GeneralProtection = 6,
    /// A division error.
    DivideError = 7,
    /// A floating-point or vector instruction: programs have no vector registers.
    FloatingPoint = 8,
    /// A breakpoint or single step without a debugger.
    Breakpoint = 9,
    /// Any other processor exception. `code` is the vector.
    Exception = 10,
    /// Killed by request. `code` is what the killer gave.
    Killed = 11,
    /// Killed because it did not progress. `code` is what the killer gave.
    Hung = 12,
    /// Its account was revoked.
    Revoked = 13,
}

impl ExitReason {
    /// The reason with this number.
    pub const fn from_number(number: u32) -> ExitReason {
        match number {
            1 => ExitReason::Exit,
            2 => ExitReason::Panic,
            3 => ExitReason::PageFault,
            4 => ExitReason::StackOverflow,
            5 => ExitReason::IllegalInstruction,
            6 => ExitReason::GeneralProtection,
            7 => ExitReason::DivideError,
            8 => ExitReason::FloatingPoint,
            9 => ExitReason::Breakpoint,
            10 => ExitReason::Exception,
            11 => ExitReason::Killed,
            12 => ExitReason::Hung,
            13 => ExitReason::Revoked,
            _ => ExitReason::None,
        }
    }

    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            ExitReason::None => "running",
            ExitReason::Exit => "exited",
            ExitReason::Panic => "panicked",
            ExitReason::PageFault => "page fault",
            ExitReason::StackOverflow => "stack overflow",
            ExitReason::IllegalInstruction => "illegal instruction",
            ExitReason::GeneralProtection => "general protection fault",
            ExitReason::DivideError => "divide error",
            ExitReason::FloatingPoint => "floating-point instruction",
            ExitReason::Breakpoint => "breakpoint",
            ExitReason::Exception => "processor exception",
            ExitReason::Killed => "killed",
            ExitReason::Hung => "killed for hanging",
            ExitReason::Revoked => "account revoked",
        }
    }

    /// Whether the server's own code is to blame (and not somebody who killed it).
    pub const fn is_fault(self) -> bool {
        !matches!(self, ExitReason::None | ExitReason::Exit | ExitReason::Killed | ExitReason::Revoked)
    }
}

/// The states of a process: the table is in `docs/states.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ProcessState {
    /// Made or reset, not started: it can be given memory, handles and threads.
    New = 0,
    /// Its threads run.
    Running = 1,
    /// It has died; its calls and handles are being released.
    Draining = 2,
    /// It has died and is drained; its corpse can be read until it is reset.
    Dead = 3,
}

impl ProcessState {
    /// The state with this number.
    pub const fn from_number(number: u32) -> Option<ProcessState> {
        match number {
            0 => Some(ProcessState::New),
            1 => Some(ProcessState::Running),
            2 => Some(ProcessState::Draining),
            3 => Some(ProcessState::Dead),
            _ => None,
        }
    }
}

/// General registers of a thread, as records show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
}

/// How the last incarnation ended: what `process_inspect` writes at the start of the call
/// page's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ExitRecord {
    /// Number of the process, unique until the next boot.
    pub process: u64,
    /// Which incarnation this is about; the first is 1.
    pub incarnation: u64,
    /// [`ProcessState`] now.
    pub state: u32,
    /// [`ExitReason`].
    pub reason: u32,
    /// See the reason.
    pub code: u64,
    /// See the reason.
    pub address: u64,
    /// Number of the thread that died first; 0 if it was none.
    pub thread: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub time: u64,
    /// Method of the call that was current in that thread (header word); 0 if none was.
    pub call: u64,
    /// The client process of that call; 0 if none was.
    pub client: u64,
    /// That thread's registers; if it was none, those of the process's first thread when it was last in the kernel.
    pub registers: Registers,
}
