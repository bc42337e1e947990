//! Measuring: which machines are booted, and what their figures are.
//!
//! | module | what |
//! |---|---|
//! | [`figure`] | the figures, with the other systems' and the bars they are held against |
//! | [`lines`] | what the guest's program `bench` prints |
//! | [`scaling`] | calls per second on several CPUs, and what they say about the kernel lock |
//! | [`source`] | the size of the kernel's source |
//! | [`storage`] | files and disks |
//! | [`recovery`] | what deaths of servers cost |
//! | [`linux`], [`cpio`] | Linux on the same machine |
//! | [`report`] | the table and the JSON |
//!
//! Figures in instructions come from a machine that counts them ([`Machine::icount`]): they are
//! the same in every run. Wall times and calls per second come from machines that run as fast
//! as this host lets them, in rounds that take turns, the best of which counts.

pub mod cpio;
pub mod figure;
pub mod lines;
pub mod linux;
pub mod recovery;
pub mod report;
pub mod scaling;
pub mod source;
pub mod storage;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::accelerator::Accelerator;
use crate::end::End;
use crate::exec::Interruption;
use crate::image::Image;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::workspace::Workspace;
use figure::{FIGURES, Source};
use lines::{Boot, Line};
use scaling::{Host, Rate};

/// The program of the boot archive that measures.
const PROGRAM: &str = "bench";

/// Rounds of runs against the clock.
pub const ROUNDS: u32 = 3;

/// How many CPUs the machines of a round have.
const CPUS: [u32; 3] = [1, 2, 4];

/// MiB of memory in which Skink has to boot.
const LITTLE_MEMORY: u32 = 32;

/// Lines of the machine's output that an error shows.
const SHOWN_LINES: usize = 20;

/// All that was measured.
#[derive(Debug, Clone)]
pub struct Measurements {
    /// Under icount, in the order of [`FIGURES`], then those that have no place there.
    pub counted: Vec<Line>,
    /// The frequency of the time-stamp counter under icount, in hertz, as the kernel found it.
    pub tsc_hertz: u64,
    /// Whether Skink boots in [`LITTLE_MEMORY`].
    pub boots_in_little_memory: bool,
    /// How the guest's code ran in the rest.
    pub accelerator: Accelerator,
    /// What that ran on.
    pub host: Host,
    /// Nanoseconds of wall time, the least of all rounds.
    pub wall: Vec<Line>,
    /// Calls per second, the most of all rounds.
    pub rates: Vec<Rate>,
}

/// Measures everything. Each machine ends after `timeout` at the latest.
///
/// # Errors
/// A machine panics, hangs or fails, or a figure is missing. Where a machine came to a bad
/// end, the error is an [`End`] with a context.
pub fn measure(image: &Image, timeout: Duration, progress: &Progress) -> Result<Measurements> {
    let host = Host::look();
    let system = Machine::new(image).timeout(timeout).icount(true);
    let machine = Machine::new(&image.clone().with_tests()).timeout(timeout);
    let counting = machine.clone().icount(true);

    progress.step("counting instructions");
    let mut counted = guest_lines(&counting, "the guest's bench under icount")?;
    counted.retain(|line| scaling::cpus_of(&line.name).is_none());
    progress.step("counting instructions of a boot");
    let boot = boot(&system)?;
    counted.extend(boot.lines());
    counted.push(source::kernel_lines(Workspace::locate()?.root())?);
    let counted = in_order(counted)?;
    let boots_in_little_memory = boots(&system.memory(LITTLE_MEMORY))?;

    let mut wall = Best::least();
    let mut rates = Best::most();
    for round in 1..=ROUNDS {
        progress.step(&format!("measuring wall time, round {round} of {ROUNDS}"));
        for cpus in CPUS {
            let what = format!("the guest's bench on {cpus} CPUs");
            let lines = guest_lines(&machine.clone().smp(cpus), &what)?;
            let expected = scaling::name(cpus);
            if !lines.iter().any(|line| line.name == expected) {
                bail!("{what} printed no figure {expected}");
            }
            let (these_rates, times): (Vec<_>, Vec<_>) =
                lines.into_iter().partition(|line| scaling::cpus_of(&line.name).is_some());
            rates.take(these_rates);
            wall.take(times);
        }
    }
    let rates = rates
        .lines
        .into_values()
        .filter_map(|line| Some(Rate { cpus: scaling::cpus_of(&line.name)?, calls: line.value }));
    let mut rates: Vec<_> = rates.collect();
    rates.sort_by_key(|rate| rate.cpus);
    Ok(Measurements {
        counted,
        tsc_hertz: boot.tsc_hertz,
        boots_in_little_memory,
        accelerator: Accelerator::detect(),
        host,
        wall: in_known_order(wall.lines.into_values().collect()),
        rates,
    })
}

/// What the guest's program prints on this machine.
fn guest_lines(machine: &Machine, what: &str) -> Result<Vec<Line>> {
    let machine = machine.clone().in_place_of_init(PROGRAM);
    let (end, log) = machine.follow(&mut std::io::sink(), Interruption::Ends)?;
    if let Some(reason) = lines::failure(&log) {
        return Err(End::Died(format!("it gave up: {reason}"))).context(what.to_string());
    }
    if end != End::PowerOff {
        return Err(failed(end, &log, what));
    }
    lines::parse(&log).with_context(|| what.to_string())
}

/// Boots to the shell, which says what it took.
fn boot(machine: &Machine) -> Result<Boot> {
    let what = "the boot to the shell";
    let mut output = Vec::new();
    let (end, log) = machine.stream_exec("sys boot", &mut output, Interruption::Ends)?;
    let output = String::from_utf8_lossy(&output);
    if end != End::Status(0) {
        return Err(failed(end, &format!("{log}{output}"), what));
    }
    Boot::parse(&output).context(what)
}

/// Whether a machine comes to the shell. A signal to this process is an error, not an answer.
fn boots(machine: &Machine) -> Result<bool> {
    let (end, _) = machine.stream_exec("true", &mut std::io::sink(), Interruption::Ends)?;
    match end {
        End::Signal(_) => Err(end.into()),
        _ => Ok(end == End::Status(0)),
    }
}

/// The error for a bad end. A panic and a refusal to boot tell what there is to know; for the
/// others the machine's last lines may.
fn failed(end: End, log: &str, what: &str) -> anyhow::Error {
    let tells_all = matches!(end, End::Panic(_) | End::BootError(_) | End::Signal(_));
    let error = anyhow::Error::new(end);
    let lines: Vec<_> = log.lines().collect();
    if tells_all || lines.is_empty() {
        return error.context(what.to_string());
    }
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    error.context(format!("{last}\n{what}"))
}

/// Sorts figures as [`FIGURES`] has them.
///
/// # Errors
/// One is missing, or in another unit than it should be.
fn in_order(lines: Vec<Line>) -> Result<Vec<Line>> {
    let missing: Vec<_> = FIGURES
        .iter()
        .filter(|figure| !lines.iter().any(|line| line.name == figure.name))
        .map(|figure| match figure.source {
            Source::Guest | Source::Source => figure.name.to_string(),
            Source::Boot => format!("{} (from the shell)", figure.name),
        })
        .collect();
    if !missing.is_empty() {
        bail!("these figures are missing: {}", missing.join(", "));
    }
    for line in &lines {
        if let Some(figure) = figure::find(&line.name)
            && figure.unit != line.unit
        {
            bail!("{} is in {}, not {}", line.name, line.unit, figure.unit);
        }
    }
    Ok(in_known_order(lines))
}

fn in_known_order(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by_key(|line| {
        let place = FIGURES.iter().position(|figure| figure.name == line.name);
        place.unwrap_or(FIGURES.len())
    });
    lines
}

/// The best of several measurements, by name.
struct Best {
    is_better: fn(u64, u64) -> bool,
    lines: BTreeMap<String, Line>,
}

impl Best {
    fn least() -> Self {
        Self { is_better: |new, old| new < old, lines: BTreeMap::new() }
    }

    fn most() -> Self {
        Self { is_better: |new, old| new > old, ..Self::least() }
    }

    fn take(&mut self, lines: Vec<Line>) {
        for line in lines {
            let best = self.lines.entry(line.name.clone()).or_insert(line.clone());
            if (self.is_better)(line.value, best.value) {
                *best = line;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, value: u64) -> Line {
        let unit = figure::find(name).map_or("instructions", |figure| figure.unit);
        Line::new(name, value, unit)
    }

    fn all() -> Vec<Line> {
        FIGURES.iter().map(|figure| line(figure.name, 1)).collect()
    }

    #[test]
    fn figures_come_in_order_and_new_ones_last() {
        let mut lines = all();
        lines.insert(0, line("new", 5));
        lines.reverse();
        let names: Vec<_> = in_order(lines).unwrap();
        let names: Vec<_> = names.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names[0], FIGURES[0].name);
        assert_eq!(names[names.len() - 1], "new");
        assert_eq!(names.len(), FIGURES.len() + 1);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut lines = all();
        lines.retain(|line| !["call_8w", "boot_to_prompt"].contains(&line.name.as_str()));
        assert_eq!(
            in_order(lines).unwrap_err().to_string(),
            "these figures are missing: call_8w, boot_to_prompt (from the shell)"
        );
    }

    #[test]
    fn units_are_checked() {
        let mut lines = all();
        lines[0].unit = "seconds".to_string();
        let error = in_order(lines).unwrap_err().to_string();
        assert_eq!(error, "call_0w is in seconds, not instructions");
    }

    #[test]
    fn the_best_round_counts() {
        let (mut least, mut most) = (Best::least(), Best::most());
        for value in [7, 5, 9] {
            least.take(vec![line("a", value)]);
            most.take(vec![line("a", value)]);
        }
        assert_eq!((least.lines["a"].value, most.lines["a"].value), (5, 9));
    }
}
