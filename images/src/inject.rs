//! Servers whose machine code is changed while they work: what comes of it.
//!
//! | module | noun | is |
//! |---|---|---|
//! | [`mutation`] | `Mutation` | a change of one instruction |
//! | [`outcome`] | `Outcome` | what came of it |
//! | [`tally`] | `Tally` | how many came to what |
//!
//! A change is made in the memory of the running server, when work has arrived at it, and taken back when the server has died, or else at the end of the line: the code is the boot archive's, mapped,
//! so that the next incarnation, and each other process of the program, has the same pages. Many changes are made in one machine, until something went wrong in it.

pub mod mutation;
pub mod outcome;
pub mod tally;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::Image;
use crate::progress::Progress;
use crate::survive::crew::{lock, work_at_once};
use crate::survive::disks::Disks;
use crate::survive::flight;
use crate::survive::folder::Folder;
use crate::survive::program::Program;
use crate::survive::random::Random;
use crate::survive::run::{Calm, begin, calm, finish};
use crate::survive::server::Server;
use crate::survive::system::{Campaign, System};
use crate::survive::watch::{Seen, Watch};
use crate::survive::work::Work;
pub use mutation::Mutation;
pub use outcome::Outcome;
pub use tally::Tally;

/// Of so many changes, all but one are of instructions that the work is known to execute.
const ELSEWHERE: u64 = 4;

/// Changes that are drawn until one fits its instruction.
const DRAWS: u32 = 1000;

/// Arrivals among which the change comes.
const ARRIVALS: u64 = 8;

/// Undisturbed lines that show whether what was changed has left anything wrong behind.
const PROOF: &str = "afterwards";

/// Makes changes in the servers of an image.
#[derive(Debug)]
pub struct Injection {
    image: Image,
    disks: Disks,
    sum: String,
    seed: u64,
    /// Machines that run at once.
    at_once: usize,
    /// How many there were.
    machines: AtomicU64,
}

impl Injection {
    /// Prepares changes that follow a seed, in so many machines at once.
    ///
    /// # Errors
    /// The image or the host lacks something.
    pub fn new(image: &Image, seed: u64, at_once: usize) -> Result<Injection> {
        let folder = Folder::make("inject")?;
        let disks = Disks::make(folder)?;
        Ok(Injection { image: image.clone(), sum: disks.sum()?, disks, seed, at_once, machines: AtomicU64::new(0) })
    }

    /// Makes the changes with these numbers in a server, which does its first workload.
    ///
    /// # Errors
    /// A machine cannot be started, or its work fails although nothing is changed.
    pub fn run(&self, server: &Server, numbers: Range<u64>, progress: &Progress) -> Result<Tally> {
        let elf = self.image.programs.get(server.binary).with_context(|| format!("no {}", server.name))?;
        let workload = *server.workloads.first().context("a server has work")?;
        let target = Target {
            server: *server,
            program: Program::read(elf)?,
            campaign: Campaign::new(&self.image, self.disks.folder(), server, workload)?,
            work: Work::of(server, workload, &self.sum)?,
        };
        // The first machine shows what the work is like; the others come when that is known.
        let mut system = self.boot(&target)?;
        let calm = calm(&mut system, &target.program, &target.work)?;
        let first = Mutex::new(Some(system));
        let (numbers, tally) = (Mutex::new(numbers), Mutex::new(Tally::new(server.name, self.seed)));
        let work = || -> Result<()> {
            let mut ready = lock(&first).take();
            loop {
                let next = lock(&numbers).next();
                let Some(number) = next else { return Ok(()) };
                let mut system = match ready.take() {
                    Some(system) => system,
                    None => {
                        progress.step(&lock(&tally).line());
                        self.prepare(&target)?
                    }
                };
                let made = self.one(&target, &calm, number, &mut system)?;
                let is_unnoticed = made.outcome.is_unnoticed();
                lock(&tally).add(number, &made);
                ready = is_unnoticed.then_some(system);
            }
        };
        work_at_once(self.at_once, work)?;
        Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the change with a number, and looks at what comes of it.
    fn one(&self, target: &Target, calm: &Calm, number: u64, system: &mut System) -> Result<Made> {
        let mut random = Random::of(self.seed, &["inject", target.server.name], number);
        let mutation = draw(&target.program, calm, &mut random).context("no instruction can be changed")?;
        let arrival = random.below(calm.arrivals.min(ARRIVALS));
        let place = (&target.program, target.campaign.death());
        let (seen, mut output) = change(system, place, &target.work, (&mutation, arrival))?;
        let mut outcome = Outcome::judge(&seen, &output, &calm.output);
        if outcome.is_unnoticed() {
            // What it left behind shows now, if it does.
            let again = system.command(&target.work.line).map_err(|error| format!("{PROOF} {error:#}"));
            let later = Outcome::judge(&seen, &again, &calm.output);
            if !later.is_unnoticed() {
                (outcome, output) = (later, again);
            }
        }
        if system.transcript().contains("KERNEL PANIC") {
            outcome = Outcome::KernelCrash;
        }
        Ok(Made { mutation, outcome, seen, output })
    }

    /// A machine that has done the work.
    fn prepare(&self, target: &Target) -> Result<System> {
        let mut system = self.boot(target)?;
        begin(&mut system, &target.work)?;
        Ok(system)
    }

    fn boot(&self, target: &Target) -> Result<System> {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        let copies = self.disks.copy(&format!("machine-{number}"))?;
        System::boot(&target.campaign, copies)
    }
}

/// A server whose code is changed.
struct Target {
    server: Server,
    program: Program,
    campaign: Campaign,
    work: Work,
}

/// A change that was made, and what came of it.
#[derive(Debug)]
pub struct Made {
    /// What was changed.
    pub mutation: Mutation,
    /// What came of it.
    pub outcome: Outcome,
    /// What the debugger saw.
    pub seen: Seen,
    /// What the line printed that told.
    pub output: Result<String, String>,
}

/// A change: mostly of code that the work executes.
fn draw(program: &Program, calm: &Calm, random: &mut Random) -> Option<Mutation> {
    let executed: Vec<u64> = calm.executed.iter().copied().collect();
    for _ in 0..DRAWS {
        let address = match random.below(ELSEWHERE) {
            0 => program.text().0 + random.below(program.text().1),
            _ => *random.choose(&executed)?,
        };
        let function = program.functions.iter().rev().find(|function| function.address <= address)?;
        let instructions = program.instructions(function);
        let found = instructions.iter().find(|instruction| instruction.ip() >= address);
        let mutation = found.and_then(|instruction| {
            let bytes = program.bytes(instruction.ip(), instruction.len() as u64)?;
            Mutation::draw(instruction, bytes, &function.name, random)
        });
        if mutation.is_some() {
            return mutation;
        }
    }
    None
}

/// Does the work, and makes the change at an arrival.
fn change(
    system: &mut System,
    (program, death): (&Program, u64),
    work: &Work,
    (mutation, arrival): (&Mutation, u64),
) -> Result<(Seen, Result<String, String>)> {
    let mut deadline = system.begin(&work.line)?;
    let mut found = None;
    for _ in 0..=arrival {
        found = match flight::next_arrival(system, program, &mut deadline) {
            Ok(found) => found,
            Err(error) => return Ok((Seen::default(), Err(format!("{error:#}")))),
        };
    }
    let Some((_, registers)) = found else {
        return Ok((Seen::default(), finish(system, work).map_err(|error| format!("{error:#}"))));
    };
    let patch = system.patch(mutation.address, &mutation.bytes)?;
    let mut watch = Watch::new(program, None, death, &registers, Some(patch));
    let followed = watch.follow(system, &mut deadline);
    let seen = watch.end(system);
    let output = match (&followed, &seen) {
        (Ok(()), Ok(_)) => finish(system, work).map_err(|error| format!("{error:#}")),
        (Err(error), _) | (_, Err(error)) => Err(format!("{error:#}")),
    };
    let _ = system.debugger().break_only_at(&BTreeSet::new());
    Ok((seen.unwrap_or_default(), output))
}
