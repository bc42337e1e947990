//! The server dies between any two stores that count, over and over, at its start too, and goes on: every request is done once, nothing that was answered is lost, files without names stay while they
//! are open, and the disk is right for the host's tools.

mod common;

use common::world::{Request, World, pass};
use common::*;
use std::collections::{BTreeMap, BTreeSet};
use volume::FileError;
use volume::testing::{Dice, Image, end_after};

/// The largest file.
const LARGEST: u64 = 300_000;
/// Flavours that are tried: all widths, small and large clusters.
const TRIED: [usize; 4] = [0, 2, 4, 5];

/// What there should be: files of the model, by a number of its own.
#[derive(Default)]
struct Model {
    names: BTreeMap<String, u64>,
    /// Empty directories.
    folders: BTreeSet<String>,
    contents: BTreeMap<u64, Vec<u8>>,
    /// Which file an open one is, by the server's number.
    open: BTreeMap<u64, u64>,
    next: u64,
}

impl Model {
    fn forget_unused(&mut self) {
        let Model { names, contents, open, .. } = self;
        let is_used =
            |file: &u64| names.values().any(|other| other == file) || open.values().any(|other| other == file);
        contents.retain(|file, _| is_used(file));
    }
}

fn name(dice: &mut Dice) -> String {
    match dice.below(14) {
        12 => "a long name that takes more entries than one".into(),
        13 => "SHORT.TXT".into(),
        number => format!("name{number}"),
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    content.resize(content.len().max(offset + bytes.len()), 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn step(world: &mut World, model: &mut Model) {
    let dice = &mut world.dice;
    let (seed, choice) = (dice.below(1 << 40), dice.below(18));
    let bytes = match dice.below(3) {
        0 => 1 + dice.below(100),
        1 => 1 + dice.below(9000),
        _ => 1 + dice.below(60_000),
    } as usize;
    let chosen =
        model.open.iter().nth(dice.below(model.open.len() as u64) as usize).map(|(file, known)| (*file, *known));
    match (choice, chosen) {
        (0..=2, _) if model.open.len() < 12 => {
            let name = name(dice);
            let known = model.names.get(&name).copied();
            let request = if known.is_some() && dice.once_in(2) { Request::Open } else { Request::Create };
            let file = world.ask(&request(name.clone())).unwrap();
            let known = known.unwrap_or_else(|| {
                model.next += 1;
                model.names.insert(name, model.next);
                model.contents.insert(model.next, Vec::new());
                model.next
            });
            assert!(model.open.insert(file, known).is_none_or(|other| other == known), "a number of its own");
        }
        (3..=5, Some((file, known))) => {
            let size = model.contents[&known].len() as u64;
            let offset = if dice.once_in(3) { dice.below(LARGEST) } else { dice.below(size + 1) };
            let data = pattern(seed, bytes);
            let written = world.ask(&Request::Write(file, offset, data.clone())).unwrap();
            put(model.contents.get_mut(&known).unwrap(), offset as usize, &data[..written as usize]);
        }
        (6..=8, Some((file, known))) if model.contents[&known].len() < LARGEST as usize => {
            let data = pattern(seed, bytes);
            let written = world.ask(&Request::Append(file, data.clone())).unwrap();
            model.contents.get_mut(&known).unwrap().extend_from_slice(&data[..written as usize]);
        }
        (9, Some((file, known))) => {
            let content = model.contents.get_mut(&known).unwrap();
            let most = if dice.once_in(3) { LARGEST } else { content.len() as u64 + 20_000 };
            let size = if dice.once_in(4) { 0 } else { dice.below(most) };
            world.ask(&Request::Truncate(file, size)).unwrap();
            content.resize(size as usize, 0);
        }
        (10, _) => {
            let name = name(dice);
            match world.ask(&Request::Remove(name.clone())) {
                Ok(_) => assert!(model.names.remove(&name).is_some()),
                Err(error) => assert_eq!((error, model.names.get(&name)), (FileError::NotFound, None)),
            }
            model.forget_unused();
        }
        (11..=12, _) => {
            let (from, to) = (name(dice), name(dice));
            let Some(old) = model.names.get(&from).copied().filter(|_| from != to) else { return };
            world.ask(&Request::Rename(from.clone(), to.clone())).unwrap();
            model.names.remove(&from);
            model.names.insert(to, old);
            model.forget_unused();
        }
        (13, Some((file, _))) => {
            let request = if world.dice.once_in(3) { Request::SyncAll } else { Request::Sync(file) };
            world.ask(&request).unwrap();
        }
        (14..=15, Some((file, _))) => {
            model.open.remove(&file);
            world.open.remove(&file);
            world.ask(&Request::Close(file)).unwrap();
            model.forget_unused();
        }
        (16, _) => {
            pass(3);
            world.ask(&Request::Tick).unwrap();
        }
        (17, _) => {
            let folder = format!("folder{}", dice.below(3));
            if model.folders.remove(&folder) {
                world.ask(&Request::Remove(folder)).unwrap();
            } else {
                world.ask(&Request::MakeDirectory(folder.clone())).unwrap();
                model.folders.insert(folder);
            }
        }
        _ => {}
    }
}

fn same(found: &[u8], expected: &[u8], what: &str) {
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert_eq!((found.len(), differs), (expected.len(), None), "{what}");
}

/// Everything is as in the model.
fn verify(world: &mut World, model: &Model) {
    end_after(u64::MAX);
    let volume = world.volume();
    for (file, known) in &model.open {
        let content = &model.contents[known];
        let links = u32::from(model.names.values().any(|other| other == known));
        let status = volume.status(*file).unwrap();
        assert_eq!((status.size, status.links), (content.len() as u64, links), "file {file}");
        same(&read(volume, *file, 0, content.len() + 1).unwrap(), content, &format!("file {file}"));
    }
    for (name, known) in &model.names {
        let content = &model.contents[known];
        let (file, _) = volume.lookup(ROOT, name).unwrap().unwrap();
        same(&read(volume, file, 0, content.len() + 1).unwrap(), content, name);
    }
    let expected: BTreeSet<String> = model.names.keys().chain(&model.folders).cloned().collect();
    assert_eq!(names(volume, ROOT).unwrap(), expected.into_iter().collect::<Vec<_>>());
}

fn survive(flavour: usize, seed: u64, fuse: u64, steps: u64) -> u64 {
    let Flavour { name: what, kib, arguments, is_standard } = FLAVOURS[flavour];
    let what = format!("{what}, {seed}");
    // Room for what the model may become.
    let kib = kib.max(12 << 10);
    let image = Image::new(make(kib, arguments));
    let mut world = World::new(image.clone(), seed, fuse);
    let mut model = Model::default();
    let free = world.volume().statistics().free_blocks;
    for number in 0..steps {
        step(&mut world, &mut model);
        if number % 40 == 39 {
            verify(&mut world, &model);
            world.volume = None;
            world.deaths += 1;
            world.start();
            verify(&mut world, &model);
            world.light();
        }
    }
    world.fuse = 0;
    verify(&mut world, &model);
    for file in core::mem::take(&mut model.open).into_keys() {
        world.open.remove(&file);
        world.ask(&Request::Close(file)).unwrap();
    }
    model.forget_unused();
    verify(&mut world, &model);
    world.ask(&Request::SyncAll).unwrap();
    check(&image.borrow().bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let files = model.names.iter().map(|(name, known)| (name.clone(), Some(model.contents[known].clone())));
    let folders = model.folders.iter().map(|name| (name.clone(), None));
    let expected: BTreeMap<String, Option<Vec<u8>>> = files.chain(folders).collect();
    if is_standard {
        assert!(read_by_others(&image.borrow().bytes) == expected, "{what}: contents on the host");
    }
    for name in model.names.keys().chain(&model.folders) {
        world.ask(&Request::Remove(name.clone())).unwrap();
    }
    // Nothing is left behind, but for what the root directory has grown.
    assert!(world.volume().statistics().free_blocks + 64 >= free, "{what}: room is lost");
    world.volume.take().unwrap().unmount().unwrap();
    check(&image.borrow().bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    world.deaths
}

#[test]
fn without_deaths_nothing_is_different() {
    for flavour in 0..FLAVOURS.len() {
        survive(flavour, 3, 0, 400);
    }
}

#[test]
fn a_server_that_dies_over_and_over_loses_nothing_and_does_nothing_twice() {
    let mut deaths = 0;
    for round in 0..6 {
        for flavour in TRIED {
            deaths += survive(flavour, 10 + round, 250 << (2 * (round % 3)), 250);
        }
    }
    assert!(deaths > 300, "{deaths} deaths are no trial");
}

/// A write far behind the end of a file takes several steps, in each of which the server may die; every incarnation goes on where the one before was.
#[test]
fn zeros_are_written_in_steps_whoever_dies() {
    const FAR: u64 = 24 << 20;
    let image = Image::new(make(64 << 10, &["-F", "32", "-s", "1"]));
    let mut world = World::new(image.clone(), 5, 120);
    let file = world.ask(&Request::Create("far".into())).unwrap();
    let other = world.ask(&Request::Create("other".into())).unwrap();
    let data = pattern(9, 5000);
    assert_eq!(world.ask(&Request::Write(file, 3, data.clone())), Ok(5000));
    assert_eq!(world.ask(&Request::Write(file, FAR, data.clone())), Ok(5000));
    assert_eq!(world.ask(&Request::Truncate(file, 2 * FAR - 7)), Ok(0));
    // Somebody begins, and goes away: nothing is left of it.
    world.fuse = 0;
    world.light();
    let free = world.volume().statistics().free_blocks;
    assert_eq!(world.volume().truncate(other, 6 << 20), Err(FileError::WouldBlock));
    assert_eq!(world.volume().size(other), Ok(0));
    assert!(world.volume().statistics().free_blocks < free);
    world.volume = None;
    world.start();
    assert!(world.volume().statistics().free_blocks < free);
    world.open.remove(&other);
    world.ask(&Request::Close(other)).unwrap();
    assert_eq!(world.volume().statistics().free_blocks, free);
    let mut expected = Vec::new();
    put(&mut expected, 3, &data);
    put(&mut expected, FAR as usize, &data);
    expected.resize((2 * FAR - 7) as usize, 0);
    let found = read(world.volume(), file, 0, expected.len() + 1).unwrap();
    same(&found, &expected, "far");
    assert!(world.deaths > 3, "{} deaths are no trial", world.deaths);
    world.volume.take().unwrap().unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
    let others = read_by_others(&image.borrow().bytes);
    same(others["far"].as_ref().unwrap(), &expected, "far on the host");
    assert_eq!(others["other"], Some(Vec::new()));
}
