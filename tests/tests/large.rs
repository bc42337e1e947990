//! Much of everything: a hundred thousand files, and a file of many MiB, on a disk of 4 GiB, within the accounts that the file system has for small disks as well.
//!
//! `SKINK_LARGE_MIB` says how large the file is: 2048 takes minutes.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

use images::MachineKind;
use tests::{BOARDS, DiskImage, Layout, Shell, machine_on};

/// Files of the tree, and how many are in each of its directories.
const FILES: u32 = 100_000;
const IN_EACH: u32 = 500;

/// Size of the disk, and of the large file where nothing else is asked for.
const DISK_MIB: u64 = 4096;
const LARGE_MIB: u64 = 96;

/// For each MiB of the large file, beside what everything else takes.
const PATIENCE: Duration = Duration::from_millis(700);
const BOUND: Duration = Duration::from_secs(170);

/// The directories and files, each with its number in it.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        let directory = folder.path().join(format!("directory-{}", number / IN_EACH));
        if number % IN_EACH == 0 {
            fs::create_dir(&directory).unwrap();
        }
        fs::write(directory.join(format!("file-{number}")), number.to_string()).unwrap();
    }
    folder
}

fn sha256(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, bytes).unwrap();
    let output = Command::new("sha256sum").arg(&file).output().expect("sha256sum runs");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().expect("a sum").to_string()
}

#[test]
fn a_hundred_thousand_files_and_a_large_one() {
    let mebibytes = env::var("SKINK_LARGE_MIB").map_or(LARGE_MIB, |text| text.parse().expect("a number of MiB"));
    let host = tree();
    let arguments = ["-t", "ext4", "-b", "4096"];
    let image = DiskImage::ext(DISK_MIB, Layout::Whole, &arguments, Some(host.path())).unwrap();
    drop(host);
    for (before, board) in (0..).zip(BOARDS) {
        used(&image, board, before, mebibytes);
    }
}

/// Lists and walks all of it, empties a directory, and writes a file of so many MiB, which the host reads. That was done so often `before`.
fn used(image: &DiskImage, board: (MachineKind, u32), before: u32, mebibytes: u64) {
    let time = BOUND + PATIENCE * mebibytes as u32;
    let mut shell = Shell::boot(&machine_on(board).timeout(time).disk(image.disk())).unwrap();
    shell.patience(time);
    shell.check("storage mount /dev/vda /mnt", 0, &[]).unwrap();
    shell.check("rm -f /mnt/large", 0, &[]).unwrap();
    let directories = FILES / IN_EACH;
    // The mount, lost+found, and the tree.
    let all = (FILES - before * IN_EACH + directories + 2).to_string();
    assert_eq!(shell.run("find /mnt | wc -l").unwrap().trim(), all);
    assert_eq!(shell.run("ls /mnt | wc -l").unwrap().trim(), (directories + 1).to_string());
    assert_eq!(shell.run("ls /mnt/directory-123 | wc -l").unwrap().trim(), IN_EACH.to_string());
    let last = format!("cat /mnt/directory-{}/file-{}", directories - 1, FILES - 1);
    shell.check(&last, 0, &[&(FILES - 1).to_string()]).unwrap();
    let emptied = format!("/mnt/directory-{before}");
    shell.check(&format!("storage remove {emptied} && mkdir {emptied}"), 0, &[]).unwrap();
    shell.check(&format!("storage write /mnt/large {mebibytes} 3"), 0, &["written"]).unwrap();
    shell.check(&format!("storage verify /mnt/large {mebibytes} 3"), 0, &["verified"]).unwrap();
    let sum = shell.check("sha256sum /mnt/large", 0, &["/mnt/large"]).unwrap();
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    drop(shell);
    image.check().unwrap();
    let bytes = image.read("/large").unwrap();
    assert_eq!(bytes.len() as u64, mebibytes << 20);
    assert_eq!(sum.split_whitespace().next(), Some(sha256(&bytes).as_str()));
}
