//! Random operations on every flavour, against a model in memory; at the end fsck.fat finds nothing, and another implementation reads the same.

mod common;

use common::*;
use fat::Volume;
use std::collections::BTreeMap;
use volume::testing::{Dice, Image};
use volume::{FileError, Kind};

/// Operations of a run.
const OPERATIONS: u64 = 3000;

/// What the volume should hold: directories by number, with their names (in capitals) as they are spelled; files with their bytes.
#[derive(Default)]
struct Model {
    directories: BTreeMap<u64, BTreeMap<String, (String, u64)>>,
    files: BTreeMap<u64, Vec<u8>>,
    /// Files without a name that are open.
    open: Vec<u64>,
    parents: BTreeMap<u64, u64>,
    largest: u64,
    /// All that fits, in bytes.
    room: u64,
}

impl Model {
    fn pick(&self, dice: &mut Dice) -> (u64, Option<(String, u64)>) {
        let directories: Vec<u64> = self.directories.keys().copied().collect();
        let directory = directories[dice.below(directories.len() as u64) as usize];
        let names = &self.directories[&directory];
        (directory, names.values().nth(dice.below(names.len() as u64) as usize).cloned())
    }

    fn file(&self, dice: &mut Dice) -> Option<u64> {
        self.files.keys().nth(dice.below(self.files.len() as u64) as usize).copied()
    }

    fn is_below(&self, inner: u64, outer: u64) -> bool {
        inner == outer || self.parents.get(&inner).is_some_and(|parent| self.is_below(*parent, outer))
    }

    fn get(&self, directory: u64, name: &str) -> Option<u64> {
        self.directories[&directory].get(&name.to_uppercase()).map(|(_, number)| *number)
    }

    fn put(&mut self, directory: u64, name: &str, number: u64) {
        self.directories.get_mut(&directory).unwrap().insert(name.to_uppercase(), (name.into(), number));
    }

    fn take(&mut self, directory: u64, name: &str) {
        self.directories.get_mut(&directory).unwrap().remove(&name.to_uppercase());
    }

    /// A file or directory has lost its name: files stay for a while, if they are open.
    fn lose(&mut self, volume: &mut Volume, number: u64, dice: &mut Dice) {
        if self.directories.remove(&number).is_none() && dice.once_in(3) {
            self.open.push(number);
            return;
        }
        self.files.remove(&number);
        volume.release(number).unwrap();
    }

    fn is_full(&self) -> bool {
        self.files.values().map(|file| file.len() as u64).sum::<u64>() > self.room / 4
    }

    fn paths(&self, directory: u64, below: &str, all: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for (name, number) in self.directories[&directory].values() {
            let path = format!("{below}{name}");
            if self.directories.contains_key(number) {
                self.paths(*number, &format!("{path}/"), all);
                all.insert(path, None);
            } else {
                all.insert(path, Some(self.files[number].clone()));
            }
        }
    }
}

fn name(dice: &mut Dice) -> String {
    let number = dice.below(30);
    match dice.below(10) {
        0 => format!("{number}-{}", "long name ".repeat(20).trim_end()),
        1 => format!("ünï-{number}-©"),
        2 => format!("ÜNÏ-{number}-©"),
        3 => format!("NAME{number}.TXT"),
        4 => format!("Name{number}.txt"),
        5 => format!("a very long name that begins alike {number}"),
        _ => format!("name{number}"),
    }
}

fn step(volume: &mut Volume, model: &mut Model, dice: &mut Dice) {
    let (directory, chosen) = model.pick(dice);
    match dice.below(16) {
        0..=2 => {
            let name = name(dice);
            let there = model.get(directory, &name);
            match volume.create(directory, &name, 0o644) {
                Ok(number) => {
                    assert_eq!(there, None, "{name}");
                    volume.hold(number).unwrap();
                    model.put(directory, &name, number);
                    assert_eq!(model.files.insert(number, Vec::new()), None, "a number of its own");
                }
                Err(FileError::Exists) => assert!(there.is_some(), "{name}"),
                Err(FileError::NoSpace) => assert!(model.is_full() || directory == ROOT),
                Err(error) => panic!("create: {error:?}"),
            }
        }
        3 => {
            let name = name(dice);
            match volume.make_directory(directory, &name) {
                Ok(number) => {
                    volume.hold(number).unwrap();
                    model.put(directory, &name, number);
                    model.directories.insert(number, BTreeMap::new());
                    model.parents.insert(number, directory);
                }
                Err(FileError::Exists) => assert!(model.get(directory, &name).is_some()),
                Err(FileError::NoSpace) => assert!(model.is_full() || directory == ROOT),
                Err(error) => panic!("make_directory: {error:?}"),
            }
        }
        4..=8 => {
            let Some(file) = model.file(dice) else { return };
            let largest = model.largest;
            let most = [100, 10_000, largest / 4][dice.below(3) as usize];
            let bytes = 1 + dice.below(most);
            let size = model.files[&file].len() as u64;
            let offset = [size, dice.below(size + 1), dice.below(largest - bytes)][dice.below(3) as usize];
            let offset = offset.min(largest - bytes);
            let data = pattern(dice.below(1 << 30), bytes as usize);
            match write(volume, file, offset, &data) {
                Ok(written) => {
                    assert!(written == bytes || model.is_full());
                    let content = model.files.get_mut(&file).unwrap();
                    let end = (offset + written) as usize;
                    if content.len() < end {
                        content.resize(end, 0);
                    }
                    content[offset as usize..end].copy_from_slice(&data[..written as usize]);
                }
                Err(FileError::NoSpace) => assert!(model.is_full(), "full too early"),
                Err(error) => panic!("write: {error:?}"),
            }
        }
        9 => {
            let Some(file) = model.file(dice) else { return };
            let size = model.files[&file].len() as u64;
            let bytes = [0, dice.below(size + 1), dice.below(model.largest)][dice.below(3) as usize];
            match truncate(volume, file, bytes) {
                Ok(()) => model.files.get_mut(&file).unwrap().resize(bytes as usize, 0),
                Err(FileError::NoSpace) => assert!(bytes > size && model.is_full()),
                Err(error) => panic!("truncate: {error:?}"),
            }
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
            let Some((name, number)) = chosen else { return };
            match volume.remove(directory, &name) {
                Ok(removed) => {
                    assert_eq!(removed, number);
                    model.take(directory, &name);
                    assert!(model.directories.get(&number).is_none_or(BTreeMap::is_empty));
                    model.lose(volume, number, dice);
                }
                Err(FileError::NotEmpty) => assert!(!model.directories[&number].is_empty()),
                Err(error) => panic!("remove: {error:?}"),
            }
        }
        12 | 13 => {
            let (Some((name, number)), (target, _)) = (chosen, model.pick(dice)) else { return };
            let is_directory = model.directories.contains_key(&number);
            let new = if dice.once_in(6) { name.to_uppercase() } else { self::name(dice) };
            let old = model.get(target, &new);
            let old_is_directory = old.is_some_and(|old| model.directories.contains_key(&old));
            let respelled = old == Some(number) && directory == target;
            // What the server checks before it asks.
            if (is_directory && model.is_below(target, number))
                || (old.is_some() && !respelled && old_is_directory != is_directory)
            {
                return;
            }
            match volume.rename((directory, &name), (target, &new), old.is_some()) {
                Ok(replaced) => {
                    assert_eq!(replaced, old.filter(|_| !respelled));
                    model.take(directory, &name);
                    model.put(target, &new, number);
                    if is_directory {
                        model.parents.insert(number, target);
                    }
                    if let Some(old) = replaced {
                        model.lose(volume, old, dice);
                    }
                    assert_eq!(volume.lookup(target, &new).unwrap().map(|found| found.0), Some(number));
                }
                Err(FileError::NotEmpty) => assert!(!model.directories[&old.unwrap()].is_empty()),
                Err(FileError::NoSpace) => assert!(model.is_full() || target == ROOT),
                Err(error) => panic!("rename: {error:?}"),
            }
        }
        14 => match dice.below(4) {
            0 => volume.sync_all().unwrap(),
            1 => volume.tick().unwrap(),
            2 => {
                for file in model.open.drain(..) {
                    model.files.remove(&file);
                    volume.release(file).unwrap();
                }
            }
            _ => {
                let Some(file) = model.file(dice) else { return };
                volume.sync(file, dice.once_in(2)).unwrap();
            }
        },
        _ => {
            let mut expected: Vec<String> =
                model.directories[&directory].values().map(|(name, _)| name.clone()).collect();
            expected.sort();
            assert_eq!(names(volume, directory).unwrap(), expected);
            for (name, number) in model.directories[&directory].values() {
                let kind = if model.directories.contains_key(number) { Kind::Directory } else { Kind::File };
                assert_eq!(volume.lookup(directory, &name.to_lowercase()), Ok(Some((*number, kind))), "{name}");
            }
        }
    }
}

fn run(flavour: usize, seed: u64) {
    let Flavour { name: what, kib, arguments, is_standard } = FLAVOURS[flavour];
    let image = Image::new(make(kib, arguments));
    let mut volume = mount(&image).unwrap();
    volume.hold(ROOT).unwrap();
    let room = (kib as u64) << 10;
    let mut model = Model { room, largest: (room / 8).min(1 << 20), ..Model::default() };
    model.directories.insert(ROOT, BTreeMap::new());
    let mut dice = Dice::new(seed);
    for operation in 0..OPERATIONS {
        step(&mut volume, &mut model, &mut dice);
        if operation % 1000 == 500 {
            volume.sync_all().unwrap();
            if model.open.is_empty() {
                check(&image.borrow().bytes).unwrap_or_else(|text| panic!("{what}, operation {operation}: {text}"));
            }
        }
    }
    end(&image, volume);
    let mut expected = BTreeMap::new();
    model.paths(ROOT, "", &mut expected);
    let mut readers = vec![read_again(&image)];
    if is_standard {
        readers.push(read_by_others(&image.borrow().bytes));
    }
    for found in readers {
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
        assert!(found == expected, "{what}: all contents");
    }
}

macro_rules! runs {
    ($($name:ident: $flavour:literal;)*) => {
        $(#[test]
        fn $name() {
            run($flavour, 11 + $flavour);
        })*
    };
}

runs! {
    floppy: 0;
    fat12: 1;
    fat16_small_clusters: 2;
    fat16: 3;
    fat32_small_clusters: 4;
    fat32_large_clusters: 5;
    fat32_large_sectors: 6;
}
