//! Servers between programs and devices die: vfs, block, pci, the drivers, and any of them at once. Programs go on, each thing is done once, and nothing is left behind.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use images::{Disk, Machine};
use tempfile::TempDir;
use tests::{DiskImage, Layout, Shell, archive_with_manifest, in_use, machine_with_archive};

/// One that kills others.
const CHAOS: &str = "
service chaos
    binary trouble
    arguments serve
    hang never
    control
";

/// Time for all of it.
const TIMEOUT: Duration = Duration::from_secs(70);

/// Kills of each.
const KILLS: u32 = 50;

/// Milliseconds between two.
const PAUSE: u32 = 8;

/// The system with the service that kills others, in which the program `mounts` may mount.
fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let change = |manifest: String| manifest.replace("mount umount storage", "mount umount storage mounts") + CHAOS;
        archive_with_manifest(change).expect("an archive")
    });
    let (machine, folder) = machine_with_archive(&ARCHIVE)?;
    Ok((machine.timeout(TIMEOUT), folder))
}

/// What went wrong, with what the servers say of it.
fn failed(shell: &mut Shell, text: &str) -> anyhow::Error {
    let log = shell.run("dmesg").unwrap_or_default();
    let services = shell.run("service list").unwrap_or_default();
    anyhow::anyhow!("{text}\n--- services\n{services}\n--- log\n{log}")
}

/// Checks that a server has died so often, by nobody's fault.
fn check_deaths(shell: &mut Shell, server: &str, deaths: u32) -> Result<()> {
    shell.check(&format!("trouble until {server} ready"), 0, &["ready"])?;
    let info = shell.run(&format!("service info {server}"))?;
    if !info.contains("faults       0") || !info.contains(&format!("incarnation  {}\n", deaths + 1)) {
        return Err(failed(shell, &info));
    }
    Ok(())
}

fn names_while_vfs_dies(cpus: u32) -> Result<()> {
    let tree = tempfile::tempdir()?;
    fs::write(tree.path().join("mark"), "here")?;
    let image = DiskImage::ext(8, Layout::Mbr, &["-t", "ext4"], Some(tree.path()))?;
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(cpus).disk(Disk::new(image.file())))?;
    shell.check("while ! test -e /dev/vda1; do sleep 0.1; done; mkdir /tmp/m", 0, &[])?;
    let storm = |times: u32| format!("trouble ask chaos storm {times} {PAUSE} vfs");
    let work = |name: &str, disk: &str, rounds: u32| format!("mounts {name} /tmp/m {disk} {rounds}");
    // Everything was used once.
    shell.check(&work("warm", "/dev/vda1", 2), 0, &[])?;
    shell.check(&storm(1), 0, &[])?;
    shell.check(&work("warm", "/dev/vda1", 2), 0, &[])?;
    let before = in_use(&mut shell, &["vfs"])?;
    let workers = format!("touch /tmp/m/wait; {} & {} &", work("one", "/dev/vda1", 1), work("two", "-", 1));
    let text = shell.run(&format!("{workers} {}; rm /tmp/m/wait; wait", storm(KILLS)))?;
    let rounds: Vec<u64> = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse().ok()).collect();
    if text.contains("FAIL") || rounds.len() != 2 || rounds.iter().any(|rounds| *rounds < 3) {
        return Err(failed(&mut shell, &text));
    }
    check_deaths(&mut shell, "vfs", KILLS + 1)?;
    // No server of a file system is left.
    let services = shell.run("service list")?;
    ensure!(!services.contains("ext4-") && !services.contains("fat-"), "{services}");
    shell.check(&work("last", "/dev/vda1", 2), 0, &[])?;
    shell.check(&storm(1), 0, &[])?;
    shell.check("ls / /dev", 0, &["zero"])?;
    let after = in_use(&mut shell, &["vfs"])?;
    ensure!(before == after, "before {before:?}, after {after:?}");
    Ok(())
}

#[test]
fn names_and_mounts_while_vfs_dies_on_one_processor() -> Result<()> {
    names_while_vfs_dies(1)
}

#[test]
fn names_and_mounts_while_vfs_dies_on_four_processors() -> Result<()> {
    names_while_vfs_dies(4)
}
