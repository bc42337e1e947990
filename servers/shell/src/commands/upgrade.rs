//! `service upgrade`: another program for a service that goes on.

use super::Outcome;
use super::control::refused;
use crate::failure::error;
use crate::shell::Shell;
use alloc::format;
use libsys::client::CallError;
use libsys::protocol::registry::RegistryError;
use libsys::{Memory, env, fs};

/// Reads the program, and asks init for it; back when it is known whether it holds.
pub(super) fn upgrade(shell: &mut Shell, name: &str, file: &str) -> Outcome {
    let elf = match fs::read(file) {
        Ok(elf) => elf,
        Err(reason) => return error(format!("{file}: {reason}")),
    };
    let memory = Memory::create(env::account(), (elf.len() as u64).max(1))?;
    memory.map_writable()?.copy_in(0, &elf);
    let bytes = elf.len() as u64;
    drop(elf);
    match shell.registry.upgrade(name, &memory, bytes) {
        Ok(()) => Ok(()),
        Err(CallError::Failed(RegistryError::BadProgram)) => error(format!("{file} is no program that can be loaded")),
        Err(CallError::Failed(RegistryError::RolledBack)) => {
            error(format!("`{name}` is back at the program before: the new one does not hold (`crashes show {name}`)"))
        }
        Err(CallError::Failed(RegistryError::NotPossible)) => {
            error(format!("`{name}` does not serve, or is being upgraded already"))
        }
        Err(reason) => refused(name, reason),
    }
}
