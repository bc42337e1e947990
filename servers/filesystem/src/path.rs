//! The walk along a path: from a directory, name by name, to the node of the last one. It follows no link and never leaves the directory
//! that it starts in: where it would have to, it says what is to be looked up in place of the path.

use crate::volume::{Found, NodeId, Result, Volume};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::path::name_length;
use libsys::protocol::filesystem::{FileError, NAME_BYTES, NodeKind, PATH_BYTES};

/// Where a walk ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Walk<'a> {
    /// The path is the directory itself that it starts in.
    Start,
    /// At a name, which is there or not.
    Name {
        /// The directory that it is or would be in.
        directory: NodeId,
        /// The last name.
        name: &'a str,
        /// What it stands for.
        found: Option<Found>,
    },
    /// At a link, or above the start: what is to be looked up.
    Link(String),
}

/// Whether a text can be a name: 1 to 255 bytes, no `/`, no NUL, and neither `.` nor `..`. Errors: `BadName`, `NameTooLong`.
pub fn check_name(name: &str) -> Result<()> {
    if name.len() > NAME_BYTES {
        return Err(FileError::NameTooLong);
    }
    let bytes = name.as_bytes();
    if matches!(bytes, [] | [b'.'] | [b'.', b'.']) || bytes.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(FileError::BadName);
    }
    Ok(())
}

/// The first name of a path and what is behind it. Empty names and `.` mean nothing.
fn split(path: &str) -> Option<(&str, &str)> {
    cut(path).map(|(name, rest, _)| (name, rest))
}

/// The same, and whether there is a NUL in the name. (In one pass over bytes: every open comes here.)
#[inline]
fn cut(path: &str) -> Option<(&str, &str, bool)> {
    let bytes = path.as_bytes();
    let mut end = 0;
    loop {
        let mut start = end;
        while *bytes.get(start)? == b'/' {
            start += 1;
        }
        let (length, has_nul) = name_length(&bytes[start..]);
        end = start + length;
        if end - start > 1 || bytes[start] != b'.' {
            // A `/` is a byte of its own, so both ends are between characters.
            return Some((&path[start..end], &path[end..], has_nul));
        }
    }
}

/// Walks along `path` from the directory `start`. `follow`: a link as the last name ends the walk as one before it. Where the walk enters the directory `avoid`, or ends at it, the last result says so.
pub(crate) fn walk<'a, V: Volume>(
    volume: &mut V,
    start: NodeId,
    path: &'a str,
    follow: bool,
    avoid: Option<NodeId>,
) -> Result<(Walk<'a>, bool)> {
    if path.len() > PATH_BYTES {
        return Err(FileError::NameTooLong);
    }
    let mut directory = start;
    let mut has_met = false;
    let Some((mut name, mut rest, mut has_nul)) = cut(path) else {
        return Ok((Walk::Start, false));
    };
    loop {
        if name == ".." {
            return Ok((Walk::Link(without_parents(path)), has_met));
        }
        // What else `check_name` asks is so of every part of a path.
        if name.len() > NAME_BYTES {
            return Err(FileError::NameTooLong);
        }
        if has_nul {
            return Err(FileError::BadName);
        }
        let found = volume.lookup(directory, name)?;
        let next = cut(rest);
        has_met |= found.is_some_and(|found| Some(found.node) == avoid);
        match found {
            Some(Found { node, kind: NodeKind::Link }) if follow || next.is_some() => {
                let before = path.len() - rest.len() - name.len();
                let target = volume.read_link(node)?;
                return Ok((Walk::Link(link(&path[..before], &target, rest)?), has_met));
            }
            _ if next.is_none() => return Ok((Walk::Name { directory, name, found }, has_met)),
            Some(Found { node, kind: NodeKind::Directory }) => directory = node,
            Some(_) => return Err(FileError::NotDirectory),
            None => return Err(FileError::NotFound),
        }
        // It is there, or the walk would have ended.
        (name, rest, has_nul) = next.unwrap_or_default();
    }
}

/// A path in which the first `..` is gone together with the name before it: the names before were walked, and are directories. A path that leads above
/// the start stays as it is.
fn without_parents(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut rest = path;
    while let Some((name, behind)) = split(rest) {
        rest = behind;
        if name != ".." {
            names.push(name);
        } else if names.pop().is_none() {
            return path.into();
        } else {
            break;
        }
    }
    names.extend(core::iter::successors(split(rest), |(_, behind)| split(behind)).map(|(name, _)| name));
    names.join("/")
}

/// What is to be looked up in place of `before`, a link to `target`, and `rest`. The names in `before` were walked, so a target's leading `..` takes them away.
fn link(before: &str, target: &str, rest: &str) -> Result<String> {
    if target.is_empty() {
        return Err(FileError::NotFound);
    }
    let mut path = String::new();
    if target.starts_with('/') {
        path.push_str(target);
    } else {
        let mut names: Vec<&str> =
            core::iter::successors(split(before), |(_, behind)| split(behind)).map(|(name, _)| name).collect();
        let mut target = target;
        while let Some(("..", behind)) = split(target)
            && !names.is_empty()
        {
            names.pop();
            target = behind;
        }
        for name in names {
            path.push_str(name);
            path.push('/');
        }
        path.push_str(target.trim_start_matches('/'));
    }
    path.push_str(rest);
    if path.len() > PATH_BYTES {
        return Err(FileError::NameTooLong);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_apart() {
        let names = |path| -> Vec<&str> {
            core::iter::successors(split(path), |(_, rest)| split(rest)).map(|(name, _)| name).collect()
        };
        assert_eq!(names("/a//b/./c/"), ["a", "b", "c"]);
        assert_eq!(names("..x/.../..").as_slice(), ["..x", "...", ".."]);
        assert!(names("").is_empty() && names("/./").is_empty());
    }

    #[test]
    fn parents_are_taken_away_where_they_are_known() {
        assert_eq!(without_parents("a/b/../c/../d"), "a/c/../d");
        assert_eq!(without_parents("../a"), "../a");
        assert_eq!(without_parents("../../a/../b"), "../../a/../b");
    }

    #[test]
    fn links_are_put_in_place() {
        assert_eq!(link("a/b/", "../x", "/y").as_deref(), Ok("a/x/y"));
        assert_eq!(link("a/", "../../x", "").as_deref(), Ok("../x"));
        assert_eq!(link("a/", "/x/../y", "/z").as_deref(), Ok("/x/../y/z"));
        assert_eq!(link("", "b", "").as_deref(), Ok("b"));
        assert_eq!(link("a/", "", ""), Err(FileError::NotFound));
        assert_eq!(link(&"a/".repeat(2000), &"b".repeat(200), ""), Err(FileError::NameTooLong));
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", ".", "..", "a/b", "a\0"] {
            assert_eq!(check_name(bad), Err(FileError::BadName), "{bad:?}");
        }
        assert_eq!(check_name(&"ä".repeat(127)), Ok(()));
        assert_eq!(check_name(&"ä".repeat(128)), Err(FileError::NameTooLong));
    }
}
