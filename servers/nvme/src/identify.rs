//! What a controller and its namespaces say of themselves (§5.17.2; NVM command set §4.1.5).

use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of each description.
pub const IDENTIFY_BYTES: usize = 4096;

/// A description, as it was read.
pub type Page = [u8; IDENTIFY_BYTES];

/// Blocks of these sizes can be read and written.
const BLOCK_BYTES: core::ops::RangeInclusive<u32> = 512..=4096;

/// A controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerInfo {
    /// Serial number.
    pub serial: String,
    /// Model.
    pub model: String,
    /// Most bytes that one command moves; `None`: it does not say.
    pub most_bytes: Option<u64>,
    /// Most namespaces that there can be.
    pub namespaces: u32,
    /// It has a cache that forgets when the power goes.
    pub has_cache: bool,
    /// It knows the command for giving up blocks.
    pub can_discard: bool,
    /// It knows the command for filling with zeros.
    pub can_write_zeroes: bool,
}

/// A namespace that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its number at the controller.
    pub number: u32,
    /// Logical blocks.
    pub blocks: u64,
    /// Bytes of each.
    pub block_bytes: u32,
    /// Bytes that it writes best.
    pub physical_block_bytes: u32,
    /// Writes fail.
    pub read_only: bool,
}

/// Why a namespace cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It has no blocks.
    Empty,
    /// Its blocks carry metadata.
    Metadata,
    /// Its blocks are too small or too large.
    BlockSize,
}

impl Unusable {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            Unusable::Empty => "it has no blocks",
            Unusable::Metadata => "its blocks carry metadata",
            Unusable::BlockSize => "its blocks are not of 512 to 4096 bytes",
        }
    }
}

impl ControllerInfo {
    /// Reads a controller's description; `page` is the least page that the controller knows, in bytes.
    pub fn parse(bytes: &Page, page: u64) -> ControllerInfo {
        let commands = u16_at(bytes, 520);
        ControllerInfo {
            serial: text(&bytes[4..24]),
            model: text(&bytes[24..64]),
            most_bytes: Some(bytes[77]).filter(|shift| (1..32).contains(shift)).map(|shift| page << shift),
            namespaces: u32_at(bytes, 516),
            has_cache: bytes[525] & 1 != 0,
            can_discard: commands & 1 << 2 != 0,
            can_write_zeroes: commands & 1 << 3 != 0,
        }
    }
}

impl Namespace {
    /// Reads the description of a namespace.
    pub fn parse(bytes: &Page, number: u32) -> Result<Namespace, Unusable> {
        let blocks = u64_at(bytes, 0);
        if blocks == 0 {
            return Err(Unusable::Empty);
        }
        let formatted = bytes[26];
        let format = usize::from(formatted & 0xf | formatted >> 1 & 0x30);
        let format = u32_at(bytes, 128 + 4 * format);
        if format & 0xffff != 0 {
            return Err(Unusable::Metadata);
        }
        let block_bytes = 1u32.checked_shl(format >> 16 & 0xff).filter(|bytes| BLOCK_BYTES.contains(bytes));
        let block_bytes = block_bytes.ok_or(Unusable::BlockSize)?;
        const SAYS_WHAT_IT_PREFERS: u8 = 1 << 4;
        let preferred = if bytes[24] & SAYS_WHAT_IT_PREFERS != 0 { u32::from(u16_at(bytes, 64)) + 1 } else { 1 };
        Ok(Namespace {
            number,
            // As sectors they must be counted in 64 bits.
            blocks: blocks.min(u64::MAX / u64::from(block_bytes)),
            block_bytes,
            physical_block_bytes: block_bytes * preferred,
            read_only: bytes[99] & 1 != 0,
        })
    }
}

/// The numbers in a list of namespaces.
pub fn namespace_numbers(bytes: &Page) -> Vec<u32> {
    let numbers = (0..IDENTIFY_BYTES).step_by(4).map(|at| u32_at(bytes, at));
    numbers.take_while(|number| *number != 0).collect()
}

/// A text that is filled with blanks; what is not ASCII is shown as `?`.
fn text(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' };
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(0).min(end);
    bytes[start..end].iter().map(shown).collect()
}

fn u16_at(bytes: &Page, at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &Page, at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &Page, at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_lose_their_blanks() {
        assert_eq!(
            (text(b"  a b  "), text(b"x\xff\n\0\0"), text(b"    "), text(b"\0\0")),
            ("a b".into(), "x??".into(), String::new(), String::new())
        );
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_borne(bytes in proptest::collection::vec(any::<u8>(), IDENTIFY_BYTES), shift: u8, format: u8) {
            let mut page: Page = bytes.try_into().expect("a page");
            (page[77], page[26], page[524]) = (shift, format, 0);
            let _ = ControllerInfo::parse(&page, 4096);
            for _ in 0..2 {
                if let Ok(namespace) = Namespace::parse(&page, 1) {
                    prop_assert!(BLOCK_BYTES.contains(&namespace.block_bytes) && namespace.blocks > 0);
                    prop_assert!(namespace.blocks.checked_mul(namespace.block_bytes.into()).is_some());
                }
                // The same without metadata.
                (0..64).for_each(|format| page[128 + 4 * format..130 + 4 * format].fill(0));
            }
            prop_assert!(namespace_numbers(&page).len() <= IDENTIFY_BYTES / 4);
        }
    }
}
