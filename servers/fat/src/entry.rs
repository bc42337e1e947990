//! The entries of a directory: 32 bytes each. A file has a short one, and before it the parts of its long name, the last part first.

use crate::boot::Width;
use crate::name::{Short, UNITS, checksum};
use crate::time;
use alloc::vec::Vec;

/// Bytes of an entry.
pub const BYTES: usize = 32;
/// Units of a part of a long name.
const PART: usize = 13;
/// Most parts of a long name.
pub const PARTS: u32 = 20;
/// The first byte of an entry that was removed, and of all behind the last one.
const GONE: u8 = 0xe5;
const END: u8 = 0;
/// The bit of the part that is the end of a long name.
const LAST: u8 = 0x40;
/// Where the units of a part are.
const PLACES: [usize; PART] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

/// Attribute: it is not to be written.
pub const READ_ONLY: u8 = 0x01;
/// Attribute: it is the volume's name.
const LABEL: u8 = 0x08;
/// Attribute: it is a directory.
pub const DIRECTORY: u8 = 0x10;
/// Attribute: it was changed since it was archived.
pub const ARCHIVE: u8 = 0x20;
/// The attributes of a part of a long name.
const LONG: u8 = 0x0f;

/// The bytes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(pub [u8; BYTES]);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, and nothing behind it.
    End,
    /// Nothing.
    Free,
    /// A part of a long name.
    Part,
    /// The volume's name.
    Label,
    /// A file or a directory.
    File,
}

impl Entry {
    /// A new file or directory.
    pub fn new(short: Short, attributes: u8, seconds: i64) -> Entry {
        let mut entry = Entry([0; BYTES]);
        entry.0[..11].copy_from_slice(&short);
        entry.0[11] = attributes;
        entry.set_created(seconds);
        entry.set_accessed(seconds);
        entry.set_modified(seconds);
        entry
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match (self.0[0], self.0[11] & 0x3f) {
            (END, _) => Kind::End,
            (GONE, _) => Kind::Free,
            (_, LONG) => Kind::Part,
            (_, attributes) if attributes & LABEL != 0 => Kind::Label,
            _ => Kind::File,
        }
    }

    /// Removes it.
    pub fn remove(&mut self) {
        self.0[0] = GONE;
    }

    /// The short name.
    pub fn short(&self) -> Short {
        let mut short = [0; 11];
        short.copy_from_slice(&self.0[..11]);
        short
    }

    /// Gives it another short name.
    pub fn set_short(&mut self, short: Short) {
        self.0[..11].copy_from_slice(&short);
        self.0[12] = 0;
    }

    /// Gives it the short name of another one.
    pub fn take_name(&mut self, other: &Entry) {
        self.0[..11].copy_from_slice(&other.0[..11]);
        self.0[12] = other.0[12];
    }

    /// What says that the short name is in small letters.
    pub fn case(&self) -> u8 {
        self.0[12]
    }

    /// Whether it is `.` or `..`.
    pub fn is_dots(&self) -> bool {
        matches!(&self.0[..11], b".          " | b"..         ")
    }

    /// The attributes.
    pub fn attributes(&self) -> u8 {
        self.0[11]
    }

    /// Sets them.
    pub fn set_attributes(&mut self, attributes: u8) {
        self.0[11] = attributes;
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.0[11] & DIRECTORY != 0
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn set_u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// The first cluster; 0: there is none.
    pub fn cluster(&self, width: Width) -> u32 {
        let high = if width == Width::ThirtyTwo { self.u16(20) } else { 0 };
        (u32::from(high) << 16 | u32::from(self.u16(26))) & width.mask()
    }

    /// Sets it.
    pub fn set_cluster(&mut self, cluster: u32, width: Width) {
        self.set_u16(26, cluster as u16);
        if width == Width::ThirtyTwo {
            self.set_u16(20, (cluster >> 16) as u16);
        }
    }

    /// The size in bytes.
    pub fn size(&self) -> u32 {
        u32::from(self.u16(30)) << 16 | u32::from(self.u16(28))
    }

    /// Sets it.
    pub fn set_size(&mut self, size: u32) {
        self.set_u16(28, size as u16);
        self.set_u16(30, (size >> 16) as u16);
    }

    /// When it was made, in seconds since 1970.
    pub fn created(&self) -> i64 {
        time::seconds(self.u16(16), self.u16(14)) + i64::from(self.0[13].min(199) / 100)
    }

    /// When it was last read: a day.
    pub fn accessed(&self) -> i64 {
        time::seconds(self.u16(18), 0)
    }

    /// When its data was changed.
    pub fn modified(&self) -> i64 {
        time::seconds(self.u16(24), self.u16(22))
    }

    fn set_created(&mut self, seconds: i64) {
        let (date, time) = time::stamp(seconds);
        self.set_u16(14, time);
        self.set_u16(16, date);
        self.0[13] = (seconds.rem_euclid(2) * 100) as u8;
    }

    /// Sets the day when it was last read.
    pub fn set_accessed(&mut self, seconds: i64) {
        self.set_u16(18, time::stamp(seconds).0);
    }

    /// Sets when its data was changed.
    pub fn set_modified(&mut self, seconds: i64) {
        let (date, time) = time::stamp(seconds);
        self.set_u16(22, time);
        self.set_u16(24, date);
    }

    // ---- long names --------------------------------------------------------------------------------------------

    /// The parts of a long name as they stand before the short entry.
    pub fn parts(name: &str, short: &Short) -> Vec<Entry> {
        let units: Vec<u16> = name.encode_utf16().collect();
        let sum = checksum(short);
        let count = units.len().div_ceil(PART);
        let part = |index: usize| {
            let mut entry = Entry([0xff; BYTES]);
            entry.0[0] = (index + 1) as u8 | if index + 1 == count { LAST } else { 0 };
            (entry.0[11], entry.0[12], entry.0[13]) = (LONG, 0, sum);
            entry.set_u16(26, 0);
            // Behind the name is one zero, then ones.
            let rest = units[index * PART..].iter().chain([&0]);
            PLACES.into_iter().zip(rest).for_each(|(place, unit)| entry.set_u16(place, *unit));
            entry
        };
        (0..count).rev().map(part).collect()
    }

    /// Whether this is part `number` (from 1) of the long name of a short one, and whether it is the last.
    pub fn is_part(&self, number: u32, sum: u8) -> Option<bool> {
        let right = self.kind() == Kind::Part && u32::from(self.0[0] & !LAST) == number && self.0[13] == sum;
        right.then_some(self.0[0] & LAST != 0)
    }

    /// Adds the units of a part to a name. Returns whether the name can go on.
    pub fn add_units(&self, units: &mut Vec<u16>) -> bool {
        for place in PLACES {
            let unit = self.u16(place);
            if unit == 0 {
                return false;
            }
            if units.len() >= UNITS {
                return false;
            }
            units.push(unit);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn long_names_come_apart_and_together() {
        for name in ["a", "thirteen char", "fourteen chars", &"x".repeat(255), "ünï 文 😀"] {
            let short = *b"SHORT~1    ";
            let parts = Entry::parts(name, &short);
            assert_eq!(parts.len(), name.encode_utf16().count().div_ceil(13));
            let mut units = Vec::new();
            for (index, part) in parts.iter().rev().enumerate() {
                let last = part.is_part(index as u32 + 1, checksum(&short)).unwrap();
                assert_eq!(last, index + 1 == parts.len());
                part.add_units(&mut units);
            }
            assert_eq!(String::from_utf16(&units).unwrap(), name);
        }
    }

    #[test]
    fn fields_are_what_was_set() {
        let mut entry = Entry::new(*b"A       B  ", ARCHIVE, 1_700_000_001);
        entry.set_cluster(0x0123_4567, Width::ThirtyTwo);
        entry.set_size(u32::MAX - 1);
        assert_eq!((entry.cluster(Width::ThirtyTwo), entry.size()), (0x0123_4567, u32::MAX - 1));
        assert_eq!(entry.cluster(Width::Sixteen), 0x4567);
        assert_eq!((entry.created(), entry.modified()), (1_700_000_001, 1_700_000_000));
        assert_eq!(entry.kind(), Kind::File);
        entry.remove();
        assert_eq!(entry.kind(), Kind::Free);
    }
}
