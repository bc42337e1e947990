//! FAT on disks: images that the host's mkfs.fat and mcopy make from the host's files are mounted, used and unmounted; then fsck.fat looks at what is on them, and mcopy reads it back.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use images::{Disk, Machine, MachineKind};
use tests::{
    BOARDS, Bus, DiskImage, Layout, NVME, Shell, VIRTIO, archive_with_services, check_pattern, check_read_only, exec,
    listing, machine, machine_on, machine_with_archive, pattern,
};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(280);

fn on(image: &DiskImage) -> Machine {
    machine().timeout(TIMEOUT).disk(Disk::new(image.file()))
}

/// A directory tree as a person may have one on a stick.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join("tree").join(path);
    fs::create_dir_all(at("a/deep/er")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (number, size) in [0, 1, 511, 4096, 4097, 70_000, 900_000].into_iter().enumerate() {
        fs::write(at(&format!("a/{size}.bin")), pattern(number as u64, size)).unwrap();
    }
    fs::write(at("a/deep/er/größe 文"), "UTF-8\n").unwrap();
    fs::write(at("README.TXT"), "a short name\n").unwrap();
    fs::write(at("Mixed Case.Text"), "a long name\n").unwrap();
    fs::write(at(&"n".repeat(200)), "a very long name\n").unwrap();
    for number in 0..200 {
        fs::write(at(&format!("a/deep/file number {number}")), number.to_string()).unwrap();
    }
    folder
}

/// The main job: files of the host in Skink, and back.
fn there_and_back(mebibytes: u64, layout: Layout, arguments: &[&str], cpus: u32) {
    let host = tree();
    let image = DiskImage::fat(mebibytes, layout, arguments, Some(host.path())).unwrap();
    image.check_fat().unwrap();
    let device = image.device("vda");
    let commands = [
        &format!("storage mount {device} /mnt"),
        "storage tree /mnt/tree",
        "storage copy /mnt/tree /mnt/copy",
        "storage copy /bin/echo /mnt/echo",
        "/mnt/echo a program of the disk",
        "storage remove /mnt/tree",
        "storage write /mnt/pattern 2 77",
        "storage umount /mnt",
        &format!("storage mount {device} /mnt"),
        "storage verify /mnt/PATTERN 2 77",
        "storage umount /mnt",
    ];
    let text = exec(&on(&image).smp(cpus), &commands.join(" && ")).unwrap();
    let wanted = listing(&host.path().join("tree")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..wanted.len()], wanted, "{text}");
    assert_eq!(lines[wanted.len()..], ["a program of the disk", "written: 2 MiB", "verified: 2 MiB"], "{text}");
    image.check_fat().unwrap();
    let copy = image.copy_from_fat("/copy").unwrap();
    assert_eq!(listing(&copy).unwrap(), wanted);
    check_pattern(&fs::read(image.copy_from_fat("/pattern").unwrap()).unwrap(), 2, 77).unwrap();
    assert!(image.copy_from_fat("/tree").is_err(), "the tree was removed");
}

#[test]
fn files_of_fat12_there_and_back() {
    there_and_back(8, Layout::Whole, &["-F", "12"], 1);
}

#[test]
fn files_of_fat16_in_a_partition_there_and_back() {
    there_and_back(32, Layout::Mbr, &["-F", "16"], 2);
}

#[test]
fn files_of_fat32_in_a_partition_there_and_back() {
    there_and_back(64, Layout::Gpt, &["-F", "32", "-s", "1"], 4);
}

#[test]
fn files_on_fat_keep_what_posix_promises() {
    let machines = [(MachineKind::Q35, 1), (MachineKind::Pc, 4)];
    for (arguments, (kind, cpus)) in [["-F", "16", "-s", "8"], ["-F", "32", "-s", "1"]].into_iter().zip(machines) {
        let image = DiskImage::fat(64, Layout::Whole, &arguments, None).unwrap();
        let commands = "storage mount /dev/vda /mnt && files /mnt && storage umount /mnt";
        let text = exec(&on(&image).kind(kind).smp(cpus), commands).expect("no case fails");
        assert!(text.contains("0 failed"), "{text}");
        let skipped: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("skipped ")).collect();
        assert_eq!(skipped, ["links", "link-loops", "hard-links"], "{text}");
        image.check_fat().unwrap();
    }
}

#[test]
fn a_mount_finds_out_what_is_on_a_disk() {
    let fat = DiskImage::fat(16, Layout::Whole, &["-F", "16"], None).unwrap();
    let ext4 = DiskImage::ext(16, Layout::Whole, &["-t", "ext4"], None).unwrap();
    // A FAT32 over an ext4, whose superblock stays: what was made last counts.
    let both = DiskImage::ext(64, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let over = DiskImage::fat(64, Layout::Whole, &["-F", "32", "-s", "1"], None).unwrap();
    let (mut below, above) = (fs::read(both.file()).unwrap(), fs::read(over.file()).unwrap());
    let superblock = below[1024..2048].to_vec();
    below.copy_from_slice(&above);
    below[1024..2048].copy_from_slice(&superblock);
    fs::write(over.file(), below).unwrap();
    let machine = on(&fat).disk(Disk::new(ext4.file())).disk(Disk::new(over.file()));
    let mut shell = Shell::boot(&machine).unwrap();
    for (disk, kind) in [("vda", "fat"), ("vdb", "ext4"), ("vdc", "fat")] {
        shell.check(&format!("storage mount /dev/{disk} /mnt && storage write /mnt/file 1"), 0, &[]).unwrap();
        shell.check("service", 0, &[&format!("{kind}-")]).unwrap();
        shell.check("storage umount /mnt", 0, &[]).unwrap();
    }
    // That a disk has another file system is no error; who asks for this one is told.
    let complaints = shell.run("dmesg -l warn fat-0").unwrap();
    assert!(!complaints.contains("no file system"), "{complaints}");
    shell.check("dmesg fat-0", 0, &["no file system FAT12, FAT16 or FAT32"]).unwrap();
    shell.check("mount -t fat /dev/vdb /mnt", 1, &["there is no file system of this kind on it"]).unwrap();
    drop(shell);
    fat.check_fat().unwrap();
    ext4.check().unwrap();
}

#[test]
fn what_is_not_to_be_written_is_not() {
    for board in BOARDS {
        let host = tree();
        let arguments = ["-F", "16"];
        let read_only = DiskImage::fat(32, Layout::Whole, &arguments, Some(host.path())).unwrap();
        let asked = DiskImage::fat(32, Layout::Whole, &arguments, Some(host.path())).unwrap();
        check_read_only(board, TIMEOUT, &[(&read_only, ""), (&asked, "ro")]).unwrap();
    }
}

#[test]
fn the_machine_goes_down_with_everything_on_a_stick() {
    for board in BOARDS {
        let image = DiskImage::fat(64, Layout::Mbr, &["-F", "32", "-s", "1"], None).unwrap();
        exec(
            &machine_on(board).timeout(TIMEOUT).disk(image.disk()),
            "storage mount /dev/vda1 /mnt && storage copy /bin/echo /mnt/echo",
        )
        .unwrap();
        image.check_fat().unwrap();
        assert!(image.copy_from_fat("/echo").is_ok());
    }
}

#[test]
fn a_full_stick_refuses_and_goes_on() {
    for board in BOARDS {
        let image = DiskImage::fat(4, Layout::Whole, &["-F", "12"], None).unwrap();
        let commands = "storage mount /dev/vda /mnt && files /mnt fill && files /mnt write-read && storage umount /mnt";
        let text = exec(&machine_on(board).timeout(TIMEOUT).disk(image.disk()), commands).expect("no case fails");
        assert!(text.contains("bytes fit"), "{text}");
        image.check_fat().unwrap();
    }
}

/// Deaths of a server during each work, and MiB of the file.
const DEATHS: u32 = 10;
const LARGE: u64 = 64;

/// A file is written and read while a server dies: nobody notices, and the host reads what was written.
fn through_deaths(bus: Bus, victim: &str, cpus: u32) {
    let image = DiskImage::fat(96, Layout::Whole, &["-F", "32", "-s", "1"], None).unwrap();
    let machine = machine().timeout(TIMEOUT).smp(cpus).disk(Disk::new(image.file()).bus(bus.bus));
    let mut shell = Shell::boot(&machine).unwrap();
    shell.check(&format!("storage mount {} /mnt", image.device(bus.disk)), 0, &[]).unwrap();
    let works = [format!("write /mnt/large {LARGE} 5"), format!("verify /mnt/large {LARGE} 5")];
    for (work, result) in works.iter().zip(["written", "verified"]) {
        let mut text = shell.run(&format!("storage {work} &")).unwrap();
        for _ in 0..DEATHS {
            text += &shell.run(&format!("sleep 0.05; service kill {victim}")).unwrap();
        }
        text += &shell.run("wait").unwrap();
        assert!(text.contains(&format!("{result}: {LARGE} MiB")), "{text}\n{}", shell.run("dmesg").unwrap());
    }
    let info = shell.run(&format!("service info {victim}")).unwrap();
    assert!(info.contains(&format!("incarnation  {}\n", 2 * DEATHS + 1)), "{info}");
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    drop(shell);
    image.check_fat().unwrap();
    check_pattern(&fs::read(image.copy_from_fat("/large").unwrap()).unwrap(), LARGE, 5).unwrap();
}

#[test]
fn a_file_is_written_and_read_while_its_file_system_dies() {
    through_deaths(VIRTIO, "fat-0", 1);
}

#[test]
fn a_file_is_written_and_read_while_its_file_system_dies_on_four_processors() {
    through_deaths(VIRTIO, "fat-0", 4);
}

#[test]
fn a_file_is_written_and_read_while_its_file_system_on_an_nvme_disk_dies() {
    through_deaths(NVME, "fat-0", 2);
}

#[test]
fn a_file_is_written_and_read_while_block_dies() {
    through_deaths(VIRTIO, "block", 2);
}

#[test]
fn a_file_is_written_and_read_while_the_driver_dies() {
    through_deaths(VIRTIO, VIRTIO.driver, 2);
}

#[test]
fn a_file_is_written_and_read_while_the_driver_of_an_nvme_disk_dies() {
    through_deaths(NVME, NVME.driver, 2);
}

/// One that kills others.
const SERVICES: &str = "
service chaos
    binary trouble
    arguments serve
    hang never
    connect any
    control
";

/// Kills while programs work, and milliseconds between two.
const KILLS: u32 = 50;
const PAUSE: u32 = 10;

/// Programs make, rename and remove names, write files, keep them open without names, lock and append together while servers die: each is done once.
fn survive(victims: &[&str], mebibytes: u64, arguments: &[&str], cpus: u32) {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(SERVICES).expect("an archive"));
    let image = DiskImage::fat(mebibytes, Layout::Whole, arguments, None).unwrap();
    let (machine, _folder) = machine_with_archive(&ARCHIVE).unwrap();
    let machine = machine.timeout(TIMEOUT).smp(cpus).disk(Disk::new(image.file()));
    let mut shell = Shell::boot(&machine).unwrap();
    shell.check("storage mount /dev/vda /mnt && busy /mnt/w prepare", 0, &[]).unwrap();
    let workers = ["one", "two", "three"].map(|name| format!("busy /mnt/w work {name} & ")).concat();
    let storm = match victims {
        [victim] => format!("trouble ask chaos storm {KILLS} {PAUSE} {victim}"),
        victims => format!("trouble ask chaos random {cpus} {KILLS} {PAUSE} {}", victims.join(" ")),
    };
    let text = shell.run(&format!("{workers} {storm}; busy /mnt/w stop; wait")).unwrap();
    assert!(!text.contains("FAIL"), "{text}\n{}", shell.run("dmesg").unwrap());
    let rounds: Vec<u64> =
        text.lines().filter_map(|line| line.strip_suffix(" rounds")?.rsplit_once(' ')?.1.parse().ok()).collect();
    assert!(rounds.len() == 3 && rounds.iter().all(|rounds| *rounds > 1), "{text}\n{}", shell.run("dmesg").unwrap());
    let mut deaths = 0;
    for victim in victims {
        let info = shell.check(&format!("trouble until {victim} ready; service info {victim}"), 0, &["faults       0"]);
        let info = info.unwrap();
        let incarnation = info.lines().find_map(|line| line.trim().strip_prefix("incarnation")).unwrap();
        deaths += incarnation.trim().parse::<u32>().unwrap() - 1;
    }
    assert!(deaths >= KILLS, "{deaths} deaths");
    let count: u64 = rounds.iter().sum();
    shell.check("busy /mnt/w clean", 0, &[&format!("counted {count}\n")]).unwrap();
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    drop(shell);
    image.check_fat().unwrap();
}

/// All between a program and the disk.
const ALL: [&str; 4] = ["fat-0", "block", "virtio-blk-0", "vfs"];

#[test]
fn programs_do_not_notice_that_fat16_dies() {
    survive(&["fat-0"], 64, &["-F", "16"], 1);
}

#[test]
fn programs_do_not_notice_that_fat12_dies_on_four_processors() {
    survive(&["fat-0"], 12, &["-F", "12", "-s", "8"], 4);
}

#[test]
fn programs_do_not_notice_that_fat32_dies_on_four_processors() {
    survive(&["fat-0"], 64, &["-F", "32", "-s", "1"], 4);
}

#[test]
fn programs_do_not_notice_that_fat12_and_all_below_it_die() {
    survive(&ALL, 12, &["-F", "12", "-s", "8"], 1);
}

#[test]
fn programs_do_not_notice_that_fat16_and_all_below_it_die() {
    survive(&ALL, 64, &["-F", "16"], 2);
}

#[test]
fn programs_do_not_notice_that_fat32_and_all_below_it_die() {
    survive(&ALL, 64, &["-F", "32", "-s", "1"], 4);
}

/// What was written is there without a sync, for the machine that goes on.
#[test]
fn what_was_not_synced_outlives_the_server() {
    let image = DiskImage::fat(64, Layout::Whole, &["-F", "32", "-s", "1"], None).unwrap();
    let mut shell = Shell::boot(&on(&image)).unwrap();
    shell.check("storage mount /dev/vda /mnt && echo first > /mnt/file && mkdir /mnt/folder", 0, &[]).unwrap();
    shell.check("service kill fat-0 && mv /mnt/file /mnt/folder/moved", 0, &[]).unwrap();
    shell.check("service kill fat-0 && echo second >> /mnt/folder/moved", 0, &[]).unwrap();
    shell.check("service kill fat-0 && cat /mnt/folder/moved", 0, &["first\nsecond"]).unwrap();
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    drop(shell);
    image.check_fat().unwrap();
    let found = fs::read_to_string(image.copy_from_fat("/folder/moved").unwrap()).unwrap();
    assert_eq!(found, "first\nsecond\n");
}
