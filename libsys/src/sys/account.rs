//! System calls on accounts.

use super::entry::{brief, control};
use crate::message::CallPage;
use abi::{Error, Handle, Limits, Syscall, Usage};

/// Makes a sub-account whose limits are promised at once. Errors: `AccountExhausted`, `NoSlot`.
pub fn account_split(account: Handle, limits: Limits) -> Result<Handle, Error> {
    let Limits { frames, handles, threads, sessions, processes } = limits;
    Ok(Handle(control(Syscall::AccountSplit, [account.0, frames, handles, threads, sessions, processes])?[0]))
}

/// Reads limits and usage.
pub fn account_read(account: Handle) -> Result<Usage, Error> {
    let page = CallPage::take();
    control(Syscall::AccountRead, [account.0])?;
    Ok(page.record())
}

/// Revokes an account and all below it, and kills the processes charged to it.
pub fn account_revoke(account: Handle) -> Result<(), Error> {
    brief(Syscall::AccountRevoke, account.0, 0)
}
