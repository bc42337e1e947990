//! File servers die, and nobody notices: programs work with files while the servers of these are killed, and afterwards nothing is lost, nothing was done twice, and nothing is left behind.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use images::{Disk, Machine};
use tempfile::TempDir;
use tests::{DiskImage, Layout, Shell, archive_with_services, in_use, is_back, machine_with_archive};

/// One that kills others.
const SERVICES: &str = "
service chaos
    binary trouble
    arguments serve
    hang never
    control
";

/// The servers of files in memory.
const SERVERS: [&str; 3] = ["tmpfs", "bootfs", "sys"];

/// Kills of each.
const KILLS: u32 = 50;

/// Milliseconds between two.
const PAUSE: u32 = 10;

/// The cases of `files` that a program can go through while another one runs: for the others its share of the shell's account is too small.
const CASES: &str =
    "write exclusive append truncate sparse unlink rename director names list deep parents links locks read-only";

/// Time for all of it.
const TIMEOUT: Duration = Duration::from_secs(280);

fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(SERVICES).expect("an archive"));
    let (machine, folder) = machine_with_archive(&ARCHIVE)?;
    Ok((machine.timeout(TIMEOUT), folder))
}

fn survive(cpus: u32) -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(cpus))?;
    let storm = |times: u32| format!("trouble ask chaos storm {times} {PAUSE} {}", SERVERS.join(" "));
    // Everything was used once.
    shell.check("busy /tmp/w prepare", 0, &[])?;
    shell.check("busy /tmp/w work warm & sleep 1; busy /tmp/w stop; wait; busy /tmp/w clean", 0, &["counted"])?;
    shell.check(&storm(1), 0, &[])?;
    let before = in_use(&mut shell, &SERVERS)?;
    shell.check("busy /tmp/w prepare", 0, &[])?;
    let workers = ["one", "two", "three"].map(|name| format!("busy /tmp/w work {name} & ")).concat();
    let text = shell.check(&format!("{workers} {}; busy /tmp/w stop; wait", storm(KILLS)), 0, &[])?;
    ensure!(!text.contains("FAIL"), "{text}");
    let rounds: Vec<u64> =
        text.lines().filter_map(|line| line.strip_suffix(" rounds")?.rsplit_once(' ')?.1.parse().ok()).collect();
    ensure!(rounds.len() == 3 && rounds.iter().all(|rounds| *rounds > 3), "{text}");
    for server in SERVERS {
        let info = shell.check(&format!("service info {server}"), 0, &["faults       0"])?;
        ensure!(info.contains(&format!("incarnation  {}\n", KILLS + 2)), "{info}");
    }
    // What all have counted together.
    let count: u64 = rounds.iter().sum();
    shell.check("busy /tmp/w clean", 0, &[&format!("counted {count}\n")])?;
    shell.check(&storm(1), 0, &[])?;
    is_back(&mut shell, &SERVERS, &before)
}

#[test]
fn programs_do_not_notice_that_file_servers_die() -> Result<()> {
    survive(1)
}

#[test]
fn nor_on_two_processors() -> Result<()> {
    survive(2)
}

#[test]
fn what_posix_promises_holds_while_servers_die() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    let storm = format!("trouble ask chaos storm {KILLS} {PAUSE} tmpfs bootfs");
    shell.check(&format!("{storm} &"), 0, &["[1] "])?;
    let text = shell.run(&format!("files /tmp {CASES}"))?;
    ensure!(text.contains("0 failed\n") && text.matches("ok ").count() >= 20, "{text}");
    shell.run("wait")?;
    shell.check("files /tmp locks", 0, &["0 failed\n"])?;
    Ok(())
}

/// Programs work on a mounted disk while its file system dies; afterwards the host's tools find nothing.
fn survive_on_disk(cpus: u32) -> Result<()> {
    let image = DiskImage::ext(64, Layout::Whole, &["-t", "ext4"], None)?;
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(cpus).disk(Disk::new(image.file())))?;
    shell.check("storage mount /dev/vda /mnt", 0, &[])?;
    shell.check("busy /mnt/w prepare", 0, &[])?;
    let workers = ["one", "two", "three"].map(|name| format!("busy /mnt/w work {name} & ")).concat();
    let storm = format!("trouble ask chaos storm {KILLS} {PAUSE} ext4-0");
    let text = shell.run(&format!("{workers} {storm}; busy /mnt/w stop; wait"))?;
    ensure!(!text.contains("FAIL"), "{text}\n{}", shell.run("dmesg")?);
    let rounds: Vec<u64> =
        text.lines().filter_map(|line| line.strip_suffix(" rounds")?.rsplit_once(' ')?.1.parse().ok()).collect();
    ensure!(rounds.len() == 3 && rounds.iter().all(|rounds| *rounds > 1), "{text}\n{}", shell.run("dmesg")?);
    let info = shell.check("service info ext4-0", 0, &["faults       0"])?;
    ensure!(info.contains(&format!("incarnation  {}\n", KILLS + 1)), "{info}");
    let count: u64 = rounds.iter().sum();
    shell.check("busy /mnt/w clean", 0, &[&format!("counted {count}\n")])?;
    shell.check("storage umount /mnt", 0, &[])?;
    drop(shell);
    image.check()
}

#[test]
fn programs_do_not_notice_that_the_file_system_of_a_disk_dies() -> Result<()> {
    survive_on_disk(1)
}

#[test]
fn nor_that_it_does_on_two_processors() -> Result<()> {
    survive_on_disk(2)
}
