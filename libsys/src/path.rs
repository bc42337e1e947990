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

/// Whether a path is as [`normalise`] makes it. It looks closer only behind a `/`: every open asks this.
pub fn is_normal(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return false;
    }
    let is_no_name = |rest: &[u8]| {
        matches!(rest, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
    };
    bytes.len() == 1 || bytes.iter().enumerate().all(|(at, byte)| *byte != b'/' || !is_no_name(&bytes[at + 1..]))
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
