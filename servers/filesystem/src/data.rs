//! The client's end of a copy: lent Memory, or the bytes of a message. The other end is the volume's page cache, plain bytes or a mapping.

use libsys::{Mapping, WritableMapping};

/// Where bytes of a file go.
#[derive(Debug)]
pub struct Destination<'a> {
    place: Place<'a>,
    at: usize,
    end: usize,
}

#[derive(Debug)]
enum Place<'a> {
    Lent(&'a WritableMapping),
    Bytes(&'a mut [u8]),
}

impl<'a> Destination<'a> {
    /// A range of lent Memory, which is inside of the mapping.
    pub(crate) fn lent(mapping: &'a WritableMapping, at: usize, bytes: usize) -> Destination<'a> {
        Destination { place: Place::Lent(mapping), at, end: at + bytes }
    }

    /// Plain bytes.
    pub fn bytes(bytes: &'a mut [u8]) -> Destination<'a> {
        let end = bytes.len();
        Destination { place: Place::Bytes(bytes), at: 0, end }
    }

    /// Bytes that there is room for.
    pub fn room(&self) -> usize {
        self.end - self.at
    }

    /// Copies as many of `bytes` as there is room for: how many.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        match &mut self.place {
            Place::Lent(mapping) => mapping.copy_in(self.at, &bytes[..count]),
            Place::Bytes(place) => place[self.at..self.at + count].copy_from_slice(&bytes[..count]),
        }
        self.at += count;
        count
    }

    /// The same of a range of mapped Memory, which panics when it is not inside.
    pub fn put_mapped(&mut self, from: &Mapping, offset: usize, bytes: usize) -> usize {
        let count = bytes.min(self.room());
        match &mut self.place {
            Place::Lent(mapping) => mapping.copy_from(self.at, from, offset, count),
            Place::Bytes(place) => from.copy_out(offset, &mut place[self.at..self.at + count]),
        }
        self.at += count;
        count
    }

    /// Puts zeros, as many of `bytes` as there is room for: how many. What a hole of a file reads as.
    pub fn put_zeros(&mut self, bytes: usize) -> usize {
        let count = bytes.min(self.room());
        match &mut self.place {
            Place::Lent(mapping) => mapping.zero(self.at, count),
            Place::Bytes(place) => place[self.at..self.at + count].fill(0),
        }
        self.at += count;
        count
    }
}

/// Where bytes for a file come from.
#[derive(Debug)]
pub struct Source<'a> {
    place: Given<'a>,
    at: usize,
    end: usize,
}

#[derive(Debug)]
enum Given<'a> {
    Lent(&'a WritableMapping),
    Bytes(&'a [u8]),
}

impl<'a> Source<'a> {
    /// A range of lent Memory, which is inside of the mapping. Its owner may change it meanwhile: it is read once.
    pub(crate) fn lent(mapping: &'a WritableMapping, at: usize, bytes: usize) -> Source<'a> {
        Source { place: Given::Lent(mapping), at, end: at + bytes }
    }

    /// Plain bytes.
    pub fn bytes(bytes: &'a [u8]) -> Source<'a> {
        Source { place: Given::Bytes(bytes), at: 0, end: bytes.len() }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.end - self.at
    }

    /// Fills as much of `bytes` as is left: how many.
    pub fn take(&mut self, bytes: &mut [u8]) -> usize {
        let count = bytes.len().min(self.left());
        match &self.place {
            Given::Lent(mapping) => mapping.copy_out(self.at, &mut bytes[..count]),
            Given::Bytes(place) => bytes[..count].copy_from_slice(&place[self.at..self.at + count]),
        }
        self.at += count;
        count
    }

    /// The same into a range of mapped Memory, which panics when it is not inside.
    pub fn take_mapped(&mut self, into: &WritableMapping, offset: usize, bytes: usize) -> usize {
        let count = bytes.min(self.left());
        match &self.place {
            Given::Lent(mapping) => into.copy_from(offset, mapping, self.at, count),
            Given::Bytes(place) => into.copy_in(offset, &place[self.at..self.at + count]),
        }
        self.at += count;
        count
    }
}
