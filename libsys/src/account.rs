//! Accounts: what memory, handles, threads, sessions and processes are charged to.

use crate::object::{Object, object};
use crate::sys;
use abi::{Error, Handle};

pub use abi::{Limits, Usage};

/// An account.
pub struct Account(Handle);

object!(Account, Account);

impl Account {
    /// A sub-account whose limits are promised at once. Needs `CHARGE`. Errors: `AccountExhausted`, `NoSlot`.
    pub fn split(&self, limits: Limits) -> Result<Account, Error> {
        sys::account_split(self.0, limits).map(Account::from_handle)
    }

    /// Limits and usage. Needs `INSPECT`.
    pub fn usage(&self) -> Result<Usage, Error> {
        sys::account_read(self.0)
    }

    /// One of so many equal parts, at least one, of what is left of each thing. Errors: as [`Account::usage`].
    pub fn part(&self, parts: u64) -> Result<Limits, Error> {
        let Usage { limits, used, .. } = self.usage()?;
        let part = |limit: u64, used: u64| limit.saturating_sub(used) / parts.max(1);
        Ok(Limits {
            frames: part(limits.frames, used.frames),
            handles: part(limits.handles, used.handles),
            threads: part(limits.threads, used.threads),
            sessions: part(limits.sessions, used.sessions),
            processes: part(limits.processes, used.processes),
        })
    }

    /// Refuses further charges to it and all below it, and kills the processes charged to it. What was promised and is not used goes back
    /// at once; called again, what came free since. Needs `MANAGE`.
    pub fn revoke(&self) -> Result<(), Error> {
        sys::account_revoke(self.0)
    }
}
