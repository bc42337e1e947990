//! What random operations seldom meet: full, read-only and failing disks, open files without names, names at their limits, marks on the disk.

mod common;

use common::*;
use fat::{Options, Volume};
use std::io::{Cursor, Write};
use volume::requests::Requests;
use volume::testing::{Dice, FakeDisk, Image, SharedImage, cut};
use volume::{FileError, Kind};

const FAT16: &[&str] = &["-F", "16", "-s", "4"];

fn small() -> (SharedImage, Volume) {
    fresh(10 << 10, FAT16)
}

fn put(volume: &mut Volume, folder: u64, name: &str, bytes: &[u8]) -> u64 {
    let file = volume.create(folder, name, 0o644).unwrap();
    volume.hold(file).unwrap();
    assert_eq!(write(volume, file, 0, bytes), Ok(bytes.len() as u64));
    file
}

#[test]
fn a_file_without_a_name_lives_until_it_is_released() {
    let (image, mut volume) = small();
    let free = volume.statistics().free_blocks;
    let bytes = pattern(2, 500_000);
    let file = put(&mut volume, ROOT, "file", &bytes);
    volume.sync(file, false).unwrap();
    assert_eq!(volume.remove(ROOT, "file"), Ok(file));
    assert_eq!(volume.lookup(ROOT, "file"), Ok(None));
    // Another file takes its place, and is another one.
    let other = put(&mut volume, ROOT, "file", b"another");
    assert_ne!(other, file);
    assert_eq!(read(&mut volume, file, 0, 500_000).unwrap(), bytes);
    write(&mut volume, file, 500_000, &bytes).unwrap();
    volume.sync(file, false).unwrap();
    let status = volume.status(file).unwrap();
    assert_eq!((status.links, status.size), (0, 1_000_000));
    assert_eq!(truncate(&mut volume, file, 10), Ok(()));
    assert_eq!(read(&mut volume, file, 0, 100).unwrap(), bytes[..10]);
    volume.release(file).unwrap();
    assert_eq!(read(&mut volume, other, 0, 100).unwrap(), b"another");
    volume.release(other).unwrap();
    let other = volume.remove(ROOT, "FILE").unwrap();
    volume.release(other).unwrap();
    assert_eq!(volume.statistics().free_blocks, free);
    // Those that are open at the end are freed.
    put(&mut volume, ROOT, "last", &bytes);
    volume.remove(ROOT, "last").unwrap();
    volume.end().unwrap();
    check(&image.borrow().bytes).unwrap();
    assert!(read_by_others(&image.borrow().bytes).is_empty());
}

#[test]
fn a_directory_without_a_name_is_empty() {
    let (image, mut volume) = small();
    let folder = volume.make_directory(ROOT, "folder").unwrap();
    volume.hold(folder).unwrap();
    volume.remove(ROOT, "folder").unwrap();
    assert_eq!(names(&mut volume, folder), Ok(vec![]));
    assert_eq!(volume.lookup(folder, "x"), Ok(None));
    assert_eq!(volume.create(folder, "x", 0o644), Err(FileError::NotFound));
    assert_eq!(volume.status(folder).unwrap().kind, Kind::Directory);
    volume.release(folder).unwrap();
    end(&image, volume);
}

#[test]
fn rename_over_an_open_file() {
    let (image, mut volume) = small();
    let old = put(&mut volume, ROOT, "old name", b"the old one");
    let new = put(&mut volume, ROOT, "new name", b"the new one");
    assert_eq!(volume.rename((ROOT, "new name"), (ROOT, "old name"), false), Err(FileError::Exists));
    assert_eq!(volume.rename((ROOT, "new name"), (ROOT, "old name"), true), Ok(Some(old)));
    assert_eq!(volume.lookup(ROOT, "old name"), Ok(Some((new, Kind::File))));
    assert_eq!(read(&mut volume, old, 0, 100).unwrap(), b"the old one");
    assert_eq!(read(&mut volume, new, 0, 100).unwrap(), b"the new one");
    write(&mut volume, new, 11, b", longer").unwrap();
    volume.release(old).unwrap();
    volume.release(new).unwrap();
    end(&image, volume);
    assert_eq!(read_by_others(&image.borrow().bytes)["old name"].as_deref(), Some(&b"the new one, longer"[..]));
}

#[test]
fn a_name_gets_another_spelling() {
    let (image, mut volume) = small();
    let file = put(&mut volume, ROOT, "readme.TXT", b"text");
    assert_eq!(volume.rename((ROOT, "README.txt"), (ROOT, "ReadMe.txt"), true), Ok(None));
    assert_eq!(names(&mut volume, ROOT), Ok(vec!["ReadMe.txt".into()]));
    assert_eq!(volume.lookup(ROOT, "readme.txt"), Ok(Some((file, Kind::File))));
    assert_eq!(volume.create(ROOT, "README.TXT", 0o644), Err(FileError::Exists));
    end(&image, volume);
}

#[test]
fn a_directory_moves_with_what_is_above_it() {
    let (image, mut volume) = small();
    let (one, two) = (volume.make_directory(ROOT, "one").unwrap(), volume.make_directory(ROOT, "two").unwrap());
    let inner = volume.make_directory(one, "inner").unwrap();
    volume.hold(inner).unwrap();
    put(&mut volume, inner, "file", b"x");
    volume.rename((one, "inner"), (two, "moved"), false).unwrap();
    assert_eq!(names(&mut volume, inner), Ok(vec!["file".into()]));
    volume.sync_all().unwrap();
    check(&image.borrow().bytes).expect("`..` is the new one");
    volume.rename((two, "moved"), (ROOT, "moved"), false).unwrap();
    assert_eq!(volume.lookup(ROOT, "moved").unwrap().unwrap().0, inner);
    end(&image, volume);
}

#[test]
fn what_cannot_be_written_is_not() {
    let bytes = {
        let (image, mut volume) = small();
        put(&mut volume, ROOT, "file", b"there");
        end(&image, volume);
        image.borrow().bytes.clone()
    };
    let image = Image::new(bytes.clone());
    let media = Requests::new(Box::new(FakeDisk::new(image.clone(), 1).read_only()));
    let by_media = Volume::mount(account(), media, options()).unwrap();
    let by_option = mount_with(&image, Options { read_only: true, ..options() }).unwrap();
    for mut volume in [by_media, by_option] {
        assert!(volume.is_read_only());
        let (file, _) = volume.lookup(ROOT, "file").unwrap().unwrap();
        assert_eq!(read(&mut volume, file, 0, 100).unwrap(), b"there");
        assert_eq!(volume.create(ROOT, "new", 0o644), Err(FileError::ReadOnly));
        assert_eq!(volume.make_directory(ROOT, "new"), Err(FileError::ReadOnly));
        assert_eq!(write(&mut volume, file, 0, b"x"), Err(FileError::ReadOnly));
        assert_eq!(truncate(&mut volume, file, 0), Err(FileError::ReadOnly));
        assert_eq!(volume.remove(ROOT, "file"), Err(FileError::ReadOnly));
        assert_eq!(volume.rename((ROOT, "file"), (ROOT, "b"), false), Err(FileError::ReadOnly));
        assert_eq!(volume.set_status(file, Some(0), None, None), Err(FileError::ReadOnly));
        volume.sync_all().unwrap();
        volume.unmount().unwrap();
    }
    assert!(image.borrow().bytes == bytes, "not a byte has changed");
    // Nor by looking at what could be written.
    let mut volume = mount(&image).unwrap();
    names(&mut volume, ROOT).unwrap();
    volume.unmount().unwrap();
    assert!(image.borrow().bytes == bytes, "not a byte has changed");
}

#[test]
fn what_is_no_file_system_is_refused() {
    let other = |bytes: Vec<u8>| mount(&Image::new(bytes)).map(drop);
    for bytes in [vec![0; 1 << 20], vec![0xff; 1 << 20], vec![0; 0]] {
        assert_eq!(other(bytes), Err(FileError::Unsupported));
    }
    let mut cut_short = make(10 << 10, FAT16);
    cut_short.truncate(5 << 20);
    assert_eq!(other(cut_short), Err(FileError::Corrupt));
    let mut exfat = vec![0; 1 << 20];
    exfat[..11].copy_from_slice(b"\xeb\x76\x90EXFAT   ");
    exfat[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(other(exfat), Err(FileError::Unsupported));
    // A boot record with partitions, and a file system that was made over an older one and then wiped.
    for range in [0..0x40, 510..512] {
        let mut wiped = make(10 << 10, FAT16);
        wiped[range].fill(0);
        assert_eq!(other(wiped), Err(FileError::Unsupported));
    }
}

fn first_sector(bytes: &[u8]) -> &[u8; 512] {
    bytes[..512].try_into().unwrap()
}

#[test]
fn a_disk_that_fails_is_an_error_and_no_more() {
    let (image, mut volume) = small();
    let file = put(&mut volume, ROOT, "file", &pattern(3, 200_000));
    image.borrow_mut().fail_writes = true;
    assert_eq!(volume.sync(file, false), Err(FileError::Device));
    assert_eq!(volume.create(ROOT, "another", 0o644), Err(FileError::Device));
    assert!(volume.lookup(ROOT, "file").unwrap().is_some(), "what is in memory can be read");
    assert_eq!(volume.end(), Err(FileError::Device));

    let (image, mut volume) = small();
    let file = put(&mut volume, ROOT, "file", &pattern(3, 200_000));
    end(&image, volume);
    let sectors = image.borrow().bytes.len() as u64 / 512;
    image.borrow_mut().bad_sectors = (1..sectors).collect();
    assert_eq!(mount(&image).map(drop), Err(FileError::Device));
    image.borrow_mut().bad_sectors = vec![];
    let mut volume = mount(&image).unwrap();
    let first = pattern(3, 100);
    let data = image.borrow().bytes.windows(100).position(|bytes| bytes == first).unwrap() as u64;
    image.borrow_mut().bad_sectors = (data / 512..sectors).collect();
    let before = image.borrow().counts[0];
    assert_eq!(read(&mut volume, file, 0, 1000), Err(FileError::Device));
    assert!(image.borrow().counts[0] - before < 20, "tried a few times");
}

#[test]
fn a_full_disk_loses_nothing() {
    for clusters in [&["-F", "16", "-s", "1"][..], FAT16, &["-F", "32", "-s", "1"]] {
        let (image, mut volume) = fresh(9 << 10, clusters);
        let folder = volume.make_directory(ROOT, "folder").unwrap();
        let small = put(&mut volume, folder, "small", b"kept");
        let file = put(&mut volume, folder, "file", b"");
        let (free, bytes) = (volume.statistics().free_blocks, volume.statistics().block_bytes);
        let piece = pattern(7, 50_000);
        let mut size = 0;
        loop {
            match write(&mut volume, file, size, &piece) {
                Ok(written) => size += written,
                Err(error) => break assert_eq!(error, FileError::NoSpace),
            }
        }
        assert_eq!(size, free * u64::from(bytes), "every cluster is of use");
        assert_eq!(volume.statistics().free_blocks, 0);
        assert_eq!(volume.make_directory(folder, "more"), Err(FileError::NoSpace));
        assert_eq!(truncate(&mut volume, small, 100_000), Err(FileError::NoSpace));
        assert_eq!(write(&mut volume, small, 100_000, b"far"), Err(FileError::NoSpace));
        volume.create(folder, "empty", 0o644).unwrap();
        volume.sync_all().unwrap();
        check(&image.borrow().bytes).unwrap();
        let mut at = 0;
        while at < size {
            let part = read(&mut volume, file, at, piece.len()).unwrap();
            assert!(part == piece[..part.len()], "at {at}");
            at += part.len() as u64;
        }
        // Everything that was given back can be used at once.
        truncate(&mut volume, file, 1000).unwrap();
        assert_eq!(write(&mut volume, small, 4, &piece), Ok(piece.len() as u64));
        assert_eq!(volume.size(file), Ok(1000));
        end(&image, volume);
    }
}

#[test]
fn a_full_root_directory_refuses_and_goes_on() {
    let (image, mut volume) = fresh(1440, &["-F", "12", "-r", "112"]);
    for number in 0..112 {
        volume.create(ROOT, &format!("{number}"), 0o644).unwrap();
    }
    assert_eq!(volume.create(ROOT, "MORE", 0o644), Err(FileError::NoSpace));
    assert_eq!(volume.rename((ROOT, "7"), (ROOT, "a long name"), false).map(drop), Err(FileError::NoSpace));
    assert!(volume.lookup(ROOT, "7").unwrap().is_some(), "it has its old name");
    volume.rename((ROOT, "7"), (ROOT, "X"), false).unwrap();
    volume.remove(ROOT, "8").and_then(|file| volume.release(file)).unwrap();
    volume.make_directory(ROOT, "8").unwrap();
    assert_eq!(names(&mut volume, ROOT).unwrap().len(), 112);
    end(&image, volume);
}

#[test]
fn no_file_is_larger_than_four_gib_less_one() {
    let (image, mut volume) = small();
    let file = put(&mut volume, ROOT, "file", b"x");
    let most = u64::from(u32::MAX);
    assert_eq!(write(&mut volume, file, most, b"x"), Err(FileError::TooLarge));
    assert_eq!(write(&mut volume, file, u64::MAX - 3, b"x"), Err(FileError::TooLarge));
    assert_eq!(truncate(&mut volume, file, most + 1), Err(FileError::TooLarge));
    assert_eq!(write(&mut volume, file, most - 1, b"xx"), Err(FileError::NoSpace));
    assert_eq!(truncate(&mut volume, file, most), Err(FileError::NoSpace));
    assert_eq!(volume.size(file), Ok(1));
    end(&image, volume);
}

#[test]
fn a_large_directory_with_all_kinds_of_names() {
    let (image, mut volume) = fresh(10 << 10, &["-F", "16", "-s", "1"]);
    let folder = volume.make_directory(ROOT, "folder").unwrap();
    let mut expected: Vec<String> = (0..3000).map(|number| format!("a file with number {number}")).collect();
    expected.extend(["n".repeat(255), "ä".repeat(127), "文".repeat(85), " a leading blank".into(), ".hidden".into()]);
    expected.extend(["+,;=[]".into(), "a.b.c.d".into(), "UPPER.TXT".into(), "😀".into()]);
    for name in &expected {
        volume.create(folder, name, 0o644).unwrap();
    }
    expected.sort();
    assert_eq!(names(&mut volume, folder), Ok(expected.clone()));
    // One entry at a time, as a client with little room reads, and each is removed at once.
    let (mut cursor, mut found) = (0, Vec::new());
    loop {
        let mut taken = None;
        let mut add = |entry: volume::Entry| taken.is_none().then(|| taken = Some(entry)).is_some();
        volume.read_directory(folder, cursor, &mut add).unwrap();
        let Some(entry) = taken else { break };
        assert_eq!(volume.remove(ROOT, "folder").map(drop), Err(FileError::NotEmpty));
        let file = volume.remove(folder, &entry.name).unwrap();
        volume.release(file).unwrap();
        cursor = entry.next;
        found.push(entry.name);
    }
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(volume.create(folder, &"n".repeat(256), 0o644), Err(FileError::NameTooLong));
    for bad in ["", ".", "..", "a:b", "a?", "dot.", "blank ", "a\\b", "a\"b"] {
        assert_eq!(volume.create(folder, bad, 0o644), Err(FileError::BadName), "{bad:?}");
        assert_eq!(volume.lookup(folder, bad), Ok(None));
    }
    assert_eq!(volume.rename((ROOT, "folder"), (ROOT, "a|b"), false), Err(FileError::BadName));
    volume.remove(ROOT, "folder").and_then(|folder| volume.release(folder)).unwrap();
    end(&image, volume);
}

#[test]
fn marks_say_whether_somebody_writes() {
    for (kib, arguments) in [(1440, &["-F", "12"][..]), (10 << 10, FAT16), (4000, &["-F", "32", "-s", "1"])] {
        let (image, mut volume) = fresh(kib, arguments);
        let is_marked = || {
            let bytes = &image.borrow().bytes;
            let layout = fat::boot::Layout::of(first_sector(bytes), bytes.len() as u64).unwrap();
            layout.is_marked(bytes)
        };
        assert!(!is_marked() && !volume.is_left_dirty());
        let file = put(&mut volume, ROOT, "file", b"text");
        assert!(is_marked(), "before anything else is written");
        volume.sync(file, false).unwrap();
        assert!(is_marked());
        volume.sync_all().unwrap();
        assert!(!is_marked());
        check(&image.borrow().bytes).unwrap();
        put(&mut volume, ROOT, "another", b"text");
        drop(volume);
        assert!(is_marked());
        let mut volume = mount(&image).unwrap();
        assert!(volume.is_left_dirty());
        put(&mut volume, ROOT, "a third", b"text");
        volume.unmount().unwrap();
        assert!(is_marked(), "fsck.fat has not seen it yet");
    }
}

#[test]
fn times_and_permissions_are_what_fat_can_hold() {
    let (image, mut volume) = small();
    let file = put(&mut volume, ROOT, "file", b"text");
    let status = volume.status(file).unwrap();
    assert_eq!((status.mode, status.modified), (0o755, 1_700_000_000));
    volume.set_status(file, Some(0o444), Some(1_600_000_000), Some(1_500_000_001)).unwrap();
    let status = volume.status(file).unwrap();
    assert_eq!((status.mode, status.modified), (0o555, 1_500_000_000), "steps of two seconds");
    assert_eq!(status.accessed, 1_600_000_000 / 86_400 * 86_400, "days");
    volume.set_status(file, None, None, Some(0)).unwrap();
    assert_eq!(volume.status(file).unwrap().modified, 315_532_800, "nothing was before 1980");
    let folder = volume.make_directory(ROOT, "folder").unwrap();
    volume.set_status(folder, Some(0o500), None, None).unwrap();
    volume.set_status(ROOT, Some(0o700), None, Some(5)).unwrap();
    assert_eq!(volume.status(folder).unwrap().mode, 0o755);
    end(&image, volume);
    let mut volume = mount(&image).unwrap();
    let file = volume.lookup(ROOT, "file").unwrap().unwrap().0;
    assert_eq!(volume.status(file).unwrap().mode, 0o555);
    volume.set_status(file, Some(0o644), None, None).unwrap();
    assert_eq!(volume.status(file).unwrap().mode, 0o755);
    end(&image, volume);
}

#[test]
fn what_others_made_is_read() {
    let mut bytes = make(10 << 10, FAT16);
    let disk = lamfat::StdIoWrapper::new(Cursor::new(&mut bytes));
    let fs = lamfat::FileSystem::new(disk, lamfat::FsOptions::new()).unwrap();
    for name in ["lower.txt", "A long name with ünïcödé.text"] {
        fs.root_dir().create_file(name).unwrap().write_all(name.as_bytes()).unwrap();
    }
    fs.root_dir().create_dir("folder").unwrap().create_file("inner").unwrap().write_all(&pattern(1, 70_000)).unwrap();
    fs.unmount().unwrap();
    let image = Image::new(bytes);
    let mut volume = mount(&image).unwrap();
    put(&mut volume, ROOT, "UPPER.TXT", b"one entry");
    end(&image, volume);
    let mut bytes = image.borrow().bytes.clone();
    let mut expected = read_by_others(&bytes);
    // Windows writes `readme.txt` as a short name and two bits.
    let at = bytes.windows(11).position(|window| window == b"UPPER   TXT").unwrap();
    bytes[at + 12] = 0x18;
    let content = expected.remove("UPPER.TXT").unwrap();
    expected.insert("upper.txt".into(), content);
    assert_eq!(expected.len(), 5);
    assert_eq!(read_again(&Image::new(bytes)), expected);
}

#[test]
fn a_name_that_cannot_be_said_is_known_by_its_short_one() {
    let (image, mut volume) = small();
    put(&mut volume, ROOT, &"n".repeat(255), b"long");
    put(&mut volume, ROOT, "half a character", b"wrong");
    volume.unmount().unwrap();
    let mut bytes = image.borrow().bytes.clone();
    for entry in bytes.chunks_mut(32).filter(|entry| entry[11] == 0x0f) {
        for at in [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] {
            match entry[at..at + 2] {
                // 255 of these are 765 bytes.
                [b'n', 0] => entry[at..at + 2].copy_from_slice(&0x6587_u16.to_le_bytes()),
                [b'h', 0] => entry[at..at + 2].copy_from_slice(&0xd800_u16.to_le_bytes()),
                _ => {}
            }
        }
    }
    let mut volume = mount(&Image::new(bytes)).unwrap();
    assert_eq!(names(&mut volume, ROOT), Ok(vec!["HALFAC~1".into(), "NNNNNN~1".into()]));
    let file = volume.lookup(ROOT, "nnnnnn~1").unwrap().unwrap().0;
    assert_eq!(read(&mut volume, file, 0, 100).unwrap(), b"long");
    let removed = volume.remove(ROOT, "NNNNNN~1").unwrap();
    volume.release(removed).unwrap();
    volume.rename((ROOT, "HALFAC~1"), (ROOT, "whole"), false).unwrap();
    assert_eq!(names(&mut volume, ROOT), Ok(vec!["whole".into()]));
    volume.unmount().unwrap();
}

/// After a power cut, what was synced and not changed since is there, whatever fsck.fat says of the rest.
#[test]
fn what_was_synced_survives_a_power_cut() {
    let initial = make(10 << 10, FAT16);
    let image = Image::new(initial.clone());
    image.borrow_mut().tracing = true;
    let mut volume = mount(&image).unwrap();
    let mut dice = Dice::new(5);
    // What is promised behind each event of the trace.
    let mut promises: Vec<(usize, String, Vec<u8>)> = Vec::new();
    for number in 0..60 {
        let name = format!("synced {number}");
        let bytes = pattern(number, 1 + dice.below(30_000) as usize);
        let file = put(&mut volume, ROOT, &name, &bytes);
        volume.sync(file, number % 2 == 0).unwrap();
        promises.push((image.borrow().trace.len(), name, bytes));
        let other = put(&mut volume, ROOT, "another", &pattern(99, 20_000));
        truncate(&mut volume, other, 100).unwrap();
        volume.remove(ROOT, "another").unwrap();
        volume.release(other).unwrap();
    }
    drop(volume);
    let trace = image.borrow().trace.clone();
    for _ in 0..80 {
        let events = dice.below(trace.len() as u64) as usize;
        let after = Image::new(cut(&initial, &trace, events, &mut dice));
        let mut volume = mount(&after).unwrap();
        for (since, name, bytes) in promises.iter().filter(|(since, ..)| *since <= events) {
            let found = volume.lookup(ROOT, name).unwrap();
            let (file, _) = found.unwrap_or_else(|| panic!("{name}, since {since}, cut at {events}"));
            assert!(read(&mut volume, file, 0, 100_000).unwrap() == *bytes, "{name}, since {since}, cut at {events}");
        }
        volume.create(ROOT, "it goes on", 0o644).unwrap();
        volume.unmount().unwrap();
    }
}
