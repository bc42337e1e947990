//! All kinds of work at once on four processors, while a server drawn by lot dies again and again: the results are right, and how much is still done at each rate of deaths.

use anyhow::{Context, Result, ensure};

use super::Plan;
use super::report::{Bar, Figure};
use super::system::{System, numbers, run};
use super::victim::{MOUNT, STORM};
use super::volume::Volume;
use crate::disk::{Disk, DiskBus};
use crate::progress::Progress;

/// Seconds of the guest's clock that the work goes on, at each rate.
const SECONDS: u32 = 300;

/// Processors.
const CPUS: u32 = 4;

/// Nanoseconds of the median recovery: of the medians of all servers (`bench recovery restart`), one instruction each.
const RECOVERY: u64 = 500_000;

/// The times of a recovery after which the next server dies; none: nobody does.
const INTERVALS: [Option<u64>; 5] = [None, Some(16), Some(8), Some(4), Some(2)];

/// The interval that has to leave the results right.
pub const INTERVAL: u64 = 4;

/// MiB of the disks, of the file on the first, and of what is read of the second.
const DISK: u64 = 64;
const FILE_MIB: u64 = 32;
const OTHER: u64 = 32;

/// The kinds of work, and on what: `tests/guest/src/bin/deaths/work.rs`.
const WORKS: [(&str, &str); 8] = [
    ("cached", "/mnt/disk/file"),
    ("uncached", "/mnt/disk/file"),
    ("disk", "nvme0n1"),
    ("writes", MOUNT),
    ("memory", "/tmp"),
    ("names", MOUNT),
    ("walk", MOUNT),
    ("calls", "-"),
];

/// KiB of what `writes` leaves behind, and its name.
const LEFT: (&str, u64) = ("writes.file", 64);

/// Characters of the longest bar of the plot.
const PLOT: u64 = 50;

/// What was done at one rate of deaths.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Servers that died.
    pub deaths: u64,
    /// Moments at which none could be killed.
    pub passed: u64,
    /// Operations of each kind of work, in the order of the kinds.
    pub operations: Vec<u64>,
    /// Nanoseconds of the guest's clock.
    elapsed: u64,
    /// Nanoseconds that all processors together were at work.
    work: u64,
}

/// Works at each rate, or at one of them.
///
/// # Errors
/// A machine comes to a bad end, an operation fails, a byte is wrong, or `e2fsck` finds something.
pub fn measure(system: &System, plan: &Plan, progress: &Progress, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let seconds = plan.seconds.unwrap_or(SECONDS);
    let mut undisturbed: Option<Storm> = None;
    let mut plot = Vec::new();
    for interval in INTERVALS {
        let rate = interval.map_or("no deaths".to_string(), |times| format!("a death every {times} recoveries"));
        progress.step(&format!("working for {seconds} s, {rate}"));
        let storm = once(system, plan.cpus.unwrap_or(CPUS), interval, seconds)?;
        let alone = undisturbed.get_or_insert_with(|| storm.clone());
        let goodput = storm.goodput(alone);
        let name = interval.map_or("storm_none".to_string(), |times| format!("storm_{times}_recoveries"));
        let mut figure = Figure::new(name, goodput, "% of alone");
        if interval == Some(INTERVAL) {
            figure = figure.bar(Some(Bar::Least(1)));
        }
        let per_second = |count: u64| count as f64 / (storm.elapsed as f64 / 1e9);
        figure.notes.push(format!(
            "{} deaths in {:.1} s by the clock, {:.1} a second; {} times nobody could be killed",
            storm.deaths,
            storm.elapsed as f64 / 1e9,
            per_second(storm.deaths),
            storm.passed
        ));
        let counts =
            WORKS.iter().zip(&storm.operations).map(|((kind, _), count)| format!("{kind} {:.1}", per_second(*count)));
        figure.notes.push(format!("{:.2} processors were at work", storm.work as f64 / storm.elapsed as f64));
        figure.notes.push(format!("operations a second: {}", counts.collect::<Vec<_>>().join(", ")));
        plot.push(format!(
            "{:>7.1} │{} {goodput} %",
            per_second(storm.deaths),
            "█".repeat((goodput.min(100) * PLOT / 100) as usize)
        ));
        if interval == INTERVALS[INTERVALS.len() - 1] {
            figure.notes.push("deaths a second, and goodput:".to_string());
            figure.notes.append(&mut plot);
        }
        tell(figure);
    }
    Ok(())
}

/// Works once, and checks what came of it: with so many recoveries from death to death, or undisturbed.
///
/// # Errors
/// As [`measure`].
pub fn once(system: &System, cpus: u32, interval: Option<u64>, seconds: u32) -> Result<Storm> {
    let volume = Volume::make(system.folder(), "disk", DISK, FILE_MIB)?;
    let plain = Volume::make_plain(system.folder(), "other", OTHER)?;
    let other = Disk::new(plain.image()).bus(DiskBus::Nvme).volatile();
    let machine = system.machine().smp(cpus).disk(volume.disk()).disk(other);
    // Where QEMU counts the instructions of several processors, its disks hardly come to their turn: a request takes a quarter of a second.
    let machine = if cpus == 1 { machine.icount_with_waits() } else { machine.in_turns() };
    let begin =
        interval.map_or(String::new(), |times| format!("deaths begin {} 1 {} && ", times * RECOVERY, STORM.join(" ")));
    // The first of them says when all end.
    let workers: String =
        WORKS.iter().map(|(kind, on)| format!("deaths work {kind} {on} /tmp/until {seconds} & ")).collect();
    let commands = format!(
        "mkdir -p {MOUNT} && storage mount /dev/vda {MOUNT} && while ! test -e /dev/nvme0n1; do sleep 0.1; done && \
         {begin}deaths clock; {workers} wait; dmesg | grep -v ' info ' | tail -n 120; service list; deaths clock; deaths end && storage umount {MOUNT}"
    );
    let text = run(&machine, &commands)?;
    let count = |kind: &str| -> Result<u64> {
        let [count] = numbers::<1>(&text, &format!("work {kind}"))?
            .first()
            .copied()
            .with_context(|| format!("{kind} did not come to its end: {text}"))?;
        Ok(count)
    };
    let operations = WORKS.iter().map(|(kind, _)| count(kind)).collect::<Result<Vec<u64>>>()?;
    // With more deaths than that a walk of the tree may take longer than all of it.
    let has_time = interval.is_none_or(|interval| interval >= INTERVAL);
    ensure!(
        !has_time || operations.iter().all(|count| *count > 0),
        "{seconds} s are too short, some work did not begin: {text}"
    );
    volume.check()?;
    volume.compare(LEFT.0, LEFT.1 << 10)?;
    let clocks = numbers::<2>(&text, "clock")?;
    let &[[begun, idle], [ended, idle_then]] = &clocks[..] else { anyhow::bail!("two clocks are missing: {text}") };
    let number = |word: &str| Ok::<_, anyhow::Error>(numbers::<1>(&text, word)?.first().map_or(0, |[number]| *number));
    let elapsed = ended - begun;
    let work = (elapsed * u64::from(cpus)).saturating_sub(idle_then - idle);
    let storm = Storm { deaths: number("killed")?, passed: number("passed")?, operations, elapsed, work };
    ensure!(interval.is_none() || storm.deaths > 0, "nobody died: {text}");
    Ok(storm)
}

impl Storm {
    /// Percent of what was done undisturbed for each nanosecond at which a processor was at work, in the mean of all kinds of work: each counts as much. (By the clock it would
    /// depend on how fast the host's disk is.)
    fn goodput(&self, alone: &Storm) -> u64 {
        let share = |(count, undisturbed): (&u64, &u64)| {
            let [count, undisturbed] = [count, undisturbed].map(|count| u128::from(*count));
            let [work, work_alone] = [self.work, alone.work].map(|work| u128::from(work.max(1)));
            (count * work_alone * 100 / (undisturbed.max(1) * work)) as u64
        };
        let sum: u64 = self.operations.iter().zip(&alone.operations).map(share).sum();
        sum / self.operations.len().max(1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::volume::FILE;
    use super::*;

    #[test]
    fn each_kind_of_work_counts_as_much() {
        let of =
            |operations: [u64; 2]| Storm { deaths: 0, passed: 0, operations: operations.to_vec(), elapsed: 1, work: 5 };
        let alone = of([1000, 10]);
        assert_eq!((alone.goodput(&alone), of([500, 10]).goodput(&alone), of([0, 0]).goodput(&alone)), (100, 75, 0));
        assert_eq!(of([1, 1]).goodput(&of([0, 0])), 100);
        assert_eq!(Storm { work: 10, ..of([1000, 10]) }.goodput(&alone), 50);
    }

    #[test]
    fn what_works_on_the_disk_finds_the_file_of_the_host() {
        let on = format!("{MOUNT}/{FILE}");
        assert!(WORKS.iter().filter(|(_, of)| *of == on).count() == 2);
    }
}
