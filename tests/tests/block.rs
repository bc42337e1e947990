//! Disks: the ramdisk through `block` and by itself, a partition of a virtio disk, with deaths of all of them under load, on one CPU and on four.

use std::fs;
use std::time::Duration;

use images::{Disk, Machine};
use tests::{Shell, exec, machine};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Deaths under load.
const DEATHS: u32 = 10;

/// Requests meanwhile: enough for all deaths to strike.
const REQUESTS: u32 = 60_000;

/// Bytes of a virtio disk, and where its second partition is, in sectors.
const DISK_BYTES: usize = 8 << 20;
const SECOND: (u32, u32) = (4096, 8192);

/// An image with a boot record of two partitions.
fn partitioned() -> Vec<u8> {
    let mut bytes = vec![0; DISK_BYTES];
    for (at, kind, (start, sectors)) in [(446, 0x0c, (64u32, 2048u32)), (462, 0x83, SECOND)] {
        bytes[at + 4] = kind;
        bytes[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

fn on(cpus: u32) -> Machine {
    machine().smp(cpus).timeout(TIMEOUT)
}

fn verify(cpus: u32) {
    let commands = [
        "diskio ram0 verify sequential 4K 1 500",
        "diskio ram0 verify random 64K 32 300",
        "diskio ram0 churn random 4K 32 3000",
        "diskctl ram0 scheduler deadline",
        "diskio ram0 churn random 512 32 2000",
        "diskio @ramdisk churn random 4K 32 2000",
    ];
    exec(&on(cpus), &commands.join(" && ")).unwrap_or_else(|error| panic!("{cpus} CPUs: {error:#}"));
}

#[test]
fn what_is_written_is_read_on_one_cpu() {
    verify(1);
}

#[test]
fn what_is_written_is_read_on_four_cpus() {
    verify(4);
}

#[test]
fn disks_are_listed_and_counted() {
    let machine = on(1).append("ramdisk.read-only=no");
    let text = exec(&machine, "diskio ram0 write sequential 4K 4 64; lsblk; diskctl ram0").unwrap();
    let line = text.lines().find(|line| line.starts_with("ram0")).unwrap_or_else(|| panic!("{text}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words, ["ram0", "2M", "0", "none", "disk", "memory"], "{text}");
    let writes = text.lines().find(|line| line.starts_with("writes")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(writes.split_whitespace().nth(1), Some("64"), "{text}");
    assert_eq!(writes.split_whitespace().nth(2), Some("512"), "{text}");
}

#[test]
fn a_read_only_disk_is_not_written() {
    let result = on(1).append("ramdisk.read-only=yes").run_exec("diskio ram0 write").unwrap();
    assert_eq!((result.status(), result.text().as_str()), (1, "diskio: ram0: read-only\n"));
}

/// Kills services, one after the other, while a program compares what it reads with what it wrote to a disk.
fn churn_through_deaths(machine: &Machine, disk: &str, victims: &[&str]) {
    let mut shell = Shell::boot(machine).unwrap();
    let mut text = shell.run(&format!("diskio {disk} churn random 4K 16 {REQUESTS} 7 &")).unwrap();
    for death in 0..DEATHS {
        let victim = victims[death as usize % victims.len()];
        text += &shell.run(&format!("sleep 0.3; service kill {victim}")).unwrap();
    }
    text += &shell.run("wait").unwrap();
    let services = shell.run("service list").unwrap();
    assert!(text.contains(&format!("churn: {REQUESTS} requests")), "{text}\n{services}");
    assert!(text.contains("were submitted again"), "{text}\n{services}");
}

#[test]
fn block_dies_under_load() {
    churn_through_deaths(&on(1), "ram0", &["block"]);
}

#[test]
fn the_driver_and_block_die_under_load_on_four_cpus() {
    churn_through_deaths(&on(4), "ram0", &["ramdisk", "block"]);
}

#[test]
fn a_partition_of_a_virtio_disk_through_deaths() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk.img");
    let before = partitioned();
    fs::write(&file, &before).unwrap();
    let machine = on(2).disk(Disk::new(&file));
    let text = exec(&machine, "lsblk").unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let part = |name, size, about| vec![name, size, "0", "none", "part", "type", about];
    assert!(lines.contains(&part("|-vda1", "1M", "0x0c")), "{text}");
    assert!(lines.contains(&part("`-vda2", "4M", "0x83")), "{text}");
    churn_through_deaths(&machine, "vda2", &["virtio-blk-0", "block"]);
    // Nothing but the partition was written.
    let after = fs::read(&file).unwrap();
    let (start, end) = (SECOND.0 as usize * 512, (SECOND.0 + SECOND.1) as usize * 512);
    assert!(after[..start] == before[..start] && after[end..] == before[end..]);
    assert!(after[start..end] != before[start..end]);
}
