//! A node: what is known about it, and what is in it.

use crate::contents::Contents;
use alloc::string::String;
use filesystem::{Listing, NodeKind, Timestamp};

/// A file, directory or link.
#[derive(Debug)]
pub struct Node {
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
    Directory(Listing),
    /// The target.
    Link(String),
}

impl Node {
    /// A node with one name, made now.
    pub fn new(body: Body, mode: u16, now: Timestamp) -> Node {
        Node { body, links: 1, mode, accessed: now, modified: now, changed: now, created: now }
    }

    /// What it is.
    pub fn kind(&self) -> NodeKind {
        match self.body {
            Body::File(_) => NodeKind::File,
            Body::Directory(_) => NodeKind::Directory,
            Body::Link(_) => NodeKind::Link,
        }
    }
}
