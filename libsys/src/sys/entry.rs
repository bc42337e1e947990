//! Entering the kernel: the registers of the ABI's table, and nothing else.

use crate::service::damage;
use crate::service::exhausted::{self, Refusal};
use abi::{Error, Handle, Status, Syscall, WORDS, error::OK};

/// Arguments and results of a control call (everything but messages): `a0` to `a6`, `r0` to `r3`.
const ARGUMENTS: usize = 7;
const RESULTS: usize = 4;

/// A system call with all ten argument registers: the message calls. Returns the status, `r0`, `r1` and the words.
#[cfg(target_os = "none")]
#[inline(always)]
pub(crate) fn message(call: Syscall, a0: u64, header: u64, words: [u64; WORDS]) -> (Status, u64, u64, [u64; WORDS]) {
    let [mut w0, mut w1, mut w2, mut w3, mut w4, mut w5, mut w6, mut w7] = words;
    let (status, r0, r1): (u64, u64, u64);
    // SAFETY: the registers are those of the ABI; the kernel touches the message pages of this thread alone, which are
    // only reached through guards that `sys` checks before it comes here, and maps nothing over memory in use.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") call as u64 => status,
            inlateout("rdi") a0 => r0,
            inlateout("rsi") header => r1,
            inlateout("rdx") w0,
            inlateout("r8") w1,
            inlateout("r9") w2,
            inlateout("r10") w3,
            inlateout("r12") w4,
            inlateout("r13") w5,
            inlateout("r14") w6,
            inlateout("r15") w7,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    (status, r0, r1, [w0, w1, w2, w3, w4, w5, w6, w7])
}

#[cfg(target_os = "none")]
#[inline(always)]
fn raw_brief(call: Syscall, a0: u64, a1: u64) -> Status {
    let status;
    // SAFETY: as in `message`; these calls touch no memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") call as u64 => status,
            inlateout("rdi") a0 => _,
            inlateout("rsi") a1 => _,
            lateout("rdx") _, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("r12") _, lateout("r13") _, lateout("r14") _, lateout("r15") _,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    status
}

#[cfg(target_os = "none")]
#[inline(never)]
fn raw_control(call: Syscall, a: [u64; ARGUMENTS]) -> (Status, [u64; RESULTS]) {
    let (status, r0, r1, r2, r3);
    // SAFETY: as in `message`.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") call as u64 => status,
            inlateout("rdi") a[0] => r0,
            inlateout("rsi") a[1] => r1,
            inlateout("rdx") a[2] => r2,
            inlateout("r8") a[3] => r3,
            inlateout("r9") a[4] => _,
            inlateout("r10") a[5] => _,
            inlateout("r12") a[6] => _,
            lateout("r13") _, lateout("r14") _, lateout("r15") _,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    (status, [r0, r1, r2, r3])
}

#[cfg(not(target_os = "none"))]
pub(crate) fn message(call: Syscall, a0: u64, header: u64, words: [u64; WORDS]) -> (Status, u64, u64, [u64; WORDS]) {
    let mut registers = [a0, header, 0, 0, 0, 0, 0, 0, 0, 0];
    registers[2..].copy_from_slice(&words);
    let status = crate::fake::enter(call, &mut registers);
    let [r0, r1, words @ ..] = registers;
    (status, r0, r1, words)
}

#[cfg(not(target_os = "none"))]
fn raw_brief(call: Syscall, a0: u64, a1: u64) -> Status {
    crate::fake::enter(call, &mut [a0, a1, 0, 0, 0, 0, 0, 0, 0, 0])
}

#[cfg(not(target_os = "none"))]
fn raw_control(call: Syscall, a: [u64; ARGUMENTS]) -> (Status, [u64; RESULTS]) {
    let mut registers = [0; 10];
    registers[..ARGUMENTS].copy_from_slice(&a);
    let status = crate::fake::enter(call, &mut registers);
    (status, [registers[0], registers[1], registers[2], registers[3]])
}

/// A system call of two arguments whose results do not matter.
#[inline(always)]
pub(crate) fn brief(call: Syscall, a0: u64, a1: u64) -> Result<(), Error> {
    let status = raw_brief(call, a0, a1);
    if status == OK { Ok(()) } else { Err(error_of(call, a0, status)) }
}

/// A system call with up to seven arguments and four results.
pub(crate) fn control<const N: usize>(call: Syscall, arguments: [u64; N]) -> Result<[u64; RESULTS], Error> {
    const { assert!(N <= ARGUMENTS) };
    let mut all = [0; ARGUMENTS];
    all[..N].copy_from_slice(&arguments);
    let (status, results) = raw_control(call, all);
    if status == OK { Ok(results) } else { refused(call, all, status) }
}

/// A system call that was refused is tried once more where it was for want of room, unless there is none: see [`exhausted`].
#[cold]
#[inline(never)]
fn refused(call: Syscall, arguments: [u64; ARGUMENTS], status: Status) -> Result<[u64; RESULTS], Error> {
    let first = error_of(call, arguments[0], status);
    if first != Error::AccountExhausted {
        return Err(first);
    }
    let refusal = exhausted::judge(call, &arguments);
    if refusal == Refusal::True {
        return Err(first);
    }
    let (status, results) = raw_control(call, arguments);
    if refusal == Refusal::Untrue && status == Error::AccountExhausted as Status {
        exhausted::note();
    }
    check(status).map(|()| results)
}

/// The error of a system call's status that is not 0. It may show that the server is damaged, which then ends: see [`damage`].
#[cold]
#[inline(never)]
pub(crate) fn error_of(call: Syscall, handle: u64, status: Status) -> Error {
    let error = error(status);
    damage::look(call, Handle(handle), error);
    error
}

/// The error of a status that is not 0.
#[inline(always)]
pub(crate) fn error(status: Status) -> Error {
    Error::from_status(status).unwrap_or(Error::BadSyscall)
}

/// `Ok` for a status of 0.
#[inline(always)]
pub(crate) fn check(status: Status) -> Result<(), Error> {
    if status == OK { Ok(()) } else { Err(error(status)) }
}
