//! The sets of `tr`: bytes, `a-z`, `[:class:]`, `\n` and the like, `\ooo`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The bytes of a set, in its order. Error: what is wrong.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.as_bytes();
    let mut set = Vec::new();
    while !bytes.is_empty() {
        if let Some((name, rest)) = class_name(bytes) {
            let class = class(name).ok_or_else(|| format!("there is no class `{}`", String::from_utf8_lossy(name)))?;
            set.extend((0..=u8::MAX).filter(class));
            bytes = rest;
            continue;
        }
        let (low, rest) = byte(bytes);
        bytes = rest;
        match rest {
            [b'-', behind @ ..] if !behind.is_empty() => {
                let (high, rest) = byte(behind);
                if high < low {
                    return Err(format!("in `{text}` a range is the wrong way round"));
                }
                set.extend(low..=high);
                bytes = rest;
            }
            _ => set.push(low),
        }
    }
    Ok(set)
}

/// All bytes that are not in a set.
pub fn complement(set: &[u8]) -> Vec<u8> {
    (0..=u8::MAX).filter(|byte| !set.contains(byte)).collect()
}

/// What each byte becomes: the one at the same place in `to`, whose last one stands for those that are missing.
pub fn mapping(from: &[u8], to: &[u8]) -> [u8; 256] {
    let mut map = core::array::from_fn(|byte| byte as u8);
    if let Some(last) = to.last() {
        for (index, byte) in from.iter().enumerate() {
            map[usize::from(*byte)] = *to.get(index).unwrap_or(last);
        }
    }
    map
}

/// A class in front, and what is behind it.
fn class_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"[:")?;
    let end = rest.windows(2).position(|pair| pair == b":]")?;
    Some((&rest[..end], &rest[end + 2..]))
}

fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| byte.is_ascii_graphic() || *byte == b' ',
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| byte.is_ascii_whitespace() || *byte == 0x0b,
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

/// The byte in front, and what is behind it; there is one.
fn byte(bytes: &[u8]) -> (u8, &[u8]) {
    let [first, rest @ ..] = bytes else { return (0, bytes) };
    let (b'\\', [next, behind @ ..]) = (first, rest) else { return (*first, rest) };
    let plain = match next {
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        b'0'..=b'7' => {
            let digits = rest.iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
            let value = rest[..digits].iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            return (value as u8, &rest[digits..]);
        }
        other => *other,
    };
    (plain, behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_have_ranges_classes_and_escapes() {
        let set = |text| parse(text).expect("a set");
        assert_eq!(set("a-ex"), b"abcdex");
        assert_eq!(set("[:digit:]-"), b"0123456789-");
        assert_eq!(set("\\n\\t\\\\\\101\\0"), b"\n\t\\A\0");
        assert_eq!(set("-a"), b"-a");
        assert_eq!(set("a-"), b"a-");
        assert!(parse("z-a").is_err() && parse("[:none:]").is_err());
        assert_eq!(complement(&complement(b"ab")), b"ab");
    }

    #[test]
    fn the_last_byte_stands_for_more() {
        let map = mapping(b"abc", b"xy");
        assert_eq!([map[97], map[98], map[99], map[100]], *b"xyyd");
    }

    proptest! {
        #[test]
        fn any_set_is_borne(text in "[-a\\[\\]:\\\\0-9dig t]{0,12}") {
            let _ = parse(&text);
        }
    }
}
