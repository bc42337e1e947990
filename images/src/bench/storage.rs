//! Measuring files and disks: a machine with a disk that `mke2fs` has made, whose file system and blocks the guest's program `storage` reads and writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::lines::{self, Line};
use crate::disk::Disk;
use crate::exec::Interruption;
use crate::host_program;
use crate::image::Image;
use crate::machine::Machine;
use crate::progress::Progress;

/// MiB of the disk; its file system has a file of half of that on it, so that blocks are there to be read.
const DISK: u64 = 256;

/// What the guest does.
const COMMANDS: &str = "storage mount /dev/vda /mnt && storage bench /mnt vda && storage umount /mnt";

/// The figures, each more of which is better.
const FIGURES: [&str; 6] = [
    "seq_read_ext4_virtio",
    "seq_write_ext4_virtio",
    "seq_read_raw_virtio",
    "rand4k_d1_virtio",
    "rand4k_d32_virtio",
    "create_unlink_ext4",
];

/// What was measured.
#[derive(Debug, Clone)]
pub struct Throughput(Vec<Line>);

/// Measures on a machine that ends after `timeout` at the latest.
///
/// # Errors
/// The image cannot be made, the machine comes to a bad end, or a figure is missing.
pub fn measure(image: &Image, timeout: Duration, progress: &Progress) -> Result<Throughput> {
    let folder = Folder::new()?;
    let file = folder.0.join("disk.img");
    progress.step("making a disk");
    make(&folder.0, &file, progress)?;
    progress.step("measuring files and disks");
    let machine = Machine::new(image).timeout(timeout).disk(Disk::new(&file));
    let mut output = Vec::new();
    let (end, log) = machine.stream_exec(COMMANDS, &mut output, Interruption::Ends)?;
    let text = String::from_utf8_lossy(&output);
    if end != crate::End::Status(0) {
        return Err(end).with_context(|| format!("{text}\n{log}"));
    }
    let found = lines::parse(&text)?;
    let find = |name: &&str| found.iter().find(|line| line.name == *name).cloned();
    let all: Vec<Line> = FIGURES.iter().filter_map(find).collect();
    ensure!(all.len() == FIGURES.len(), "a figure is missing: {text}");
    Ok(Throughput(all))
}

/// An ext4 file system with a file in it.
fn make(folder: &Path, file: &Path, progress: &Progress) -> Result<()> {
    let tree = folder.join("tree");
    fs::create_dir(&tree)?;
    let mut state = 1u64;
    let bytes = (0..DISK << 16).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    });
    fs::write(tree.join("file"), bytes.collect::<Vec<u8>>())?;
    let mut command = Command::new(host_program::find("mke2fs", "e2fsprogs", progress)?);
    command.args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(file).arg(format!("{DISK}m"));
    let output = command.output().context("mke2fs cannot be started")?;
    if !output.status.success() {
        bail!("mke2fs: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A folder in that of the system for such, gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("skink-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Throughput {
    /// One array of `{"name", "value", "unit"}`.
    pub fn json(&self) -> String {
        let object = |line: &Line| json!({"name": line.name, "value": line.value, "unit": line.unit});
        format!("{:#}", Value::Array(self.0.iter().map(object).collect()))
    }

    /// A line for each figure.
    pub fn table(&self) -> String {
        self.0.iter().map(|line| format!("{:<24}{:>10} {}\n", line.name, line.value, line.unit)).collect()
    }
}
