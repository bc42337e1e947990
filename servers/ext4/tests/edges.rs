//! Full disks, disks that cannot be written or fail, files without names, large directories: as POSIX users expect.

mod common;

use common::*;
use ext4::{Options, Volume};
use volume::requests::Requests;
use volume::testing::{FakeDisk, Image};
use volume::{FileError, Kind};

fn small_volume(arguments: &[&str]) -> (volume::testing::SharedImage, Volume) {
    let image = image(make(8 << 10, arguments));
    let volume = mount(&image).unwrap();
    (image, volume)
}

#[test]
fn a_full_disk_is_noticed_by_who_writes() {
    let (image, mut volume) = small_volume(&["-t", "ext4"]);
    let file = volume.create(ROOT, b"large", 0o644).unwrap();
    let piece = pattern(1, 100_000);
    let mut bytes = 0;
    let error = loop {
        match write(&mut volume, file, bytes, &piece) {
            Ok(written) => bytes += written,
            Err(error) => break error,
        }
    };
    assert_eq!(error, FileError::NoSpace);
    assert!(bytes > 4 << 20);
    // What is said to be free can be had: with the last of it nothing is.
    let block = u64::from(volume.statistics().block_bytes);
    while write(&mut volume, file, bytes, b"x").is_ok() {
        bytes = (bytes / block + 1) * block;
    }
    assert_eq!(volume.statistics().free_blocks, 0);
    let bytes = volume.size(file).unwrap();
    assert_eq!(volume.size(file).unwrap(), bytes);
    volume.sync_all().unwrap();
    assert_eq!(read(&mut volume, file, bytes - 10, 100).unwrap().len(), 10);
    // What was written before can still be changed, and room comes back.
    assert_eq!(write(&mut volume, file, 0, &piece).unwrap(), 100_000);
    volume.truncate(file, 1000).unwrap();
    assert_eq!(write(&mut volume, file, 1000, &piece).unwrap(), 100_000);
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

#[test]
fn a_file_without_a_name_lives_until_it_is_released() {
    let (image, mut volume) = small_volume(&["-t", "ext4"]);
    let free = volume.statistics().free_blocks;
    let file = volume.create(ROOT, b"file", 0o644).unwrap();
    volume.hold(file);
    let bytes = pattern(2, 500_000);
    write(&mut volume, file, 0, &bytes).unwrap();
    volume.sync(file, false).unwrap();
    assert_eq!(volume.remove(ROOT, b"file", false), Ok(file));
    assert_eq!(volume.lookup(ROOT, b"file"), Ok(None));
    assert_eq!(read(&mut volume, file, 0, 500_000).unwrap(), bytes);
    write(&mut volume, file, 500_000, &bytes).unwrap();
    assert_eq!(volume.status(file).unwrap().links, 0);
    // A cut now: the next mount frees it.
    volume.sync_all().unwrap();
    let cut = common::image(image.borrow().bytes.clone());
    mount(&cut).unwrap().unmount().unwrap();
    check(&cut.borrow().bytes).unwrap();

    volume.release(file).unwrap();
    assert_eq!(volume.statistics().free_blocks, free);
    assert_eq!(volume.status(file).map(drop), Err(FileError::NotFound));
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

#[test]
fn rename_over_an_open_file() {
    let (image, mut volume) = small_volume(&["-t", "ext2"]);
    let (old, new) = (volume.create(ROOT, b"old", 0o644).unwrap(), volume.create(ROOT, b"new", 0o644).unwrap());
    write(&mut volume, old, 0, b"the old one").unwrap();
    write(&mut volume, new, 0, b"the new one").unwrap();
    assert_eq!(volume.rename((ROOT, b"new"), (ROOT, b"old"), false), Err(FileError::Exists));
    assert_eq!(volume.rename((ROOT, b"new"), (ROOT, b"old"), true), Ok(Some(old)));
    assert_eq!(volume.lookup(ROOT, b"old"), Ok(Some((new, Kind::File))));
    assert_eq!(read(&mut volume, old, 0, 100).unwrap(), b"the old one");
    volume.release(old).unwrap();
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

#[test]
fn what_cannot_be_written_is_not() {
    let bytes = {
        let (image, mut volume) = small_volume(&["-t", "ext4"]);
        let file = volume.create(ROOT, b"file", 0o644).unwrap();
        write(&mut volume, file, 0, b"there").unwrap();
        volume.unmount().unwrap();
        image.borrow().bytes.clone()
    };
    let image = common::image(bytes.clone());
    let media = Requests::new(Box::new(FakeDisk::new(image.clone(), 1).read_only()));
    let by_media = Volume::mount(account(), media, options()).unwrap();
    let by_option = mount_with(&image, Options { read_only: true, ..options() }).unwrap();
    for mut volume in [by_media, by_option] {
        assert!(volume.is_read_only());
        let (file, _) = volume.lookup(ROOT, b"file").unwrap().unwrap();
        assert_eq!(read(&mut volume, file, 0, 100).unwrap(), b"there");
        assert_eq!(volume.create(ROOT, b"new", 0o644), Err(FileError::ReadOnly));
        assert_eq!(write(&mut volume, file, 0, b"x"), Err(FileError::ReadOnly));
        assert_eq!(volume.truncate(file, 0), Err(FileError::ReadOnly));
        assert_eq!(volume.remove(ROOT, b"file", false), Err(FileError::ReadOnly));
        volume.sync_all().unwrap();
        volume.unmount().unwrap();
    }
    assert!(image.borrow().bytes == bytes, "not a byte has changed");
}

#[test]
fn a_journal_on_a_medium_that_cannot_be_written_is_refused() {
    let (image, mut volume) = small_volume(&["-t", "ext4", "-b", "4096"]);
    let file = volume.create(ROOT, b"file", 0o644).unwrap();
    volume.sync(file, false).unwrap();
    drop(volume);
    let media = Requests::new(Box::new(FakeDisk::new(image.clone(), 1).read_only()));
    assert_eq!(Volume::mount(account(), media, options()).map(drop), Err(FileError::ReadOnly));
    let mut volume = mount_with(&image, Options { read_only: true, ..options() }).unwrap();
    assert!(volume.lookup(ROOT, b"file").unwrap().is_some(), "replayed, and then only read");
}

#[test]
fn what_is_no_file_system_is_refused() {
    for bytes in [vec![0; 1 << 20], vec![0xff; 1 << 20], vec![0; 512]] {
        assert_eq!(mount(&Image::new(bytes)).map(drop), Err(FileError::Unsupported));
    }
    let mut cut_short = make(8 << 10, &["-t", "ext4"]);
    cut_short.truncate(4 << 20);
    assert_eq!(mount(&Image::new(cut_short)).map(drop), Err(FileError::Corrupt));
}

#[test]
fn a_disk_that_fails_is_an_error_and_no_more() {
    let (image, mut volume) = small_volume(&["-t", "ext4"]);
    let file = volume.create(ROOT, b"file", 0o644).unwrap();
    write(&mut volume, file, 0, &pattern(3, 200_000)).unwrap();
    image.borrow_mut().fail_writes = true;
    assert_eq!(volume.sync(file, false), Err(FileError::Device));
    assert_eq!(volume.create(ROOT, b"another", 0o644), Err(FileError::Device));
    assert!(volume.lookup(ROOT, b"file").unwrap().is_some(), "what is in memory can be read");
}

#[test]
fn a_large_directory_with_all_kinds_of_names() {
    let image = image(make(24 << 10, &["-t", "ext4", "-N", "6000"]));
    let mut volume = mount(&image).unwrap();
    let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
    let mut expected: Vec<String> = (0..3000).map(|number| format!("file number {number}")).collect();
    expected.push("n".repeat(255));
    expected.push("ä".repeat(127));
    for name in &expected {
        volume.create(folder, name.as_bytes(), 0o644).unwrap();
    }
    expected.sort();
    assert_eq!(names(&mut volume, folder), expected);
    // One entry at a time, as a client with little room reads.
    let (mut cursor, mut found) = (0, Vec::new());
    loop {
        let mut taken = None;
        let mut add = |entry: volume::Entry| taken.is_none().then(|| taken = Some(entry)).is_some();
        volume.read_directory(folder, cursor, &mut add).unwrap();
        let Some(entry) = taken else { break };
        cursor = entry.next;
        found.push(entry.name);
    }
    found.sort();
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
    assert_eq!(volume.create(folder, &[b'n'; 256], 0o644), Err(FileError::NameTooLong));
    for bad in [&b""[..], b".", b"..", b"a/b", b"a\0b"] {
        assert_eq!(volume.create(folder, bad, 0o644), Err(FileError::BadName));
    }
    assert_eq!(volume.remove(ROOT, b"folder", true), Err(FileError::NotEmpty));
    for name in &expected {
        let inode = volume.remove(folder, name.as_bytes(), false).unwrap();
        volume.release(inode).unwrap();
    }
    volume.remove(ROOT, b"folder", true).and_then(|inode| volume.release(inode)).unwrap();
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

#[test]
fn a_name_moves_within_its_directory_where_that_splits_the_block_it_is_in() {
    // How the hashes of names lie to each other: with some of these, `name-133` and others are in the block that is split for their new names.
    for seed in [
        "3b23482e-cf5e-423f-8d6e-e5084404ab65",
        "00000000-0000-0000-0000-000000000001",
        "7d0f3f0e-1c2b-4c55-9d8e-0123456789ab",
    ] {
        let image = image(make(24 << 10, &["-t", "ext4", "-b", "4096", "-E", &format!("hash_seed={seed}")]));
        let mut volume = mount(&image).unwrap();
        let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
        let (old, new) = (|number: usize| format!("name-{number}"), |number: usize| format!("a-longer-name-{number}"));
        let mut expected = Vec::new();
        for number in 0..400 {
            match number % 20 {
                19 => volume.make_directory(folder, old(number).as_bytes(), 0o755).map(drop).unwrap(),
                _ => volume.create(folder, old(number).as_bytes(), 0o644).map(drop).unwrap(),
            }
            expected.push(if number % 2 == 0 { old(number) } else { new(number) });
        }
        let free = volume.statistics().free_files;
        for number in (1..400).step_by(2) {
            let moved = volume.rename((folder, old(number).as_bytes()), (folder, new(number).as_bytes()), true);
            assert_eq!(moved, Ok(None), "{number} with {seed}");
            let again = volume.rename((folder, old(number).as_bytes()), (folder, b"other"), true);
            assert_eq!(again, Err(FileError::NotFound));
        }
        assert_eq!(volume.statistics().free_files, free);
        expected.sort();
        assert_eq!(names(&mut volume, folder), expected);
        volume.unmount().unwrap();
        check(&image.borrow().bytes).unwrap();
    }
}

#[test]
fn a_sparse_file_has_only_its_blocks() {
    let (image, mut volume) = small_volume(&["-t", "ext4", "-b", "4096"]);
    let file = volume.create(ROOT, b"sparse", 0o644).unwrap();
    write(&mut volume, file, 1 << 40, b"far away").unwrap();
    volume.sync(file, false).unwrap();
    let status = volume.status(file).unwrap();
    assert_eq!(status.size, (1 << 40) + 8);
    assert!(status.allocated <= 16 << 10, "{status:?}");
    assert_eq!(read(&mut volume, file, (1 << 40) - 4, 100).unwrap(), b"\0\0\0\0far away");
    assert_eq!(write(&mut volume, file, u64::MAX - 3, b"x"), Err(FileError::TooLarge));
    volume.unmount().unwrap();
    check(&image.borrow().bytes).unwrap();
}

/// A directory whose blocks lie apart, so that its extents need nodes of their own; it is emptied again.
#[test]
fn a_directory_in_pieces_has_as_many_blocks_as_it_says() {
    for (arguments, names) in [(["-t", "ext4", "-b", "1024"], 400), (["-t", "ext4", "-b", "4096"], 400)] {
        let image = image(make(24 << 10, &arguments));
        let mut volume = mount(&image).unwrap();
        let name = |number: u32| format!("{number:0>120}").into_bytes();
        for number in 0..names {
            let file = volume.create(ROOT, &name(number), 0o644).unwrap();
            if number % 4 == 0 {
                write(&mut volume, file, 0, &[1; 1000]).unwrap();
                volume.sync(file, false).unwrap();
            }
        }
        volume.sync_all().unwrap();
        check(&image.borrow().bytes).unwrap();
        for number in 0..names {
            volume.remove(ROOT, &name(number), false).and_then(|file| volume.release(file)).unwrap();
        }
        volume.unmount().unwrap();
        check(&image.borrow().bytes).unwrap();
    }
}

/// Directories without extents have indirect blocks beyond twelve, whoever has made them, and whether they had an index before.
#[test]
fn large_directories_without_extents() {
    for (arguments, most) in [
        (&["-t", "ext2", "-b", "1024", "-N", "3000"][..], 600),
        (&["-t", "ext2", "-b", "1024", "-O", "^dir_index", "-N", "3000"], 400),
        (&["-t", "ext3", "-b", "1024", "-N", "3000"], 400),
        (&["-t", "ext2", "-b", "4096", "-N", "3000"], 1200),
    ] {
        let (image, mut volume) = small_volume(arguments);
        let name = |number: u32| format!("a name of a large directory, {number}").into_bytes();
        let folder = volume.make_directory(ROOT, b"folder", 0o755).unwrap();
        for number in 0..most {
            volume.create(folder, &name(number), 0o644).unwrap();
        }
        volume.make_directory(folder, b"inner", 0o755).unwrap();
        volume.symlink(folder, b"link", b"target").unwrap();
        volume.rename((folder, &name(0)), (folder, b"renamed"), false).unwrap();
        volume.sync_all().unwrap();
        check(&image.borrow().bytes).unwrap();
        let indexed = index_on_host(&image.borrow().bytes);
        drop(volume);
        for bytes in [image.borrow().bytes.clone(), indexed] {
            let image = common::image(bytes);
            let mut volume = mount(&image).unwrap();
            let (folder, _) = volume.lookup(ROOT, b"folder").unwrap().unwrap();
            for number in 1..most {
                assert!(volume.lookup(folder, &name(number)).unwrap().is_some(), "{arguments:?}: {number}");
            }
            for number in (1..most).step_by(3) {
                volume.remove(folder, &name(number), false).and_then(|file| volume.release(file)).unwrap();
            }
            let (file, _) = volume.lookup(folder, b"renamed").unwrap().unwrap();
            for number in 0..most / 2 {
                volume.link(file, folder, &name(most + number)).unwrap();
            }
            let gone = (1..most).step_by(3).count();
            assert_eq!(names(&mut volume, folder).len(), (most + most / 2) as usize - gone + 2);
            volume.unmount().unwrap();
            check(&image.borrow().bytes).unwrap();
        }
    }
}
