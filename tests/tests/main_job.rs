//! The main job, as a person does it: a disk made from a directory of the host is mounted at the shell, whose commands list, read, write, copy, move and remove its files; then the host's tools find
//! nothing wrong with it, and the host reads back what the same work makes of the directory there.

use std::fs;
use std::path::Path;
use std::time::Duration;

use images::{Disk, MachineKind};
use tests::{Bus, DiskImage, Layout, NVME, Shell, VIRTIO, listing, machine, pattern};

/// Longer than it takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(280);

/// Sizes of files, which are their names, too.
const SIZES: [usize; 6] = [0, 1, 4095, 4097, 70_000, 900_000];

/// The tree below the directory `tree`.
fn make(folder: &Path) {
    let at = |path: &str| folder.join("tree").join(path);
    fs::create_dir_all(at("a/deep/er")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (seed, size) in (0..).zip(SIZES) {
        fs::write(at(&format!("a/{size}")), pattern(seed, size)).unwrap();
    }
    fs::write(at("a/deep/er/größe 文"), "UTF-8\n").unwrap();
    fs::write(at(&"n".repeat(200)), "a long name\n").unwrap();
    for number in 0..100 {
        fs::write(at(&format!("a/deep/{number}")), format!("number {number}\n")).unwrap();
    }
}

/// What [`at_the_shell`] does, on the host.
fn at_the_host(folder: &Path) {
    let at = |path: &str| folder.join(path);
    let copy = |from: &str, to: &str| {
        fs::copy(at(from), at(to)).unwrap();
    };
    fs::create_dir_all(at("copy/a/deep/er")).unwrap();
    fs::create_dir(at("copy/empty")).unwrap();
    SIZES.iter().for_each(|size| copy(&format!("tree/a/{size}"), &format!("copy/a/{size}")));
    (0..100).for_each(|number| copy(&format!("tree/a/deep/{number}"), &format!("copy/a/deep/{number}")));
    copy("tree/a/deep/er/größe 文", "copy/a/deep/er/größe 文");
    copy(&format!("tree/{}", "n".repeat(200)), &format!("copy/{}", "n".repeat(200)));

    fs::rename(at("copy/a/4097"), at("copy/moved")).unwrap();
    fs::write(at("copy/a/1"), [&pattern(1, 1)[..], b"more\n"].concat()).unwrap();
    fs::create_dir_all(at("copy/made/here")).unwrap();
    let whole = pattern(5, 900_000);
    fs::write(at("copy/made/here/part"), &whole[10 * 4096..110 * 4096]).unwrap();
    let lines = (0..100).filter(|number| number.to_string().contains('7'));
    let mut names: Vec<String> = lines.map(|number| format!("number {number}\n")).collect();
    names.sort();
    fs::write(at("copy/made/sevens"), names.concat()).unwrap();
    fs::remove_dir_all(at("tree/a/deep")).unwrap();
    fs::remove_dir(at("tree/empty")).unwrap();
    fs::remove_file(at("tree/a/70000")).unwrap();
}

fn at_the_shell(shell: &mut Shell, host: &Path, device: &str) {
    let mut good = |command: &str, texts: &[&str]| shell.check(command, 0, texts).unwrap();
    good(&format!("mount {device} /mnt"), &[]);
    good("ls /mnt/tree /mnt/tree/a", &["empty", &"n".repeat(200), "900000", "deep"]);
    good("find /mnt/tree -name 'gr*'", &["/mnt/tree/a/deep/er/größe 文"]);
    good("cat '/mnt/tree/a/deep/er/größe 文'", &["UTF-8"]);
    for size in SIZES {
        let sum = std::process::Command::new("sha256sum").arg(host.join("tree/a").join(size.to_string())).output();
        let sum = String::from_utf8(sum.unwrap().stdout).unwrap();
        good(&format!("sha256sum /mnt/tree/a/{size}"), &[&sum[..64]]);
    }
    good("cp -r /mnt/tree /mnt/copy", &[]);
    good("mv /mnt/copy/a/4097 /mnt/copy/moved", &[]);
    good("echo more >> /mnt/copy/a/1", &[]);
    good("mkdir -p /mnt/copy/made/here", &[]);
    good("dd if=/mnt/copy/a/900000 of=/mnt/copy/made/here/part bs=4096 skip=10 count=100", &[]);
    good("cat /mnt/copy/a/deep/* | grep 7 | sort > /mnt/copy/made/sevens", &[]);
    good("wc -l /mnt/copy/made/sevens", &["19"]);
    good("rm -r /mnt/tree/a/deep && rmdir /mnt/tree/empty && rm /mnt/tree/a/70000", &[]);
    good("du /mnt/copy; df /mnt; sync", &["/mnt"]);
    good("umount /mnt", &[]);
}

/// Does it all. `read` gives a directory of the disk as the host sees it.
fn there_and_back(
    (kind, cpus, bus): (MachineKind, u32, Bus),
    image: impl FnOnce(&Path) -> DiskImage,
    check: fn(&DiskImage) -> anyhow::Result<()>,
    read: fn(&DiskImage, &str) -> anyhow::Result<std::path::PathBuf>,
) {
    let host = tempfile::tempdir().unwrap();
    make(host.path());
    let image = image(host.path());
    check(&image).unwrap();
    let machine = machine().timeout(TIMEOUT).kind(kind).smp(cpus).disk(Disk::new(image.file()).bus(bus.bus));
    let mut shell = Shell::boot(&machine).unwrap();
    at_the_shell(&mut shell, host.path(), &image.device(bus.disk));
    drop(shell);
    check(&image).unwrap();
    at_the_host(host.path());
    for directory in ["tree", "copy"] {
        let found = listing(&read(&image, &format!("/{directory}")).unwrap()).unwrap();
        assert_eq!(found, listing(&host.path().join(directory)).unwrap(), "{directory}");
    }
}

fn ext4(machine: (MachineKind, u32, Bus), layout: Layout) {
    let image = |tree: &Path| DiskImage::ext(64, layout, &["-t", "ext4"], Some(tree)).unwrap();
    there_and_back(machine, image, DiskImage::check, DiskImage::read_tree);
}

fn fat(machine: (MachineKind, u32, Bus), layout: Layout) {
    let image = |tree: &Path| DiskImage::fat(64, layout, &["-F", "32", "-s", "1"], Some(tree)).unwrap();
    there_and_back(machine, image, DiskImage::check_fat, DiskImage::copy_from_fat);
}

#[test]
fn ext4_on_q35() {
    ext4((MachineKind::Q35, 1, VIRTIO), Layout::Gpt);
}

#[test]
fn ext4_on_pc_with_four_processors() {
    ext4((MachineKind::Pc, 4, NVME), Layout::Whole);
}

#[test]
fn fat_on_pc() {
    fat((MachineKind::Pc, 1, VIRTIO), Layout::Mbr);
}

#[test]
fn fat_on_q35_with_four_processors() {
    fat((MachineKind::Q35, 4, NVME), Layout::Whole);
}
