//! The server dies at each store that counts, and before each request to the disk, of every kind of request: what comes of it is what comes of the request when nobody dies.

mod common;

use common::world::{Request, World};
use common::*;
use std::collections::BTreeMap;
use volume::testing::{Image, end_after};
use volume::{FileError, Kind};

/// Images for mkfs.fat, as small as they may be: what each kind of table, root and cluster needs.
const IMAGES: [(usize, &[&str]); 4] = [
    (1440, &["-F", "12"]),
    (4 << 10, &["-F", "16", "-s", "1"]),
    (2 << 10, &["-F", "32", "-s", "1"]),
    (2 << 10, &["-F", "32", "-s", "8", "-f", "1"]),
];

/// More steps than any request takes.
const MANY: u64 = 1 << 40;

/// Later incarnations die as well, at one of so many steps.
const LATER: u64 = 400;

/// Files that are open: numbers of the server.
struct Open {
    /// It has a name, and data.
    named: u64,
    /// So has this, …
    moved: u64,
    /// … and this had one.
    nameless: u64,
    /// It has no data.
    empty: u64,
}

/// What is asked for, and what for.
type Case = (&'static str, fn(&Open) -> Request);

/// Every kind of request, in each way that writes something else.
const CASES: &[Case] = &[
    ("create", |_| Request::Create("a name that takes more entries than one".into())),
    ("create in a folder", |_| Request::Create("folder/new".into())),
    ("write over", |open| Request::Write(open.named, 700, pattern(21, 3000))),
    ("write beyond the end", |open| Request::Write(open.empty, 30_000, pattern(22, 9000))),
    ("write far beyond the end", |open| Request::Write(open.empty, 200_000, pattern(28, 900))),
    ("append", |open| Request::Append(open.named, pattern(23, 20_000))),
    ("write to a file without a name", |open| Request::Append(open.nameless, pattern(24, 5000))),
    ("truncate", |open| Request::Truncate(open.named, 1234)),
    ("truncate to nothing", |open| Request::Truncate(open.moved, 0)),
    ("truncate to more", |open| Request::Truncate(open.named, 50_000)),
    ("truncate a file without a name", |open| Request::Truncate(open.nameless, 100)),
    ("rename", |_| Request::Rename("named".into(), "another name".into())),
    ("rename over a file", |_| Request::Rename("unused".into(), "named".into())),
    ("rename over an unused file", |_| Request::Rename("named".into(), "unused".into())),
    ("rename to a folder", |_| Request::Rename("named".into(), "folder/named".into())),
    ("rename a folder", |_| Request::Rename("folder".into(), "hollow/folder".into())),
    ("rename over a folder", |_| Request::Rename("folder".into(), "hollow".into())),
    ("unlink", |_| Request::Remove("unused".into())),
    ("unlink what is open", |_| Request::Remove("named".into())),
    ("make a folder", |_| Request::MakeDirectory("folder/a folder in a folder".into())),
    ("remove a folder", |_| Request::Remove("hollow".into())),
    ("fsync", |open| Request::Sync(open.named)),
    ("fsync of what has moved", |open| Request::Sync(open.moved)),
    ("sync", |_| Request::SyncAll),
    ("close", |open| Request::Close(open.named)),
    ("close of a file without a name", |open| Request::Close(open.nameless)),
];

/// A volume with files in every state that counts; `is_synced`: all of that is on the disk.
fn prepare(image: &[u8], is_synced: bool) -> (World, Open) {
    let mut world = World::new(Image::new(image.to_vec()), 7, 0);
    let mut make = |name: &str, seed: u64, bytes: usize| {
        let file = world.ask(&Request::Create(name.into())).unwrap();
        world.ask(&Request::Append(file, pattern(seed, bytes))).unwrap();
        file
    };
    let named = make("named", 1, 5000);
    let moved = make("a name to be moved", 2, 7000);
    let nameless = make("nameless", 3, 9000);
    let unused = make("unused", 4, 6000);
    let empty = world.ask(&Request::Create("empty".into())).unwrap();
    let rest = [
        Request::MakeDirectory("folder".into()),
        Request::MakeDirectory("hollow".into()),
        Request::Create("folder/inner".into()),
        Request::Rename("a name to be moved".into(), "folder/moved".into()),
        Request::Remove("nameless".into()),
    ];
    let answers = rest.map(|request| world.ask(&request).unwrap());
    for closed in [unused, answers[2]] {
        world.open.remove(&closed);
        world.ask(&Request::Close(closed)).unwrap();
    }
    if is_synced {
        world.ask(&Request::SyncAll).unwrap();
    }
    (world, Open { named, moved, nameless, empty })
}

/// What there is: all files by path, and those that are open by number with their names.
#[derive(PartialEq, Eq, Debug)]
struct State {
    tree: BTreeMap<String, Option<Vec<u8>>>,
    open: BTreeMap<u64, (u32, Vec<u8>)>,
    free: u64,
}

fn state(world: &mut World) -> State {
    fn add(world: &mut World, folder: u64, below: &str, tree: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for name in names(world.volume(), folder).unwrap() {
            let path = format!("{below}{name}");
            let (file, kind) = world.volume().lookup(folder, &name).unwrap().unwrap();
            if kind == Kind::Directory {
                add(world, file, &format!("{path}/"), tree);
                tree.insert(path, None);
            } else {
                tree.insert(path, Some(content(world, file)));
            }
        }
    }
    fn content(world: &mut World, file: u64) -> Vec<u8> {
        let size = world.volume().size(file).unwrap();
        read(world.volume(), file, 0, size as usize + 1).unwrap()
    }
    end_after(u64::MAX);
    let mut tree = BTreeMap::new();
    add(world, ROOT, "", &mut tree);
    let files: Vec<u64> = world.open.keys().copied().collect();
    let open = files.into_iter().map(|file| {
        let links = world.volume().status(file).unwrap().links;
        (file, (links, content(world, file)))
    });
    let open = open.collect();
    let free = world.volume().statistics().free_blocks;
    State { tree, open, free }
}

/// What a request brings about.
struct Effect {
    answer: Result<u64, FileError>,
    state: State,
    /// Of the whole disk, when everybody has gone.
    last: BTreeMap<String, Option<Vec<u8>>>,
}

/// Carries a request out; the server dies at a step of it, or does not.
fn carry_out(image: &[u8], is_synced: bool, case: &Case, death: u64, later: u64) -> (Effect, u64) {
    let (mut world, open) = prepare(image, is_synced);
    let request = case.1(&open);
    if let Request::Close(file) = request {
        world.open.remove(&file);
    }
    world.fuse = later;
    end_after(death);
    let answer = world.ask(&request);
    let left = end_after(u64::MAX);
    world.fuse = 0;
    let is_expected = if death == MANY { world.deaths == 0 } else { world.deaths > 0 };
    assert!(is_expected, "{}: {} deaths", case.0, world.deaths);
    if let Request::Sync(file) = request {
        // Also for who forgets everything now.
        let disk = Image::new(world.image.borrow().bytes.clone());
        let (on_disk, file) = (read_again(&disk), state(&mut world).open[&file].1.clone());
        assert!(on_disk.values().flatten().any(|content| *content == file), "{}: it is not on the disk", case.0);
    }
    let found = state(&mut world);
    world.volume = None;
    world.start();
    assert!(state(&mut world) == found, "{}: the next incarnation has something else", case.0);
    for file in core::mem::take(&mut world.open).into_keys() {
        world.ask(&Request::Close(file)).unwrap();
    }
    world.volume.take().unwrap().unmount().unwrap();
    check(&world.image.borrow().bytes).unwrap_or_else(|error| panic!("{}, death at {death}: {error}", case.0));
    let last = read_again(&world.image);
    (Effect { answer, state: found, last }, left)
}

fn every_death(image: usize, later: u64) {
    let (kib, arguments) = IMAGES[image];
    let image = make(kib, arguments);
    let mut deaths = 0;
    for case in CASES {
        for is_synced in [false, true] {
            let (expected, left) = carry_out(&image, is_synced, case, MANY, 0);
            expected.answer.unwrap();
            let steps = MANY - left;
            for death in 0..steps {
                let what = format!("{}, synced before: {is_synced}, death at {death} of {steps}", case.0);
                let (found, _) = carry_out(&image, is_synced, case, death, later);
                assert_eq!(found.answer, expected.answer, "{what}");
                assert!(found.state.tree == expected.state.tree, "{what}: names or contents differ");
                assert!(found.state.open == expected.state.open, "{what}: open files differ");
                assert!(found.last == expected.last, "{what}: the disk differs");
                deaths += 1;
            }
        }
    }
    assert!(deaths > CASES.len() as u64 * 10, "{deaths} deaths are no trial");
}

#[test]
fn at_every_store_on_fat12() {
    every_death(0, 0);
}

#[test]
fn at_every_store_and_later_on_fat12() {
    every_death(0, LATER);
}

#[test]
fn at_every_store_on_fat16() {
    every_death(1, 0);
}

#[test]
fn at_every_store_and_later_on_fat16() {
    every_death(1, LATER);
}

#[test]
fn at_every_store_on_fat32_with_small_clusters() {
    every_death(2, 0);
}

#[test]
fn at_every_store_and_later_on_fat32_with_small_clusters() {
    every_death(2, LATER);
}

#[test]
fn at_every_store_on_fat32_with_large_clusters_and_one_table() {
    every_death(3, 0);
}

#[test]
fn at_every_store_and_later_on_fat32_with_large_clusters_and_one_table() {
    every_death(3, LATER);
}
