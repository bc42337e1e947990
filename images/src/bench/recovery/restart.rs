//! From a kill to the next answer, of each server: instructions, on a machine that counts them. Time in which the processor has nothing to do, as it waits for a disk of the host, is not counted.

use anyhow::{Result, ensure};

use super::Plan;
use super::report::{Figure, percentile};
use super::system::{System, numbers, run};
use super::victim::{FAT, FAT_MOUNT, LARGE, MOUNT, VICTIMS, Victim};
use super::volume::{OtherDisk, Volume};
use crate::machine::Machine;
use crate::progress::Progress;

/// Kills of each.
const KILLS: u32 = 1000;

/// MiB of the disk, and of the file on it.
const DISK: u64 = 512;
const FILE: u64 = 128;

/// The same of a large one.
const LARGE_DISK: u64 = 4096;
const LARGE_FILE: u64 = 1024;

/// MiB of the NVMe disk.
const OTHER_DISK: u64 = 64;

/// Measures the victims of a plan.
///
/// # Errors
/// A machine comes to a bad end, or a request failed.
pub fn measure(system: &System, plan: &Plan, progress: &Progress, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let kills = plan.kills.unwrap_or(KILLS);
    for victim in VICTIMS.iter().filter(|victim| plan.wants(victim.name)) {
        progress.step(&format!("killing {} {kills} times", victim.name));
        let volume = Volume::make(system.folder(), "disk", DISK, FILE)?;
        let other = OtherDisk::make(system.folder(), OTHER_DISK, victim.name == FAT)?;
        one(&machine(system, &volume, &other), victim, kills, tell)?;
        volume.check()?;
        other.check()?;
    }
    if plan.wants(LARGE.name) {
        progress.step(&format!("killing {} {kills} times", LARGE.name));
        let volume = Volume::make(system.folder(), "disk", LARGE_DISK, LARGE_FILE)?;
        let other = OtherDisk::make(system.folder(), OTHER_DISK, false)?;
        one(&machine(system, &volume, &other), &LARGE, kills, tell)?;
        volume.check()?;
    }
    Ok(())
}

/// A machine with a disk, and an NVMe disk beside it.
fn machine(system: &System, volume: &Volume, other: &OtherDisk) -> Machine {
    system.machine().icount_with_waits().disk(volume.disk()).disk(other.disk())
}

/// What is done before and after the death of a victim: everything that is asked for is there.
pub fn around(victim: &Victim, commands: &str) -> String {
    let (mount, umount) = if victim.name == FAT {
        let mount = format!(
            "mkdir {FAT_MOUNT} && storage mount /dev/nvme0n1 {FAT_MOUNT} && storage write {FAT_MOUNT}/file 1 && "
        );
        (mount, format!("storage umount {FAT_MOUNT} && "))
    } else {
        (String::new(), String::new())
    };
    format!(
        "mkdir -p {MOUNT} && storage mount /dev/vda {MOUNT} && storage write /tmp/file 1 \
         && while ! test -e /dev/nvme0n1; do sleep 0.1; done && mkdir {MOUNT}/work && {mount}{commands} && {umount}storage umount {MOUNT}"
    )
}

fn one(machine: &Machine, victim: &Victim, kills: u32, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let Victim { name, service, probe, .. } = victim;
    // A file system has work behind it.
    let busy = if service.starts_with("ext4") { format!("{MOUNT}/work") } else { String::new() };
    let text = run(machine, &around(victim, &format!("deaths recover {service} {probe} {kills} {busy}")))?;
    let mut samples = numbers::<2>(&text, "death")?;
    ensure!(samples.len() == kills as usize, "{name}: {} deaths of {kills}: {text}", samples.len());
    samples.sort_unstable();
    let busy: Vec<u64> = samples.iter().map(|[busy, _]| *busy).collect();
    let mut elapsed: Vec<u64> = samples.iter().map(|[_, elapsed]| *elapsed).collect();
    elapsed.sort_unstable();
    let figure =
        |what: &str, value, bar| Figure::new(format!("recovery_{name}_{what}"), value, "instructions").bar(bar);
    tell(figure("median", percentile(&busy, 50), victim.median));
    tell(figure("p99", percentile(&busy, 99), victim.p99));
    let mut most = figure("max", percentile(&busy, 100), None);
    let [median, p99, max] = [50, 99, 100].map(|part| percentile(&elapsed, part) / 1000);
    most.notes.push(format!("by the clock, waits included: median {median} µs, p99 {p99} µs, max {max} µs"));
    tell(most);
    Ok(())
}
