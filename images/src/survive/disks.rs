//! The disks of a campaign's machine: made by the host's tools before, and looked at by them afterwards.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::folder::Folder;
use super::random::Random;
use crate::host_program::{run, tool};

/// The file that the host puts on each disk.
pub const CONTENT_NAME: &str = "content";

/// Its bytes.
const CONTENT_BYTES: usize = 100_000;

/// MiB of each disk.
const EXT4_MIB: u64 = 32;
const FAT_MIB: u64 = 34;

/// Two disks as they are before any run.
#[derive(Debug)]
pub struct Disks {
    folder: Folder,
    content: Vec<u8>,
}

/// The disks of one machine. They are gone with it.
#[derive(Debug)]
pub struct Copies {
    folder: PathBuf,
}

impl Disks {
    /// Makes them, in a folder that is theirs from then on.
    ///
    /// # Errors
    /// A tool is not there and cannot be installed, or fails.
    pub fn make(folder: Folder) -> Result<Disks> {
        let path = folder.path();
        let mut random = Random::new(1);
        let content: Vec<u8> = (0..CONTENT_BYTES).map(|_| random.number() as u8).collect();
        let tree = path.join("tree");
        fs::create_dir_all(&tree)?;
        fs::write(tree.join(CONTENT_NAME), &content)?;
        let ext4 = path.join("ext4.img");
        let _ = fs::remove_file(&ext4);
        run(tool("mke2fs", "e2fsprogs")?
            .args(["-q", "-F", "-t", "ext4", "-d"])
            .arg(&tree)
            .arg(&ext4)
            .arg(format!("{EXT4_MIB}m")))?;
        let fat = path.join("fat.img");
        fs::File::create(&fat)?.set_len(FAT_MIB << 20)?;
        run(tool("mkfs.fat", "dosfstools")?.arg(&fat))?;
        run(tool("mcopy", "mtools")?
            .env("MTOOLS_SKIP_CHECK", "1")
            .arg("-i")
            .arg(&fat)
            .arg(tree.join(CONTENT_NAME))
            .arg("::"))?;
        Ok(Disks { folder, content })
    }

    /// The folder of the campaign.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The SHA-256 of the file on them, as `sha256sum` writes it.
    ///
    /// # Errors
    /// The tool is not there.
    pub fn sum(&self) -> Result<String> {
        let output = run(tool("sha256sum", "coreutils")?.arg(self.folder.path().join("tree").join(CONTENT_NAME)))?;
        Ok(output.split_whitespace().next().unwrap_or_default().to_string())
    }

    /// Disks for a machine.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn copy(&self, name: &str) -> Result<Copies> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder)?;
        for file in ["ext4.img", "fat.img"] {
            fs::copy(self.folder.path().join(file), folder.join(file)).context("cannot copy a disk")?;
        }
        Ok(Copies { folder })
    }
}

impl Copies {
    /// The ext4 file system.
    pub fn ext4(&self) -> PathBuf {
        self.folder.join("ext4.img")
    }

    /// The FAT file system.
    pub fn fat(&self) -> PathBuf {
        self.folder.join("fat.img")
    }

    /// What the host's tools find wrong with the file systems. Their machine has ended.
    pub fn faults(&self) -> Vec<String> {
        let ext4 = tool("e2fsck", "e2fsprogs").and_then(|mut tool| run(tool.arg("-fn").arg(self.ext4())));
        let fat = tool("fsck.fat", "dosfstools").and_then(|mut tool| run(tool.arg("-n").arg(self.fat())));
        [ext4, fat].into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect()
    }

    /// Bytes of the copies in the ext4 file system that are not what was written: those of a file that is not there are not counted.
    ///
    /// # Errors
    /// `debugfs` cannot be run.
    pub fn bytes_lost(&self, disks: &Disks) -> Result<u64> {
        let mut lost = 0;
        for name in [CONTENT_NAME, "w1", "w2"] {
            let to = self.folder.join("file");
            let _ = fs::remove_file(&to);
            run(tool("debugfs", "e2fsprogs")?
                .arg("-R")
                .arg(format!("dump /{name} {}", to.display()))
                .arg(self.ext4()))?;
            if let Ok(found) = fs::read(&to) {
                let missing = disks.content.len().saturating_sub(found.len());
                let wrong = found.iter().zip(&disks.content).filter(|(found, wanted)| found != wanted).count();
                lost += (missing + wrong) as u64;
            }
        }
        Ok(lost)
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
