//! System calls on the system as a whole: clocks, inspection, power, identity.

use super::entry::control;
use crate::message::{CallPage, Record};
use abi::boot::Power;
use abi::inspect::Subject;
use abi::{Error, Handle, Syscall};

/// The clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Nanoseconds since boot, monotonic.
    pub nanoseconds: u64,
    /// Time-stamp counter.
    pub tsc: u64,
    /// Its frequency, in hertz.
    pub tsc_hertz: u64,
}

/// Reads the clocks. It cannot fail.
pub fn clock_read() -> Clocks {
    let [nanoseconds, tsc, tsc_hertz, _] = control(Syscall::ClockRead, []).unwrap_or_default();
    Clocks { nanoseconds, tsc, tsc_hertz }
}

/// Reads records from `cursor` (0 at first): how many stand in `into`, and the next cursor, 0 at the end. `into` should hold a
/// payload full of records, as those that do not fit are skipped.
pub fn system_inspect<R: Record>(
    resource: Handle,
    subject: Subject,
    cursor: u64,
    argument: u64,
    into: &mut [R],
) -> Result<(usize, u64), Error> {
    let page = CallPage::take();
    let [count, next, ..] = control(Syscall::SystemInspect, [resource.0, subject as u64, cursor, argument])?;
    Ok((page.records(count, into), next))
}

/// Powers off or restarts; `status` is what an emulator exits with. Returns only when refused.
pub fn system_power(resource: Handle, action: Power, status: u64) -> Result<(), Error> {
    control(Syscall::SystemPower, [resource.0, action as u64, status]).map(drop)
}

/// Who and where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Number of the process.
    pub process: u64,
    /// Number of the thread.
    pub thread: u64,
    /// Which incarnation of the process runs, from 1.
    pub incarnation: u64,
    /// The CPU that it runs on at this moment.
    pub cpu: u64,
}

/// The calling thread's identity. It cannot fail.
pub fn identify() -> Identity {
    let [process, thread, incarnation, cpu] = control(Syscall::Identify, []).unwrap_or_default();
    Identity { process, thread, incarnation, cpu }
}
