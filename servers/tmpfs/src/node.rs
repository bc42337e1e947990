//! A node: what is known about it, what is in it, and how that lies in its slot.

use crate::contents::Contents;
use crate::names::Names;
use alloc::string::String;
use core::sync::atomic::Ordering;
use filesystem::{NodeKind, Timestamp};
use libsys::WritableMapping;

/// Bytes of a node's slot: the serial number, the size, mode and kind, four times.
pub const SLOT_BYTES: usize = 88;

/// Where the size is in a slot.
pub const SIZE: usize = 8;

const MODE: usize = 16;
const KIND: usize = 18;
const TIMES: usize = 24;
const TIME_BYTES: usize = 16;

/// A file, directory or link.
#[derive(Debug)]
pub struct Node {
    /// A number that no other node ever had: its pages are known by it.
    pub serial: u64,
    pub body: Body,
    /// Names that it has; a directory's own `.` is none here.
    pub links: u32,
    pub mode: u16,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    pub created: Timestamp,
}

/// What is in a node.
#[derive(Debug)]
pub enum Body {
    /// Data.
    File(Contents),
    /// Names.
    Directory(Names),
    /// The target, which is also its data.
    Link(String, Contents),
}

impl Node {
    /// A node without names, made now.
    pub fn new(serial: u64, body: Body, mode: u16, now: Timestamp) -> Node {
        Node { serial, body, links: 0, mode, accessed: now, modified: now, changed: now, created: now }
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        match self.body {
            Body::File(_) => NodeKind::File,
            Body::Directory(_) => NodeKind::Directory,
            Body::Link(..) => NodeKind::Link,
        }
    }

    /// Its data, if it has any.
    pub fn contents(&self) -> Option<&Contents> {
        match &self.body {
            Body::File(contents) | Body::Link(_, contents) => Some(contents),
            Body::Directory(_) => None,
        }
    }

    /// The same, to change.
    pub fn contents_mut(&mut self) -> Option<&mut Contents> {
        match &mut self.body {
            Body::File(contents) | Body::Link(_, contents) => Some(contents),
            Body::Directory(_) => None,
        }
    }

    /// As it lies in its slot.
    pub fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.serial.to_le_bytes());
        put(SIZE, &self.contents().map_or(0, Contents::size).to_le_bytes());
        put(MODE, &self.mode.to_le_bytes());
        let kind = match self.body {
            Body::File(_) => 0,
            Body::Directory(_) => 1,
            Body::Link(..) => 2,
        };
        put(KIND, &[kind]);
        for (index, time) in [self.accessed, self.modified, self.changed, self.created].into_iter().enumerate() {
            let at = TIMES + index * TIME_BYTES;
            put(at, &time.seconds.to_le_bytes());
            put(at + 8, &u64::from(time.nanoseconds).to_le_bytes());
        }
        slot
    }

    /// The node in a slot, whose data and names are still to be found. `None`: it was spoiled.
    pub fn decode(slot: &[u8]) -> Option<Node> {
        let word = |at: usize| slot.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let time = |index: usize| {
            let at = TIMES + index * TIME_BYTES;
            Some(Timestamp { seconds: word(at)? as i64, nanoseconds: word(at + 8)? as u32 })
        };
        let body = match slot.get(KIND)? {
            0 => Body::File(Contents::of_size(word(SIZE)?)),
            1 => Body::Directory(Names::default()),
            2 => Body::Link(String::new(), Contents::of_size(word(SIZE)?)),
            _ => return None,
        };
        Some(Node {
            serial: word(0)?,
            body,
            links: 0,
            mode: word(MODE)? as u16,
            accessed: time(0)?,
            modified: time(1)?,
            changed: time(2)?,
            created: time(3)?,
        })
    }

    /// Writes the times of changes into its slot, at once: a time that is written too early does no harm.
    pub fn write_times(&self, mapping: &WritableMapping, slot: usize) {
        for (index, time) in [(1, self.modified), (2, self.changed)] {
            let at = slot + TIMES + index * TIME_BYTES;
            mapping.word_u64(at).store(time.seconds as u64, Ordering::Relaxed);
            mapping.word_u64(at + 8).store(time.nanoseconds.into(), Ordering::Relaxed);
        }
    }
}
