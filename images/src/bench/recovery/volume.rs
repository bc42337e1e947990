//! Disks with ext4 or FAT on them: made by the host's tools, and looked at by them afterwards.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::disk::{Disk, DiskBus};
use crate::host_program::{run, tool};

/// The file on each.
pub const FILE: &str = "file";

/// What `mkfs.fat` and `fsck.fat` are in.
const FAT_TOOLS: &str = "dosfstools";

/// Each word of a pattern is its number times this: `tests/guest/src/bin/deaths`.
const PATTERN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A whole disk with a file system, which has one file.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    file: PathBuf,
}

impl Volume {
    /// A file system of so many MiB, with a file of so many, below `folder`.
    ///
    /// # Errors
    /// `mke2fs` cannot be run.
    pub fn make(folder: &Path, name: &str, mebibytes: u64, file_mebibytes: u64) -> Result<Volume> {
        let tree = folder.join(format!("{name}.tree"));
        fs::create_dir_all(&tree)?;
        let file = tree.join(FILE);
        write_pattern(&file, file_mebibytes)?;
        let image = folder.join(format!("{name}.img"));
        let _ = fs::remove_file(&image);
        run(tool("mke2fs", "e2fsprogs")?
            .args(["-q", "-F", "-t", "ext4", "-d"])
            .arg(&tree)
            .arg(&image)
            .arg(format!("{mebibytes}m")))?;
        Ok(Volume { image, file })
    }

    /// A whole disk that holds the pattern, and no file system.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make_plain(folder: &Path, name: &str, mebibytes: u64) -> Result<Volume> {
        let image = folder.join(format!("{name}.img"));
        write_pattern(&image, mebibytes)?;
        Ok(Volume { file: image.clone(), image })
    }

    /// The image.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// The disk. Its flushes go no farther than this host's memory.
    pub fn disk(&self) -> Disk {
        Disk::new(&self.image).volatile()
    }

    /// The SHA-256 of its file, as `sha256sum` writes it.
    ///
    /// # Errors
    /// The tool cannot be run.
    pub fn sum(&self) -> Result<String> {
        let output = run(tool("sha256sum", "coreutils")?.arg(&self.file))?;
        Ok(output.split_whitespace().next().unwrap_or_default().to_string())
    }

    /// Checks that `e2fsck -fn` finds nothing.
    ///
    /// # Errors
    /// What it finds.
    pub fn check(&self) -> Result<()> {
        run(tool("e2fsck", "e2fsprogs")?.arg("-fn").arg(&self.image)).map(drop)
    }

    /// Checks that a file in it has a pattern of so many bytes.
    ///
    /// # Errors
    /// How it differs.
    pub fn compare(&self, name: &str, wanted: u64) -> Result<()> {
        let to = self.image.with_extension("read");
        run(tool("debugfs", "e2fsprogs")?.arg("-R").arg(format!("dump /{name} {}", to.display())).arg(&self.image))?;
        let mut found = BufReader::new(File::open(&to).with_context(|| format!("{name} is not there"))?);
        let length = found.get_ref().metadata()?.len();
        ensure!(length == wanted, "{name} has {length} bytes, not {wanted}");
        let mut word = [0; 8];
        for number in 0..wanted / 8 {
            found.read_exact(&mut word)?;
            ensure!(word == word_of_pattern(number), "{name}: the word at {} is {word:02x?}", number * 8);
        }
        Ok(fs::remove_file(to)?)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_file(&self.file);
    }
}

/// An NVMe disk beside that: empty, or with an empty FAT file system.
#[derive(Debug)]
pub struct OtherDisk {
    image: PathBuf,
    is_fat: bool,
}

impl OtherDisk {
    /// Of so many MiB, below `folder`.
    ///
    /// # Errors
    /// It cannot be written, or `mkfs.fat` cannot be run.
    pub fn make(folder: &Path, mebibytes: u64, is_fat: bool) -> Result<OtherDisk> {
        let image = folder.join("other.img");
        File::create(&image)?.set_len(mebibytes << 20)?;
        if is_fat {
            run(tool("mkfs.fat", FAT_TOOLS)?.arg(&image))?;
        }
        Ok(OtherDisk { image, is_fat })
    }

    /// The disk. Its flushes go no farther than this host's memory.
    pub fn disk(&self) -> Disk {
        Disk::new(&self.image).bus(DiskBus::Nvme).volatile()
    }

    /// Checks that `fsck.fat -n` finds nothing, if there is a file system.
    ///
    /// # Errors
    /// What it finds.
    pub fn check(&self) -> Result<()> {
        if self.is_fat { run(tool("fsck.fat", FAT_TOOLS)?.arg("-n").arg(&self.image)).map(drop) } else { Ok(()) }
    }
}

impl Drop for OtherDisk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}

fn write_pattern(file: &Path, mebibytes: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(file).with_context(|| format!("cannot make {}", file.display()))?);
    for word in 0..mebibytes << 17 {
        out.write_all(&word_of_pattern(word))?;
    }
    Ok(out.flush()?)
}

fn word_of_pattern(number: u64) -> [u8; 8] {
    number.wrapping_mul(PATTERN).to_le_bytes()
}
