//! System calls on channels and sessions.

use super::entry::{brief, control};
use crate::message::CallPage;
use abi::inspect::SessionRecord;
use abi::{Error, Handle, Syscall};

/// Makes a channel that `process` (none: the caller's) serves. Errors: `AccountExhausted`, `NoSlot`.
pub fn channel_create(account: Handle, process: Handle) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::ChannelCreate, [account.0, process.0])?[0]))
}

/// Closes a channel for good: its callers get `Closed`.
pub fn channel_close(channel: Handle) -> Result<(), Error> {
    brief(Syscall::ChannelClose, channel.0, 0)
}

/// Makes a session with a badge. Errors: `AccountExhausted`, `NoSlot`, `Closed`.
pub fn session_mint(channel: Handle, badge: u64, account: Handle) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::SessionMint, [channel.0, badge, account.0])?[0]))
}

/// Reads records of live sessions from a cursor on, 0 at first: how many stand in `into`, and the next cursor, 0 at the end.
pub fn session_list(channel: Handle, cursor: u64, into: &mut [SessionRecord]) -> Result<(usize, u64), Error> {
    let page = CallPage::take();
    let [count, next, ..] = control(Syscall::SessionList, [channel.0, cursor])?;
    Ok((page.records(count, into), next))
}

/// Acknowledges a delivered close. Error: `BadState`.
pub fn session_acknowledge(channel: Handle, badge: u64, client: u64) -> Result<(), Error> {
    control(Syscall::SessionAcknowledge, [channel.0, badge, client]).map(drop)
}
