//! How sizes, times, permission bits and lists of names are shown.

use crate::calendar::DateTime;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::fs::{NodeKind, Timestamp};

/// Seconds of half a year: times that are older, or to come, are shown with their year.
const HALF_A_YEAR: i64 = 15_778_476;

/// A size for people, rounded up: up to 4 characters.
pub fn human(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if bytes < 1024 {
        return format!("{bytes}");
    }
    let bytes = u128::from(bytes);
    for (index, unit) in UNITS.iter().enumerate() {
        let one = 1u128 << (10 * (index + 1));
        let tenths = (bytes * 10).div_ceil(one);
        if tenths < 100 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        let whole = bytes.div_ceil(one);
        if whole < 1024 {
            return format!("{whole}{unit}");
        }
    }
    format!("{}E", bytes >> 60)
}

/// The letter of a kind, as `ls -l` has it.
pub fn kind_letter(kind: NodeKind) -> char {
    match kind {
        NodeKind::File => '-',
        NodeKind::Directory => 'd',
        NodeKind::Link => 'l',
        NodeKind::Character | NodeKind::Console => 'c',
        NodeKind::Block => 'b',
        NodeKind::Pipe => 'p',
    }
}

/// What a kind is called.
pub fn kind_name(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::File => "regular file",
        NodeKind::Directory => "directory",
        NodeKind::Link => "symbolic link",
        NodeKind::Character => "character device",
        NodeKind::Console => "console",
        NodeKind::Block => "block device",
        NodeKind::Pipe => "pipe",
    }
}

/// Kind and permission bits: `drwxr-xr-x`.
pub fn mode(kind: NodeKind, mode: u16) -> String {
    let mut text = String::new();
    text.push(kind_letter(kind));
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// A time as `ls -l` shows it, 12 characters: with the time of day where it is of the last half year.
pub fn short_time(time: Timestamp, now: Option<i64>) -> String {
    let DateTime { year, month, day, hour, minute, .. } = DateTime::of_unix(time.seconds);
    let month = month_name(month);
    let is_recent = now.is_some_and(|now| (now - HALF_A_YEAR..=now).contains(&time.seconds));
    if is_recent { format!("{month} {day:>2} {hour:02}:{minute:02}") } else { format!("{month} {day:>2} {year:>5}") }
}

fn month_name(month: u8) -> &'static str {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.get(usize::from(month).wrapping_sub(1)).unwrap_or(&"?")
}

/// A time as `stat` shows it.
pub fn long_time(time: Timestamp) -> String {
    format!("{}.{:09} +0000", DateTime::of_unix(time.seconds), time.nanoseconds)
}

/// Between two columns.
const GAP: usize = 2;

/// Names in columns, downwards first, in lines of at most `width` characters where that is possible.
pub fn columns<N: AsRef<str>>(names: &[N], width: usize) -> impl Iterator<Item = String> {
    let length = |name: &N| name.as_ref().chars().count() + GAP;
    let widths =
        move |rows: usize| names.chunks(rows.max(1)).map(move |column| column.iter().map(length).max().unwrap_or(GAP));
    // There are few numbers of columns to try, however many names there are.
    let most = names.len().min(width / (1 + GAP) + 1).max(1);
    let fits = |rows: &usize| widths(*rows).sum::<usize>() <= width + GAP;
    let rows = (1..=most).rev().map(|columns| names.len().div_ceil(columns)).find(fits).unwrap_or(names.len());
    let widths: Vec<usize> = widths(rows).collect();
    (0..rows).map(move |row| {
        let mut line = String::new();
        for (name, width) in names.iter().skip(row).step_by(rows).zip(&widths) {
            line.push_str(&format!("{:<width$}", name.as_ref()));
        }
        line.truncate(line.trim_end().len());
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (1025, "1.1K"),
            (10 * 1024, "10K"),
            (10 * 1024 + 1, "11K"),
            (1023 * 1024 + 1, "1.0M"),
            (1 << 30, "1.0G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(human(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn permission_bits() {
        assert_eq!(mode(NodeKind::Directory, 0o755), "drwxr-xr-x");
        assert_eq!(mode(NodeKind::File, 0o640), "-rw-r-----");
        assert_eq!(mode(NodeKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(mode(NodeKind::File, 0o6644), "-rwSr-Sr--");
        assert_eq!(mode(NodeKind::Link, 0o777), "lrwxrwxrwx");
    }

    #[test]
    fn times() {
        let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };
        assert_eq!(short_time(time, Some(1_700_000_100)), "Nov 14 22:13");
        assert_eq!(short_time(time, Some(1_800_000_000)), "Nov 14  2023");
        assert_eq!(short_time(time, None), "Nov 14  2023");
        assert_eq!(long_time(time), "2023-11-14 22:13:20.000000005 +0000");
    }

    #[test]
    fn names_in_columns() {
        let names = ["a", "bb", "ccc", "d", "e"].map(String::from);
        let columns = |names: &[String], width| super::columns(names, width).collect::<Vec<_>>();
        assert_eq!(columns(&names, 80), ["a  bb  ccc  d  e"]);
        assert_eq!(columns(&names, 9), ["a    d", "bb   e", "ccc"]);
        assert_eq!(columns(&names, 1), ["a", "bb", "ccc", "d", "e"]);
        assert_eq!(columns(&[], 80), vec![""; 0]);
    }

    #[test]
    fn very_many_names_are_quickly_in_columns() {
        let mut names: Vec<String> = (0..100_000).map(|number| format!("n{number}")).collect();
        names.push("x".repeat(60));
        let lines: Vec<String> = columns(&names, 80).collect();
        assert!(lines.len() < 50_001 && lines.iter().all(|line| line.len() <= 80));
    }

    proptest! {
        #[test]
        fn every_name_is_there_once(names in proptest::collection::vec("[a-z]{1,9}", 0..40), width in 9usize..100) {
            let lines: Vec<String> = columns(&names, width).collect();
            prop_assert!(lines.iter().all(|line| line.len() <= width));
            let mut shown: Vec<String> = lines.iter().flat_map(|line| line.split_whitespace()).map(String::from).collect();
            let mut names = names;
            names.sort();
            shown.sort();
            prop_assert_eq!(shown, names);
        }
    }
}
