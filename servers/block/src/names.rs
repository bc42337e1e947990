//! Names of disks and partitions.

use alloc::format;
use alloc::string::String;
use libsys::protocol::block::DiskName;

/// Most disks of one kind.
const MOST: u32 = 10_000;

/// The first free name of a disk; `is_taken` says which ones are not. `unit` is that of the driver, `controller` the driver's number among those whose disks are named so.
pub fn disk(name: &DiskName, unit: u32, controller: u32, is_taken: impl Fn(&str) -> bool) -> Option<String> {
    let first_free = |candidate: &dyn Fn(u32) -> String| (0..MOST).map(candidate).find(|name| !is_taken(name));
    let checked = |text: &String| is_name(text);
    match name {
        DiskName::Exact(text) if unit == 0 => Some(text.clone()).filter(|text| is_name(text) && !is_taken(text)),
        DiskName::Exact(text) => {
            Some(text).filter(|text| checked(text)).and_then(|text| first_free(&|number| format!("{text}u{number}")))
        }
        DiskName::Lettered(text) if checked(text) => first_free(&|number| format!("{text}{}", letters(number))),
        DiskName::Numbered(text) if checked(text) => first_free(&|number| format!("{text}{number}")),
        DiskName::Units(text) if checked(text) => {
            first_free(&|more| format!("{text}{}n{}", controller + more, unit + 1))
        }
        _ => None,
    }
}

/// Whether this can be a disk's name, or the beginning of one: 1 to 16 small letters and digits.
fn is_name(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// `a` to `z`, then `aa`, `ab`, …
fn letters(number: u32) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    match (number / 26).checked_sub(1) {
        None => letter.into(),
        Some(rest) => format!("{}{letter}", letters(rest)),
    }
}

/// The name of a partition.
pub fn partition(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{separator}{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_people_know_them() {
        let taken = ["vda", "loop0", "ram0"];
        let name = |name: DiskName, unit| disk(&name, unit, 1, |name| taken.contains(&name)).unwrap_or_default();
        assert_eq!(name(DiskName::Lettered("vd".into()), 0), "vdb");
        assert_eq!(name(DiskName::Numbered("loop".into()), 0), "loop1");
        assert_eq!(name(DiskName::Units("nvme".into()), 2), "nvme1n3");
        assert_eq!(name(DiskName::Exact("ram1".into()), 0), "ram1");
        assert_eq!(name(DiskName::Exact("ram0".into()), 0), "");
        for wrong in ["", "a b", "../x", "Ü", "averyveryverylongname"] {
            assert_eq!(name(DiskName::Exact(wrong.into()), 0), "", "{wrong}");
            assert_eq!(name(DiskName::Lettered(wrong.into()), 0), "", "{wrong}");
        }
        assert_eq!(
            (letters(0), letters(25), letters(26), letters(27 * 26)),
            ("a".into(), "z".into(), "aa".into(), "aaa".into())
        );
        assert_eq!((partition("vda", 1), partition("nvme0n1", 2)), ("vda1".into(), "nvme0n1p2".into()));
    }
}
