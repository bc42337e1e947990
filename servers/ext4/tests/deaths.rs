//! The server dies between any two stores that count, over and over, at its start too, and goes on: every request is done once, nothing that was answered is lost, files without names stay while they
//! are open, and the disk is right for the host's tools, also after a power cut.

mod common;

use common::*;
use ext4::{Options, Volume};
use libsys::Memory;
use libsys::state::{RecordKey, Records};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use volume::testing::{Death, Dice, SharedImage, end_after};
use volume::{FileError, Kept};

/// The largest file.
const LARGEST: u64 = 300_000;
/// What stands for the reply to a request: its number, and what was answered.
const REPLY: RecordKey = RecordKey::new(100, 0);

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_700_000_000) };
}

fn now() -> u64 {
    NOW.get()
}

/// What a client asks for. Files are inodes.
#[derive(Clone, Debug)]
enum Request {
    Create(String),
    Write(u64, u64, Vec<u8>),
    Append(u64, Vec<u8>),
    Truncate(u64, u64),
    Remove(String),
    Rename(String, String),
    Link(u64, String),
    Sync(u64),
    SyncAll,
    Tick,
    Close(u64),
}

type Answer = Result<u64, FileError>;

/// A machine with a server that dies, and the disk that stays.
struct World {
    image: SharedImage,
    state: Memory,
    volume: Option<Volume>,
    dice: Dice,
    /// Steps after which an incarnation ends, at most; 0: none does.
    fuse: u64,
    deaths: u64,
    number: u64,
    open: BTreeSet<u64>,
    overlay_bytes: u64,
}

/// Whether a step of the server ended with its death.
fn survives<T>(operation: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(value) => Some(value),
        Err(what) if what.is::<Death>() => None,
        Err(what) => resume_unwind(what),
    }
}

impl World {
    fn new(image: SharedImage, seed: u64, fuse: u64, overlay_bytes: u64) -> World {
        let state = Memory::create(account(), 256 << 10).unwrap();
        let (dice, open) = (Dice::new(seed), BTreeSet::new());
        let mut world = World { image, state, volume: None, dice, fuse, deaths: 0, number: 0, open, overlay_bytes };
        world.start();
        world
    }

    fn light(&mut self) {
        end_after(if self.fuse == 0 { u64::MAX } else { self.dice.below(self.fuse) });
    }

    fn start(&mut self) {
        while self.volume.is_none() {
            self.light();
            let options =
                Options { seconds: now, cache_bytes: 1 << 20, overlay_bytes: self.overlay_bytes, ..options() };
            let requests = requests(&self.image, self.dice.below(1 << 30));
            let records = Records::of(self.state.map_writable().unwrap()).unwrap();
            let (open, is_patient) = (&self.open, self.dice.once_in(4));
            self.volume = survives(|| {
                let mut volume = Volume::mount_kept(account(), requests, options, Kept::new(records)).unwrap();
                if !is_patient {
                    volume.set_patience(0);
                }
                open.iter().for_each(|inode| volume.hold(*inode));
                volume.reclaim(&|inode| open.contains(&inode)).unwrap();
                volume
            });
            self.deaths += u64::from(self.volume.is_none());
        }
    }

    fn volume(&mut self) -> &mut Volume {
        self.volume.as_mut().unwrap()
    }

    /// What the loop of a server does, with what a client does about a server that is not there.
    fn ask(&mut self, request: &Request) -> Answer {
        self.number += 1;
        loop {
            let number = self.number;
            let volume = self.volume.as_mut().unwrap();
            let reply = volume.kept().records().unwrap().get::<(u64, u64)>(REPLY);
            if let Some((known, answer)) = reply.filter(|(known, _)| *known == number) {
                assert_eq!(known, number);
                return Ok(answer);
            }
            let open = &self.open;
            let answer = survives(|| {
                let answer = perform(volume, request, open);
                if let Ok(value) = answer {
                    volume.kept().records().unwrap().put(REPLY, &(number, value)).unwrap();
                }
                while !volume.kept().records().unwrap().is_clean() {
                    volume.kept().commit();
                    volume.committed();
                }
                answer
            });
            match answer {
                Some(answer) => return answer,
                None => {
                    self.deaths += 1;
                    self.volume = None;
                    self.start();
                }
            }
        }
    }
}

fn perform(volume: &mut Volume, request: &Request, open: &BTreeSet<u64>) -> Answer {
    let release = |volume: &mut Volume, inode: u64| match open.contains(&inode) {
        true => Ok(()),
        false => volume.release(inode),
    };
    match request {
        Request::Create(name) => {
            if let Some((inode, _)) = volume.lookup(ROOT, name.as_bytes())? {
                return Ok(inode);
            }
            volume.create(ROOT, name.as_bytes(), 0o644)
        }
        Request::Write(inode, offset, bytes) => write(volume, *inode, *offset, bytes),
        Request::Append(inode, bytes) => {
            let size = volume.size(*inode)?;
            write(volume, *inode, size, bytes)
        }
        Request::Truncate(inode, bytes) => volume.truncate(*inode, *bytes).map(|()| 0),
        Request::Remove(name) => {
            let inode = volume.remove(ROOT, name.as_bytes(), false)?;
            release(volume, inode)?;
            Ok(inode)
        }
        Request::Rename(from, to) => {
            let replaced = volume.rename((ROOT, from.as_bytes()), (ROOT, to.as_bytes()), true)?;
            replaced.map_or(Ok(()), |inode| release(volume, inode))?;
            Ok(0)
        }
        Request::Link(inode, name) => volume.link(*inode, ROOT, name.as_bytes()).map(|()| 0),
        Request::Sync(inode) => volume.sync(*inode, inode % 2 == 0).map(|()| 0),
        Request::SyncAll => volume.sync_all().map(|()| 0),
        Request::Tick => volume.tick().map(|()| 0),
        Request::Close(inode) => volume.release(*inode).map(|()| 0),
    }
}

/// What there should be.
#[derive(Default)]
struct Model {
    names: BTreeMap<String, u64>,
    files: BTreeMap<u64, Vec<u8>>,
}

impl Model {
    fn links(&self, inode: u64) -> usize {
        self.names.values().filter(|other| **other == inode).count()
    }

    fn forget_unused(&mut self, open: &BTreeSet<u64>) {
        let names = &self.names;
        self.files.retain(|inode, _| open.contains(inode) || names.values().any(|other| other == inode));
    }
}

fn name(dice: &mut Dice) -> String {
    format!("name{}", dice.below(12))
}

fn file(model: &Model, dice: &mut Dice) -> Option<u64> {
    let all: Vec<u64> = model.files.keys().copied().collect();
    (!all.is_empty()).then(|| all[dice.below(all.len() as u64) as usize])
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    content.resize(content.len().max(offset + bytes.len()), 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn step(world: &mut World, model: &mut Model) {
    let dice = &mut world.dice;
    let (seed, choice) = (dice.below(1 << 40), dice.below(16));
    let bytes = match dice.below(3) {
        0 => 1 + dice.below(100),
        1 => 1 + dice.below(9000),
        _ => 1 + dice.below(60_000),
    } as usize;
    let chosen = file(model, dice);
    match (choice, chosen) {
        (0..=1, _) => {
            let name = name(dice);
            let inode = world.ask(&Request::Create(name.clone())).unwrap();
            let known = model.names.insert(name, inode);
            assert!(known.is_none_or(|known| known == inode));
            model.files.entry(inode).or_default();
            if world.dice.once_in(2) {
                world.open.insert(inode);
                world.volume().hold(inode);
            }
        }
        (2..=4, Some(inode)) => {
            let size = model.files[&inode].len() as u64;
            let offset = if dice.once_in(3) { dice.below(LARGEST) } else { dice.below(size + 1) };
            let data = pattern(seed, bytes);
            let written = world.ask(&Request::Write(inode, offset, data.clone())).unwrap();
            put(model.files.get_mut(&inode).unwrap(), offset as usize, &data[..written as usize]);
        }
        (5..=7, Some(inode)) if model.files[&inode].len() < LARGEST as usize => {
            let data = pattern(seed, bytes);
            let written = world.ask(&Request::Append(inode, data.clone())).unwrap();
            let content = model.files.get_mut(&inode).unwrap();
            content.extend_from_slice(&data[..written as usize]);
        }
        (8, Some(inode)) => {
            let content = model.files.get_mut(&inode).unwrap();
            let size = if dice.once_in(4) { 0 } else { dice.below(content.len() as u64 + 20_000) };
            world.ask(&Request::Truncate(inode, size)).unwrap();
            content.resize(size as usize, 0);
        }
        (9, _) => {
            let name = name(dice);
            match world.ask(&Request::Remove(name.clone())) {
                Ok(inode) => assert_eq!(model.names.remove(&name), Some(inode)),
                Err(error) => assert_eq!((error, model.names.get(&name)), (FileError::NotFound, None)),
            }
            model.forget_unused(&world.open);
        }
        (10, _) => {
            let (from, to) = (name(dice), name(dice));
            let (old, new) = (model.names.get(&from).copied(), model.names.get(&to).copied());
            if old.is_none() || old == new {
                return;
            }
            world.ask(&Request::Rename(from.clone(), to.clone())).unwrap();
            model.names.remove(&from);
            model.names.insert(to, old.unwrap());
            model.forget_unused(&world.open);
        }
        (11, Some(inode)) if model.links(inode) > 0 => {
            let name = name(dice);
            if model.names.contains_key(&name) {
                return;
            }
            world.ask(&Request::Link(inode, name.clone())).unwrap();
            model.names.insert(name, inode);
        }
        (12, Some(inode)) => {
            if world.dice.once_in(3) {
                world.ask(&Request::SyncAll).unwrap();
            } else {
                world.ask(&Request::Sync(inode)).unwrap();
            }
        }
        (13, Some(inode)) => {
            if world.open.remove(&inode) {
                world.ask(&Request::Close(inode)).unwrap();
            } else {
                world.open.insert(inode);
                world.volume().hold(inode);
            }
            model.forget_unused(&world.open);
        }
        (14, _) => {
            NOW.set(NOW.get() + 3);
            world.ask(&Request::Tick).unwrap();
        }
        _ => {}
    }
}

/// Everything is as in the model.
fn verify(world: &mut World, model: &Model) {
    end_after(u64::MAX);
    let volume = world.volume();
    for (inode, content) in &model.files {
        assert_eq!(volume.size(*inode).unwrap(), content.len() as u64, "size of {inode}");
        assert_eq!(volume.status(*inode).unwrap().links as usize, model.links(*inode), "names of {inode}");
        let found = read(volume, *inode, 0, content.len() + 1).unwrap();
        let differs = found.iter().zip(content).position(|(found, expected)| found != expected);
        assert_eq!((found.len(), differs), (content.len(), None), "inode {inode}");
    }
    let mut found = names(volume, ROOT);
    found.retain(|name| name != "lost+found");
    assert_eq!(found, model.names.keys().cloned().collect::<Vec<_>>());
}

/// The host's tools find what is in the model, and nothing else.
fn check_on_host(image: &SharedImage, model: &Model, what: &str) {
    check(&image.borrow().bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let folder = dump_on_host(&image.borrow().bytes);
    for (name, inode) in &model.names {
        let found = std::fs::read(folder.path().join(name)).unwrap();
        assert!(found == model.files[inode], "{what}: {name} on the host");
    }
}

fn survive(what: &str, bytes: Vec<u8>, seed: u64, fuse: u64, steps: u64) -> u64 {
    let image = image(bytes);
    let mut world = World::new(image.clone(), seed, fuse, options().overlay_bytes);
    let mut model = Model::default();
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
    let free = world.volume().statistics();
    let open: Vec<u64> = world.open.iter().copied().collect();
    world.open.clear();
    for inode in open {
        world.ask(&Request::Close(inode)).unwrap();
    }
    model.forget_unused(&world.open);
    assert!(world.volume().statistics().free_blocks >= free.free_blocks);
    world.volume.take().unwrap().unmount().unwrap();
    check_on_host(&image, &model, what);
    world.deaths
}

/// A long file goes in some way, in several records, and the server ends after so many steps of that. Returns whether it did.
fn goes_once(bytes: &[u8], block: u64, way: &str, steps: u64) -> bool {
    let image = image(bytes.to_vec());
    let mut world = World::new(image.clone(), steps, 0, SMALL_OVERLAY * block);
    let volume = world.volume();
    let (long, _) = volume.lookup(ROOT, b"long").unwrap().unwrap();
    let free = volume.statistics().free_blocks;
    let mut name = Some("long");
    let (size, request) = match way {
        "removed" => (0, Request::Remove("long".into())),
        "emptied" => (0, Request::Truncate(long, 0)),
        "shortened" => (LONG / 4 * block + 5, Request::Truncate(long, LONG / 4 * block + 5)),
        "replaced" => {
            world.ask(&Request::Create("other".into())).unwrap();
            (0, Request::Rename("other".into(), "long".into()))
        }
        "closed" => {
            world.open.insert(long);
            world.volume().hold(long);
            world.ask(&Request::Remove("long".into())).unwrap();
            world.open.clear();
            (0, Request::Close(long))
        }
        _ => panic!("{way}"),
    };
    if matches!(way, "removed" | "closed") {
        name = None;
    }
    end_after(steps);
    world.ask(&request).unwrap();
    end_after(u64::MAX);
    let volume = world.volume();
    let found = volume.lookup(ROOT, b"long").unwrap().map(|(inode, _)| inode);
    assert_eq!(found.is_some(), name.is_some(), "{way}, {steps}");
    if let Some(inode) = found {
        assert_eq!(volume.size(inode).unwrap(), size, "{way}, {steps}");
    }
    let freed = volume.statistics().free_blocks - free;
    let expected = LONG - size.div_ceil(block);
    assert!((expected..=expected + 40).contains(&freed), "{way}, {steps}: {freed}");
    let died = world.deaths > 0;
    world.volume.take().unwrap().unmount().unwrap();
    check(&image.borrow().bytes).unwrap_or_else(|error| panic!("{way}, {steps}: {error}"));
    died
}

#[test]
fn long_files_go_once_whenever_the_server_dies() {
    for (flavour, kib, arguments, block) in MANY_GROUPS.iter().filter(|(.., block)| *block == 1024) {
        let bytes = with_long_file(&make(*kib, arguments), "long", LONG, *block);
        for way in ["removed", "emptied", "shortened", "replaced", "closed"] {
            let mut dice = Dice::new(*block);
            let (mut steps, mut deaths) = (0, 0);
            while goes_once(&bytes, *block, way, steps) {
                deaths += 1;
                steps += 1 + dice.below(20);
            }
            println!("{flavour}, {way}: {deaths} deaths in {steps} steps");
            assert!(deaths > 10, "{flavour}, {way}: {deaths} deaths are no trial");
        }
    }
}

#[test]
fn without_deaths_nothing_is_different() {
    for (flavour, kib, arguments) in FLAVOURS {
        survive(flavour, make(*kib, arguments), 3, 0, 300);
    }
}

#[test]
fn a_server_that_dies_over_and_over_loses_nothing_and_does_nothing_twice() {
    let mut deaths = 0;
    for round in 0..6 {
        for (flavour, kib, arguments) in FLAVOURS {
            let what = format!("{flavour}, round {round}");
            deaths += survive(&what, make(*kib, arguments), 10 + round, 250 << (2 * (round % 3)), 200);
        }
    }
    assert!(deaths > 300, "{deaths} deaths are no trial");
}
