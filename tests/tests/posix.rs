//! What POSIX promises about files (`files` of tests/guest), with the kinds of file systems mounted side by side on one machine, on both boards, with one CPU and with four. (`storage.rs`, `fat.rs` and `files.rs` have q35 with one CPU.)

use std::time::Duration;

use images::{Disk, MachineKind};
use tests::{BOARDS, DiskImage, Layout, Shell, machine};

/// Longer than any of these takes on a machine that does other things as well.
const TIMEOUT: Duration = Duration::from_secs(240);

/// All but those on names, which take a directory with 10,000 of them: `storage.rs`, `fat.rs` and `files.rs` have these.
const CASES: &str = "write-read exclusive append truncate sparse unlink rename directories list-while deep parents link locks read-only pipes";

/// The disks in the order in which the machine gets them: where they are mounted, and what they cannot do.
fn disks(mebibytes: u64) -> Vec<(&'static str, DiskImage, &'static [&'static str])> {
    let ext = |arguments: &[&str]| DiskImage::ext(mebibytes, Layout::Whole, arguments, None).unwrap();
    let fat = |arguments: &[&str]| DiskImage::fat(mebibytes, Layout::Whole, arguments, None).unwrap();
    let no_links: &[&str] = &["links", "link-loops", "hard-links"];
    vec![
        ("ext4", ext(&["-t", "ext4", "-b", "4096"]), &[]),
        ("ext2", ext(&["-t", "ext2", "-b", "4096"]), &[]),
        ("fat", fat(&["-F", "16", "-s", "2"]), no_links),
    ]
}

/// Boots with the disks and mounts them.
fn boot(kind: MachineKind, cpus: u32, disks: &[(&str, DiskImage, &[&str])]) -> Shell {
    let with_disks = disks.iter().fold(machine().kind(kind).smp(cpus).timeout(TIMEOUT), |machine, (_, image, _)| {
        machine.disk(Disk::new(image.file()))
    });
    let mut shell = Shell::boot(&with_disks).unwrap();
    shell.patience(TIMEOUT);
    for (index, (name, ..)) in disks.iter().enumerate() {
        let disk = char::from(b'a' + index as u8);
        shell.check(&format!("mkdir /tmp/{name} && storage mount /dev/vd{disk} /tmp/{name}"), 0, &[]).unwrap();
    }
    shell
}

fn unmount_and_check(mut shell: Shell, disks: &[(&str, DiskImage, &[&str])]) {
    for (name, ..) in disks {
        shell.check(&format!("storage umount /tmp/{name}"), 0, &[]).unwrap();
    }
    let log = shell.run("dmesg").unwrap();
    assert!(!log.contains("panic"), "{log}");
    drop(shell);
    for (name, image, _) in disks {
        let result = if *name == "fat" { image.check_fat() } else { image.check() };
        result.unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}

fn all_cases(kind: MachineKind, cpus: u32) {
    let disks = disks(64);
    let mut shell = boot(kind, cpus, &disks);
    for (name, _, wanted) in &disks {
        let text = shell.run(&format!("files /tmp/{name} {CASES}")).unwrap();
        let skipped: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("skipped ")).collect();
        assert!(text.contains("0 failed"), "{kind:?}, {cpus} CPUs, {name}: {text}\n{}", shell.run("dmesg").unwrap());
        assert_eq!(skipped, *wanted, "{kind:?}, {cpus} CPUs, {name}: {text}");
    }
    // Two file systems at the same time.
    let text = shell.run("files /tmp/ext2 sparse truncate & files /tmp/fat sparse truncate & wait").unwrap();
    assert_eq!(text.matches("0 failed").count(), 2, "{kind:?}, {cpus} CPUs: {text}");
    unmount_and_check(shell, &disks);
}

#[test]
fn on_q35_with_four_cpus() {
    all_cases(MachineKind::Q35, 4);
}

#[test]
fn on_pc_with_one_cpu() {
    all_cases(MachineKind::Pc, 1);
}

#[test]
fn on_pc_with_four_cpus() {
    all_cases(MachineKind::Pc, 4);
}

#[test]
fn full_disks_refuse_and_go_on() {
    for (kind, cpus) in BOARDS {
        let disks = disks(12);
        let mut shell = boot(kind, cpus, &disks);
        for (name, ..) in &disks {
            shell.check(&format!("files /tmp/{name} fill && files /tmp/{name} write-read"), 0, &["bytes fit"]).unwrap();
        }
        unmount_and_check(shell, &disks);
    }
}
