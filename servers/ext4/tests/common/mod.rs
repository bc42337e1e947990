//! Images made and checked by the host's e2fsprogs, mounted by the volume under test on a disk in memory.
#![allow(dead_code)]

use ext4::{Options, Volume};
use libsys::Account;
use libsys::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use volume::requests::Requests;
use volume::testing::{FakeDisk, Image, SharedImage};
use volume::{FileError, SharedRequests};

pub const ROOT: u64 = 2;

/// A file of the test's own, removed at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(bytes: &[u8]) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ext4-test-{}-{number}.img", std::process::id()));
        std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// An empty file system of so many KiB, with more arguments for mke2fs.
pub fn make(kib: u32, arguments: &[&str]) -> Vec<u8> {
    let scratch = Scratch::new(&[]);
    let output = tool("mke2fs").args(["-q", "-F"]).args(arguments).arg(&scratch.0).arg(format!("{kib}k")).output();
    let output = output.expect("mke2fs runs");
    assert!(output.status.success(), "mke2fs: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&scratch.0).unwrap()
}

/// What e2fsck says of an image, if anything is wrong with it.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    check_with(bytes, &[])
}

/// The same, with more arguments for e2fsck.
pub fn check_with(bytes: &[u8], arguments: &[&str]) -> Result<(), String> {
    let scratch = Scratch::new(bytes);
    let output = tool("e2fsck").arg("-fn").args(arguments).arg(&scratch.0).output().expect("e2fsck runs");
    match output.status.code() {
        Some(0) => Ok(()),
        _ => Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))),
    }
}

/// The image after e2fsck has repaired it, which replays the journal.
pub fn recovered_by_host(bytes: &[u8]) -> Vec<u8> {
    let scratch = Scratch::new(bytes);
    let output = tool("e2fsck").args(["-fy", "-E", "journal_only"]).arg(&scratch.0).output().expect("e2fsck runs");
    assert!(output.status.code().is_some_and(|code| code <= 1), "e2fsck: {}", String::from_utf8_lossy(&output.stdout));
    std::fs::read(&scratch.0).unwrap()
}

/// The image after e2fsck has given its large directories an index.
pub fn index_on_host(bytes: &[u8]) -> Vec<u8> {
    let scratch = Scratch::new(bytes);
    let output = tool("e2fsck").args(["-fyD"]).arg(&scratch.0).output().expect("e2fsck runs");
    assert!(output.status.code().is_some_and(|code| code <= 1), "e2fsck: {}", String::from_utf8_lossy(&output.stdout));
    std::fs::read(&scratch.0).unwrap()
}

/// The image after debugfs has carried out some commands.
pub fn changed_on_host(bytes: &[u8], commands: &str) -> Vec<u8> {
    let (scratch, script) = (Scratch::new(bytes), Scratch::new(commands.as_bytes()));
    let output = tool("debugfs").args(["-w", "-f"]).args([&script.0, &scratch.0]).output().expect("debugfs runs");
    assert!(output.status.success(), "debugfs: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&scratch.0).unwrap()
}

/// The image with a file in its root that has so many blocks, of so many bytes, none of which were written.
pub fn with_long_file(bytes: &[u8], name: &str, blocks: u64, block_bytes: u64) -> Vec<u8> {
    let size = blocks * block_bytes;
    let allocate = format!("write /dev/null {name}\nfallocate {name} 0 {}\n", blocks - 1);
    changed_on_host(bytes, &format!("{allocate}set_inode_field {name} size {size}\n"))
}

/// A file's bytes, as debugfs reads them.
pub fn read_on_host(bytes: &[u8], path: &str) -> Vec<u8> {
    let scratch = Scratch::new(bytes);
    let output = tool("debugfs").args(["-R", &format!("cat {path}")]).arg(&scratch.0).output().expect("debugfs runs");
    output.stdout
}

/// All files below a directory of an image, dumped by debugfs in one go.
pub fn dump_on_host(bytes: &[u8]) -> tempfile::TempDir {
    let scratch = Scratch::new(bytes);
    let folder = tempfile::tempdir().unwrap();
    let output = tool("debugfs").args(["-R", &format!("rdump / {}", folder.path().display())]).arg(&scratch.0).output();
    assert!(output.expect("debugfs runs").status.success());
    folder
}

pub fn seconds() -> u64 {
    1_700_000_000
}

pub fn account() -> &'static Account {
    env::account()
}

pub fn options() -> Options {
    Options { read_only: false, overlay_bytes: 4 << 20, cache_bytes: 2 << 20, chunk_bytes: 1 << 20, seconds }
}

pub fn requests(image: &SharedImage, seed: u64) -> SharedRequests {
    Requests::new(Box::new(FakeDisk::new(image.clone(), seed)))
}

pub fn mount(image: &SharedImage) -> Result<Volume, FileError> {
    mount_with(image, options())
}

pub fn mount_with(image: &SharedImage, options: Options) -> Result<Volume, FileError> {
    Volume::mount(account(), requests(image, 1), options)
}

pub fn image(bytes: Vec<u8>) -> SharedImage {
    Image::new(bytes)
}

/// Writes all of it.
pub fn write(volume: &mut Volume, inode: u64, offset: u64, bytes: &[u8]) -> Result<u64, FileError> {
    volume.write(inode, offset, bytes.len() as u64, |mapping, at, part, done| {
        mapping.copy_in(at, &bytes[done as usize..done as usize + part]);
    })
}

pub fn read(volume: &mut Volume, inode: u64, offset: u64, bytes: usize) -> Result<Vec<u8>, FileError> {
    let mut into = vec![0; bytes];
    let done = volume.read(inode, offset, bytes as u64, |mapping, at, part, done| {
        mapping.copy_out(at, &mut into[done as usize..done as usize + part]);
    })?;
    into.truncate(done as usize);
    Ok(into)
}

pub fn names(volume: &mut Volume, directory: u64) -> Vec<String> {
    let mut names = Vec::new();
    volume
        .read_directory(directory, 0, &mut |entry| {
            names.push(entry.name);
            true
        })
        .unwrap();
    names.sort();
    names
}

/// Bytes that differ from place to place.
pub fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut dice = volume::testing::Dice::new(seed);
    (0..bytes).map(|_| dice.below(256) as u8).collect()
}

/// Every flavour that is tested: name, KiB, arguments of mke2fs.
pub const FLAVOURS: &[(&str, u32, &[&str])] = &[
    ("ext4, 4 KiB blocks", 32 << 10, &["-t", "ext4", "-b", "4096"]),
    ("ext4, 1 KiB blocks", 16 << 10, &["-t", "ext4", "-b", "1024"]),
    ("ext3, 2 KiB blocks", 24 << 10, &["-t", "ext3", "-b", "2048"]),
    ("ext2, 1 KiB blocks", 16 << 10, &["-t", "ext2", "-b", "1024"]),
    ("ext2, 4 KiB blocks", 32 << 10, &["-t", "ext2", "-b", "4096"]),
];

/// Blocks of an overlay that has room for a few groups in a record.
pub const SMALL_OVERLAY: u64 = 384;
/// Flavours with many groups, and blocks of a file that lies in more than one record has room for: name, KiB, arguments of mke2fs, bytes of a block.
pub const MANY_GROUPS: &[(&str, u32, &[&str], u64)] = &[
    ("ext4, 1 KiB blocks", 32 << 10, &["-t", "ext4", "-b", "1024", "-g", "256", "-O", "^resize_inode,^meta_bg"], 1024),
    (
        "ext4, 4 KiB blocks",
        128 << 10,
        &["-t", "ext4", "-b", "4096", "-g", "256", "-O", "^resize_inode,^meta_bg,^flex_bg"],
        4096,
    ),
    ("ext2, 1 KiB blocks", 32 << 10, &["-t", "ext2", "-b", "1024", "-g", "256", "-O", "^resize_inode,^meta_bg"], 1024),
    ("ext3, 4 KiB blocks", 128 << 10, &["-t", "ext3", "-b", "4096", "-g", "256", "-O", "^resize_inode,^meta_bg"], 4096),
];
pub const LONG: u64 = 4096;
