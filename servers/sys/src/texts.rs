//! What was read of files that are open: a reader sees one moment, also when the server dies meanwhile. Each text lies in kept Memory of its own.

use alloc::collections::BTreeMap;
use filesystem::{Destination, FileError, NodeId, Result};
use libsys::state::{Keepsake, RecordKey, Records};
use libsys::{Account, Mapping, Memory, Object};

/// The kind of record of a text, by its file.
const TEXT: u16 = 1;

/// A text.
#[derive(Debug)]
struct Text {
    mapping: Mapping,
    keepsake: Keepsake,
    bytes: usize,
}

/// The texts of open files.
#[derive(Debug)]
pub struct Texts {
    records: Records,
    account: &'static Account,
    texts: BTreeMap<NodeId, Text>,
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

    /// Puts the text of a file in the place of the one before. Error: `Exhausted`.
    pub fn put(&mut self, node: NodeId, text: &str) -> Result<()> {
        let memory = Memory::create(self.account, (text.len() as u64).max(1)).map_err(full)?;
        let mapping = memory.map_writable().map_err(full)?;
        mapping.copy_in(0, text.as_bytes());
        drop(mapping);
        let mapping = memory.map().map_err(full)?;
        let keepsake = self.records.keep(&memory).map_err(full)?;
        self.records.put(RecordKey::new(TEXT, node), &(keepsake, text.len() as u64)).map_err(full)?;
        let _ = memory.into_handle();
        if let Some(before) = self.texts.insert(node, Text { mapping, keepsake, bytes: text.len() }) {
            self.records.release(before.keepsake);
        }
        Ok(())
    }

    /// Whether the text of a file is there.
    pub fn has(&self, node: NodeId) -> bool {
        self.texts.contains_key(&node)
    }

    /// How long it is.
    pub fn bytes(&self, node: NodeId) -> u64 {
        self.texts.get(&node).map_or(0, |text| text.bytes as u64)
    }

    /// Copies from an offset on, up to the end.
    pub fn read(&self, node: NodeId, offset: u64, into: &mut Destination<'_>) {
        if let Some(text) = self.texts.get(&node) {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.bytes);
            into.put_mapped(&text.mapping, start, text.bytes - start);
        }
    }

    /// Forgets the text of a file.
    pub fn forget(&mut self, node: NodeId) {
        if let Some(text) = self.texts.remove(&node) {
            self.records.remove(RecordKey::new(TEXT, node));
            self.records.release(text.keepsake);
        }
    }

    /// Forgets all but those of some files.
    pub fn retain(&mut self, is_wanted: &dyn Fn(NodeId) -> bool) {
        let unwanted: alloc::vec::Vec<NodeId> = self.texts.keys().copied().filter(|node| !is_wanted(*node)).collect();
        unwanted.into_iter().for_each(|node| self.forget(node));
    }
}
