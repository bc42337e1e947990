//! Damaged images: boot sectors, tables and directories with wrong bytes. Whatever is in them, nothing panics, every operation comes to its end, and no request leaves the disk (the disk checks that).

mod common;

use common::*;
use fat::Volume;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use volume::testing::{Dice, Image};
use volume::{FileError, Kind};

/// Images a flavour.
const MUTANTS: u64 = 500;
/// Reads that one image may take: everything that is done here reads the disk several times over at most.
const MOST_READS: u64 = 400_000;
/// What has not ended after this never does.
const NEVER: Duration = Duration::from_secs(60);

/// Small ones, so that a wrong byte is where it matters.
const SMALL: &[Flavour] = &[
    flavour("FAT12", 1440, &["-F", "12"], true),
    flavour("FAT16", 2400, &["-F", "16", "-s", "1"], true),
    flavour("FAT16, clusters of 2 KiB, one table", 9000, &["-F", "16", "-s", "4", "-f", "1"], true),
    flavour("FAT32", 1200, &["-F", "32", "-s", "1"], false),
    flavour("FAT32, sectors of 2 KiB", 4000, &["-F", "32", "-S", "2048", "-s", "2"], false),
];

/// A volume with something of everything.
fn original(flavour: &Flavour) -> Vec<u8> {
    let (image, mut volume) = fresh(flavour.kib, flavour.arguments);
    let folder = volume.make_directory(ROOT, "folder").unwrap();
    let inner = volume.make_directory(folder, "an inner folder with a long name").unwrap();
    for number in 0..40 {
        let file = volume.create(inner, &format!("file number {number}"), 0o644).unwrap();
        write(&mut volume, file, 0, &pattern(number, 3000)).unwrap();
    }
    let large = volume.create(ROOT, "large", 0o644).unwrap();
    write(&mut volume, large, 0, &pattern(3, 300_000)).unwrap();
    end(&image, volume);
    let mut image = image.borrow_mut();
    core::mem::take(&mut image.bytes)
}

/// Does everything, as far as it can be done.
fn use_it(volume: &mut Volume, dice: &mut Dice) {
    let mut folders = vec![ROOT];
    let mut files = Vec::new();
    let mut at = 0;
    while at < folders.len() && folders.len() < 30 {
        let folder = folders[at];
        at += 1;
        let _ = volume.hold(folder);
        for name in names(volume, folder).unwrap_or_default().into_iter().take(60) {
            match volume.lookup(folder, &name) {
                Ok(Some((number, Kind::Directory))) => folders.push(number),
                Ok(Some((number, _))) => files.push((folder, name, number)),
                _ => {}
            }
        }
    }
    for (folder, name, file) in files.into_iter().take(60) {
        let _ = (volume.status(file), volume.hold(file));
        let _ = read(volume, file, dice.below(400_000), 20_000);
        let _ = match dice.below(6) {
            0 => write(volume, file, dice.below(100_000), &[1; 5000]).map(drop),
            1 => truncate(volume, file, dice.below(50_000)),
            2 => volume.rename((folder, &name), (ROOT, "moved"), true).map(drop),
            3 => volume.remove(folder, &name).map(drop),
            4 => volume.set_status(file, Some(0o444), None, Some(5)),
            _ => volume.sync(file, false),
        };
        let _ = volume.release(file);
    }
    for folder in folders {
        let _ = volume.create(folder, "new file with a long name", 0o644);
        let _ = volume.make_directory(folder, "new");
        let _ = volume.remove(folder, "new");
    }
    let _ = (volume.tick(), volume.statistics(), volume.sync_all());
}

/// The images of a flavour, one after the other: their numbers are told before.
fn run(flavour: &Flavour, tell: &mpsc::Sender<u64>) {
    let good = original(flavour);
    let word = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let reserved = word(0x0e) * word(0x0b);
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    let mut mounted = 0;
    for seed in 0..MUTANTS {
        tell.send(seed).unwrap();
        let mut dice = Dice::new(seed + 1);
        let mut bytes = good.clone();
        for _ in 0..1 + dice.below(12) {
            // The table and the root directory, everything, the boot sector.
            let (from, length) = match dice.below(if seed % 4 == 0 { 4 } else { 3 }) {
                0 => (reserved, 2000),
                1 => (reserved, (used - reserved) / 3),
                2 => (0, used),
                _ => (0x0b, 0x40),
            };
            let at = from + dice.below(length as u64) as usize;
            match dice.below(4) {
                0 => bytes[at] = dice.below(256) as u8,
                1 => bytes[at] ^= 1 << dice.below(8),
                2 => bytes[at..(at + 32).min(used)].fill(dice.below(256) as u8),
                // An entry of the table that points to near ones makes rings and crossings.
                _ => bytes[at & !1] = dice.below(200) as u8,
            }
        }
        let image = Image::new(bytes);
        match mount(&image) {
            Ok(mut volume) => {
                mounted += 1;
                use_it(&mut volume, &mut dice);
                let _ = volume.unmount();
            }
            Err(FileError::Corrupt | FileError::Unsupported | FileError::Exhausted) => {}
            Err(error) => panic!("seed {seed}: {error:?}"),
        }
        let counts = image.borrow().counts;
        assert!(counts[0] < MOST_READS, "seed {seed}: {counts:?}");
    }
    assert!(mounted > MUTANTS / 2, "{mounted} could be mounted");
}

/// Runs them, and says which image has no end.
fn all(flavour: &'static Flavour) {
    let (tell, told) = mpsc::channel();
    let worker = std::thread::spawn(move || run(flavour, &tell));
    let mut seed = 0;
    loop {
        match told.recv_timeout(NEVER) {
            Ok(next) => seed = next,
            Err(RecvTimeoutError::Timeout) => panic!("{}, seed {seed}: no end", flavour.name),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    worker.join().unwrap_or_else(|_| panic!("{}, seed {seed}", flavour.name));
}

macro_rules! runs {
    ($($name:ident: $flavour:literal;)*) => {
        $(#[test]
        fn $name() {
            all(&SMALL[$flavour]);
        })*
    };
}

runs! {
    damaged_fat12: 0;
    damaged_fat16: 1;
    damaged_fat16_with_one_table: 2;
    damaged_fat32: 3;
    damaged_fat32_with_large_sectors: 4;
}

/// A directory that is its own part, a chain without an end, a file in another one.
#[test]
fn rings_and_crossings() {
    let good = original(&SMALL[1]);
    let (image, mut volume) = (Image::new(good.clone()), mount(&Image::new(good.clone())).unwrap());
    let large = volume.lookup(ROOT, "large").unwrap().unwrap().0;
    let status = volume.status(large).unwrap();
    assert_eq!(status.size, 300_000);
    drop(volume);
    // FAT16 with one reserved sector: every cluster is followed by the third.
    let table = 512 * usize::from(u16::from_le_bytes([good[0x0e], good[0x0f]]));
    for entry in 4..1000 {
        let at = table + entry * 2;
        let mut image = image.borrow_mut();
        if image.bytes[at..at + 2] != [0, 0] {
            image.bytes[at..at + 2].copy_from_slice(&[3, 0]);
        }
    }
    let mut volume = mount(&image).unwrap();
    let large = volume.lookup(ROOT, "large").unwrap().unwrap().0;
    assert_eq!(write(&mut volume, large, 300_000, b"more"), Err(FileError::Corrupt));
    let _ = read(&mut volume, large, 0, 300_000);
    truncate(&mut volume, large, 0).unwrap();
    volume.remove(ROOT, "large").unwrap();
    volume.release(large).unwrap();
    let folder = volume.lookup(ROOT, "folder").unwrap().unwrap().0;
    let inner = volume.lookup(folder, "an inner folder with a long name");
    assert!(matches!(inner, Ok(_) | Err(FileError::Corrupt)), "{inner:?}");
    assert_eq!(volume.remove(ROOT, "folder").map(drop), Err(FileError::NotEmpty));
    volume.unmount().unwrap();
}
