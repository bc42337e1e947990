//! Damaged disks on a machine: file systems and partition tables of which bytes were changed are listed, mounted, walked and written to. Each either works or gives an error in time, no server falls,
//! and a sound disk beside them goes on. The parsers alone see thousands of such images on the host (`servers/{ext4,fat}/tests/mutants.rs`, `servers/block/src/partitions/tests.rs`).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use images::Disk;
use tests::{BOARDS, DiskImage, Layout, Shell, machine_on};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Disks of a machine that are damaged.
const DISKS: usize = 14;

/// Bytes that are changed in one image: a few, so that some of it makes sense still.
const CHANGES: u64 = 12;

fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Some of the bytes in one of the parts of an image get other values, as a damaged medium or a hostile author may have them.
fn mutated(original: &[u8], parts: &[(usize, usize)], seed: u64) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let mut seed = seed;
    next(&mut seed, 2);
    let (start, length) = parts[next(&mut seed, parts.len() as u64) as usize];
    for _ in 0..=next(&mut seed, CHANGES) {
        let at = start + next(&mut seed, length as u64) as usize;
        bytes[at] = match next(&mut seed, 4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ 1 << next(&mut seed, 8),
            _ => next(&mut seed, 256) as u8,
        };
    }
    bytes
}

/// Files as they are mounted from the host.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
    for number in 0..60 {
        fs::write(folder.path().join(format!("a/b/file number {number}")), vec![number; usize::from(number) * 500])
            .unwrap();
    }
    fs::write(folder.path().join("a/large"), vec![7; 1 << 20]).unwrap();
    folder
}

/// Boots with disks that are damaged in some of these parts, on one board or the other, and uses `name` of each: a disk or its partition.
fn use_damaged(original: &DiskImage, parts: &[(usize, usize)], partition: &str, seed: u64) {
    let bytes = fs::read(original.file()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sound = DiskImage::ext(16, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let board = BOARDS[seed as usize % BOARDS.len()];
    let mut with_disks = machine_on(board).timeout(TIMEOUT).disk(Disk::new(sound.file()));
    let files: Vec<PathBuf> = (0..DISKS).map(|number| folder.path().join(number.to_string())).collect();
    for (number, file) in files.iter().enumerate() {
        fs::write(file, mutated(&bytes, parts, seed * 1000 + number as u64)).unwrap();
        with_disks = with_disks.disk(Disk::new(file));
    }
    let mut shell = Shell::boot(&with_disks).unwrap();
    shell
        .check("mkdir /tmp/sound && storage mount /dev/vda /tmp/sound && storage write /tmp/sound/file 2", 0, &[])
        .unwrap();
    let list = shell.run("lsblk").unwrap();
    let mut mounted = 0;
    for number in 0..DISKS {
        let disk = char::from(b'b' + number as u8);
        let device = format!("/dev/vd{disk}{partition}");
        let what = || format!("{device} of seed {seed}");
        // A partition that is not there is what a damaged table may come to.
        if !partition.is_empty() && !list.contains(&format!("vd{disk}{partition} ")) {
            continue;
        }
        let (text, status) = shell.status(&format!("storage mount {device} /mnt")).unwrap();
        if status != 0 {
            assert!(status == 1 && text.starts_with("storage: /dev/"), "{}: {status} {text}", what());
            continue;
        }
        mounted += 1;
        // What is in it may be anything, and an error too; but each command ends, by itself.
        for command in ["storage skim /mnt", "storage write /mnt/new 1", "storage remove /mnt/a", "storage umount /mnt"]
        {
            let (text, status) = shell.status(command).unwrap();
            assert!(status <= 1, "{}: `{command}`: {status} {text}", what());
        }
    }
    shell.check("storage verify /tmp/sound/file 2 && storage umount /tmp/sound", 0, &["verified"]).unwrap();
    let log = shell.run("dmesg").unwrap();
    assert!(!log.contains("panic") && !log.contains("hangs"), "seed {seed}: {log}");
    println!("seed {seed}: {mounted} of {DISKS} were mounted");
    drop(shell);
    sound.check().unwrap();
}

#[test]
fn damaged_superblocks_and_directories_of_ext4() {
    let host = tree();
    for (seed, flavour) in [(1, ["-t", "ext4", "-O", "^metadata_csum"]), (2, ["-t", "ext2", "-b", "1024"])] {
        let image = DiskImage::ext(8, Layout::Whole, &flavour, Some(host.path())).unwrap();
        // The superblock, and everything before the data.
        use_damaged(&image, &[(1024, 264), (2048, 64 << 10), (64 << 10, 1 << 20)], "", seed);
    }
}

#[test]
fn damaged_boot_sectors_tables_and_directories_of_fat() {
    let host = tree();
    for (seed, flavour, table) in [(3, ["-F", "12"], 4096), (4, ["-F", "16"], 24 << 10)] {
        let image = DiskImage::fat(16, Layout::Whole, &flavour, Some(host.path())).unwrap();
        use_damaged(&image, &[(0, 64), (512, table), (2 * table, 32 << 10)], "", seed);
    }
}

#[test]
fn damaged_partition_tables() {
    let arguments = ["-t", "ext4"];
    let mbr = DiskImage::ext(8, Layout::Mbr, &arguments, None).unwrap();
    use_damaged(&mbr, &[(446, 66)], "1", 5);
    let gpt = DiskImage::ext(8, Layout::Gpt, &arguments, None).unwrap();
    let end = fs::metadata(gpt.file()).unwrap().len() as usize;
    // Both copies: the first alone is made good by the second.
    use_damaged(&gpt, &[(446, 66), (512, 92), (1024, 256), (end - 512, 92)], "1", 6);
}
