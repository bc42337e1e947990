//! Copying files and trees: what `cp` does, and `mv` from one file system to another.

use crate::input::{self, Input};
use crate::sink::Sink;
use crate::walk::{Stage, Visit, Walk};
use crate::{About, Failure, Output, failed, mounts};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::fs::{self, File, FileError, Metadata, NodeKind, OpenOptions, StatusChange};
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
}

/// What copying a tree has to remember.
#[derive(Debug, Default)]
struct Seen {
    /// Files with several names, and where their copy is.
    linked: BTreeMap<u64, String>,
}

/// The path for something of that name in `target`, if that is a directory; otherwise `target`.
pub fn into_directory(original: &str, target: &str) -> String {
    let is_directory = fs::metadata(target).is_ok_and(|metadata| metadata.is_dir());
    match path::file_name(original) {
        Some(name) if is_directory => path::join(target, name),
        _ => target.into(),
    }
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
        return one(out, from, to, &metadata, manner);
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

/// A file onto itself would be emptied, and a directory into itself would have no end.
fn refuse_itself(from: &str, to: &str, metadata: &Metadata) -> Result<(), Failure> {
    let original = fs::canonicalize(from).about(from);
    // What is not there yet has a directory that is.
    let target = fs::canonicalize(to).or_else(|_| {
        let parent = path::parent(to).filter(|parent| !parent.is_empty()).unwrap_or(".");
        fs::canonicalize(parent).map(|parent| path::join(&parent, path::file_name(to).unwrap_or("")))
    });
    let (Ok(original), Ok(target)) = (original, target) else { return Ok(()) };
    if metadata.is_dir() && target.strip_prefix(&original).is_some_and(|rest| rest.starts_with('/')) {
        return Err(failed(from, format_args!("it cannot be copied into itself, {to}")));
    }
    let is_same = original == target || {
        let there = fs::metadata(to);
        let mounts = mounts::list()?;
        let mount = |path: &str| mounts::covering(&mounts, path).map(|mount| mount.id);
        there.is_ok_and(|there| there.status().id == metadata.status().id) && mount(&original) == mount(&target)
    };
    if is_same { Err(failed(from, format_args!("{to} is the same file"))) } else { Ok(()) }
}

fn step(out: &mut Output, visit: &Visit, to: &str, manner: Manner, seen: &mut Seen) -> Result<(), Failure> {
    let from = visit.path.as_str();
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
            if !fs::metadata(to).is_ok_and(|metadata| metadata.is_dir()) {
                fs::create_dir(to).about(to)?;
                tell(out, from, to, manner)?;
            }
            Ok(())
        }
        (Stage::First, NodeKind::Link) => {
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
                if let Some(first) = seen.linked.get(&metadata.status().id) {
                    let _ = fs::remove_file(to);
                    fs::hard_link(first, to).about(to)?;
                    return tell(out, from, to, manner);
                }
                seen.linked.insert(metadata.status().id, to.into());
            }
            one(out, from, to, &metadata, manner)
        }
        (Stage::First, _) => Err(failed(from, "a device is not copied")),
    }
}

fn tell(out: &mut Output, from: &str, to: &str, manner: Manner) -> Result<(), Failure> {
    if manner.verbose {
        writeln!(out, "'{from}' -> '{to}'")?;
    }
    Ok(())
}

/// Copies the bytes of one file, or of a device.
fn one(out: &mut Output, from: &str, to: &str, metadata: &Metadata, manner: Manner) -> Result<(), Failure> {
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
    use super::moved;

    #[test]
    fn paths_move_with_their_root() {
        assert_eq!(moved("a/b/c", "a", "x"), "x/b/c");
        assert_eq!(moved("a/b", "a/", "x/"), "x/b");
        assert_eq!(moved("a", "a", "x"), "x");
        assert_eq!(moved("/b", "/", "x"), "x/b");
    }
}
