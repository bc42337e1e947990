//! From a path to a file system: links are followed here, from mount to mount.

use super::mounts::{Files, Mount};
use crate::io::{Error, Result};
use crate::path;
use crate::protocol::filesystem::{FileError, LINKS, NodeKind, PATH_BYTES, Status, Walked};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

/// A path on its way.
pub(super) struct Walk<'p> {
    files: &'static Files,
    /// Normal: absolute, without `.` and `..`.
    path: Cow<'p, str>,
    links: u32,
}

impl<'p> Walk<'p> {
    /// From the text that a program gave.
    pub(super) fn new(text: &'p str) -> Result<Walk<'p>> {
        if text.is_empty() {
            return Err(FileError::NotFound.into());
        }
        if text.len() > PATH_BYTES {
            return Err(FileError::NameTooLong.into());
        }
        let files = &crate::env::get().files;
        let mut walk = Walk { files, path: Cow::Borrowed(text), links: 0 };
        if !path::is_normal(text) {
            walk.path = match path::is_absolute(text) {
                true => walk.plain(text, "/")?,
                // The current directory has no links in it: `..` in front takes away its names.
                false => walk.plain(text, &super::current_directory()?)?,
            };
        }
        Ok(walk)
    }

    /// `text` as a normal path, from `base`, which is normal and has no links in it. A `..` behind a name has to look what that name is.
    fn plain(&mut self, text: &str, base: &str) -> Result<Cow<'p, str>> {
        let mut whole = String::from(base.trim_end_matches('/'));
        let mut checked = whole.len();
        for name in path::names(text) {
            if name != ".." {
                whole.push('/');
                whole.push_str(name);
                continue;
            }
            if whole.len() > checked {
                let mut walk = Walk { files: self.files, path: Cow::Owned(whole), links: self.links };
                if walk.status(true)?.kind != NodeKind::Directory {
                    return Err(FileError::NotDirectory.into());
                }
                self.links = walk.links;
                whole = walk.path.trim_end_matches('/').to_string();
            }
            whole.truncate(whole.rfind('/').unwrap_or(0));
            checked = whole.len();
        }
        if whole.is_empty() {
            whole.push('/');
        }
        if whole.len() > PATH_BYTES {
            return Err(FileError::NameTooLong.into());
        }
        Ok(Cow::Owned(whole))
    }

    /// Asks file systems until one has the answer: `step` gets the mount and the rest of the path. Then the walk's path is the one that was answered for.
    #[inline]
    pub(super) fn run<T>(&mut self, mut step: impl FnMut(&Arc<Mount>, &str) -> Result<Walked<T>>) -> Result<T> {
        loop {
            let files = self.files;
            let (mount, rest) = files.locate(&self.path)?;
            match step(&mount, rest)? {
                Walked::Here(value) => return Ok(value),
                Walked::Link((), link) => self.follow(&mount, &link)?,
            }
        }
    }

    #[cold]
    fn follow(&mut self, mount: &Mount, link: &str) -> Result<()> {
        self.links += 1;
        if self.links > LINKS {
            return Err(FileError::TooManyLinks.into());
        }
        let base = if path::is_absolute(link) { "/" } else { &mount.path };
        self.path = self.plain(link, base)?;
        Ok(())
    }

    /// What is known about it.
    pub(super) fn status(&mut self, follow_last: bool) -> Result<Status> {
        self.run(|mount, rest| Ok(mount.names.status(rest, follow_last)?))
    }

    /// The path, which is that of the last answer.
    pub(super) fn into_path(self) -> String {
        self.path.into_owned()
    }
}

/// The mount and the rest of the path of a name whose directory has no links in its path any more: for what takes two paths of one file system.
pub(super) fn place(text: &str) -> Result<(Arc<Mount>, String)> {
    if text.is_empty() {
        return Err(FileError::NotFound.into());
    }
    if path::last(text) == "." {
        return Err(FileError::Busy.into());
    }
    let (Some(parent), Some(name)) = (path::parent(text), path::file_name(text)) else {
        return Err(Error::File(FileError::Busy));
    };
    let parent = super::canonicalize(if parent.is_empty() { "." } else { parent })?;
    let whole = path::join(&parent, name);
    let (mount, rest) = crate::env::get().files.locate(&whole)?;
    Ok((mount, rest.to_string()))
}
