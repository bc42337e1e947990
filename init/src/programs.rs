//! Programs of the boot archive: prepared ones, whose code all incarnations share, and ELF files to hand out.

use crate::supervisor::Supervisor;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::abi::PAGE_BYTES;
use libsys::program::{LoadError, Program};
use libsys::{Error, Memory, Object, Rights};

/// What was made of programs so far. All of it can be made again from the archive.
#[derive(Debug, Default)]
pub struct Programs {
    prepared: Vec<(String, Rc<Program>)>,
    /// By where they are in the archive: a program may have several names.
    files: Vec<(usize, Memory, u64)>,
    /// Those that services were upgraded to, by the handles of their files.
    upgrades: Vec<(u64, Rc<Program>)>,
}

impl Programs {
    /// A program that a service was upgraded to.
    pub(crate) fn upgrade(&self, file: u64) -> Option<Rc<Program>> {
        self.upgrades.iter().find(|(known, _)| *known == file).map(|(_, program)| Rc::clone(program))
    }

    /// Remembers such a program.
    pub(crate) fn put_upgrade(&mut self, file: u64, program: Rc<Program>) {
        self.upgrades.push((file, program));
    }

    /// Forgets such a program.
    pub(crate) fn drop_upgrade(&mut self, file: u64) {
        self.upgrades.retain(|(known, _)| *known != file);
    }
}

impl Supervisor {
    /// A program, ready to be started.
    pub(crate) fn prepared(&mut self, name: &str) -> Result<Rc<Program>, LoadError> {
        if let Some((_, program)) = self.programs.prepared.iter().find(|(known, _)| known == name) {
            return Ok(Rc::clone(program));
        }
        let range = self.archive.program(name).ok_or(LoadError::NotElf)?;
        let program = if range.start.is_multiple_of(PAGE_BYTES) {
            let (offset, bytes) = (range.start as u64, range.len() as u64);
            Program::from_memory(&self.machine.archive, offset, bytes, &self.machine.account)?
        } else {
            Program::load(&self.archive_bytes[range], &self.machine.account)?
        };
        let program = Rc::new(program);
        self.programs.prepared.push((name.to_string(), Rc::clone(&program)));
        Ok(program)
    }

    /// A program's ELF file in sealed Memory, and its length. `None`: there is no such program.
    pub(crate) fn file(&mut self, name: &str) -> Option<Result<(Memory, u64), Error>> {
        let range = self.archive.program(name)?;
        Some(self.sealed_file(range))
    }

    fn sealed_file(&mut self, range: core::ops::Range<usize>) -> Result<(Memory, u64), Error> {
        let rights = Rights::READ | Rights::EXECUTE | Rights::INSPECT | Rights::DUPLICATE;
        if let Some((_, memory, bytes)) = self.programs.files.iter().find(|(start, ..)| *start == range.start) {
            return Ok((memory.duplicate(rights)?, *bytes));
        }
        let (start, bytes) = (range.start, range.len() as u64);
        let memory = Memory::create(&self.machine.account, bytes.max(1))?;
        memory.map_writable()?.copy_in(0, &self.archive_bytes[range]);
        memory.seal()?;
        let copy = memory.duplicate(rights)?;
        self.programs.files.push((start, memory, bytes));
        Ok((copy, bytes))
    }
}
