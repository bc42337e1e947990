//! A large file is read and another written while the driver of their disk dies over and over: the bytes are right, and how many there are for each instruction, beside what there are when nobody dies.

use anyhow::{Context, Result, ensure};

use super::Plan;
use super::report::{Bar, Figure};
use super::system::{System, numbers, run};
use super::victim::MOUNT;
use super::volume::{FILE, Volume};
use crate::progress::Progress;

/// Who dies.
const DRIVER: &str = "virtio-blk-0";

/// How often, during each of the two.
const KILLS: u32 = 200;

/// MiB that are read and written, and after how many of the latter `fsync` is called.
const READ: u64 = 512;
const WRITTEN: u64 = 256;
const SYNC_EVERY: u64 = 16;

/// MiB of the disk.
const DISK: u64 = 1024;

/// The file that is written.
const NEW: &str = "new";

/// The least of undisturbed bytes for each instruction, in percent.
const LEAST: u64 = 80;

/// Deaths are this much closer to each other, in percent, than they would have to be if the work took no longer by the clock than undisturbed: what it takes depends on the host's disk, too.
const CLOSER: u64 = 85;

/// Runs until the deaths are as many as wanted while the work is done: each time they are closer to each other.
const RUNS: u32 = 4;

/// What a work took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    elapsed: u64,
    instructions: u64,
}

/// What both took, and how often the driver died during each.
#[derive(Debug)]
struct Run {
    costs: [Cost; 2],
    deaths: [u64; 2],
}

/// Measures.
///
/// # Errors
/// A machine comes to a bad end, a byte is wrong, or `e2fsck` finds something.
pub fn measure(system: &System, plan: &Plan, progress: &Progress, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let kills = u64::from(plan.kills.unwrap_or(KILLS));
    progress.step("reading and writing undisturbed");
    let undisturbed = transfer(system, None)?;
    let mut periods = undisturbed.costs.map(|cost| cost.elapsed * CLOSER / 100 / kills.max(1));
    let mut runs = 0;
    let disturbed = loop {
        progress.step(&format!("reading and writing while {DRIVER} dies"));
        let disturbed = transfer(system, Some(periods))?;
        runs += 1;
        if runs == RUNS || disturbed.deaths.iter().all(|deaths| *deaths >= kills) {
            break disturbed;
        }
        periods = periods.map(|period| period * CLOSER / 100);
    };
    for (index, (name, mebibytes)) in [("read", READ), ("write", WRITTEN)].into_iter().enumerate() {
        let deaths = disturbed.deaths[index];
        tell(Figure::new(format!("transfer_{name}_deaths"), deaths, "deaths").bar(Some(Bar::Least(kills))));
        let costs = [&undisturbed, &disturbed].map(|run| run.costs[index]);
        let [alone, with_deaths] = costs.map(|cost| cost.instructions);
        let mut figure = Figure::new(format!("transfer_{name}"), alone * 100 / with_deaths.max(1), "% of alone")
            .bar(Some(Bar::Least(LEAST)));
        let per_byte = |instructions: u64| instructions as f64 / (mebibytes << 20) as f64;
        figure.notes.push(format!(
            "instructions a byte: {:.2} alone, {:.2} with deaths; {} instructions a death",
            per_byte(alone),
            per_byte(with_deaths),
            with_deaths.saturating_sub(alone) / deaths.max(1),
        ));
        let [alone, with_deaths] = costs.map(|cost| cost.elapsed / 1_000_000);
        figure.notes.push(format!("by the clock: {alone} ms alone, {with_deaths} ms with deaths"));
        tell(figure);
    }
    Ok(())
}

/// Reads and writes, and checks what came of it; with deaths every so many nanoseconds of each work, if that is said.
fn transfer(system: &System, periods: Option<[u64; 2]>) -> Result<Run> {
    let volume = Volume::make(system.folder(), "disk", DISK, READ)?;
    let machine = system.machine().icount_with_waits().disk(volume.disk());
    let works = [format!("sha256sum {MOUNT}/{FILE}"), format!("deaths write {MOUNT}/{NEW} {WRITTEN} {SYNC_EVERY}")];
    let mut commands = format!("mkdir -p {MOUNT} && storage mount /dev/vda {MOUNT}");
    for (index, work) in works.iter().enumerate() {
        let begin = periods.map_or(String::new(), |periods| format!("deaths begin {} 1 {DRIVER} && ", periods[index]));
        commands += &format!(" && deaths clock && {begin}{work} && deaths end && deaths clock");
    }
    commands += &format!(" && storage umount {MOUNT}");
    let text = run(&machine, &commands)?;
    let sum = volume.sum()?;
    ensure!(text.contains(&format!("{sum}  ")), "the sum is not {sum}: {text}");
    volume.check()?;
    volume.compare(NEW, WRITTEN << 20)?;
    let clocks = numbers::<2>(&text, "clock")?;
    let deaths: Vec<u64> = numbers::<1>(&text, "killed")?.concat();
    let &[first, second, third, fourth] = &clocks[..] else { anyhow::bail!("four clocks are missing: {text}") };
    let cost = |[begun, idle]: [u64; 2], [ended, idle_then]: [u64; 2]| {
        let elapsed = ended - begun;
        Cost { elapsed, instructions: elapsed.saturating_sub(idle_then - idle) }
    };
    Ok(Run {
        costs: [cost(first, second), cost(third, fourth)],
        deaths: deaths.try_into().ok().with_context(|| format!("two counts are missing: {text}"))?,
    })
}
