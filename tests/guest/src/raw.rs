//! System calls as bare registers: any number, any arguments.

use abi::{Error, Handle, Syscall};

/// What a system call left in the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// `rax`.
    pub status: u64,
    /// `r0` to `r9`.
    pub results: [u64; 10],
}

impl Answer {
    /// The error that it was refused with.
    pub fn error(self) -> Option<Error> {
        Error::from_status(self.status)
    }

    /// The results, or the error.
    pub fn result(self) -> Result<[u64; 10], Error> {
        self.error().map_or(Ok(self.results), Err)
    }

    /// `r0` as a handle, or the error.
    pub fn handle(self) -> Result<Handle, Error> {
        self.result().map(|results| Handle(results[0]))
    }
}

/// Makes the system call with a number. What a program does to its own memory this way is its own affair: those of this crate
/// do it to addresses that nothing in Rust refers to, or to end.
#[cfg(target_os = "none")]
#[inline]
pub fn number(number: u64, arguments: [u64; 10]) -> Answer {
    let [mut a0, mut a1, mut a2, mut a3, mut a4, mut a5, mut a6, mut a7, mut a8, mut a9] = arguments;
    let status;
    // SAFETY: the registers are those of the ABI; see above for what the kernel does to memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") a0,
            inlateout("rsi") a1,
            inlateout("rdx") a2,
            inlateout("r8") a3,
            inlateout("r9") a4,
            inlateout("r10") a5,
            inlateout("r12") a6,
            inlateout("r13") a7,
            inlateout("r14") a8,
            inlateout("r15") a9,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    Answer { status, results: [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9] }
}

/// Runs on the target only.
#[cfg(not(target_os = "none"))]
pub fn number(_number: u64, _arguments: [u64; 10]) -> Answer {
    panic!("this runs on the target only")
}

/// Makes a system call; arguments that are not given are 0.
#[inline]
pub fn call<const N: usize>(call: Syscall, arguments: [u64; N]) -> Answer {
    let mut all = [0; 10];
    all[..N].copy_from_slice(&arguments);
    number(call as u64, all)
}

/// The error of a system call, `None` if it was carried out.
#[inline]
pub fn refused<const N: usize>(number: Syscall, arguments: [u64; N]) -> Option<Error> {
    call(number, arguments).error()
}
