//! Percent-encoding: how text with spaces travels on the kernel's command line.

use std::fmt::Write;

/// Encodes `text` so that it has no white space, quotes or controls. Every byte that is not a
/// letter, a digit or one of `-._~/` becomes `%XX`.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(byte.into());
            }
            // Writing to a String cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(encoded: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = encoded.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                plain => plain,
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn plain_and_special() {
        assert_eq!(encode("/bin/ls-1_2.~"), "/bin/ls-1_2.~");
        assert_eq!(encode("echo \"a b\"; x&&y%"), "echo%20%22a%20b%22%3B%20x%26%26y%25");
        assert_eq!(encode("é\n"), "%C3%A9%0A");
    }

    proptest! {
        #[test]
        fn comes_back(text in ".*") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'));
            prop_assert_eq!(decode(&encoded), text);
        }
    }
}
