//! What gets done while servers die all the time: all kinds of work at once, and a server drawn by lot is killed every so often. All results have to be right; how much work gets done is held against what gets
//! done when nobody dies.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Plan;
use super::report::{Bar, Figure, percentile};
use super::restart::around;
use super::system::{System, numbers, run};
use super::victim::{MOUNT, VICTIMS};
use super::volume::{FILE, Volume};
use crate::disk::{Disk, DiskBus};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::session::Session;

/// Seconds of the machine's clock with kills [`RATE`] recoveries apart, and the part of that for the others.
const SECONDS: u32 = 300;
const SHARE: u32 = 5;

/// How many median recoveries are between two kills.
const RATE: u64 = 4;

/// The same for those that are measured beside it, to see what comes of it.
const OTHER_RATES: [u64; 4] = [64, 16, 8, 2];

/// Kills of each server that tell how long a recovery takes.
const SAMPLES: u32 = 20;

/// MiB of the disks, and of the file on the first.
const DISK: u64 = 256;
const FILE_BYTES: u64 = 64;

/// What is done in the background: `tests/guest/src/bin/goodput.rs`.
const WORKS: [&str; 5] = ["reads", "writes", "names", "walk", "services"];

/// What a person does meanwhile.
const TYPING: &str = "typing";

const PROMPT: &str = "skink> ";

/// Time of the host for a line, and for a boot.
const PATIENCE: Duration = Duration::from_secs(900);

/// What was done in a run.
#[derive(Debug)]
struct Run {
    /// How often each work was done in a second, those of [`WORKS`] first.
    rates: Vec<f64>,
    killed: u64,
    passed: u64,
}

/// Measures.
///
/// # Errors
/// A machine comes to a bad end, or a result is wrong.
pub fn measure(system: &System, plan: &Plan, progress: &Progress, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let seconds = plan.seconds.unwrap_or(SECONDS);
    let part = (seconds / SHARE).max(1);
    progress.step("looking how long recoveries take");
    let recovery = median_recovery(system)?;
    tell(Figure::new("storm_recovery_median", recovery / 1000, "µs"));
    progress.step("working undisturbed");
    let undisturbed = work(system, part, None)?;
    let rates = OTHER_RATES.iter().map(|rate| (*rate, part)).chain([(RATE, seconds)]);
    for (rate, seconds) in rates {
        progress.step(&format!("working while a server dies every {rate} recoveries"));
        let period = recovery * rate;
        let disturbed = work(system, seconds, Some(period)).with_context(|| format!("a kill every {period} ns"))?;
        let shares = disturbed.rates.iter().zip(&undisturbed.rates).map(|(with, without)| with / without.max(1e-9));
        let shares: Vec<f64> = shares.collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let mut figure = Figure::new(format!("storm_goodput_{rate}_recoveries"), (mean * 100.0) as u64, "% of alone");
        figure.notes.push(format!(
            "{} kills in {seconds} s, {:.1} a second; {} moments let pass, as all were just dead",
            disturbed.killed,
            disturbed.killed as f64 / f64::from(seconds),
            disturbed.passed
        ));
        for (name, (share, rate)) in WORKS.iter().chain([&TYPING]).zip(shares.iter().zip(&disturbed.rates)) {
            figure.notes.push(format!("{name:<9}{rate:>8.2} a second {:>4.0} % {}", share * 100.0, plot(*share)));
        }
        tell(figure);
        if rate == RATE {
            let wanted = u64::from(seconds) * 1_000_000_000 / period;
            let least = Some(Bar::Least(wanted * 95 / 100));
            tell(Figure::new("storm_kills", disturbed.killed, "deaths").bar(least));
        }
    }
    Ok(())
}

/// A bar of 40 columns, as a share of which it is filled.
fn plot(share: f64) -> String {
    "█".repeat((share.clamp(0.0, 1.25) * 40.0).round() as usize)
}

fn machine(system: &System, volume: &Volume) -> Result<Machine> {
    let other = system.folder().join("other.img");
    std::fs::File::create(&other)?.set_len(64 << 20)?;
    let other = Disk::new(other).bus(DiskBus::Nvme).volatile();
    Ok(system.machine().smp(system.cpus()).icount_slowly().disk(volume.disk()).disk(other))
}

/// Nanoseconds of the clock from a kill to the answer, of all servers.
fn median_recovery(system: &System) -> Result<u64> {
    let volume = Volume::make(system.folder(), "disk", DISK, FILE_BYTES)?;
    let lines = VICTIMS.iter().map(|victim| format!("deaths recover {} {} {SAMPLES}", victim.service, victim.probe));
    let text = run(&machine(system, &volume)?, &around(&lines.collect::<Vec<_>>().join(" && ")))?;
    let mut elapsed: Vec<u64> = numbers::<2>(&text, "death")?.iter().map(|[_, elapsed]| *elapsed).collect();
    ensure!(!elapsed.is_empty(), "there are no samples: {text}");
    elapsed.sort_unstable();
    Ok(percentile(&elapsed, 50))
}

/// A person at the machine.
struct Person(Session);

impl Person {
    /// Types a line, and waits for the next prompt: what is printed.
    fn types(&mut self, line: &str) -> Result<String> {
        self.0.type_line(line);
        Ok(self.0.expect(PROMPT, PATIENCE)?.replace("\r\n", "\n"))
    }

    /// The same, where the status has to be 0.
    fn checks(&mut self, line: &str) -> Result<String> {
        let text = self.types(&format!("{line}; echo \"status $?\""))?;
        ensure!(text.contains("\nstatus 0\n"), "`{line}`: {text}");
        Ok(text)
    }
}

/// Does all works for so many seconds, with a kill every so many nanoseconds, and looks at what came of it.
fn work(system: &System, seconds: u32, period: Option<u64>) -> Result<Run> {
    let volume = Volume::make(system.folder(), "disk", DISK, FILE_BYTES)?;
    let mut session = machine(system, &volume)?.session()?;
    session.expect(PROMPT, PATIENCE).context("the machine does not reach the prompt")?;
    let mut person = Person(session);
    person.checks(&format!("mkdir -p {MOUNT} && storage mount /dev/vda {MOUNT} && storage write /tmp/file 1"))?;
    person.checks("while ! test -e /dev/nvme0n1; do sleep 0.1; done")?;
    if let Some(period) = period {
        let victims: Vec<&str> = VICTIMS.iter().map(|victim| victim.service).collect();
        person.checks(&format!("deaths begin {period} 1 {}", victims.join(" ")))?;
    }
    for work in WORKS {
        person.types(&format!("goodput {work} {MOUNT} {seconds} /tmp/{work} &"))?;
    }
    let mut lines = 0;
    let mut is_over = false;
    while !is_over {
        // Names of their own: what is printed is not what was printed before.
        let word = format!("typed-{}", lines * 7919);
        let line = format!("test -s /tmp/{}; echo {word} $?", WORKS[0]);
        let text = person.types(&line)?;
        is_over = text.contains(&format!("{word} 0\n"));
        ensure!(text.contains(&line), "`{line}` is not what is echoed: {text}");
        ensure!(is_over || text.contains(&format!("{word} 1\n")), "`{line}` prints something else: {text}");
        lines += 1;
    }
    person.types("wait")?;
    let mut text = person.types("deaths end")?;
    for work in WORKS {
        text += &person.types(&format!("cat /tmp/{work}"))?;
    }
    if text.contains("FAIL") {
        let (services, log) = (person.types("service list")?, person.types("dmesg")?);
        bail!("{text}\n--- services\n{services}\n--- log\n{log}");
    }
    person.checks(&format!("sha256sum {MOUNT}/{FILE}")).and_then(|text| {
        ensure!(text.contains(&volume.sum()?), "the sum is another: {text}");
        Ok(())
    })?;
    person.checks(&format!("storage umount {MOUNT}"))?;
    drop(person);
    volume.check()?;
    let mut rates = Vec::new();
    for work in WORKS {
        let counts = numbers::<1>(&text, &format!("goodput {work}"))?;
        let &[[count]] = &counts[..] else { bail!("`goodput {work}` has no result: {text}") };
        rates.push(count as f64 / f64::from(seconds));
    }
    rates.push(f64::from(lines) / f64::from(seconds));
    let count = |word: &str| -> Result<u64> { Ok(numbers::<1>(&text, word)?.concat().first().copied().unwrap_or(0)) };
    Ok(Run { rates, killed: count("killed")?, passed: count("passed")? })
}
