//! Servers whose machine code is changed while they work: what comes of it.
//!
//! | module | noun | is |
//! |---|---|---|
//! | [`mutation`] | `Mutation` | a change of one instruction |
//! | [`outcome`] | `Outcome` | what came of it |
//! | [`tally`] | `Tally` | how many came to what |
//! | [`end`] | `Ends` | whose end the kernel is at |
//! | [`record`] | `Record` | tallies on disk, for campaigns that go on later |
//!
//! A change is made in the memory of the running server, which waits for work, and taken back when the server has died and is about to start again, or else at the end of the line: the code is the
//! boot archive's, mapped, so that the next incarnation, and each other process of the program, has the same pages. Nothing stops the machine in between. Many changes are made in one machine: after
//! one that somebody noticed, where it does its work again, twice, after a plain kill.

pub mod end;
pub mod mutation;
pub mod outcome;
pub mod record;
pub mod tally;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use libsys::abi::ExitReason;

use crate::Image;
use crate::debugger::{Register, Registers};
use crate::progress::Progress;
use crate::survive::code::Code;
use crate::survive::crew::{lock, work_at_once};
use crate::survive::disks::Disks;
use crate::survive::flight;
use crate::survive::folder::Folder;
use crate::survive::program::Program;
use crate::survive::random::Random;
use crate::survive::run::{Calm, begin, calm, finish, kill};
use crate::survive::server::Server;
use crate::survive::system::{Campaign, System};
use crate::survive::watch::Seen;
use crate::survive::work::Work;
use crate::workspace::Workspace;
pub use end::Ends;
pub use mutation::Mutation;
pub use outcome::Outcome;
pub use record::Record;
pub use tally::Tally;

/// Of so many changes, all but one are of instructions that the work is known to execute.
const ELSEWHERE: u64 = 4;

/// Changes that are drawn until one fits its instruction.
const DRAWS: u32 = 1000;

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
        // As in the matrix.
        let image = image.held_in(disks.folder())?;
        Ok(Injection { image, sum: disks.sum()?, disks, seed, at_once, machines: AtomicU64::new(0) })
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
        let first = Mutex::new(Some(Ready::new(system, &target)?));
        let (numbers, tally) = (Mutex::new(numbers), Mutex::new(Tally::new(server.name, self.seed)));
        let work = || -> Result<()> {
            let mut ready = lock(&first).take();
            loop {
                let next = lock(&numbers).next();
                let Some(number) = next else { return Ok(()) };
                let mut machine = match ready.take() {
                    Some(machine) => machine,
                    None => {
                        progress.step(&lock(&tally).line());
                        self.prepare(&target)?
                    }
                };
                let made = self.one(&target, &calm, number, &mut machine)?;
                let goes_on =
                    made.outcome.is_unnoticed() || recovers(&mut machine.system, &target, &calm, made.outcome);
                lock(&tally).add(number, &made);
                let goes_on = goes_on && (made.outcome == Outcome::NotManifested || machine.follow(&target));
                ready = goes_on.then_some(machine);
            }
        };
        work_at_once(self.at_once, work)?;
        Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the change with a number, and looks at what comes of it.
    fn one(&self, target: &Target, calm: &Calm, number: u64, machine: &mut Ready) -> Result<Made> {
        let mut random = Random::of(self.seed, &["inject", target.server.name], number);
        let mutation = draw(&target.program, calm, &mut random).context("no instruction can be changed")?;
        let (mut seen, mut output) = change(machine, target, &mutation, target.campaign.after_death())?;
        let is_doubtful = Outcome::judge(&seen, &output, &calm.output) == Outcome::Undetected;
        if is_doubtful && recovers(&mut machine.system, target, calm, Outcome::Undetected) && machine.follow(target) {
            // Where nothing could be read of the dead, it was changed all the time: once more, with a look at each end.
            let (again, printed) = change(machine, target, &mutation, &[target.campaign.death().address].into())?;
            if again.deaths > 0 {
                (seen, output) = (again, printed);
            }
        }
        let system = &mut machine.system;
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
    fn prepare(&self, target: &Target) -> Result<Ready> {
        let mut system = self.boot(target)?;
        begin(&mut system, &target.work)?;
        Ready::new(system, target)
    }

    fn boot(&self, target: &Target) -> Result<System> {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        let copies = self.disks.copy(&format!("machine-{number}"))?;
        System::boot(&target.campaign, copies)
    }
}

/// A machine at its prompt.
struct Ready {
    system: System,
    /// Where the server's code is.
    code: Code,
    /// Tells whose end the kernel is at.
    ends: Ends,
}

impl Ready {
    /// A machine that has done its work once.
    fn new(mut system: System, target: &Target) -> Result<Ready> {
        let code = find_code(&mut system, target)?;
        let ends = Ends::find(&mut system, target.campaign.death())?;
        Ok(Ready { system, code, ends })
    }

    /// Finds the code of the server's next incarnation: whether it is there.
    fn follow(&mut self, target: &Target) -> bool {
        if !self.code.is_a_copy() {
            return true;
        }
        let found = find_code(&mut self.system, target);
        found.is_ok_and(|code| {
            self.code = code;
            true
        })
    }
}

/// Where the counts of the last campaign of the command line are.
///
/// # Errors
/// There is no workspace.
pub fn record_path() -> Result<PathBuf> {
    Ok(Workspace::locate()?.target().join("inject/checkpoint.json"))
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
    let executed = calm.executed();
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

/// Where the code of the server is, found when work arrives at it.
fn find_code(system: &mut System, target: &Target) -> Result<Code> {
    let mut deadline = system.begin(&target.work.line)?;
    let arrival = flight::next_arrival(system, &target.program, &mut deadline)?;
    arrival.context("nothing arrives at the server")?;
    let code = system.code(&target.program)?;
    finish(system, &target.work)?;
    Ok(code)
}

/// Makes the change, and does the work. `deaths`: where a death is seen.
fn change(
    machine: &mut Ready,
    target: &Target,
    mutation: &Mutation,
    deaths: &BTreeSet<u64>,
) -> Result<(Seen, Result<String, String>)> {
    let Ready { system, code, ends } = machine;
    let mut deadline = system.begin(&target.work.line)?;
    let mut patch = Some(system.change_code(&target.program, code, mutation.address, &mutation.bytes)?);
    system.debugger().break_only_at(deaths)?;
    let mut seen = Seen::default();
    let end = loop {
        match system.next_break(&mut deadline) {
            // Another one, or one that ends by itself.
            Ok(Some(registers)) if !is_death(system, target, ends, &registers)? => {}
            Ok(Some(_)) => {
                // The report of one death comes there several times.
                seen.deaths = 1;
                system.debugger().break_only_at(&BTreeSet::new())?;
                if let Some(patch) = patch.take() {
                    system.debugger().restore(&patch)?;
                }
            }
            end => break end,
        }
    };
    if let Some(patch) = patch.take()
        && system.debugger().interrupt().is_ok()
    {
        system.debugger().restore(&patch)?;
    }
    let output = end.and_then(|_| finish(system, &target.work)).map_err(|error| format!("{error:#}"));
    Ok((seen, output))
}

/// Whether the processor has come to the death of the server, at one of the places of [`change`].
fn is_death(system: &mut System, target: &Target, ends: &Ends, registers: &Registers) -> Result<bool> {
    let death = target.campaign.death();
    if registers.get(Register::RIP) != death.address {
        return Ok(true);
    }
    let is_its = target.server.is_service(&ends.name(system, registers)?);
    Ok(is_its && death.reason(registers) != ExitReason::Exit)
}

/// Whether a machine in which somebody noticed a change is as it was: its server is killed, and does all work right, twice.
fn recovers(system: &mut System, target: &Target, calm: &Calm, outcome: Outcome) -> bool {
    let is_right = |system: &mut System| system.command(&target.work.line).is_ok_and(|output| output == calm.output);
    if outcome == Outcome::KernelCrash || system.clear().is_err() || kill(system, &target.server).is_err() {
        return false;
    }
    if let Some(line) = &target.work.again {
        // It says so where there is nothing to be made possible.
        let _ = system.command(line);
    }
    is_right(system) && is_right(system)
}
