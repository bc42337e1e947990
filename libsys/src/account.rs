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

    /// Refuses further charges to it and all below it, and kills the processes charged to it. What was promised and is not used goes back
    /// at once; called again, what came free since. Needs `MANAGE`.
    pub fn revoke(&self) -> Result<(), Error> {
        sys::account_revoke(self.0)
    }
}
