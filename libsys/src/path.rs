//! Paths, as text: names with `/` between them. An absolute path starts with `/`, a relative one at the current directory ([`crate::fs::current_directory`]).
//!
//! Everything here is about the text alone and asks no file system; `..` behind a name may mean another directory than the text says, where the name is a
//! symbolic link: [`crate::fs`] looks.

use alloc::string::String;
use alloc::vec::Vec;

/// The names of a path, in order; `..` is one, `.` is none.
pub fn names(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}

/// Whether a path is absolute.
pub fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
}

/// `path`, from the directory `base` where it is relative.
pub fn join(base: &str, path: &str) -> String {
    if is_absolute(path) {
        return path.into();
    }
    let mut joined = String::from(base);
    if !joined.ends_with('/') && !joined.is_empty() {
        joined.push('/');
    }
    joined.push_str(path);
    joined
}

/// The last name; `None` for `/`, the empty path, and what ends with `..`.
pub fn file_name(path: &str) -> Option<&str> {
    names(path).next_back().filter(|name| *name != "..")
}

/// What a path ends with, as its text says it: `.` and `..` as well. Empty for `/` and the empty path.
pub fn last(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// The path of the directory that the last name is in; `None` where there is no last name.
pub fn parent(path: &str) -> Option<&str> {
    let name = file_name(path)?;
    let end = path.rfind(name)?;
    let before = path[..end].trim_end_matches('/');
    Some(if before.is_empty() && is_absolute(path) { "/" } else { before })
}

/// What is behind the last dot of the last name, where something is before it.
pub fn extension(path: &str) -> Option<&str> {
    file_name(path)?.rsplit_once('.').filter(|(before, _)| !before.is_empty()).map(|(_, after)| after)
}

/// An absolute path without empty names, `.` and `..`, as the text says it: `..` takes away the name before it, and means nothing in `/`.
pub fn normalise(path: &str) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in names(path) {
        match name {
            ".." => drop(all.pop()),
            name => all.push(name),
        }
    }
    let mut text = String::with_capacity(path.len() + 1);
    for name in all {
        text.push('/');
        text.push_str(name);
    }
    if text.is_empty() {
        text.push('/');
    }
    text
}

/// How long the name is that a path starts with, and whether there is a NUL in it. Eight bytes at a time: every open asks this, several times.
#[inline]
pub fn name_length(path: &[u8]) -> (usize, bool) {
    const ONES: u64 = u64::MAX / 0xff;
    /// The lowest byte with its highest bit set is the first one that is zero.
    fn zeroes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    }
    let (mut at, mut has_nul) = (0, false);
    while let Some(word) = path.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let (slash, nul) = (zeroes(word ^ (ONES * b'/' as u64)), zeroes(word));
        // In front of the first slash.
        has_nul |= nul & slash.wrapping_sub(1) & !slash != 0;
        if slash != 0 {
            return (at + slash.trailing_zeros() as usize / 8, has_nul);
        }
        at += 8;
    }
    while let Some(byte) = path.get(at).filter(|byte| **byte != b'/') {
        has_nul |= *byte == 0;
        at += 1;
    }
    (at, has_nul)
}

/// Whether a path is as [`normalise`] makes it: every open asks this.
pub fn is_normal(path: &str) -> bool {
    let mut rest = path.as_bytes();
    if rest == b"/" {
        return true;
    }
    while let [b'/', names @ ..] = rest {
        let (name, behind) = names.split_at(name_length(names).0);
        // Most names are longer than those that are none.
        if name.len() <= 2 && matches!(name, b"" | b"." | b"..") {
            return false;
        }
        if behind.is_empty() {
            return true;
        }
        rest = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_paths_are_told_from_others() {
        for (path, normal) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("//a", "/a"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/../..", "/"),
            ("/a/../b/..c/.d", "/b/..c/.d"),
            ("/...", "/..."),
            ("/.a/b..", "/.a/b.."),
            ("/a/.", "/a"),
        ] {
            assert_eq!(normalise(path), normal, "{path}");
            assert_eq!(is_normal(path), path == normal, "{path}");
        }
        assert!(!is_normal("") && !is_normal("a"));
    }

    #[test]
    fn the_text_says_what_a_path_ends_with() {
        for (path, end) in [("/", ""), ("", ""), ("a", "a"), ("a/.", "."), ("a/./", "."), ("/b/..//", ".."), (".", ".")]
        {
            assert_eq!(last(path), end, "{path}");
        }
    }

    #[test]
    fn a_name_ends_at_the_first_slash() {
        for length in 0..40 {
            for slash in 0..=length {
                for nul in 0..=length {
                    let mut path = alloc::vec![b'.'; length];
                    // What is behind the end of the name does not count. Bytes next to those that are looked for do not either.
                    path.iter_mut().skip(slash + 1).for_each(|byte| *byte = b'0');
                    path.iter_mut().skip(nul + 1).for_each(|byte| *byte = 0x01);
                    path.get_mut(nul).into_iter().for_each(|byte| *byte = 0);
                    path.get_mut(slash).into_iter().for_each(|byte| *byte = b'/');
                    assert_eq!(name_length(&path), (slash, nul < slash), "{path:?}");
                }
            }
        }
        assert_eq!(name_length(b"\x80\xaf\xae\xb0\xff\x2e\x30\x01/"), (8, false));
        assert_eq!(name_length(b"ab/\0\0\0\0\0\0"), (2, false));
    }

    #[test]
    fn paths_come_apart_and_together() {
        assert_eq!(
            (parent("/a/b"), parent("/a"), parent("a"), parent("/"), parent("/a/..")),
            (Some("/a"), Some("/"), Some(""), None, None)
        );
        assert_eq!((file_name("/a/b/"), parent("/a/b/")), (Some("b"), Some("/a")));
        assert_eq!((extension("/a/b.tar.gz"), extension(".profile"), extension("a")), (Some("gz"), None, None));
        assert_eq!((join("/a", "b"), join("/", "b"), join("/a", "/b")), ("/a/b".into(), "/b".into(), "/b".into()));
    }
}
