//! What was read of open files: each reader sees one moment, whoever else reads the same, and also when the server dies meanwhile. Each text lies in kept Memory of its own.

use alloc::collections::BTreeMap;
use filesystem::{Destination, FileError, Result};
use libsys::state::{Keepsake, RecordKey, Records};
use libsys::{Account, Mapping, Memory, Object};

/// The kind of record of a text, by the open file.
const TEXT: u16 = 1;

/// A text.
#[derive(Debug)]
struct Text {
    mapping: Mapping,
    keepsake: Keepsake,
    bytes: usize,
}

/// The texts of open files, by their numbers.
#[derive(Debug)]
pub struct Texts {
    records: Records,
    account: &'static Account,
    texts: BTreeMap<u64, Text>,
}

fn full<E>(_: E) -> FileError {
    FileError::Exhausted
}

impl Texts {
    /// Those of the incarnation before.
    pub fn open(mut records: Records, account: &'static Account) -> Texts {
        let mut texts = BTreeMap::new();
        for (key, (keepsake, bytes)) in records.all::<(Keepsake, u64)>(TEXT) {
            let mapping = keepsake.take::<Memory>().and_then(|memory| {
                let mapping = memory.map();
                // The record has the handle.
                let _ = memory.into_handle();
                mapping
            });
            match mapping {
                Ok(mapping) => drop(texts.insert(key.first, Text { mapping, keepsake, bytes: bytes as usize })),
                Err(_) => records.remove(key),
            }
        }
        Texts { records, account, texts }
    }

    /// What is kept besides.
    pub fn records(&mut self) -> &mut Records {
        &mut self.records
    }

    /// Puts the text of an open file in the place of the one before. Error: `Exhausted`.
    pub fn put(&mut self, open: u64, text: &str) -> Result<()> {
        let memory = Memory::create(self.account, (text.len() as u64).max(1)).map_err(full)?;
        let mapping = memory.map_writable().map_err(full)?;
        mapping.copy_in(0, text.as_bytes());
        drop(mapping);
        let mapping = memory.map().map_err(full)?;
        let keepsake = self.records.keep(&memory).map_err(full)?;
        self.records.put(RecordKey::new(TEXT, open), &(keepsake, text.len() as u64)).map_err(full)?;
        let _ = memory.into_handle();
        if let Some(before) = self.texts.insert(open, Text { mapping, keepsake, bytes: text.len() }) {
            self.records.release(before.keepsake);
        }
        Ok(())
    }

    /// Whether the text of an open file is there.
    pub fn has(&self, open: u64) -> bool {
        self.texts.contains_key(&open)
    }

    /// Copies from an offset on, up to the end.
    pub fn read(&self, open: u64, offset: u64, into: &mut Destination<'_>) {
        if let Some(text) = self.texts.get(&open) {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.bytes);
            into.put_mapped(&text.mapping, start, text.bytes - start);
        }
    }

    /// Forgets the text of a file that is closed.
    pub fn forget(&mut self, open: u64) {
        if let Some(text) = self.texts.remove(&open) {
            self.records.remove(RecordKey::new(TEXT, open));
            self.records.release(text.keepsake);
        }
    }
}
