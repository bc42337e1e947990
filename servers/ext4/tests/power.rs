//! Power cuts: everything that a run wrote is recorded, and the power is cut anywhere in it afterwards. What was not flushed is there or not, sector
//! by sector.

mod common;

use common::*;
use ext4::Volume;
use ext4::superblock::Superblock;
use std::collections::BTreeMap;
use volume::testing::{Dice, Event, SharedImage, cut};

/// What free blocks hold before the run: no file may ever show it.
const SECRET: u8 = 0x5e;

/// Fills the free blocks of an image with what was deleted.
fn with_secrets(image: &SharedImage) {
    let mut volume = mount(image).unwrap();
    let file = volume.create(ROOT, b"secret", 0o600).unwrap();
    let piece = vec![SECRET; 64 << 10];
    let mut offset = 0;
    while let Ok(written) = write(&mut volume, file, offset, &piece) {
        offset += written;
    }
    volume.sync_all().unwrap();
    volume.remove(ROOT, b"secret", false).unwrap();
    volume.release(file).unwrap();
    volume.unmount().unwrap();
}

/// The seed of the first run. `SKINK_SEEDS` says how many there are, one if it is not set.
const FIRST_SEED: u64 = 1;

/// What a file is promised to hold from one mark of the trace on; `gone`: from when on it need not be there.
struct Promise {
    name: String,
    bytes: Vec<u8>,
    from: u64,
    gone: Option<u64>,
}

/// Bytes that are no secret.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    pattern(seed, bytes).into_iter().map(|byte| byte & 0x1f).collect()
}

/// Works on a volume, and says what was promised.
fn work(image: &SharedImage, volume: &mut Volume, seed: u64) -> Vec<Promise> {
    let mut dice = Dice::new(seed);
    let mut promises: Vec<Promise> = Vec::new();
    let mut mark = 0;
    for round in 0..60u64 {
        mark += 1;
        image.borrow_mut().mark(mark);
        // A file that is synchronised, whole.
        let name = format!("kept{round}");
        let bytes = content(round, dice.below(150_000) as usize + 1);
        let file = volume.create(ROOT, name.as_bytes(), 0o644).unwrap();
        let half = bytes.len() / 2;
        write(volume, file, 0, &bytes[..half]).unwrap();
        if dice.once_in(3) {
            volume.sync(file, false).unwrap();
        }
        write(volume, file, half as u64, &bytes[half..]).unwrap();
        volume.sync(file, dice.once_in(2)).unwrap();
        mark += 1;
        image.borrow_mut().mark(mark);
        promises.push(Promise { name, bytes, from: mark, gone: None });
        // Noise: files that are not, directories whose blocks become data, deletions.
        for number in 0..dice.below(6) {
            let name = format!("noise{round}-{number}");
            let file = volume.create(ROOT, name.as_bytes(), 0o644).unwrap();
            write(volume, file, dice.below(20_000), &content(number, dice.below(40_000) as usize + 1)).unwrap();
            if dice.once_in(2) {
                volume.remove(ROOT, name.as_bytes(), false).unwrap();
                volume.release(file).unwrap();
            }
        }
        if dice.once_in(2) {
            let name = format!("folder{round}");
            let folder = volume.make_directory(ROOT, name.as_bytes(), 0o755).unwrap();
            volume.symlink(folder, b"link", &[b'a'; 100]).unwrap();
            if dice.once_in(2) {
                volume.sync_all().unwrap();
            }
            volume.remove(folder, b"link", false).and_then(|link| volume.release(link)).unwrap();
            volume.remove(ROOT, name.as_bytes(), true).and_then(|folder| volume.release(folder)).unwrap();
        }
        if dice.once_in(3) {
            let at = dice.below(promises.len() as u64) as usize;
            let promise = &mut promises[at];
            if promise.gone.is_none() {
                mark += 1;
                image.borrow_mut().mark(mark);
                promise.gone = Some(mark);
                let name = promise.name.clone();
                let inode = volume.remove(ROOT, name.as_bytes(), false).unwrap();
                volume.release(inode).unwrap();
            }
        }
        volume.tick().unwrap();
    }
    promises
}

/// Checks an image after a cut, mounted.
fn verify(volume: &mut Volume, promises: &[Promise], last: u64, what: &str) {
    let kept: BTreeMap<&str, &Promise> = promises.iter().map(|promise| (promise.name.as_str(), promise)).collect();
    for promise in promises {
        let expected = last >= promise.from && promise.gone.is_none_or(|gone| last < gone);
        let found = volume.lookup(ROOT, promise.name.as_bytes()).unwrap();
        assert!(found.is_some() || !expected, "{what}: {} is lost", promise.name);
    }
    for name in names(volume, ROOT) {
        let (inode, kind) = volume.lookup(ROOT, name.as_bytes()).unwrap().unwrap();
        if kind != volume::Kind::File {
            continue;
        }
        let bytes = read(volume, inode, 0, 1 << 20).unwrap();
        assert!(!bytes.contains(&SECRET), "{what}: {name} shows what was deleted");
        // Even one that was removed has its own bytes, if the removal did not count.
        if let Some(promise) = kept.get(name.as_str())
            && last >= promise.from
        {
            assert!(bytes == promise.bytes, "{what}: {name} has not what it was promised");
        }
    }
}

fn cut_everywhere(flavour: &str, kib: u32, arguments: &[&str], seed: u64, cuts: u64) {
    let image = image(make(kib, arguments));
    with_secrets(&image);
    let initial = image.borrow().bytes.clone();
    image.borrow_mut().tracing = true;
    let mut volume = mount_with(&image, ext4::Options { overlay_bytes: 1 << 20, ..options() }).unwrap();
    let promises = work(&image, &mut volume, seed);
    let trace = core::mem::take(&mut image.borrow_mut().trace);
    drop(volume);
    let mut dice = Dice::new(seed);
    for number in 0..cuts {
        let at = dice.below(trace.len() as u64 + 1) as usize;
        let what = format!("{flavour}, seed {seed}, cut {number} behind {at} of {} events", trace.len());
        let last = trace[..at].iter().rev().find_map(|event| match event {
            Event::Mark(mark) => Some(*mark),
            _ => None,
        });
        let bytes = cut(&initial, &trace, at, &mut dice);
        // A superblock of which one sector is new and one old is mended by the server; e2fsck wants another copy, which a volume as small as this one has not.
        let is_torn = Superblock(bytes[1024..2048].try_into().unwrap()).may_be_torn();
        let by_host = number % 2 == 1 && !is_torn;
        let bytes = if by_host { recovered_by_host(&bytes) } else { bytes };
        if by_host {
            check(&bytes).unwrap_or_else(|error| panic!("{what}, recovered by the host: {error}"));
        }
        let after = common::image(bytes);
        let mut volume = mount(&after).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        verify(&mut volume, &promises, last.unwrap_or(0), &what);
        volume.unmount().unwrap();
        check(&after.borrow().bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_cut_anywhere_leaves_a_right_volume() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = number("SKINK_SEEDS").unwrap_or(1);
    for seed in (0..seeds).map(|seed| FIRST_SEED + seed) {
        for (flavour, kib, arguments) in FLAVOURS.iter().filter(|(name, ..)| !name.starts_with("ext2")) {
            cut_everywhere(flavour, *kib / 2, arguments, seed, 40);
        }
    }
}
