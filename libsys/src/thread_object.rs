//! Threads as the kernel sees them: what schedules, cancels and pins them. To start one, see [`crate::thread`].

use crate::object::{Object, object};
use crate::{Resource, sys};
use abi::{Error, Handle};

pub use abi::{Parameters, Policy};

/// A thread.
pub struct ThreadObject(Handle);

object!(ThreadObject, Thread);

impl ThreadObject {
    /// Sets its scheduling parameters. Needs `MANAGE`. Error: `Denied` (a priority above what its account allows).
    pub fn schedule(&self, parameters: Parameters) -> Result<(), Error> {
        sys::thread_schedule(self.0, parameters)
    }

    /// Sets parameters of a real-time policy, by right of a Resource of real time (`MANAGE`). Needs `MANAGE`.
    pub fn schedule_real_time(&self, parameters: Parameters, right: &Resource) -> Result<(), Error> {
        sys::thread_schedule_real_time(self.0, parameters, right.handle())
    }

    /// Says on which CPUs, as a bit set, it may run. Needs `MANAGE`. Error: `BadArgument` (no such CPU).
    pub fn set_affinity(&self, cpus: u64) -> Result<(), Error> {
        sys::thread_affinity(self.0, cpus)
    }

    /// Ends its call (`NotStarted` or `Unknown`) or receive (`TimedOut`). Needs `MANAGE`. Error: `BadState` (it waits for nothing).
    pub fn cancel(&self) -> Result<(), Error> {
        sys::thread_cancel(self.0)
    }
}
