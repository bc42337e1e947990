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
use std::time::Instant;

use anyhow::{Context, Result};

use crate::Image;
use crate::progress::Progress;
use crate::survive::disks::Disks;
use crate::survive::flight;
use crate::survive::folder::Folder;
use crate::survive::program::Program;
use crate::survive::random::Random;
use crate::survive::run::{Calm, PATIENCE, begin, calm, finish};
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
    machines: u64,
}

impl Injection {
    /// Prepares changes that follow a seed.
    ///
    /// # Errors
    /// The image or the host lacks something.
    pub fn new(image: &Image, seed: u64) -> Result<Injection> {
        let folder = Folder::make("inject")?;
        let disks = Disks::make(folder)?;
        Ok(Injection { image: image.clone(), sum: disks.sum()?, disks, seed, machines: 0 })
    }

    /// Makes the changes with these numbers in a server, which does its first workload.
    ///
    /// # Errors
    /// A machine cannot be started, or its work fails although nothing is changed.
    pub fn run(&mut self, server: &Server, numbers: Range<u64>, progress: &Progress) -> Result<Tally> {
        let elf = self.image.programs.get(server.binary).with_context(|| format!("no {}", server.name))?;
        let program = Program::read(elf)?;
        let campaign = Campaign::new(&self.image, self.disks.folder(), server)?;
        let workload = *server.workloads.first().context("a server has work")?;
        let work = Work::of(server, workload, &self.sum)?;
        let mut tally = Tally::new(server.name, self.seed);
        let (mut ready, mut known) = (None, None);
        for number in numbers {
            let mut system = match ready.take() {
                Some(system) => system,
                None => {
                    progress.step(&tally.line());
                    self.prepare(&campaign, &program, &work, &mut known)?
                }
            };
            let calm = known.as_ref().context("the machine was prepared")?;
            let mut random = Random::of(self.seed, &["inject", server.name], number);
            let mutation = draw(&program, calm, &mut random).context("no instruction can be changed")?;
            let arrival = random.below(calm.arrivals.min(ARRIVALS));
            let (seen, output) = change(&mut system, (&program, campaign.death()), &work, (&mutation, arrival))?;
            let mut outcome = Outcome::judge(&seen, &output, &calm.output);
            if outcome.is_unnoticed() {
                // What it left behind shows now, if it does.
                let again = system.command(&work.line);
                let later = Outcome::judge(&seen, &again.map_err(|error| format!("{PROOF} {error:#}")), &calm.output);
                if !later.is_unnoticed() {
                    outcome = later;
                }
            }
            let is_crash = system.transcript().contains("KERNEL PANIC");
            if is_crash {
                outcome = Outcome::KernelCrash;
            }
            tally.add(number, &mutation, outcome, &seen, &output);
            if outcome.is_unnoticed() {
                ready = Some(system);
            }
        }
        Ok(tally)
    }

    /// A machine that has done the work; what that is like is looked at in the first one.
    fn prepare(
        &mut self,
        campaign: &Campaign,
        program: &Program,
        work: &Work,
        known: &mut Option<Calm>,
    ) -> Result<System> {
        self.machines += 1;
        let copies = self.disks.copy(&format!("machine-{}", self.machines))?;
        let mut system = System::boot(campaign, copies)?;
        match known {
            Some(_) => begin(&mut system, work)?,
            None => *known = Some(calm(&mut system, program, work)?),
        }
        Ok(system)
    }
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
    let deadline = Instant::now() + PATIENCE;
    system.begin(&work.line)?;
    let mut found = None;
    for _ in 0..=arrival {
        found = match flight::next_arrival(system, program, deadline) {
            Ok(found) => found,
            Err(error) => return Ok((Seen::default(), Err(format!("{error:#}")))),
        };
    }
    let Some((_, registers)) = found else {
        return Ok((Seen::default(), finish(system, work, deadline).map_err(|error| format!("{error:#}"))));
    };
    let patch = system.patch(mutation.address, &mutation.bytes)?;
    let mut watch = Watch::new(program, None, death, &registers, Some(patch));
    let followed = watch.follow(system, deadline);
    let seen = watch.end(system);
    let output = match (&followed, &seen) {
        (Ok(()), Ok(_)) => finish(system, work, deadline).map_err(|error| format!("{error:#}")),
        (Err(error), _) | (_, Err(error)) => Err(format!("{error:#}")),
    };
    let _ = system.debugger().break_only_at(&BTreeSet::new());
    Ok((seen.unwrap_or_default(), output))
}
