//! File systems on disks: images that the host's tools make from the host's files are mounted, used and unmounted; then those tools look at what is on them.

use std::fs;
use std::time::Duration;

use images::{Disk, Machine, MachineKind};
use tests::{
    BOARDS, Bus, DiskImage, Layout, NVME, Shell, VIRTIO, check_pattern, check_read_only, exec, listing, machine,
    machine_on, pattern,
};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(280);

/// Deaths of each server.
const DEATHS: u32 = 10;

/// MiB of the file that is written and read meanwhile.
const LARGE: u32 = 64;

/// Properties of an NVMe disk with blocks of 4 KiB.
const LARGE_BLOCKS: [&str; 2] = ["logical_block_size=4096", "physical_block_size=4096"];

fn on(image: &DiskImage) -> Machine {
    machine().timeout(TIMEOUT).disk(Disk::new(image.file()))
}

/// A directory tree as a person may have one.
fn tree() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join("tree").join(path);
    fs::create_dir_all(at("a/deep/er")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (number, size) in [0, 1, 1023, 4096, 4097, 300_000, 3_000_000].into_iter().enumerate() {
        fs::write(at(&format!("a/{size}")), pattern(number as u64, size)).unwrap();
    }
    fs::write(at("a/deep/er/größe 文"), "UTF-8\n").unwrap();
    fs::write(at(&"n".repeat(255)), "a long name\n").unwrap();
    for number in 0..300 {
        fs::write(at(&format!("a/deep/{number}")), number.to_string()).unwrap();
    }
    std::os::unix::fs::symlink("a/deep", at("link")).unwrap();
    std::os::unix::fs::symlink("x".repeat(200), at("dangling")).unwrap();
    folder
}

/// The main job: files of the host in Skink, and back.
fn there_and_back(bus: Bus, properties: &[&str], layout: Layout, arguments: &[&str], cpus: u32) {
    let host = tree();
    let image = DiskImage::ext(64, layout, arguments, Some(host.path())).unwrap();
    image.check().unwrap();
    let device = image.device(bus.disk);
    let commands = [
        &format!("storage mount {device} /mnt"),
        "storage tree /mnt/tree",
        "storage copy /mnt/tree /mnt/copy",
        "storage copy /bin/echo /mnt/echo",
        "/mnt/echo a program of the disk",
        "storage remove /mnt/tree",
        "storage write /mnt/pattern 9 77",
        "storage umount /mnt",
        &format!("storage mount {device} /mnt"),
        "storage verify /mnt/pattern 9 77",
        "storage umount /mnt",
    ];
    let disk = properties.iter().fold(Disk::new(image.file()).bus(bus.bus), |disk, property| disk.property(property));
    let text = exec(&machine().timeout(TIMEOUT).disk(disk).smp(cpus), &commands.join(" && ")).unwrap();
    let wanted = listing(&host.path().join("tree")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..wanted.len()], wanted, "{text}");
    assert_eq!(lines[wanted.len()..], ["a program of the disk", "written: 9 MiB", "verified: 9 MiB"], "{text}");
    image.check().unwrap();
    let copy = image.read_tree("/copy").unwrap();
    assert_eq!(listing(&copy).unwrap(), wanted);
    check_pattern(&image.read("/pattern").unwrap(), 9, 77).unwrap();
    assert!(image.read("/tree").is_err(), "the tree was removed");
}

#[test]
fn files_of_ext4_in_a_partition_there_and_back() {
    there_and_back(VIRTIO, &[], Layout::Mbr, &["-t", "ext4", "-b", "4096"], 2);
}

#[test]
fn files_of_ext4_with_small_blocks_there_and_back() {
    there_and_back(VIRTIO, &[], Layout::Gpt, &["-t", "ext4", "-b", "1024"], 1);
}

#[test]
fn files_of_ext2_there_and_back() {
    there_and_back(VIRTIO, &[], Layout::Whole, &["-t", "ext2", "-b", "1024"], 4);
}

#[test]
fn files_of_ext4_in_a_partition_of_an_nvme_disk_there_and_back() {
    there_and_back(NVME, &[], Layout::Gpt, &["-t", "ext4", "-b", "4096"], 2);
}

#[test]
fn files_of_ext4_with_small_blocks_on_an_nvme_disk_there_and_back() {
    there_and_back(NVME, &[], Layout::Whole, &["-t", "ext4", "-b", "1024"], 1);
}

#[test]
fn files_on_a_disk_with_large_blocks_there_and_back() {
    there_and_back(NVME, &LARGE_BLOCKS, Layout::Whole, &["-t", "ext4", "-b", "4096"], 1);
}

#[test]
fn files_on_a_disk_keep_what_posix_promises() {
    for (format, kind, cpus) in [("ext4", MachineKind::Q35, 1), ("ext2", MachineKind::Pc, 4)] {
        let image = DiskImage::ext(96, Layout::Whole, &["-t", format, "-b", "4096"], None).unwrap();
        let commands = "storage mount /dev/vda /mnt && files /mnt && storage umount /mnt";
        let text = exec(&on(&image).kind(kind).smp(cpus), commands).expect("no case fails");
        assert!(text.contains("0 failed") && !text.contains("skipped") && text.contains("ok many-names"), "{text}");
        image.check().unwrap();
    }
}

/// As another system leaves files for which it has reserved blocks: of ext4 they were never written.
#[test]
fn large_files_are_removed_cut_off_and_replaced() {
    for (board, (format, mebibytes)) in BOARDS.into_iter().zip([("ext4", 2048), ("ext2", 256)]) {
        let image = DiskImage::ext(4 * mebibytes, Layout::Whole, &["-t", format, "-b", "4096"], None).unwrap();
        for name in ["removed", "cut", "replaced"] {
            image.change(&format!("write /dev/null {name}")).unwrap();
            image.change(&format!("fallocate {name} 0 {}", mebibytes * 256 - 1)).unwrap();
            image.change(&format!("set_inode_field {name} size {}", mebibytes << 20)).unwrap();
        }
        let commands = [
            "storage mount /dev/vda /mnt",
            "rm /mnt/removed",
            "echo cut > /mnt/cut",
            "echo new > /mnt/new",
            "mv /mnt/new /mnt/replaced",
            "ls /mnt",
            "storage umount /mnt",
        ];
        let text = exec(&machine_on(board).timeout(TIMEOUT).disk(image.disk()), &commands.join(" && ")).unwrap();
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["cut", "lost+found", "replaced"], "{format}");
        image.check().unwrap();
        assert_eq!(image.read("/cut").unwrap(), b"cut\n", "{format}");
        assert_eq!(image.read("/replaced").unwrap(), b"new\n", "{format}");
    }
}

#[test]
fn large_directories_without_an_index() {
    // In small blocks the directory needs indirect ones.
    for arguments in [&["-t", "ext2", "-b", "1024"][..], &["-t", "ext4", "-b", "4096", "-O", "^dir_index"]] {
        let image = DiskImage::ext(96, Layout::Whole, arguments, None).unwrap();
        let commands = "storage mount /dev/vda /mnt && files /mnt each-of-many && storage umount /mnt; service list";
        let text = exec(&on(&image), commands).unwrap();
        assert!(text.contains("ok each-of-many") && text.contains("0 failed"), "{arguments:?}: {text}");
        // Nobody took that much work for a hang.
        let has_died = |line: &&str| {
            !line.starts_with("NAME") && line.split_whitespace().nth(4).is_some_and(|faults| faults != "0")
        };
        assert_eq!(text.lines().skip_while(|line| !line.starts_with("NAME")).find(has_died), None, "{text}");
        image.check().unwrap();
    }
}

#[test]
fn what_cannot_be_mounted_says_why() {
    for board in BOARDS {
        let image = DiskImage::ext(8, Layout::Whole, &["-t", "ext4"], None).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let file = empty.path().join("zeros");
        fs::write(&file, vec![0; 1 << 20]).unwrap();
        let torn = DiskImage::ext(8, Layout::Whole, &["-t", "ext4"], None).unwrap();
        let mut bytes = fs::read(torn.file()).unwrap();
        bytes[1024 + 0x20] ^= 0xff;
        fs::write(torn.file(), bytes).unwrap();
        let machine =
            machine_on(board).timeout(TIMEOUT).disk(image.disk()).disk(Disk::new(&file)).disk(Disk::new(torn.file()));
        let mut shell = Shell::boot(&machine).unwrap();
        let mut refused = |command: &str, why: &str| {
            shell.check(command, 1, &[why]).unwrap();
        };
        refused("storage mount /dev/vdb /mnt", "there is no file system of this kind on it");
        refused("storage mount /dev/vdc /mnt", "the file system is corrupt");
        refused("storage mount /dev/vdz /mnt", "there is no such disk");
        refused("storage mount /dev/vda /nowhere", "no such file or directory");
        refused("storage umount /mnt", "nothing is mounted there");
        shell.check("storage mount /dev/vda /mnt", 0, &[]).unwrap();
        shell.check("storage mount /dev/vda /tmp", 1, &["it is in use"]).unwrap();
        shell.check("storage write /mnt/file 1", 0, &[]).unwrap();
        shell.check("storage keep-open /mnt/file umount /mnt", 1, &["it is in use"]).unwrap();
        shell.check("storage verify /mnt/file 1 && storage umount /mnt", 0, &["verified"]).unwrap();
        shell.check("storage mount /dev/vda /mnt && storage verify /mnt/file 1", 0, &["verified"]).unwrap();
    }
}

#[test]
fn kinds_have_other_names_and_options_of_their_own() {
    let ext = DiskImage::ext(8, Layout::Whole, &["-t", "ext2"], None).unwrap();
    let fat = DiskImage::fat(16, Layout::Whole, &["-F", "16"], None).unwrap();
    let mut shell = Shell::boot(&on(&ext).disk(Disk::new(fat.file()))).unwrap();
    for (kind, disk) in [("ext2", "vda"), ("ext3", "vda"), ("vfat", "vdb")] {
        let shown = format!("/dev/{disk} on /mnt type {kind} (rw)");
        let mount = format!("mount -t {kind} -o cache=4,overlay=2 /dev/{disk} /mnt && mount");
        shell.check(&mount, 0, &[&shown]).unwrap();
        shell.check("storage write /mnt/file 1 && umount /mnt", 0, &[]).unwrap();
    }
    shell.check("mount -t vfat /dev/vda /mnt", 1, &["there is no file system of this kind"]).unwrap();
    shell.check("mount -t xfs /dev/vda /mnt", 1, &["no such kind of file system"]).unwrap();
    for kind in ["auto", "ext4", "ext2", "fat", "tmpfs", "bind"] {
        let mount = format!("mount -t {kind} -o ro,bogus=3 /dev/vda /mnt");
        shell.check(&mount, 1, &["bogus: this kind of file system has no such option"]).unwrap();
    }
    for (kind, option) in [("ext4", "cache=much"), ("vfat", "overlay=0"), ("tmpfs", "percent=101")] {
        let disk = if kind == "vfat" { "vdb" } else { "vda" };
        let mount = format!("mount -t {kind} -o {option} /dev/{disk} /mnt");
        shell.check(&mount, 1, &["out of range"]).unwrap();
    }
    shell.check("mount", 0, &[]).map(|text| assert!(!text.contains("/mnt"), "{text}")).unwrap();
}

#[test]
fn file_systems_in_memory_are_mounted_and_gone_again() {
    let mut shell = Shell::boot(&machine().timeout(TIMEOUT)).unwrap();
    shell.check("mkdir /tmp/a && echo below > /mnt/file", 0, &[]).unwrap();
    shell
        .check(
            "mount -t tmpfs none /mnt && mount -t tmpfs -o percent=10 none /tmp/a && mount",
            0,
            &["none on /mnt type tmpfs (rw)"],
        )
        .unwrap();
    shell.check("cat /mnt/file", 1, &["no such file"]).unwrap();
    shell.check("storage write /mnt/large 2 && echo other > /tmp/a/file && df /mnt", 0, &["none"]).unwrap();
    shell
        .check("service kill tmpfs-0 && storage verify /mnt/large 2 && cat /tmp/a/file", 0, &["verified", "other"])
        .unwrap();
    shell.check("service kill vfs && storage verify /mnt/large 2", 0, &["verified"]).unwrap();
    shell.check("storage keep-open /mnt/large umount /mnt", 1, &["it is in use"]).unwrap();
    shell.check("umount /mnt && cat /mnt/file && umount /tmp/a && ls /tmp/a", 0, &["below"]).unwrap();
    shell.check("mount -r -t tmpfs none /mnt && echo x > /mnt/file", 1, &["read-only"]).unwrap();
    shell.check("umount /mnt && mount -t tmpfs none /mnt && ls /mnt && umount /mnt", 0, &[]).unwrap();
}

#[test]
fn where_the_shell_stands_is_in_use() {
    let mut shell = Shell::boot(&machine().timeout(TIMEOUT)).unwrap();
    shell.check("mkdir /tmp/e && mount -t tmpfs none /tmp/e && mkdir /tmp/e/in && cd /tmp/e/in", 0, &[]).unwrap();
    shell.check("umount /tmp/e", 1, &["it is in use"]).unwrap();
    // The shell, and who serves it, may be others meanwhile.
    shell.check("service kill tmpfs-0 && sleep 0.5; umount /tmp/e", 1, &["it is in use"]).unwrap();
    shell.check("service kill shell; trouble until shell ready; pwd", 0, &["/tmp/e/in"]).unwrap();
    shell.check("umount /tmp/e", 1, &["it is in use"]).unwrap();
    // A subshell goes back; a directory may be taken away below the shell.
    shell.check("(cd /); umount /tmp/e", 1, &["it is in use"]).unwrap();
    shell.check("rmdir /tmp/e/in && cd .. && umount .", 1, &["it is in use"]).unwrap();
    shell.check("cd / && umount /tmp/e", 0, &[]).unwrap();
    shell.check("mount -t tmpfs none /tmp/e && cd /tmp/e && umount -f /tmp/e && cd /tmp && ls e", 0, &[]).unwrap();
}

#[test]
fn a_mounted_disk_is_written_by_nobody_else() {
    let image = DiskImage::ext(8, Layout::Mbr, &["-t", "ext4"], None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let free = folder.path().join("free");
    fs::write(&free, vec![0; 16 << 20]).unwrap();
    let mut shell = Shell::boot(&on(&image).disk(Disk::new(&free)).smp(2)).unwrap();
    let refuse_all = |shell: &mut Shell, commands: &[&str]| {
        for command in commands {
            shell.check(command, 1, &["in use"]).unwrap();
        }
    };
    let writes = [
        "dd if=/dev/zero of=/dev/vda1 bs=1k count=1 seek=1",
        "dd if=/dev/zero of=/dev/vda bs=1k count=1",
        "cp /bin/true /dev/vda1",
        "echo x | tee /dev/vda1 > /dev/null",
        "echo x > /dev/vda",
    ];
    shell.check("mkdir /tmp/a && mount /dev/vda1 /mnt && storage write /mnt/file 1", 0, &[]).unwrap();
    refuse_all(&mut shell, &writes);
    refuse_all(&mut shell, &["mount -t ext4 /dev/vda1 /tmp/a", "mount -r -t ext4 /dev/vda /tmp/a"]);
    shell.check("dd if=/dev/vda1 of=/dev/null bs=64k count=1 && head -c 512 /dev/vda > /dev/null", 0, &[]).unwrap();
    // Whoever serves the disks next knows it too.
    shell.check("service kill block && sleep 0.5", 0, &[]).unwrap();
    refuse_all(&mut shell, &writes);
    shell.check("service kill vfs && sleep 0.5 && storage verify /mnt/file 1", 0, &["verified"]).unwrap();
    refuse_all(&mut shell, &writes);
    // A disk that could not be mounted is nobody's again when that is said.
    let attempt = "mount -t ext4 /dev/vdb /tmp/a || dd if=/dev/zero of=/dev/vdb bs=1k count=4 || echo held";
    let attempts = format!("for one in 0 1 2 3 4 5 6 7 8 9; do {attempt}; done");
    let said = shell.run(&attempts).unwrap();
    assert!(said.matches("there is no file system").count() == 10 && !said.contains("held"), "{said}");
    // Another disk is nobody's.
    shell.check("dd if=/dev/zero of=/dev/vdb bs=1k count=4 && cp /bin/true /dev/vdb", 0, &[]).unwrap();
    // Where it is mounted to be read only, it stays as it is, and others may read it so too.
    shell.check("umount /mnt && mount -r /dev/vda1 /mnt && mount -r /dev/vda1 /tmp/a", 0, &[]).unwrap();
    refuse_all(&mut shell, &writes);
    shell.check("storage verify /tmp/a/file 1 && umount /mnt && umount /tmp/a", 0, &["verified"]).unwrap();
    // What somebody writes is not mounted, until he has ended.
    shell.check("sleep 2 | dd of=/dev/vda1 & sleep 0.5; mount /dev/vda1 /mnt", 1, &["in use"]).unwrap();
    shell.check("wait; mount /dev/vda1 /mnt && storage verify /mnt/file 1 && umount /mnt", 0, &["verified"]).unwrap();
    // And what is not mounted can be written.
    shell.check("dd if=/dev/zero of=/dev/vda1 bs=1k count=4", 0, &[]).unwrap();
    shell.check("mount /dev/vda1 /mnt", 1, &["there is no file system"]).unwrap();
}

#[test]
fn what_is_not_to_be_written_is_not() {
    for board in BOARDS {
        let host = tree();
        let arguments = ["-t", "ext4"];
        let read_only = DiskImage::ext(32, Layout::Whole, &arguments, Some(host.path())).unwrap();
        let asked = DiskImage::ext(32, Layout::Whole, &arguments, Some(host.path())).unwrap();
        let faulty = DiskImage::ext(32, Layout::Whole, &arguments, Some(host.path())).unwrap();
        faulty.change("set_super_value state 3").unwrap();
        check_read_only(board, TIMEOUT, &[(&read_only, ""), (&asked, "ro"), (&faulty, "")]).unwrap();
    }
}

#[test]
fn a_disk_that_refuses_writes_without_saying_so_fails_them() {
    for board in BOARDS {
        // QEMU's NVMe disks do not tell that they are for reading only.
        let host = tree();
        let image = DiskImage::ext(32, Layout::Whole, &["-t", "ext4"], Some(host.path())).unwrap();
        let before = fs::read(image.file()).unwrap();
        let disk = Disk { read_only: true, ..Disk::new(image.file()).bus(NVME.bus) };
        let mut shell = Shell::boot(&machine_on(board).timeout(TIMEOUT).disk(disk)).unwrap();
        shell.check("storage mount /dev/nvme0n1 /mnt", 1, &["the device failed"]).unwrap();
        shell.check("storage mount /dev/nvme0n1 /mnt ro", 0, &[]).unwrap();
        shell.check("storage tree /mnt/tree/a/deep/er", 0, &["größe"]).unwrap();
        shell.check("storage write /mnt/file 1", 1, &["read-only"]).unwrap();
        shell.check("storage umount /mnt", 0, &[]).unwrap();
        drop(shell);
        assert!(fs::read(image.file()).unwrap() == before, "something was written");
    }
}

#[test]
fn the_machine_goes_down_with_everything_on_its_disks() {
    for board in BOARDS {
        // A copy of each of the programs' many names.
        let image = DiskImage::ext(128, Layout::Mbr, &["-t", "ext4"], None).unwrap();
        let commands =
            "storage mount /dev/vda1 /mnt && storage copy /bin/files /mnt/files && storage copy /bin /mnt/bin";
        exec(&machine_on(board).timeout(TIMEOUT).disk(image.disk()), commands).unwrap();
        image.check().unwrap();
        assert!(image.read("/files").unwrap() == image.read("/bin/files").unwrap());
    }
}

/// Writes and reads a large file while servers are killed.
fn through_deaths(kind: MachineKind, cpus: u32, bus: Bus, victim: &str) {
    let image = DiskImage::ext(160, Layout::Whole, &["-t", "ext4"], None).unwrap();
    let machine = machine().timeout(TIMEOUT).kind(kind).smp(cpus).disk(Disk::new(image.file()).bus(bus.bus));
    let mut shell = Shell::boot(&machine).unwrap();
    shell.check(&format!("storage mount {} /mnt", image.device(bus.disk)), 0, &[]).unwrap();
    let works = [format!("write /mnt/large {LARGE} 5"), format!("verify /mnt/large {LARGE} 5")];
    for (work, result) in works.iter().zip(["written", "verified"]) {
        let mut text = shell.run(&format!("storage {work} &")).unwrap();
        for _ in 0..DEATHS {
            text += &shell.run(&format!("sleep 0.1; service kill {victim}")).unwrap();
        }
        text += &shell.run("wait").unwrap();
        assert!(text.contains(&format!("{result}: {LARGE} MiB")), "{victim}: {text}\n{}", shell.run("dmesg").unwrap());
    }
    let info = shell.run(&format!("service info {victim}")).unwrap();
    assert!(info.contains(&format!("incarnation  {}\n", 2 * DEATHS + 1)), "{info}");
    shell.check("storage umount /mnt", 0, &[]).unwrap();
    drop(shell);
    image.check().unwrap();
    check_pattern(&image.read("/large").unwrap(), LARGE.into(), 5).unwrap();
}

#[test]
fn a_file_is_written_and_read_while_the_driver_dies() {
    through_deaths(MachineKind::Pc, 1, VIRTIO, VIRTIO.driver);
}

#[test]
fn a_file_is_written_and_read_while_the_driver_of_an_nvme_disk_dies() {
    through_deaths(MachineKind::Q35, 4, NVME, NVME.driver);
}

#[test]
fn a_file_is_written_and_read_while_block_dies() {
    through_deaths(MachineKind::Pc, 4, VIRTIO, "block");
}

#[test]
fn a_file_is_written_and_read_while_its_file_system_dies() {
    through_deaths(MachineKind::Q35, 1, VIRTIO, "ext4-0");
}

#[test]
fn a_file_is_written_and_read_while_its_file_system_on_an_nvme_disk_dies() {
    through_deaths(MachineKind::Q35, 2, NVME, "ext4-0");
}
