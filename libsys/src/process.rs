//! Processes: identities that outlive their incarnations.
//!
//! To start a program, see [`crate::program`]; this is the object itself.

use crate::object::{Object, object};
use crate::{Account, Channel, Memory, ThreadObject, sys};
use abi::memory::Protection;
use abi::{Error, ExitReason, Handle, Rights};

pub use abi::ExitRecord;
pub use abi::process::ProcessState;
pub use sys::ThreadStart;

/// A process.
pub struct Process(Handle);

object!(Process, Process);

impl Process {
    /// A new process with an empty address space; its name is cut at 16 bytes. Errors: `AccountExhausted`, `NoSlot`.
    pub fn create(account: &Account, name: &str) -> Result<Process, Error> {
        sys::process_create(account.handle(), name).map(Process::from_handle)
    }

    /// Starts its threads. Needs `MANAGE`. Error: `BadState` (not new, or without a thread).
    pub fn start(&self) -> Result<(), Error> {
        sys::process_start(self.0)
    }

    /// Ends the incarnation, as `Killed` or `Hung`. Needs `MANAGE`. The dead stay as they are.
    pub fn kill(&self, reason: ExitReason, code: u64) -> Result<(), Error> {
        sys::process_kill(self.0, reason, code)
    }

    /// Makes the dead process new again; `signal` tells when that is done. Needs `MANAGE`. Error: `BadState` (it lives).
    pub fn reset(&self, signal: Option<(&Channel, u64)>) -> Result<(), Error> {
        let (channel, bits) = signal.map_or((Handle::NONE, 0), |(channel, bits)| (channel.handle(), bits));
        sys::process_reset(self.0, channel, bits)
    }

    /// How it ended or runs. Needs `INSPECT`.
    pub fn exit_record(&self) -> Result<ExitRecord, Error> {
        sys::process_inspect(self.0)
    }

    /// Signals `bits` of `channel` at each death; `None` ends the watch. One watcher a process. Needs `MANAGE`.
    pub fn watch(&self, signal: Option<(&Channel, u64)>) -> Result<(), Error> {
        let (channel, bits) = signal.map_or((Handle::NONE, 0), |(channel, bits)| (channel.handle(), bits));
        sys::process_watch(self.0, channel, bits)
    }

    /// Reads its memory, also a corpse's: how many bytes stand in `into`. Needs `INSPECT`.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < into.len() {
            match sys::process_read(self.0, address.wrapping_add(done as u64), &mut into[done..])? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    /// Gives it a duplicate of an object's handle; returns the number over there. Needs `MANAGE`, and `DUPLICATE` of the object.
    /// `keep`: it stays across incarnations. Errors: `BadState`, `NoSlot`, `AccountExhausted` (of that process).
    pub fn grant(&self, object: &impl Object, rights: Rights, keep: bool) -> Result<Handle, Error> {
        sys::handle_grant(self.0, object.handle(), rights, u64::MAX, keep)
    }

    /// As [`Process::grant`], for a channel, of which only `bits` may be signalled.
    pub fn grant_channel(&self, channel: &Channel, rights: Rights, bits: u64, keep: bool) -> Result<Handle, Error> {
        sys::handle_grant(self.0, channel.handle(), rights, bits, keep)
    }

    /// Maps Memory into a process other than the caller's, at an address or (0) where the kernel likes. Needs `MANAGE`.
    /// Errors: `BadAddress`, `Sealed`, `AccountExhausted`.
    pub fn map(
        &self,
        memory: &Memory,
        address: u64,
        offset: u64,
        bytes: u64,
        protection: Protection,
    ) -> Result<u64, Error> {
        sys::memory_map(self.0, memory.handle(), address, offset, bytes, protection)
    }

    /// Makes a thread in a process that has not started. Needs `MANAGE`.
    /// Errors: `AccountExhausted`, `NoSlot`, `BadAddress`, `BadState`.
    pub fn create_thread(&self, start: ThreadStart, account: &Account) -> Result<ThreadObject, Error> {
        if self.exit_record()?.state != ProcessState::New as u32 {
            return Err(Error::BadState);
        }
        // SAFETY: the process is not running, so it is not the caller's own: nothing of this address space is at stake.
        unsafe { sys::thread_create(self.0, start, account.handle()) }.map(ThreadObject::from_handle)
    }
}
