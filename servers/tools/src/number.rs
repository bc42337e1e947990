//! Numbers of command lines.

/// A number, perhaps with a unit behind it: `b` (512), `k` and `K`, `M`, `G`, `T` (powers of 1024; with `iB` the same), `kB`, `KB`, `MB`, `GB`, `TB` (powers of 1000). `None`: it is none, or too large.
pub fn parse(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    digits.parse::<u64>().ok()?.checked_mul(unit_bytes(unit)?)
}

fn unit_bytes(unit: &str) -> Option<u64> {
    let mut letters = unit.chars();
    let power = match letters.next() {
        None | Some('c') => 0,
        Some('b') => return letters.as_str().is_empty().then_some(512),
        Some('k' | 'K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some(_) => return None,
    };
    match letters.as_str() {
        "" => Some(1024u64.pow(power)),
        "iB" if power > 0 => Some(1024u64.pow(power)),
        "B" if power > 0 => Some(1000u64.pow(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_multiply() {
        for (text, value) in [
            ("0", 0),
            ("17", 17),
            ("3c", 3),
            ("2b", 1024),
            ("1k", 1024),
            ("4K", 4096),
            ("4KiB", 4096),
            ("2MB", 2_000_000),
            ("1M", 1 << 20),
            ("3G", 3 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "k", "-1", "1x", "1kb", "1b1", "cB", "1cB", "99999999999999999999", "99999999999T", "1 "] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
