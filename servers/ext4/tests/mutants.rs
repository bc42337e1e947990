//! Damaged images: thousands of real ones with bytes changed where it hurts. Everything that can be asked of a volume is asked; it answers, right
//! or with an error, soon and without a panic.

mod common;

use common::*;
use ext4::{Options, Volume};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use volume::testing::Dice;
use volume::{FileError, Kind};

/// Damaged images of one run.
const MUTANTS: u64 = 2_100;
/// Of those with a journal that is to be replayed.
const JOURNALS: u64 = 360;
/// The longest that one may take, on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

fn small() -> Options {
    Options { overlay_bytes: 512 << 10, cache_bytes: 256 << 10, chunk_bytes: 128 << 10, ..options() }
}

/// An image with something of everything.
fn original(arguments: &[&str]) -> Vec<u8> {
    let image = image(make(1 << 10, arguments));
    let mut volume = mount_with(&image, small()).unwrap();
    let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
    for number in 0..40 {
        volume.create(folder, format!("a rather long name of a file {number}").as_bytes(), 0o644).unwrap();
    }
    let file = volume.create(ROOT, b"data", 0o644).unwrap();
    // Holes, so that there are many extents.
    for number in 0..12 {
        write(&mut volume, file, number * 9000, &pattern(number, 3000)).unwrap();
    }
    volume.symlink(ROOT, b"short", b"data").unwrap();
    volume.symlink(ROOT, b"long", &[b'l'; 90]).unwrap();
    volume.link(file, folder, b"data too").unwrap();
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
    image.borrow().bytes.clone()
}

/// Sectors that hold something that is not only zeros.
fn used(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() / 512).filter(|sector| bytes[sector * 512..][..512].iter().any(|byte| *byte != 0)).collect()
}

fn mutate(bytes: &mut [u8], used: &[usize], dice: &mut Dice) {
    for _ in 0..1 + dice.below(6) {
        let sector = match dice.below(4) {
            // The superblock and the descriptors.
            0 => 2 + dice.below(8) as usize,
            _ => used[dice.below(used.len() as u64) as usize],
        };
        let at = sector * 512 + dice.below(512) as usize;
        match dice.below(4) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => {
                let end = (at + 4).min(bytes.len());
                let value: u32 = [0, 1, u32::MAX, 0x7fff_ffff, 0x8000_0000, 5][dice.below(6) as usize];
                bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            }
            _ => {
                let other = used[dice.below(used.len() as u64) as usize] * 512;
                bytes.copy_within(other..other + 512, sector * 512);
            }
        }
    }
}

/// Asks everything of a directory, and of what is below it.
fn walk(volume: &mut Volume, directory: u64, seen: &mut BTreeSet<u64>) {
    if !seen.insert(directory) || seen.len() > 200 {
        return;
    }
    let mut entries = Vec::new();
    let _ = volume.read_directory(directory, 0, &mut |entry| {
        entries.push(entry);
        entries.len() < 500
    });
    for entry in entries {
        let _ = volume.status(entry.inode);
        let Ok(Some((inode, kind))) = volume.lookup(directory, entry.name.as_bytes()) else { continue };
        match kind {
            Kind::Directory => walk(volume, inode, seen),
            Kind::Link => drop(volume.read_link(inode)),
            Kind::File if seen.insert(inode) => {
                let _ = read(volume, inode, 0, 200_000);
                if let Ok(size) = volume.size(inode) {
                    let _ = read(volume, inode, size.saturating_sub(5000), 10_000);
                }
            }
            _ => {}
        }
    }
}

fn use_everything(bytes: Vec<u8>, dice: &mut Dice) -> Result<(), FileError> {
    let image = image(bytes);
    let mut volume = mount_with(&image, Options { read_only: dice.once_in(6), ..small() })?;
    walk(&mut volume, ROOT, &mut BTreeSet::new());
    let _ = volume.statistics();
    let folder = volume.lookup(ROOT, b"folder").ok().flatten().map_or(ROOT, |(inode, _)| inode);
    if let Ok(Some((file, _))) = volume.lookup(ROOT, b"data") {
        let _ = write(&mut volume, file, 50_000, &pattern(1, 20_000));
        let _ = volume.sync(file, false);
        let _ = volume.truncate(file, 30_000);
    }
    if let Ok(file) = volume.create(folder, b"new", 0o644) {
        let _ = write(&mut volume, file, 0, &pattern(2, 30_000));
    }
    let _ = volume.make_directory(folder, b"new folder", 0o755);
    let _ = volume.rename((ROOT, b"short"), (folder, b"moved"), true);
    // The second name of the data is its last.
    let names = [(folder, "data too", false), (ROOT, "data", false), (ROOT, "long", false), (ROOT, "folder", true)];
    for (directory, name, is_directory) in names {
        if let Ok(inode) = volume.remove(directory, name.as_bytes(), is_directory) {
            let _ = volume.release(inode);
        }
    }
    volume.unmount()
}

/// Uses `count` damaged images, in turn from these originals with the sectors that are to be damaged.
fn survive(originals: &[(Vec<u8>, Vec<usize>)], count: u64, seed: u64) {
    let mut dice = Dice::new(seed);
    let (mut fine, mut panics, mut slowest) = (0, Vec::new(), Duration::ZERO);
    let hook = std::panic::take_hook();
    // Where it was is worth more than what it said.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    for number in 0..count {
        let (original, places) = &originals[(number % originals.len() as u64) as usize];
        let mut bytes = original.clone();
        mutate(&mut bytes, places, &mut dice);
        let begin = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| use_everything(bytes, &mut dice))) {
            Ok(result) => fine += u64::from(result.is_ok()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                panics.push((number, text.unwrap_or_default()));
            }
        }
        slowest = slowest.max(begin.elapsed());
        if begin.elapsed() > LONGEST {
            break;
        }
    }
    std::panic::set_hook(hook);
    assert!(panics.is_empty(), "{} panics: {:#?}", panics.len(), &panics[..panics.len().min(5)]);
    assert!(slowest < LONGEST, "one took {slowest:?}");
    // Most damage leaves most of it usable, some must be found.
    assert!(fine > 0 && fine < count, "{fine} were used to the end");
    println!("{fine} of {count} were used to the end; the slowest took {slowest:?}");
}

#[test]
fn damaged_images_are_refused_or_used() {
    let originals: Vec<(Vec<u8>, Vec<usize>)> = [
        &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^has_journal"][..],
        &["-t", "ext4", "-b", "1024", "-O", "^has_journal"],
        &["-t", "ext2", "-b", "1024"],
    ]
    .iter()
    .map(|arguments| original(arguments))
    .chain([{
        let image = image(make(4 << 10, &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"]));
        let volume = mount_with(&image, small()).unwrap();
        volume.unmount().unwrap();
        image.borrow().bytes.clone()
    }])
    .map(|bytes| {
        let places = used(&bytes);
        (bytes, places)
    })
    .collect();
    survive(&originals, MUTANTS, 4);
}

/// An image as a power cut leaves it: with transactions in the journal that are to be replayed.
fn with_transactions(arguments: &[&str]) -> Vec<u8> {
    let image = image(make(6 << 10, arguments));
    let mut volume = mount_with(&image, small()).unwrap();
    let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
    for number in 0..6 {
        let file = volume.create(folder, format!("file {number}").as_bytes(), 0o644).unwrap();
        write(&mut volume, file, 0, &pattern(number, 5000)).unwrap();
        volume.sync(file, false).unwrap();
    }
    let file = volume.create(ROOT, b"data", 0o644).unwrap();
    write(&mut volume, file, 9000, &pattern(9, 3000)).unwrap();
    volume.symlink(ROOT, b"short", b"data").unwrap();
    volume.sync(file, false).unwrap();
    drop(volume);
    image.borrow().bytes.clone()
}

/// Bit of the incompatible features, at byte 96 of the superblock: the journal is to be replayed.
const NEEDS_RECOVERY: u8 = 1 << 2;

/// Where a block of the journal begins that describes others.
const JOURNAL_MAGIC: [u8; 4] = 0xc03b_3998_u32.to_be_bytes();

/// The sectors from the journal's superblock to the end of its last transaction.
fn journal(bytes: &[u8]) -> Vec<usize> {
    let is_described = |sector: &usize| bytes[sector * 512..].starts_with(&JOURNAL_MAGIC);
    let all: Vec<usize> = (0..bytes.len() / 512).filter(is_described).collect();
    // Its superblock, descriptors, and blocks that commit.
    assert!(all.len() > 6, "several transactions: {all:?}");
    (all[0]..all[all.len() - 1] + 2).collect()
}

#[test]
fn damaged_journals_are_refused_or_replayed() {
    let mut originals = Vec::new();
    for arguments in [
        &["-t", "ext4", "-b", "1024", "-J", "size=1", "-O", "^metadata_csum"][..],
        &["-t", "ext4", "-b", "1024", "-J", "size=1", "-O", "metadata_csum"],
        &["-t", "ext3", "-b", "1024", "-J", "size=1"],
    ] {
        let bytes = with_transactions(arguments);
        assert!(bytes[1024 + 96] & NEEDS_RECOVERY != 0, "{arguments:?}");
        // Undamaged, it has what was synced.
        let whole = image(bytes.clone());
        let mut volume = mount_with(&whole, small()).unwrap();
        let (file, _) = volume.lookup(ROOT, b"data").unwrap().unwrap();
        assert_eq!(read(&mut volume, file, 9000, 3000), Ok(pattern(9, 3000)));
        volume.unmount().unwrap();
        check(&whole.borrow().bytes).unwrap();
        let places = journal(&bytes);
        originals.push((bytes.clone(), places));
        originals.push((bytes.clone(), used(&bytes)));
    }
    survive(&originals, JOURNALS, 5);
}
