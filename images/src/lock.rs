//! A lock between processes: several tests may build at once.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Progress;

/// Holds a file's lock until it is dropped. The system releases it if the process dies.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits until the lock on `path` is ours; the file and its folder are made if needed.
    ///
    /// # Errors
    /// The file cannot be made, or its file system has no locks.
    pub fn acquire(path: &Path, progress: &Progress) -> Result<Self> {
        let context = || format!("cannot lock {}: check that it is writable", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(context)?;
        }
        let file = File::create(path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.detail("waiting for another build to finish");
                file.lock().with_context(context)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        Ok(Self { _file: file })
    }
}
