//! Where a campaign keeps its files: a folder of this process, below `target/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// A folder. It is gone with its owner; those of processes that were killed go when the next one is made.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder for a campaign of some kind.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(kind: &str) -> Result<Folder> {
        Folder::below(&Workspace::locate()?.target().join(kind))
    }

    fn below(parent: &Path) -> Result<Folder> {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.split('-').next()?.parse::<u32>().ok());
            if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
        let free = (0..).map(|number| parent.join(format!("{}-{number}", std::process::id())));
        for path in free {
            let context = || format!("cannot make {}", path.display());
            fs::create_dir_all(parent).with_context(context)?;
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Folder(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(context),
            }
        }
        anyhow::bail!("there is no free name below {}", parent.display())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_apart_and_go_with_their_owners() {
        let parent = tempfile::tempdir().unwrap();
        // No process has this number.
        let dead = parent.path().join("4294967295-0");
        fs::create_dir(&dead).unwrap();
        let [one, other] = [(), ()].map(|()| Folder::below(parent.path()).unwrap());
        assert!(one.path() != other.path() && one.path().is_dir() && !dead.exists());
        let path = one.path().to_path_buf();
        drop(one);
        assert!(!path.exists() && other.path().is_dir());
    }
}
