//! Servers between programs and devices die: vfs, block, pci, the drivers, and any of them at once. Programs go on, each thing is done once, and nothing is left behind.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, ensure};
use images::{Disk, DiskBus, Machine};
use tempfile::TempDir;
use tests::{DiskImage, Layout, Shell, archive_with_manifest, in_use, is_back, machine_with_archive};

/// One that kills others.
const CHAOS: &str = "
service chaos
    binary trouble
    arguments serve
    hang never
    connect any
    control
";

/// Time for all of it.
const TIMEOUT: Duration = Duration::from_secs(280);

/// Kills of each.
const KILLS: u32 = 50;

/// Milliseconds between two.
const PAUSE: u32 = 8;

/// Kills between two looks at what is printed.
const AT_ONCE: u32 = 10;

/// Bytes of a disk.
const DISK_BYTES: usize = 8 << 20;

/// Requests to each disk meanwhile.
const REQUESTS: u32 = 20_000;

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
    let disks = shell.run("ls /dev; lsblk").unwrap_or_default();
    let log = shell.run("dmesg").unwrap_or_default();
    let services = shell.run("service list").unwrap_or_default();
    anyhow::anyhow!("{text}\n--- disks\n{disks}\n--- services\n{services}\n--- log\n{log}")
}

/// Checks that a server has died so often at least, and never by its own fault.
fn check_deaths(shell: &mut Shell, server: &str, deaths: u32) -> Result<()> {
    shell.check(&format!("trouble until {server} ready"), 0, &["ready"])?;
    let info = shell.run(&format!("service info {server}"))?;
    let incarnation = info.lines().find_map(|line| line.trim().strip_prefix("incarnation"));
    let incarnation: u32 = incarnation.and_then(|number| number.trim().parse().ok()).unwrap_or(0);
    if !info.contains("faults       0") || incarnation <= deaths {
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
    let mut text = shell.run(&workers)?;
    for _ in 0..KILLS / AT_ONCE {
        text += &shell.check(&storm(AT_ONCE), 0, &[])?;
    }
    text += &shell.run("rm /tmp/m/wait; wait")?;
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
    is_back(&mut shell, &["vfs"], &before)
}

#[test]
fn names_and_mounts_while_vfs_dies_on_one_processor() -> Result<()> {
    names_while_vfs_dies(1)
}

#[test]
fn names_and_mounts_while_vfs_dies_on_four_processors() -> Result<()> {
    names_while_vfs_dies(4)
}

/// An image with a boot record of two partitions.
fn partitioned(file: &Path) -> Result<()> {
    let mut bytes = vec![0; DISK_BYTES];
    for (at, kind, start, sectors) in [(446, 0x0c, 64u32, 2048u32), (462, 0x83, 4096, 8192)] {
        bytes[at + 4] = kind;
        bytes[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        bytes[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    Ok(fs::write(file, bytes)?)
}

/// A machine with a partitioned virtio disk and an NVMe disk.
fn with_disks(machine: Machine, folder: &Path) -> Result<Machine> {
    let (first, second) = (folder.join("first.img"), folder.join("second.img"));
    partitioned(&first)?;
    fs::File::create(&second)?.set_len(DISK_BYTES as u64)?;
    Ok(machine.disk(Disk::new(first)).disk(Disk::new(second).bus(DiskBus::Nvme)))
}

/// Waits for both.
const DISKS: &str = "while ! test -e /dev/vda2 -a -e /dev/nvme0n1; do sleep 0.1; done";

/// Programs compare what they read from a partition and from a whole disk with what they wrote, while these die.
fn disks_while(victims: &[&str], cpus: u32, seed: u32) -> Result<()> {
    let (machine, folder) = system()?;
    let mut shell = Shell::boot(&with_disks(machine.smp(cpus), folder.path())?)?;
    shell.check(DISKS, 0, &[])?;
    let storm = |times: u32| format!("trouble ask chaos random {seed} {times} {PAUSE} {}", victims.join(" "));
    let churn = |disk: &str, requests: u32| format!("diskio {disk} churn random 4K 8 {requests} {seed}");
    shell.check("diskctl vda scheduler deadline", 0, &[])?;
    // Each is the incarnation after one that was used, and is used: what it has depends on who of them started behind whom.
    let anew = |shell: &mut Shell| -> Result<()> {
        let churns = format!("{}; {}", churn("vda2", 100), churn("nvme0n1", 100));
        shell.check(&churns, 0, &[])?;
        for victim in victims {
            shell.check(
                &format!("trouble ask chaos storm 1 {PAUSE} {victim}; trouble until {victim} ready"),
                0,
                &[],
            )?;
        }
        shell.check(&churns, 0, &[]).map(drop)
    };
    anew(&mut shell)?;
    let before = in_use(&mut shell, victims)?;
    let mut text = shell.run(&format!("{} & {} &", churn("vda2", REQUESTS), churn("nvme0n1", REQUESTS)))?;
    for _ in 0..KILLS / AT_ONCE {
        text += &shell.check(&storm(AT_ONCE), 0, &[])?;
    }
    text += &shell.run("wait")?;
    let is_whole = text.matches(&format!("churn: {REQUESTS} requests")).count() == 2;
    if !is_whole {
        return Err(failed(&mut shell, &format!("seed {seed}: {text}")));
    }
    let resubmitted = text.matches("were submitted again").count();
    ensure!(resubmitted == if victims.contains(&"block") { 2 } else { 0 }, "{text}");
    for victim in victims {
        let info = shell.run(&format!("trouble until {victim} ready; service info {victim}"))?;
        ensure!(info.contains("faults       0"), "{}", failed(&mut shell, &info));
    }
    // What was asked of `block` before holds, and it has counted on.
    shell.check("lsblk", 0, &["deadline"])?;
    let counts = shell.run("diskctl vda")?;
    let count = |what: &str| -> Option<u32> {
        counts.lines().find(|line| line.starts_with(what))?.split_whitespace().nth(1)?.parse().ok()
    };
    let counted = count("reads").zip(count("writes")).map(|(reads, writes)| reads + writes);
    ensure!(counted.is_some_and(|counted| counted >= REQUESTS), "{counts}");
    anew(&mut shell)?;
    is_back(&mut shell, victims, &before).map_err(|error| failed(&mut shell, &format!("{error}")))
}

#[test]
fn disks_while_block_and_drivers_die_on_one_processor() -> Result<()> {
    disks_while(&["block", "virtio-blk-0", "nvme-0"], 1, 1)
}

#[test]
fn disks_while_block_and_drivers_die_on_four_processors() -> Result<()> {
    disks_while(&["block", "virtio-blk-0", "nvme-0"], 4, 2)
}

#[test]
fn disks_while_pci_and_drivers_die() -> Result<()> {
    disks_while(&["pci", "virtio-blk-0", "nvme-0"], 2, 3)
}

/// Hashes and copies files, on a disk as well, while any of these die, also several at once.
fn all_at_once(victims: &[&str], seed: u32) -> Result<()> {
    let (machine, folder) = system()?;
    let mut shell = Shell::boot(&with_disks(machine.smp(2), folder.path())?)?;
    shell.check(DISKS, 0, &[])?;
    shell.check("storage write /tmp/big 3", 0, &[])?;
    let hash = |text: &str| text.split_whitespace().next().unwrap_or_default().to_string();
    let expected = hash(&shell.run("sha256sum /tmp/big")?);
    ensure!(expected.len() == 64, "{expected}");
    let round = "sha256sum /tmp/big; cp /tmp/big /tmp/copy; sha256sum /tmp/copy; rm /tmp/copy; \
                 dd if=/tmp/big of=/dev/nvme0n1 bs=64K; dd if=/dev/nvme0n1 bs=64K count=48 | sha256sum";
    let mut rounds = 0;
    for part in 0..KILLS / AT_ONCE {
        let (seed, all) = (seed * 100 + part, victims.join(" "));
        let mut text = shell.run(&format!("trouble ask chaos random {seed} {AT_ONCE} {PAUSE} {all} &"))?;
        loop {
            let output = shell.run(round)?;
            let hashes = output.lines().filter(|line| line.starts_with(&expected)).count();
            if hashes != 3 {
                return Err(failed(&mut shell, &format!("seed {seed}: {output}")));
            }
            rounds += 1;
            text += &output;
            if text.contains(": done") || !shell.run("jobs")?.contains("trouble") {
                break;
            }
        }
    }
    ensure!(rounds >= KILLS / AT_ONCE);
    for victim in victims.iter().filter(|victim| **victim != "init") {
        let info = shell.run(&format!("trouble until {victim} ready; service info {victim}"))?;
        if !info.contains("faults       0") {
            return Err(failed(&mut shell, &format!("seed {seed}: {info}")));
        }
    }
    Ok(())
}

#[test]
fn files_and_disks_while_all_servers_die() -> Result<()> {
    all_at_once(&["vfs", "block", "nvme-0", "pci", "uart", "console", "log", "tmpfs", "bootfs", "sys"], 1)
}

#[test]
fn files_and_disks_while_all_servers_and_init_die() -> Result<()> {
    all_at_once(&["vfs", "block", "nvme-0", "pci", "uart", "console", "log", "tmpfs", "bootfs", "sys", "init"], 2)
}

/// A session of the shell goes on when it is killed: what was set, the line that runs, its program, jobs.
#[test]
fn a_session_outlives_the_shell() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    shell.check("x=1; export y=two; cd /tmp; set -- a b", 0, &[])?;
    shell.check("echo kept", 0, &["kept"])?;
    let kill = "trouble ask chaos storm 1 300 shell &";
    let text = shell.run(&format!("{kill} sleep 1 && echo status $? $x $y $2; pwd; z=3"))?;
    ensure!(text.contains("status 0 1 two b\n/tmp\n"), "{}", failed(&mut shell, &text));
    let text = shell.run(&format!("{kill} sleep 1 | cat; echo $z; sh -c nothing; echo $?"))?;
    ensure!(text.contains("3\n"), "{}", failed(&mut shell, &text));
    let history = shell.run("history")?;
    ensure!(history.contains("echo kept") && history.contains("x=1; export"), "{history}");
    // Functions and options.
    shell.check("greet() { for name; do echo \"hello $name\"; done; }; greet me", 0, &["hello me"])?;
    shell.check("set -x; service kill shell; set +x; trouble until shell ready", 0, &[])?;
    shell.check("greet you us", 0, &["hello you\nhello us\n"])?;
    // A job in the background, and one that ends while nobody is there.
    let text = shell.run(&format!("sleep 2 & {kill} sleep 1; jobs; wait; echo over"))?;
    ensure!(text.contains("sleep 2\n") && text.contains("over"), "{}", failed(&mut shell, &text));
    let info = shell.run("service info shell")?;
    ensure!(info.contains("faults       0") && info.contains("incarnation  5\n"), "{info}");
    Ok(())
}

/// What is typed is not lost when the shell dies in the midst of it.
#[test]
fn a_line_that_is_typed_outlives_the_shell() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.run("trouble ask chaos storm 10 30 shell &")?;
    for round in 0..20 {
        let text: String = (0..30).map(|letter| char::from(b'a' + (letter + round) % 26)).collect();
        for key in format!("echo {text}|tr a-z A-Z").bytes() {
            shell.session().send(&[key]);
            std::thread::sleep(Duration::from_millis(3));
        }
        shell.session().send(b"\r");
        shell.session().expect(&text.to_uppercase(), Duration::from_secs(20))?;
    }
    shell.run("wait")?;
    let info = shell.run("service info shell")?;
    ensure!(info.contains("faults       0") && info.contains("incarnation  11\n"), "{info}");
    Ok(())
}

/// Recovery in instructions, from the kill to the first answer, on a machine that counts them.
#[test]
fn recovery_is_short() -> Result<()> {
    let (machine, folder) = system()?;
    let mut shell = Shell::boot(&with_disks(machine.icount(true), folder.path())?)?;
    shell.check(DISKS, 0, &[])?;
    for (server, most) in [
        ("vfs", 5_000_000),
        ("block", 5_000_000),
        ("pci", 5_000_000),
        ("virtio-blk-0", 2_000_000),
        ("nvme-0", 2_000_000),
    ] {
        let text = shell.check(&format!("trouble ask chaos recovery {server} 40"), 0, &["median"])?;
        eprint!("{text}");
        let median = text.split_whitespace().nth(2).and_then(|word| word.trim_end_matches(',').parse().ok());
        ensure!(median.is_some_and(|median: u64| median <= most), "{text}");
    }
    Ok(())
}
