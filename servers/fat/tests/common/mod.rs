//! Images made by the host's mkfs.fat, mounted by the volume under test on a disk in memory, checked by fsck.fat, and read back by another implementation.
#![allow(dead_code)]

pub mod world;

use fat::{Options, Volume};
use images::host_program;
use images::progress::Progress;
use libsys::{Account, env};
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use std::process::Command;
use volume::requests::Requests;
use volume::testing::{Dice, FakeDisk, Image, SharedImage};
use volume::{FileError, SharedRequests};

pub const ROOT: u64 = fat::mounted::ROOT;

/// Debian's package of the tools for FAT.
const PACKAGE: &str = "dosfstools";

fn tool(name: &str) -> Command {
    Command::new(host_program::find(name, PACKAGE, &Progress::Lines).expect("dosfstools are there or can be installed"))
}

fn scratch(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume.img");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).unwrap();
    (folder, path)
}

/// An empty file system of so many KiB, with more arguments for mkfs.fat.
pub fn make(kib: usize, arguments: &[&str]) -> Vec<u8> {
    let (_folder, path) = scratch(&vec![0; kib << 10]);
    let output = tool("mkfs.fat").args(arguments).arg(&path).output().unwrap();
    assert!(output.status.success(), "mkfs.fat: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&path).unwrap()
}

/// What fsck.fat says of an image, if anything is wrong with it.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let (_folder, path) = scratch(bytes);
    let output = tool("fsck.fat").arg("-nv").arg(&path).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(()),
        _ => Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))),
    }
}

/// All files of an image by path, as another implementation reads them; directories have no content.
pub fn read_by_others(bytes: &[u8]) -> BTreeMap<String, Option<Vec<u8>>> {
    type Fs = lamfat::FileSystem<lamfat::StdIoWrapper<Cursor<Vec<u8>>>>;
    type Folder<'a> = lamfat::Dir<
        'a,
        lamfat::StdIoWrapper<Cursor<Vec<u8>>>,
        lamfat::DefaultTimeProvider,
        lamfat::LossyOemCpConverter,
    >;
    fn add(folder: &Folder<'_>, below: &str, all: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for entry in folder.iter() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{below}{name}");
            if entry.is_dir() {
                add(&entry.to_dir(), &format!("{path}/"), all);
                all.insert(path, None);
            } else {
                let mut content = Vec::new();
                entry.to_file().read_to_end(&mut content).unwrap();
                all.insert(path, Some(content));
            }
        }
    }
    let disk = lamfat::StdIoWrapper::new(Cursor::new(bytes.to_vec()));
    let fs: Fs = lamfat::FileSystem::new(disk, lamfat::FsOptions::new()).unwrap();
    let mut all = BTreeMap::new();
    add(&fs.root_dir(), "", &mut all);
    all
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

/// An image of so many KiB, mounted.
pub fn fresh(kib: usize, arguments: &[&str]) -> (SharedImage, Volume) {
    let image = Image::new(make(kib, arguments));
    let volume = mount(&image).unwrap();
    (image, volume)
}

/// Unmounts, and has fsck.fat look at what is there.
pub fn end(image: &SharedImage, volume: Volume) {
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

/// Again, as long as there are more steps.
pub fn until_done<T>(mut operation: impl FnMut() -> Result<T, FileError>) -> Result<T, FileError> {
    loop {
        match operation() {
            Err(FileError::WouldBlock) => {}
            result => return result,
        }
    }
}

/// Writes all of it.
pub fn write(volume: &mut Volume, file: u64, offset: u64, bytes: &[u8]) -> Result<u64, FileError> {
    until_done(|| {
        volume.write(file, offset, bytes.len() as u64, |mapping, at, part, done| {
            mapping.copy_in(at, &bytes[done as usize..done as usize + part]);
        })
    })
}

/// Makes a file so long.
pub fn truncate(volume: &mut Volume, file: u64, bytes: u64) -> Result<(), FileError> {
    until_done(|| volume.truncate(file, bytes))
}

pub fn read(volume: &mut Volume, file: u64, offset: u64, bytes: usize) -> Result<Vec<u8>, FileError> {
    let mut into = vec![0; bytes];
    let done = volume.read(file, offset, bytes as u64, |mapping, at, part, done| {
        mapping.copy_out(at, &mut into[done as usize..done as usize + part]);
    })?;
    into.truncate(done as usize);
    Ok(into)
}

pub fn names(volume: &mut Volume, directory: u64) -> Result<Vec<String>, FileError> {
    let mut names = Vec::new();
    volume.read_directory(directory, 0, &mut |entry| {
        names.push(entry.name);
        true
    })?;
    names.sort();
    Ok(names)
}

/// Bytes that differ from place to place.
pub fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    (0..bytes).map(|_| dice.below(256) as u8).collect()
}

/// A flavour that is tested.
pub struct Flavour {
    pub name: &'static str,
    pub kib: usize,
    /// For mkfs.fat.
    pub arguments: &'static [&'static str],
    /// Other implementations take it for what it is: a FAT32 with few clusters is none to them.
    pub is_standard: bool,
}

pub const fn flavour(name: &'static str, kib: usize, arguments: &'static [&'static str], is_standard: bool) -> Flavour {
    Flavour { name, kib, arguments, is_standard }
}

/// Every flavour.
pub const FLAVOURS: &[Flavour] = &[
    flavour("FAT12 of a floppy disk", 1440, &["-F", "12"], true),
    flavour("FAT12, clusters of 4 KiB", 12 << 10, &["-F", "12", "-s", "8"], true),
    flavour("FAT16, clusters of 512 bytes", 8 << 10, &["-F", "16", "-s", "1"], true),
    flavour("FAT16, clusters of 2 KiB", 32 << 10, &["-F", "16", "-s", "4"], true),
    flavour("FAT32, clusters of 512 bytes", 40 << 10, &["-F", "32", "-s", "1"], true),
    flavour("FAT32, clusters of 16 KiB, one table", 32 << 10, &["-F", "32", "-s", "32", "-f", "1"], false),
    flavour("FAT32, sectors of 4 KiB", 64 << 10, &["-F", "32", "-S", "4096", "-s", "1"], false),
];

/// All files of an image by path, as the volume under test reads them after a mount; directories have no content.
pub fn read_again(image: &SharedImage) -> BTreeMap<String, Option<Vec<u8>>> {
    fn add(volume: &mut Volume, folder: u64, below: &str, all: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for name in names(volume, folder).unwrap() {
            let path = format!("{below}{name}");
            let (number, kind) = volume.lookup(folder, &name).unwrap().unwrap();
            if kind == volume::Kind::Directory {
                add(volume, number, &format!("{path}/"), all);
                all.insert(path, None);
            } else {
                let size = volume.size(number).unwrap();
                all.insert(path, Some(read(volume, number, 0, size as usize).unwrap()));
            }
        }
    }
    let mut volume = mount_with(image, Options { read_only: true, ..options() }).unwrap();
    let mut all = BTreeMap::new();
    add(&mut volume, ROOT, "", &mut all);
    all
}
