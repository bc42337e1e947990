//! Copying files and trees: what `cp` does, and `mv` from one file system to another.

use crate::input::{self, Input};
use crate::sink::Sink;
use crate::walk::{Stage, Visit, Walk};
use crate::{About, Failure, Output, failed};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::fs::{self, File, FileError, Identity, Metadata, NodeKind, OpenOptions, StatusChange};
use libsys::io::{self, Read, Write};
use libsys::path;

/// How things are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Directories with all that is in them.
    pub recursive: bool,
    /// Permission bits and times are those of the original.
    pub preserve: bool,
    /// Each is told.
    pub verbose: bool,
    /// Before something is replaced, the user is asked.
    pub ask: bool,
}

/// What copying a tree has to remember.
#[derive(Debug, Default)]
struct Seen {
    /// Files with several names, and where their copy is.
    linked: BTreeMap<Identity, String>,
    /// The directory that the copy began with.
    root: Option<Identity>,
}

/// The path for something of that name in `target`, if that is a directory; otherwise `target`. So it is as well for `.`, `..` and what ends with them: they name no directory, but
/// what is in it.
pub fn into_directory(original: &str, target: &str) -> String {
    match own_name(original) {
        Some(name) if fs::metadata(target).is_ok_and(|metadata| metadata.is_dir()) => path::join(target, name),
        _ => target.into(),
    }
}

/// The name that a path says for what it means.
fn own_name(path: &str) -> Option<&str> {
    path::file_name(path).filter(|_| path::last(path) != ".")
}

/// Checks the operands of a program that copies, moves or links: the originals, the target, and whether that is a directory, which it has to be for several.
pub fn operands<'a, 'o>(all: &'o [&'a str]) -> Result<(&'o [&'a str], &'a str), Failure> {
    let [originals @ .., target] = all else { return Err(Failure::Usage("operands are missing".into())) };
    if originals.is_empty() {
        return Err(Failure::Usage(format!("a target behind `{target}` is missing")));
    }
    if originals.len() > 1 && !fs::metadata(target).about(target)?.is_dir() {
        return Err(failed(target, FileError::NotDirectory));
    }
    Ok((originals, target))
}

/// Copies what a path names to another; what is refused is complained of, and the rest goes on.
pub fn copy(out: &mut Output, from: &str, to: &str, manner: Manner) -> Result<(), Failure> {
    let metadata = if manner.recursive { fs::symlink_metadata(from) } else { fs::metadata(from) }.about(from)?;
    if metadata.is_dir() && !manner.recursive {
        return Err(failed(from, "is a directory (-r copies directories)"));
    }
    refuse_itself(from, to, &metadata)?;
    if !manner.recursive {
        return if is_declined(out, from, to, true, manner)? { Ok(()) } else { one(out, from, to, &metadata, manner) };
    }
    let mut seen = Seen::default();
    let mut walk = Walk::new(from, metadata.kind());
    while let Some(visit) = walk.next() {
        let target = moved(&visit.path, from, to);
        out.attempt(|out| step(out, &visit, &target, manner, &mut seen).inspect_err(|_| walk.leave()))?;
    }
    Ok(())
}

/// The path of something below `from`, below `to`.
fn moved(path: &str, from: &str, to: &str) -> String {
    match path.strip_prefix(from).map(|rest| rest.trim_start_matches('/')) {
        Some(rest) if !rest.is_empty() => path::join(to, rest),
        _ => to.into(),
    }
}

/// A directory into itself would have no end. Files are looked at when their turn comes: [`refuse_same`].
fn refuse_itself(from: &str, to: &str, metadata: &Metadata) -> Result<(), Failure> {
    if !metadata.is_dir() {
        return Ok(());
    }
    let original = fs::canonicalize(from).about(from);
    // What is not there yet has a directory that is.
    let target = fs::canonicalize(to).or_else(|_| {
        let parent = path::parent(to).filter(|parent| !parent.is_empty()).unwrap_or(".");
        fs::canonicalize(parent).map(|parent| path::join(&parent, path::file_name(to).unwrap_or("")))
    });
    let (Ok(original), Ok(target)) = (original, target) else { return Ok(()) };
    if target.strip_prefix(original.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/')) {
        return Err(failed(from, format_args!("it cannot be copied into itself, {to}")));
    }
    refuse_same(from, to, true)
}

/// A file onto itself would be emptied: what is written to must be another, be it named by one path or another, by a link, or through another mount of its file system.
pub fn refuse_same(from: &str, to: &str, follow_last: bool) -> Result<(), Failure> {
    let identity = if follow_last { fs::identity } else { fs::symlink_identity };
    if to.ends_with('/') && fs::metadata(to).is_err() {
        // No directory is there: nothing is written to, and whoever opens it is told why.
        return Ok(());
    }
    // Where nothing is there, nothing is lost.
    let Ok(there) = identity(to) else { return Ok(()) };
    if identity(from).about(from)? == there { Err(failed(from, format_args!("{to} is the same file"))) } else { Ok(()) }
}

fn step(out: &mut Output, visit: &Visit, to: &str, manner: Manner, seen: &mut Seen) -> Result<(), Failure> {
    let from = visit.path.as_str();
    let is_replacing = visit.stage == Stage::First && visit.kind != NodeKind::Directory;
    if is_replacing && is_declined(out, from, to, visit.kind != NodeKind::Link, manner)? {
        return Ok(());
    }
    match (visit.stage, visit.kind) {
        (Stage::Failed(error), _) => Err(failed(from, error)),
        (Stage::After, _) => {
            let status = *fs::symlink_metadata(from).about(from)?.status();
            let times = StatusChange { mode: None, accessed: Some(status.accessed), modified: Some(status.modified) };
            let change =
                StatusChange { mode: Some(status.mode), ..if manner.preserve { times } else { Default::default() } };
            fs::change(to, change).about(to)
        }
        (Stage::First, NodeKind::Directory) => {
            // What is at the root's place was named by whoever wants the copy; below it, a link would lead out of it, perhaps into what is copied.
            let there = if visit.depth == 0 { fs::metadata(to) } else { fs::symlink_metadata(to) };
            if !there.is_ok_and(|there| there.is_dir()) {
                // Through another mount, a directory may be copied into itself though the paths say nothing of it.
                if seen.root.is_some() && fs::identity(from).ok() == seen.root {
                    return Err(failed(from, "it is the copy itself"));
                }
                fs::create_dir(to).about(to)?;
                tell(out, from, to, manner)?;
            }
            if visit.depth == 0 {
                seen.root = Some(fs::identity(to).about(to)?);
            }
            Ok(())
        }
        (Stage::First, NodeKind::Link) => {
            refuse_same(from, to, false)?;
            let target = fs::read_link(from).about(from)?;
            match fs::remove_file(to) {
                Err(error) if error.file() != Some(FileError::NotFound) => return Err(failed(to, error)),
                _ => fs::symlink(&target, to).about(to)?,
            }
            tell(out, from, to, manner)
        }
        (Stage::First, NodeKind::File) => {
            let metadata = fs::metadata(from).about(from)?;
            if manner.preserve && metadata.status().links > 1 {
                let identity = fs::identity(from).about(from)?;
                if let Some(first) = seen.linked.get(&identity) {
                    link_again(from, first, to)?;
                    return tell(out, from, to, manner);
                }
                one(out, from, to, &metadata, manner)?;
                // Only a copy that is there is linked to.
                seen.linked.insert(identity, to.into());
                return Ok(());
            }
            one(out, from, to, &metadata, manner)
        }
        (Stage::First, _) => Err(failed(from, "a device is not copied")),
    }
}

/// One more name of the copy of a file that was copied already, in place of what has that name.
fn link_again(from: &str, first: &str, to: &str) -> Result<(), Failure> {
    if let Ok(there) = fs::symlink_identity(to) {
        if fs::identity(first).is_ok_and(|first| first == there) {
            return Ok(());
        }
        refuse_same(from, to, false)?;
        fs::remove_file(to).about(to)?;
    }
    fs::hard_link(first, to).about(to)
}

/// Whether the user does not want what is there to be replaced. Error: as [`refuse_same`].
fn is_declined(out: &mut Output, from: &str, to: &str, follow_last: bool, manner: Manner) -> Result<bool, Failure> {
    if !manner.ask {
        return Ok(false);
    }
    refuse_same(from, to, follow_last)?;
    Ok(!may_replace(out, to))
}

/// Whether something may come in place of what has a name: nothing is there, or the user agrees. What is not replaced by anything, a directory, is for others to refuse.
pub fn may_replace(out: &mut Output, name: &str) -> bool {
    let is_there = fs::symlink_metadata(name).is_ok_and(|there| !there.is_dir());
    !is_there || out.confirm(format_args!("overwrite '{name}'"))
}

fn tell(out: &mut Output, from: &str, to: &str, manner: Manner) -> Result<(), Failure> {
    if manner.verbose {
        writeln!(out, "'{from}' -> '{to}'")?;
    }
    Ok(())
}

/// Copies the bytes of one file, or of a device.
fn one(out: &mut Output, from: &str, to: &str, metadata: &Metadata, manner: Manner) -> Result<(), Failure> {
    refuse_same(from, to, true)?;
    let status = metadata.status();
    let mut source = Input::of_path(from).about(from)?;
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(status.mode);
    let mut sink = Sink::open(to, options).about(to)?;
    match (source.file(), sink.file()) {
        (Some(source), Some(target)) => bytes(source, target).about(&format!("{from} to {to}"))?,
        _ => stream(&mut source, &mut sink, from, to)?,
    }
    if let (true, Some(file)) = (manner.preserve, sink.file()) {
        let (accessed, modified) = (Some(status.accessed), Some(status.modified));
        file.change(StatusChange { mode: Some(status.mode), accessed, modified }).about(to)?;
    }
    tell(out, from, to, manner)
}

/// From file to file: the data passes through the buffer that both file systems were lent, and nothing else.
fn bytes(source: &File, target: &File) -> io::Result<()> {
    while source.send_to(target, usize::MAX)? > 0 {}
    Ok(())
}

/// From anything to anything.
pub fn stream(source: &mut impl Read, sink: &mut impl Write, from: &str, to: &str) -> Result<(), Failure> {
    let mut part: Vec<u8> = Vec::new();
    part.try_reserve_exact(input::PART).map_err(|_| failed(from, io::Error::NoMemory))?;
    part.resize(input::PART, 0);
    loop {
        match source.read(&mut part).about(from)? {
            0 => return Ok(()),
            count => sink.write_all(&part[..count]).about(to)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{moved, own_name};

    #[test]
    fn a_dot_is_no_name() {
        for (path, name) in [("a/b", Some("b")), ("a/b/", Some("b")), ("a/b/.", None), ("a/./", None), (".", None)] {
            assert_eq!(own_name(path), name, "{path}");
        }
        assert_eq!([own_name(".."), own_name("a/.."), own_name("/"), own_name("")], [None; 4]);
    }

    #[test]
    fn paths_move_with_their_root() {
        assert_eq!(moved("a/b/c", "a", "x"), "x/b/c");
        assert_eq!(moved("a/b", "a/", "x/"), "x/b");
        assert_eq!(moved("a", "a", "x"), "x");
        assert_eq!(moved("/b", "/", "x"), "x/b");
        assert_eq!(moved("a/./b", "a/.", "x"), "x/b");
    }
}
