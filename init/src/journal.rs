//! init's own log: a ring as everybody has, but one that is kept.

use crate::service::LOG_BYTES;
use libsys::log::{self, Level, LogWriter};
use libsys::{Account, Error, Handle, Memory, Object};

/// init's log.
#[derive(Debug)]
pub struct Journal {
    ring: Memory,
    writer: Option<LogWriter>,
}

impl Journal {
    /// A new one, kept.
    pub fn create(account: &Account) -> Result<Journal, Error> {
        let ring = Memory::create(account, LOG_BYTES)?;
        ring.set_kept(true)?;
        Journal::open(ring)
    }

    /// The one that an earlier init wrote.
    pub fn recover(ring: u64) -> Result<Journal, Error> {
        Journal::open(Memory::from_handle(Handle(ring)))
    }

    fn open(ring: Memory) -> Result<Journal, Error> {
        let writer = LogWriter::open(ring.map_writable()?);
        log::set_last_ring(&ring);
        Ok(Journal { ring, writer })
    }

    /// The ring.
    pub fn ring(&self) -> &Memory {
        &self.ring
    }

    /// Writes a line.
    pub fn write(&mut self, level: Level, text: &str) {
        if let Some(writer) = &mut self.writer {
            writer.write(level, text);
        }
    }
}
