//! Files and directories, as in Rust's `std::fs`.
//!
//! Paths are looked up in the process's namespace, the session `namespace` that its parent gave, from the current directory where they are relative. Data and names go straight to the
//! server of the file system: see `docs/files.md`.
//!
//! ```no_run
//! use libsys::fs;
//! use libsys::io::{BufReader, Result};
//!
//! fn count_lines(path: &str) -> Result<usize> {
//!     let file = fs::File::open(path)?;
//!     Ok(BufReader::new(file).lines().count())
//! }
//! ```

mod directory;
mod file;
mod lookup;
mod metadata;
mod mounts;
mod options;

pub use crate::protocol::filesystem::{FileError, FileSystemStatistics, NodeKind, StatusChange, Timestamp};
pub use directory::{DirEntry, ReadDir};
pub use file::File;
pub use metadata::{Identity, Metadata};
pub use options::OpenOptions;

use mounts::Current;
pub(crate) use mounts::Files;

use crate::Session;
use crate::env;
use crate::io::{self, Error, Result};
use crate::path;
use crate::protocol::NamespaceClient;
use crate::protocol::filesystem::{RenameOptions, Walked};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use lookup::{Walk, place};

/// Permission bits of a new directory.
const DIRECTORY_MODE: u16 = 0o755;

/// The variable that says where a process starts.
pub(crate) const PWD: &str = "PWD";

/// What is known about a name; of a link, what it points to.
pub fn metadata(path: &str) -> Result<Metadata> {
    let metadata = Metadata::new(Walk::new(path)?.status(true)?);
    if path.ends_with('/') && !metadata.is_dir() {
        return Err(FileError::NotDirectory.into());
    }
    Ok(metadata)
}

/// What is known about a name; a link is not followed, but where the path ends with `/`: that means the directory that it points to.
pub fn symlink_metadata(path: &str) -> Result<Metadata> {
    if path.ends_with('/') {
        return metadata(path);
    }
    Ok(Metadata::new(Walk::new(path)?.status(false)?))
}

/// Whether there is something of this name. What cannot be looked up is not there.
pub fn exists(path: &str) -> bool {
    metadata(path).is_ok()
}

/// Which file a name stands for; of a link, what it points to.
pub fn identity(path: &str) -> Result<Identity> {
    identity_of(Walk::new(path)?, true)
}

/// Which file a name stands for; a link is not followed, as with [`symlink_metadata`].
pub fn symlink_identity(path: &str) -> Result<Identity> {
    identity_of(Walk::new(path)?, path.ends_with('/'))
}

fn identity_of(mut walk: Walk<'_>, follow_last: bool) -> Result<Identity> {
    let id = walk.status(follow_last)?.id;
    Ok(Identity { file_system: env::get().files.file_system(&walk.into_path())?, id })
}

/// Changes permission bits or times.
pub fn change(path: &str, change: StatusChange) -> Result<()> {
    if path.ends_with('/') {
        metadata(path)?;
    }
    Walk::new(path)?.run(|mount, rest| Ok(mount.names.set_status(rest, true, change)?))
}

/// The path of something, absolute, without links, `.` and `..`.
pub fn canonicalize(path: &str) -> Result<String> {
    let mut walk = Walk::new(path)?;
    walk.status(true)?;
    Ok(walk.into_path())
}

/// The names in a directory.
pub fn read_dir(path: &str) -> Result<ReadDir> {
    ReadDir::open(path)
}

/// Makes an empty directory.
pub fn create_dir(path: &str) -> Result<()> {
    Walk::new(path)?.run(|mount, rest| match rest {
        // Where something is mounted, something is.
        "" => Err(FileError::Exists.into()),
        _ => Ok(mount.names.make_directory(rest, DIRECTORY_MODE)?),
    })
}

/// Makes a directory, and those above it that are not there.
pub fn create_dir_all(path: &str) -> Result<()> {
    let error = match create_dir(path) {
        Err(error) => error,
        Ok(()) => return Ok(()),
    };
    match (error.file(), path::parent(path)) {
        (Some(FileError::Exists), _) if metadata(path)?.is_dir() => Ok(()),
        (Some(FileError::NotFound), Some(parent)) if !parent.is_empty() => {
            create_dir_all(parent)?;
            match create_dir(path) {
                // Somebody else has made it meanwhile.
                Err(error) if error.file() == Some(FileError::Exists) => Ok(()),
                result => result,
            }
        }
        _ => Err(error),
    }
}

/// Takes away the name of a file or link.
pub fn remove_file(path: &str) -> Result<()> {
    if path.ends_with('/') {
        // Of a directory, or of nothing: neither has a name that is taken away here.
        metadata(path)?;
        return Err(FileError::IsDirectory.into());
    }
    Walk::new(path)?.run(|mount, rest| Ok(mount.names.remove(rest, false)?))
}

/// Takes away an empty directory.
pub fn remove_dir(path: &str) -> Result<()> {
    Walk::new(path)?.run(|mount, rest| Ok(mount.names.remove(rest, true)?))
}

/// Takes away a directory and everything in it. Links are taken away, not followed.
pub fn remove_dir_all(path: &str) -> Result<()> {
    for entry in read_dir(path)? {
        let entry = entry?;
        match entry.kind() {
            NodeKind::Directory => remove_dir_all(entry.path())?,
            _ => remove_file(entry.path())?,
        }
    }
    remove_dir(path)
}

/// Gives something another name, in place of what has that name.
pub fn rename(from: &str, to: &str) -> Result<()> {
    rename_with(from, to, RenameOptions::empty())
}

/// The same with options.
pub fn rename_with(from: &str, to: &str, options: RenameOptions) -> Result<()> {
    let means_directory = from.ends_with('/') || to.ends_with('/');
    let ((mount, original), (other, to)) = (place(from)?, place(to)?);
    if means_directory && !symlink_metadata(from.trim_end_matches('/'))?.is_dir() {
        return Err(FileError::NotDirectory.into());
    }
    if mount.id != other.id {
        return Err(FileError::CrossDevice.into());
    }
    here(mount.names.rename(&original, &to, options)?)
}

/// Gives a file one more name.
pub fn hard_link(original: &str, link: &str) -> Result<()> {
    let ((mount, original), (other, link)) = (place(original)?, place(link)?);
    if mount.id != other.id {
        return Err(FileError::CrossDevice.into());
    }
    here(mount.names.link(&original, &link)?)
}

/// The directories were looked up before: a link on the way was put there since.
fn here<W>(walked: Walked<(), W>) -> Result<()> {
    match walked {
        Walked::Here(()) => Ok(()),
        Walked::Link(..) => Err(FileError::Busy.into()),
    }
}

/// Makes a symbolic link at `link` to `target`, which need not be there.
pub fn symlink(target: &str, link: &str) -> Result<()> {
    Walk::new(link)?.run(|mount, rest| Ok(mount.names.symlink(target, rest)?))
}

/// The target of a symbolic link.
pub fn read_link(path: &str) -> Result<String> {
    Walk::new(path)?.run(|mount, rest| Ok(mount.names.read_link(rest)?))
}

/// Copies a file's contents and permission bits; how many bytes.
pub fn copy(from: &str, to: &str) -> Result<u64> {
    let source = File::open(from)?;
    let metadata = source.metadata()?;
    if metadata.is_dir() {
        return Err(FileError::IsDirectory.into());
    }
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(metadata.status().mode);
    let target = options.open(to)?;
    let mut total = 0;
    loop {
        match source.send_to(&target, usize::MAX)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// All of a file.
pub fn read(path: &str) -> Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    let expected = usize::try_from(file.metadata()?.len()).map_err(|_| Error::NoMemory)?;
    // One more, so that the end is seen without growing.
    bytes.try_reserve_exact(expected.saturating_add(1)).map_err(|_| Error::NoMemory)?;
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(bytes)
}

/// All of a file that is text. Error besides: `NotText`.
pub fn read_to_string(path: &str) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::NotText)
}

/// Makes a file of these bytes, in place of what was in it.
pub fn write(path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
    io::Write::write_all(&mut File::create(path)?, contents.as_ref())
}

/// How full the file system is that a path belongs to.
pub fn statistics(path: &str) -> Result<FileSystemStatistics> {
    let (mount, _) = env::get().files.locate(&canonicalize(path)?)?;
    Ok(mount.names.statistics()?)
}

/// Waits until all that was written to the file system of a path is on its medium.
pub fn sync(path: &str) -> Result<()> {
    let (mount, _) = env::get().files.locate(&canonicalize(path)?)?;
    Ok(mount.names.sync_all()?)
}

/// A session with a directory as its root, for another process or server.
pub fn subtree(path: &str, read_only: bool) -> Result<Session> {
    Walk::new(path)?.run(|mount, rest| {
        Ok(match mount.names.subtree(rest, read_only)? {
            (Walked::Here(()), Some(session)) => Walked::Here(session),
            (Walked::Link((), link), _) => Walked::Link((), link),
            (Walked::Here(()), None) => return Err(FileError::Corrupt.into()),
        })
    })
}

/// The current directory: absolute, without links. At first the variable `PWD` of the environment, or `/`.
pub fn current_directory() -> Result<String> {
    if let Some(current) = &*env::get().files.current.lock() {
        return Ok(current.path.clone());
    }
    let first = env::variable(PWD).filter(|path| path::is_normal(path)).unwrap_or("/").to_string();
    *env::get().files.current.lock() = Some(Current { path: first.clone(), _held: None });
    Ok(first)
}

/// Makes a directory the current one. It stays open until another one is: what it lies on is in use, and not unmounted.
pub fn set_current_directory(path: &str) -> Result<()> {
    let mut walk = Walk::new(path)?;
    if walk.status(true)?.kind != NodeKind::Directory {
        return Err(FileError::NotDirectory.into());
    }
    let path = walk.into_path();
    // One that cannot be read is current all the same.
    let held = OpenOptions::new().read(true).directory(true).open(&path).ok();
    let before = env::get().files.current.lock().replace(Current { path, _held: held });
    // Closed without the lock.
    drop(before);
    Ok(())
}

/// The process's namespace: to mount, to list mounts, to give a child a part of it. Error: `NotGiven`.
pub fn namespace() -> Result<&'static NamespaceClient> {
    env::get().files.namespace()
}
