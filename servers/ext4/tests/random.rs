//! Random operations on every flavour, against a model in memory; at the end the host's tools read the image.

mod common;

use common::*;
use ext4::Volume;
use std::collections::BTreeMap;
use volume::testing::{Dice, SharedImage};
use volume::{FileError, Kind};

/// The largest file, and operations of a run.
const LARGEST: u64 = 1 << 20;
const OPERATIONS: u64 = 1200;

/// What the volume should hold: directories by inode, with their names; files with their bytes.
#[derive(Default)]
struct Model {
    directories: BTreeMap<u64, BTreeMap<String, u64>>,
    files: BTreeMap<u64, Vec<u8>>,
    links: BTreeMap<u64, u32>,
    parents: BTreeMap<u64, u64>,
}

impl Model {
    fn pick(&self, dice: &mut Dice) -> (u64, Option<(String, u64)>) {
        let directories: Vec<u64> = self.directories.keys().copied().collect();
        let directory = directories[dice.below(directories.len() as u64) as usize];
        let names = &self.directories[&directory];
        if names.is_empty() {
            return (directory, None);
        }
        let (name, inode) = names.iter().nth(dice.below(names.len() as u64) as usize).unwrap();
        (directory, Some((name.clone(), *inode)))
    }

    fn file(&self, dice: &mut Dice) -> Option<u64> {
        let files: Vec<u64> = self.files.keys().copied().collect();
        (!files.is_empty()).then(|| files[dice.below(files.len() as u64) as usize])
    }

    /// Whether `inner` is `outer` or below it.
    fn is_below(&self, inner: u64, outer: u64) -> bool {
        inner == outer || self.parents.get(&inner).is_some_and(|parent| self.is_below(*parent, outer))
    }

    fn unlink(&mut self, volume: &mut Volume, inode: u64) {
        let links = self.links.get_mut(&inode).unwrap();
        *links -= 1;
        if *links == 0 {
            self.links.remove(&inode);
            self.files.remove(&inode);
            volume.release(inode).unwrap();
        }
    }
}

fn name(dice: &mut Dice) -> String {
    let number = dice.below(40);
    match dice.below(8) {
        0 => format!("{number}-{}", "long name ".repeat(20)),
        1 => format!("ünï-{number}-©"),
        _ => format!("name{number}"),
    }
}

fn step(volume: &mut Volume, model: &mut Model, dice: &mut Dice) {
    let (directory, chosen) = model.pick(dice);
    match dice.below(16) {
        0..=2 => {
            let name = name(dice);
            let exists = model.directories[&directory].contains_key(&name);
            match volume.create(directory, name.as_bytes(), 0o644) {
                Ok(inode) => {
                    assert!(!exists);
                    model.directories.get_mut(&directory).unwrap().insert(name, inode);
                    model.files.insert(inode, Vec::new());
                    model.links.insert(inode, 1);
                }
                Err(FileError::Exists) => assert!(exists),
                Err(error) => panic!("create: {error:?}"),
            }
        }
        3 => {
            let name = name(dice);
            match volume.make_directory(directory, name.as_bytes(), 0o755) {
                Ok(inode) => {
                    model.directories.get_mut(&directory).unwrap().insert(name, inode);
                    model.directories.insert(inode, BTreeMap::new());
                    model.parents.insert(inode, directory);
                }
                Err(FileError::Exists) => assert!(model.directories[&directory].contains_key(&name)),
                Err(error) => panic!("make_directory: {error:?}"),
            }
        }
        4..=8 => {
            let Some(file) = model.file(dice) else { return };
            let bytes = match dice.below(3) {
                0 => 1 + dice.below(100),
                1 => 1 + dice.below(10_000),
                _ => 1 + dice.below(200_000),
            };
            let size = model.files[&file].len() as u64;
            let offset = match dice.below(3) {
                0 => size,
                1 => dice.below(size + 1),
                _ => dice.below(LARGEST - bytes),
            };
            let offset = offset.min(LARGEST - bytes);
            let data = pattern(dice.below(1 << 30), bytes as usize);
            match write(volume, file, offset, &data) {
                Ok(written) => {
                    let content = model.files.get_mut(&file).unwrap();
                    let end = (offset + written) as usize;
                    if content.len() < end {
                        content.resize(end, 0);
                    }
                    content[offset as usize..end].copy_from_slice(&data[..written as usize]);
                }
                Err(FileError::NoSpace) => {
                    assert!(model.files.values().map(Vec::len).sum::<usize>() > 4 << 20, "full too early");
                }
                Err(error) => panic!("write: {error:?}"),
            }
        }
        9 => {
            let Some(file) = model.file(dice) else { return };
            let content = model.files.get_mut(&file).unwrap();
            let bytes = match dice.below(3) {
                0 => 0,
                1 => dice.below(content.len() as u64 + 1),
                _ => dice.below(LARGEST),
            };
            volume.truncate(file, bytes).unwrap();
            content.resize(bytes as usize, 0);
        }
        10 => {
            let Some(file) = model.file(dice) else { return };
            let content = &model.files[&file];
            let offset = dice.below(content.len() as u64 + 1);
            let bytes = dice.below(100_000) as usize;
            let expected = &content[offset as usize..(offset as usize + bytes).min(content.len())];
            let found = read(volume, file, offset, bytes).unwrap();
            assert!(found == expected, "file {file}: {} bytes at {offset} of {}", bytes, content.len());
            assert_eq!(volume.status(file).unwrap().size, content.len() as u64);
        }
        11 => {
            let Some((name, inode)) = chosen else { return };
            let is_directory = model.directories.contains_key(&inode);
            match volume.remove(directory, name.as_bytes(), is_directory) {
                Ok(removed) => {
                    assert_eq!(removed, inode);
                    model.directories.get_mut(&directory).unwrap().remove(&name);
                    if is_directory {
                        assert!(model.directories.remove(&inode).unwrap().is_empty());
                        volume.release(inode).unwrap();
                    } else {
                        model.unlink(volume, inode);
                    }
                }
                Err(FileError::NotEmpty) => assert!(!model.directories[&inode].is_empty()),
                Err(error) => panic!("remove: {error:?}"),
            }
        }
        12 => {
            let (Some((name, inode)), (target, _)) = (chosen, model.pick(dice)) else { return };
            let is_directory = model.directories.contains_key(&inode);
            let new = self::name(dice);
            let old = model.directories[&target].get(&new).copied();
            let old_is_directory = old.is_some_and(|old| model.directories.contains_key(&old));
            // What the server checks before it asks.
            if (is_directory && model.is_below(target, inode))
                || old == Some(inode)
                || (old.is_some() && old_is_directory != is_directory)
            {
                return;
            }
            match volume.rename((directory, name.as_bytes()), (target, new.as_bytes()), true) {
                Ok(_) => {
                    model.directories.get_mut(&directory).unwrap().remove(&name);
                    model.directories.get_mut(&target).unwrap().insert(new, inode);
                    if is_directory {
                        model.parents.insert(inode, target);
                    }
                    match old {
                        Some(old) if old_is_directory => {
                            assert!(model.directories.remove(&old).unwrap().is_empty());
                            volume.release(old).unwrap();
                        }
                        Some(old) => model.unlink(volume, old),
                        None => {}
                    }
                }
                Err(FileError::NotEmpty) => assert!(!model.directories[&old.unwrap()].is_empty()),
                Err(error) => panic!("rename: {error:?}"),
            }
        }
        13 => {
            let Some(file) = model.file(dice) else { return };
            let name = name(dice);
            match volume.link(file, directory, name.as_bytes()) {
                Ok(()) => {
                    model.directories.get_mut(&directory).unwrap().insert(name, file);
                    *model.links.get_mut(&file).unwrap() += 1;
                }
                Err(FileError::Exists) => assert!(model.directories[&directory].contains_key(&name)),
                Err(error) => panic!("link: {error:?}"),
            }
        }
        14 => match dice.below(3) {
            0 => volume.sync_all().unwrap(),
            1 => volume.tick().unwrap(),
            _ => {
                let Some(file) = model.file(dice) else { return };
                volume.sync(file, dice.once_in(2)).unwrap();
            }
        },
        _ => {
            let mut found: Vec<String> = names(volume, directory);
            found.retain(|name| name != "lost+found");
            let expected: Vec<&String> = model.directories[&directory].keys().collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }
}

/// Says where bytes differ.
fn same(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len(), "size of {what}");
    let differ = |at: &usize| found[*at] != expected[*at];
    if let Some(first) = (0..found.len()).find(differ) {
        let count = (0..found.len()).filter(differ).count();
        let here = first..(first + 16).min(found.len());
        panic!(
            "{what}: {count} bytes of {} from {first} on: {:?}, not {:?}",
            found.len(),
            &found[here.clone()],
            &expected[here]
        );
    }
}

/// Compares a directory on the host with the model.
fn compare(model: &Model, directory: u64, folder: &std::path::Path) {
    for (name, inode) in &model.directories[&directory] {
        let path = folder.join(name);
        if model.directories.contains_key(inode) {
            compare(model, *inode, &path);
        } else {
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            same(&bytes, &model.files[inode], &format!("inode {inode} on the host"));
        }
    }
}

fn run(flavour: &str, image: &SharedImage, seed: u64) {
    let mut dice = Dice::new(seed);
    let mut model = Model::default();
    model.directories.insert(ROOT, BTreeMap::new());
    let mut volume = mount(image).unwrap();
    volume.set_patience(0);
    for number in 0..OPERATIONS {
        step(&mut volume, &mut model, &mut dice);
        if dice.once_in(300) {
            volume.unmount().unwrap_or_else(|error| panic!("{flavour}, {seed}, {number}: {error:?}"));
            check(&image.borrow().bytes).unwrap_or_else(|what| panic!("{flavour}, {seed}, {number}: {what}"));
            volume = mount(image).unwrap();
            if !dice.once_in(4) {
                volume.set_patience(0);
            }
        }
    }
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap_or_else(|what| panic!("{flavour}, seed {seed}: {what}"));
    compare(&model, ROOT, dump_on_host(&image.borrow().bytes).path());
}

#[test]
fn random_operations_do_what_the_model_does() {
    for (index, (flavour, kib, arguments)) in FLAVOURS.iter().enumerate() {
        let image = image(make(*kib, arguments));
        run(flavour, &image, 100 + index as u64);
    }
}

#[test]
fn kinds_of_what_is_listed() {
    let image = image(make(8 << 10, &["-t", "ext4"]));
    let mut volume = mount(&image).unwrap();
    volume.create(ROOT, b"file", 0o600).unwrap();
    volume.symlink(ROOT, b"link", b"file").unwrap();
    let mut kinds = BTreeMap::new();
    volume
        .read_directory(ROOT, 0, &mut |entry| {
            kinds.insert(entry.name.clone(), entry.kind);
            true
        })
        .unwrap();
    assert_eq!(kinds["file"], Kind::File);
    assert_eq!(kinds["link"], Kind::Link);
    assert_eq!(kinds["lost+found"], Kind::Directory);
}
