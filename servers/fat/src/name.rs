//! Names: long ones in UTF-16, short ones of eight and three bytes, and which of them mean the same.
//!
//! Two names are the same if they differ only in case: character by character, where the capital letter is one character.

use alloc::string::String;
use alloc::vec::Vec;
use volume::FileError;

/// Most units of a long name.
pub const UNITS: usize = 255;
/// Most bytes of a name in UTF-8 that can be said to clients: a longer one on the disk is known by its short name only.
const BYTES: usize = 255;

/// A short name: eight bytes and three, with blanks behind.
pub type Short = [u8; 11];

/// Characters that no name has.
const ILLEGAL: &str = "\"*/:<>?\\|";
/// What a short name has besides capital letters and digits.
const SPECIAL: &[u8] = b"!#$%&'()-@^_`{}~";

/// The upper half of code page 437, in which short names are.
const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// Whether a text can be made a name. Errors: `BadName`, `NameTooLong`.
pub fn check(name: &str) -> Result<(), FileError> {
    let illegal = |c: char| c < ' ' || ILLEGAL.contains(c);
    if name.is_empty() || name.ends_with(['.', ' ']) || name.contains(illegal) {
        return Err(FileError::BadName);
    }
    let fits = name.len() <= BYTES && name.encode_utf16().count() <= UNITS;
    if fits { Ok(()) } else { Err(FileError::NameTooLong) }
}

fn fold(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) => upper,
        _ => c,
    }
}

/// Whether two names mean the same.
pub fn same(one: &str, two: &str) -> bool {
    one.chars().map(fold).eq(two.chars().map(fold))
}

/// A number that is the same for names that are the same (FNV-1a).
pub fn hash(name: &str) -> u64 {
    let bytes = name.chars().flat_map(|c| u32::from(fold(c)).to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The text of a long name; `None`: it cannot be said to clients.
pub fn long(units: &[u16]) -> Option<String> {
    let name = String::from_utf16(units).ok()?;
    let bad = name.len() > BYTES || name == "." || name == ".." || name.is_empty() || name.contains(['/', '\0']);
    (!bad).then_some(name)
}

/// The text of a short name; bits 3 and 4 of `case` say that the eight and the three are small letters. `None`: it is none.
pub fn short(bytes: &Short, case: u8) -> Option<String> {
    let mut bytes = *bytes;
    if bytes[0] == 0x05 {
        bytes[0] = 0xe5;
    }
    let part = |bytes: &[u8], small: bool| -> String {
        let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        bytes[..end]
            .iter()
            .map(|byte| match byte {
                byte if *byte >= 0x80 => HIGH.chars().nth(usize::from(byte - 0x80)).unwrap_or('_'),
                byte if *byte < b' ' || *byte == b'/' || *byte == 0x7f => '_',
                byte if small => char::from(byte.to_ascii_lowercase()),
                byte => char::from(*byte),
            })
            .collect()
    };
    let (mut name, extension) = (part(&bytes[..8], case & 0x08 != 0), part(&bytes[8..], case & 0x10 != 0));
    if name.is_empty() {
        return None;
    }
    if !extension.is_empty() {
        name.push('.');
        name.push_str(&extension);
    }
    (name != "." && name != "..").then_some(name)
}

fn is_short_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || SPECIAL.contains(&byte)
}

/// The short name that says all of a name, if there is one.
pub fn exactly_short(name: &str) -> Option<Short> {
    let (base, extension) = match name.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (name, ""),
    };
    let fits = (1..=8).contains(&base.len())
        && extension.len() <= 3
        && base.bytes().chain(extension.bytes()).all(is_short_byte);
    fits.then(|| put_together(base.as_bytes(), extension.as_bytes()))
}

fn put_together(base: &[u8], extension: &[u8]) -> Short {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

/// Short names that can stand for a long one, the nicest first: `LONGNA~1.TXT`, …, and then with a hash of the name, which differs for names that begin the same.
pub fn aliases(name: &str) -> impl Iterator<Item = Short> {
    let byte = |c: char| match c.to_ascii_uppercase() {
        c if c.is_ascii() && is_short_byte(c as u8) => c as u8,
        _ => b'_',
    };
    let (base, extension) = name.rsplit_once('.').filter(|(base, _)| !base.is_empty()).unwrap_or((name, ""));
    let letters = |part: &str| -> Vec<u8> { part.chars().filter(|c| !matches!(c, ' ' | '.')).map(byte).collect() };
    let (mut base, mut extension) = (letters(base), letters(extension));
    extension.truncate(3);
    if base.is_empty() {
        base.push(b'_');
    }
    let hash = hash(name);
    let numbered = |base: &[u8], keep: usize, middle: &[u8], number: u64| {
        let mut short: Vec<u8> = base.iter().copied().take(keep).collect();
        short.extend(middle);
        short.push(b'~');
        short.push(b'0' + number as u8);
        short
    };
    let nice = base.clone();
    let first = (1..=4).map(move |number| numbered(&nice, 6, &[], number));
    let others = (0..=u64::from(u16::MAX)).flat_map(move |more| {
        let hash = hash.wrapping_add(more) & 0xffff;
        let digit = |shift: u64| b"0123456789ABCDEF"[(hash >> shift & 0xf) as usize];
        let middle = [digit(12), digit(8), digit(4), digit(0)];
        let base = base.clone();
        (1..=9).map(move |number| numbered(&base, 2, &middle, number))
    });
    first.chain(others).map(move |base| put_together(&base, &extension))
}

/// What every part of a long name says of the short name that it belongs to.
pub fn checksum(short: &Short) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be() {
        for bad in ["", "a:b", "a\\b", "a\u{1f}", "dot.", "blank ", ".", "..", "*", "\"x\""] {
            assert_eq!(check(bad), Err(FileError::BadName), "{bad:?}");
        }
        for good in ["a", ".a", " a", "a b.c d", "größe", "文", "a+b,c;d=e[f]", &"x".repeat(255)] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        assert_eq!(check(&"x".repeat(256)), Err(FileError::NameTooLong));
        assert_eq!(check(&"文".repeat(86)), Err(FileError::NameTooLong));
    }

    #[test]
    fn case_does_not_matter() {
        for (one, two) in [("Größe", "gRÖßE"), ("ДОМ", "дом"), ("a", "A")] {
            assert!(same(one, two) && hash(one) == hash(two), "{one} {two}");
        }
        assert!(!same("straße", "STRASSE") && !same("a", "b"));
    }

    #[test]
    fn short_names() {
        assert_eq!(exactly_short("README.TXT"), Some(*b"README  TXT"));
        assert_eq!(exactly_short("A"), Some(*b"A          "));
        for long in ["readme.txt", "TOOLONGNAME", "A.LONG", "A.B.C", ".A", "A B", "Ä", "A."] {
            assert_eq!(exactly_short(long), None, "{long}");
        }
        assert_eq!(short(b"README  TXT", 0).as_deref(), Some("README.TXT"));
        assert_eq!(short(b"README  TXT", 0x18).as_deref(), Some("readme.txt"));
        assert_eq!(short(b"\x05A\x81     Z  ", 0).as_deref(), Some("σAü.Z"));
        assert_eq!(short(b"        TXT", 0), None);
        assert_eq!(short(b"..         ", 0), None);
        assert_eq!(HIGH.chars().count(), 128);
    }

    #[test]
    fn aliases_are_short_and_differ() {
        let first = |name| aliases(name).next().unwrap();
        assert_eq!(first("a long name.text"), *b"ALONGN~1TEX");
        assert_eq!(first(".profile"), *b"PROFIL~1   ");
        assert_eq!(first("文.文"), *b"_~1     _  ");
        let all: alloc::collections::BTreeSet<Short> = aliases("a long name").take(1000).collect();
        assert_eq!(all.len(), 1000);
        assert_eq!(checksum(b"README  TXT"), 0x73);
    }
}
