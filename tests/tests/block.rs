//! Disks: the ramdisk through `block` and by itself, partitions of virtio and NVMe disks, namespaces, with deaths of all of them under load, on one CPU and on four.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use images::{Disk, DiskBus, Machine, MachineKind};
use tests::{Shell, exec, machine_on};

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

/// One processor on one kind of board, more on another.
fn on(cpus: u32) -> Machine {
    let kind = if cpus == 1 { MachineKind::Q35 } else { MachineKind::Pc };
    machine_on((kind, cpus)).timeout(TIMEOUT)
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
    // Deaths of a driver are the affair of `block`: the program hears nothing of them.
    assert_eq!(text.contains("were submitted again"), victims.contains(&"block"), "{text}\n{services}");
}

#[test]
fn block_dies_under_load() {
    churn_through_deaths(&on(1), "ram0", &["block"]);
}

#[test]
fn the_driver_and_block_die_under_load_on_four_cpus() {
    churn_through_deaths(&on(4), "ram0", &["ramdisk", "block"]);
}

/// Works on the second partition of a disk, whose name and whose partitions' names are given.
fn a_partition_through_deaths(bus: DiskBus, partitions: [&str; 2], driver: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk.img");
    let before = partitioned();
    fs::write(&file, &before).unwrap();
    let machine = on(2).disk(Disk::new(&file).bus(bus));
    let text = exec(&machine, "lsblk").unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    for (branch, name, size, about) in [("|-", partitions[0], "1M", "0x0c"), ("`-", partitions[1], "4M", "0x83")] {
        let name = format!("{branch}{name}");
        assert!(lines.contains(&vec![&name, size, "0", "none", "part", "type", about]), "{text}");
    }
    churn_through_deaths(&machine, partitions[1], &[driver, "block"]);
    // Nothing but the partition was written.
    let after = fs::read(&file).unwrap();
    let (start, end) = (SECOND.0 as usize * 512, (SECOND.0 + SECOND.1) as usize * 512);
    assert!(after[..start] == before[..start] && after[end..] == before[end..]);
    assert!(after[start..end] != before[start..end]);
}

#[test]
fn a_partition_of_a_virtio_disk_through_deaths() {
    a_partition_through_deaths(DiskBus::Virtio, ["vda1", "vda2"], "virtio-blk-0");
}

#[test]
fn a_partition_of_an_nvme_disk_through_deaths() {
    a_partition_through_deaths(DiskBus::Nvme, ["nvme0n1p1", "nvme0n1p2"], "nvme-0");
}

/// A file for a disk of so many MiB.
fn file(folder: &Path, name: &str, mebibytes: u64) -> PathBuf {
    let file = folder.join(name);
    fs::File::create(&file).unwrap().set_len(mebibytes << 20).unwrap();
    file
}

#[test]
fn many_disks_of_a_machine_have_names_and_boot() {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = on(1);
    for number in 0..6 {
        let bus = [DiskBus::Virtio, DiskBus::Nvme, DiskBus::Namespace][number % 3];
        machine = machine.disk(Disk::new(file(folder.path(), &number.to_string(), number as u64 + 1)).bus(bus));
    }
    let text = exec(&machine, "lsblk").unwrap();
    let mut found: Vec<Vec<&str>> =
        text.lines().skip(2).map(|line| line.split_whitespace().take(2).collect()).collect();
    found.sort_unstable();
    let names = ["nvme0n1", "nvme0n2", "nvme1n1", "nvme1n2", "vda", "vdb"];
    let wanted: Vec<Vec<&str>> =
        names.into_iter().zip(["2M", "3M", "5M", "6M", "1M", "4M"]).map(|(name, size)| vec![name, size]).collect();
    assert_eq!(found, wanted, "{text}");
}

#[test]
fn namespaces_with_blocks_of_different_sizes_through_deaths() {
    let folder = tempfile::tempdir().unwrap();
    let large = Disk::new(file(folder.path(), "large", 8)).bus(DiskBus::Nvme);
    let large = large.property("logical_block_size=4096").property("physical_block_size=4096");
    let small = Disk::new(file(folder.path(), "small", 8)).bus(DiskBus::Namespace);
    let machine = on(2).disk(large).disk(small);
    let commands = "diskio nvme0n1 churn random 64K 8 2000 && diskio nvme0n2 churn random 512 32 3000 && diskio nvme0n1 churn random 512 1 10";
    let result = machine.run_exec(commands).unwrap();
    assert!(result.text().contains("not whole blocks") && result.status() == 1, "{}", result.text());
    churn_through_deaths(&machine, "nvme0n1", &["nvme-0"]);
    churn_through_deaths(&machine, "nvme0n2", &["nvme-0", "block"]);
}

/// The pattern of the guest's program `erase` in a sector of the disk.
fn pattern(sector: u64) -> Vec<u8> {
    (1..=64).flat_map(|word: u64| (sector << 16 | word).to_le_bytes()).collect()
}

/// Discards a range of the second partition, or has the device fill it with zeros; the image has zeros there and the pattern around it, and nothing outside of the
/// partition has changed. `block` are sectors of a logical block.
fn a_range_is_erased(disk: &dyn Fn(&Path) -> Disk, partition: &str, block: u64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disk.img");
    let before = partitioned();
    let (start, end) = (SECOND.0 as usize * 512, (SECOND.0 + SECOND.1) as usize * 512);
    for (work, first, sectors) in [("zero", 3, 1), ("zero", 101, 5003), ("discard", 64, 4096), ("discard", 8, 16)] {
        let (first, sectors) = (first * block, sectors.min(u64::from(SECOND.1) / block - first - 1) * block);
        fs::write(&file, &before).unwrap();
        let text = exec(&on(1).disk(disk(&file)), &format!("erase {partition} {work} {first} {sectors}")).unwrap();
        assert!(text.contains(&format!("{work}: {sectors} sectors of zeros")), "{text}");
        let after = fs::read(&file).unwrap();
        assert!(after[..start] == before[..start] && after[end..] == before[end..], "{work}: outside of the partition");
        for (sector, found) in (0..).zip(after[start..end].chunks(512)) {
            let is_erased = (first..first + sectors).contains(&sector);
            let expected = if is_erased { vec![0; 512] } else { pattern(sector) };
            assert!(found == expected, "{work} of {sectors} from {first}: sector {sector}");
        }
    }
}

#[test]
fn sectors_of_a_virtio_disk_are_erased() {
    a_range_is_erased(&|file| Disk::new(file), "vda2", 1);
}

#[test]
fn sectors_of_a_virtio_disk_are_erased_in_parts_where_it_takes_few() {
    let limits = ["max-discard-sectors=136", "max-write-zeroes-sectors=24"];
    a_range_is_erased(&|file| limits.iter().fold(Disk::new(file), |disk, limit| disk.property(limit)), "vda2", 1);
}

#[test]
fn sectors_of_an_nvme_disk_are_erased() {
    a_range_is_erased(&|file| Disk::new(file).bus(DiskBus::Nvme), "nvme0n1p2", 1);
}
