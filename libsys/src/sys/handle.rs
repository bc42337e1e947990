//! System calls on handles of every kind.

use super::entry::{brief, check, control};
use abi::{Error, Handle, Kind, Rights, Syscall};

/// What a handle is: the result of [`handle_inspect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandleInfo {
    /// The object's kind.
    pub kind: Kind,
    /// What the handle allows.
    pub rights: Rights,
    /// Number of the object, unique until the next boot.
    pub object: u64,
    /// Channel: the bits that may be signalled.
    pub signals: u64,
    /// It keeps its number across incarnations.
    pub kept: bool,
}

/// Makes another handle with `rights`, of those it has, and, for a channel, `signals`. Errors: `NoSlot`, `AccountExhausted`.
pub fn handle_duplicate(handle: Handle, rights: Rights, signals: u64) -> Result<Handle, Error> {
    Ok(Handle(control(Syscall::HandleDuplicate, [handle.0, rights.bits().into(), signals])?[0]))
}

/// Closes a handle.
pub fn handle_close(handle: Handle) -> Result<(), Error> {
    brief(Syscall::HandleClose, handle.0, 0)
}

/// Describes a handle.
pub fn handle_inspect(handle: Handle) -> Result<HandleInfo, Error> {
    // r4 is the keep flag: it lies beyond what `control` returns.
    let (status, kind, rights, words) = super::entry::message(Syscall::HandleInspect, handle.0, 0, [0; abi::WORDS]);
    check(status)?;
    let kind = u8::try_from(kind).ok().and_then(Kind::from_number).ok_or(Error::WrongKind)?;
    Ok(HandleInfo {
        kind,
        rights: Rights::from_bits_truncate(rights as u32),
        object: words[0],
        signals: words[1],
        kept: words[2] != 0,
    })
}

/// Says whether a handle keeps its number across incarnations.
pub fn handle_keep(handle: Handle, keep: bool) -> Result<(), Error> {
    brief(Syscall::HandleKeep, handle.0, keep.into())
}

/// Gives `process` a handle; returns its number there. Errors: `BadState`, `NoSlot`, `AccountExhausted` (of that process).
pub fn handle_grant(
    process: Handle,
    handle: Handle,
    rights: Rights,
    signals: u64,
    keep: bool,
) -> Result<Handle, Error> {
    let arguments = [process.0, handle.0, rights.bits().into(), signals, keep.into()];
    Ok(Handle(control(Syscall::HandleGrant, arguments)?[0]))
}
