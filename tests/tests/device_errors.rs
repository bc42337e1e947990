//! Requests that the device cannot carry out: QEMU fails them while the machine runs. Who asked gets an error, and nobody else notices anything.

use std::time::Duration;

use images::{Disk, DiskBus, Machine};
use tests::{BOARDS, DiskImage, FailingDisk, HostError, Layout, Requests, Shell, machine_on};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(180);

/// What a program says of a device that failed.
const FAILED: &str = "the device failed";

/// What fsck.fat says of a disk that is sound and marked as in use.
const ONLY_MARKED: &str = "sectors total
Checking for unused clusters.
Dirty bit is set. Fs was not properly unmounted and some data may be corrupt.
 Automatically removing dirty bit.
Checking free cluster summary.

Leaving filesystem unchanged.";

/// A bus and what Skink calls the first disk on it.
const BUSES: [(DiskBus, &str); 2] = [(DiskBus::Virtio, "vda"), (DiskBus::Nvme, "nvme0n1")];

/// The disk that fails, connected so that QEMU tells the guest of errors and never stops it; the disk beside it that does not.
fn on(bus: DiskBus, failing: &DiskImage, beside: &DiskImage) -> Machine {
    let disk = failing.disk().bus(bus);
    let disk = if bus == DiskBus::Virtio { disk.property("werror=report").property("rerror=report") } else { disk };
    let board = if bus == DiskBus::Virtio { BOARDS[0] } else { BOARDS[1] };
    machine_on(board).timeout(TIMEOUT).disk(disk).disk(Disk::new(beside.file()))
}

/// What the disk beside it is called.
fn beside(bus: DiskBus) -> &'static str {
    if bus == DiskBus::Virtio { "vdb" } else { "vda" }
}

fn ext(mebibytes: u64) -> DiskImage {
    DiskImage::ext(mebibytes, Layout::Whole, &["-t", "ext4", "-b", "4096"], None).unwrap()
}

fn fat(mebibytes: u64) -> DiskImage {
    DiskImage::fat(mebibytes, Layout::Whole, &["-F", "32", "-s", "1"], None).unwrap()
}

/// No server has fallen, and everything else works.
fn sound(shell: &mut Shell) {
    let log = shell.run("dmesg").unwrap();
    assert!(!log.contains("panic") && !log.contains("given up"), "{log}");
    shell.check("echo on > /tmp/on && cat /tmp/on", 0, &["on"]).unwrap();
}

fn raw(bus: DiskBus, disk: &str) {
    let (image, other) = (ext(16), ext(16));
    let before = std::fs::read(image.file()).unwrap();
    let mut shell = Shell::boot(&on(bus, &image, &other)).unwrap();
    let beside = beside(bus);
    let mut faults = FailingDisk::new(0);
    shell.check(&format!("storage mount /dev/{beside} /mnt"), 0, &[]).unwrap();
    let (reads, read) = (Requests::Reads, format!("dd if=/dev/{disk} of=/dev/null bs=64K"));
    let write = format!("dd if=/bin/echo of=/dev/{disk} bs=512 count=8");
    shell.check(&read, 0, &[]).unwrap();
    // One sector, in the midst of a request.
    faults.fail(shell.session().qmp(), reads, HostError::Damaged, Some(9001)).unwrap();
    shell.check(&read, 1, &[FAILED]).unwrap();
    shell.check(&format!("dd if=/dev/{disk} of=/dev/null bs=512 count=9000"), 0, &[]).unwrap();
    shell.check(&format!("dd if=/dev/{disk} of=/dev/null bs=512 skip=9001 count=1"), 1, &[FAILED]).unwrap();
    shell.check(&format!("dd if=/dev/{disk} of=/dev/null bs=512 skip=9002 count=1000"), 0, &[]).unwrap();
    // All of them.
    faults.fail(shell.session().qmp(), reads, HostError::Damaged, None).unwrap();
    shell.check(&read, 1, &[FAILED]).unwrap();
    for error in [HostError::Damaged, HostError::NoRoom] {
        faults.fail(shell.session().qmp(), Requests::Writes, error, None).unwrap();
        shell.check(&write, 1, &[FAILED]).unwrap();
        shell.check(&read, 0, &[]).unwrap();
        shell.check("storage write /mnt/file 1 && storage verify /mnt/file 1", 0, &["verified"]).unwrap();
    }
    faults.mend(shell.session().qmp()).unwrap();
    assert!(std::fs::read(image.file()).unwrap() == before, "a write that failed was carried out");
    shell.check(&read, 0, &[]).unwrap();
    shell.check(&write, 0, &[]).unwrap();
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    sound(&mut shell);
    drop(shell);
    other.check().unwrap();
    assert!(std::fs::read(image.file()).unwrap() != before, "nothing was written");
}

#[test]
fn errors_of_a_disk_reach_who_reads_and_writes_it() {
    for (bus, disk) in BUSES {
        raw(bus, disk);
    }
}

/// A file system whose disk fails: reads, writes and flushes, until it is mended.
fn mounted(bus: DiskBus, disk: &str, image: &DiskImage) -> Shell {
    let other = ext(32);
    let mut shell = Shell::boot(&on(bus, image, &other)).unwrap();
    let beside = beside(bus);
    let mut faults = FailingDisk::new(0);
    shell.check("mkdir /tmp/a /tmp/b", 0, &[]).unwrap();
    let mount = format!("storage mount /dev/{disk} /tmp/a");
    shell.check(&format!("{mount} && storage mount /dev/{beside} /tmp/b"), 0, &[]).unwrap();
    shell.check("storage write /tmp/a/kept 6 5 && storage umount /tmp/a", 0, &[]).unwrap();
    // The disk cannot be read at all.
    faults.fail(shell.session().qmp(), Requests::Reads, HostError::Damaged, None).unwrap();
    shell.check(&mount, 1, &[]).unwrap();
    faults.mend(shell.session().qmp()).unwrap();
    // Reads fail after the mount: what is in memory is there, the rest is an error, and comes back.
    shell.check(&mount, 0, &[]).unwrap();
    faults.fail(shell.session().qmp(), Requests::Reads, HostError::Damaged, None).unwrap();
    shell.check("storage verify /tmp/a/kept 6 5", 1, &[FAILED]).unwrap();
    shell.check("storage write /tmp/b/file 1 && storage verify /tmp/b/file 1", 0, &["verified"]).unwrap();
    faults.mend(shell.session().qmp()).unwrap();
    shell.check("storage verify /tmp/a/kept 6 5", 0, &["verified"]).unwrap();
    // Writes fail: whoever syncs hears of it.
    for (requests, error) in [
        (Requests::Writes, HostError::Damaged),
        (Requests::Writes, HostError::NoRoom),
        (Requests::Flushes, HostError::Damaged),
    ] {
        faults.fail(shell.session().qmp(), requests, error, None).unwrap();
        shell.check("storage write /tmp/a/lost 3 6", 1, &["storage: "]).unwrap();
        shell.check("storage verify /tmp/a/kept 6 5", 0, &["verified"]).unwrap();
        shell.check("storage write /tmp/b/file 1 && storage verify /tmp/b/file 1", 0, &["verified"]).unwrap();
        // It ends, whether it can say that all is well or not.
        shell.run("storage umount /tmp/a || storage umount /tmp/a force").unwrap();
        faults.mend(shell.session().qmp()).unwrap();
        shell.check(&mount, 0, &[]).unwrap();
        shell.check("storage verify /tmp/a/kept 6 5", 0, &["verified"]).unwrap();
    }
    shell.check("storage write /tmp/a/new 2 7 && storage verify /tmp/a/new 2 7", 0, &["verified"]).unwrap();
    shell.check("storage umount /tmp/a && storage umount /tmp/b", 0, &[]).unwrap();
    sound(&mut shell);
    other.check().unwrap();
    shell
}

#[test]
fn errors_below_ext4_are_errors_of_its_files() {
    for (bus, disk) in BUSES {
        let image = ext(48);
        drop(mounted(bus, disk, &image));
        image.check().unwrap();
    }
}

#[test]
fn errors_below_fat_are_errors_of_its_files() {
    for (bus, disk) in BUSES {
        let image = fat(48);
        drop(mounted(bus, disk, &image));
        // It is marked as in use, as nobody could bring everything home; there is nothing else to find.
        let found = image.check_fat().expect_err("the mark").to_string();
        assert!(found.contains(ONLY_MARKED), "{found}");
    }
}
