//! The matrix: all cells that were asked for. The cells of a server and a workload share machines, one after the other; those of others have their own, several at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

use super::checkpoint::Checkpoint;
use super::crew::{lock, work_at_once};
use super::disks::Disks;
use super::fault::Fault;
use super::folder::Folder;
use super::program::Program;
use super::random::Random;
use super::residue::{Census, Residue};
use super::row::Row;
use super::run::{Calm, Services, Trial, begin, calm, others, settle, trial};
use super::server::{SERVERS, Server};
use super::system::{Campaign, System};
use super::work::Work;
use super::workload::Workload;
use crate::progress::Progress;
use crate::workspace::Workspace;
use crate::{End, Image};

/// Moments that are drawn for one run until one comes before the line is over.
const DRAWS: u64 = 6;

/// Characters of a failure's text that are kept.
const TOLD: usize = 300;

/// Which cells, and how often each.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Only these servers; none: all.
    pub servers: Vec<Server>,
    /// Only these faults; none: all.
    pub faults: Vec<Fault>,
    /// Only these workloads; none: all.
    pub workloads: Vec<Workload>,
    /// Only the first workload of each server, if none are named.
    pub is_quick: bool,
    /// Runs of each cell.
    pub runs: u64,
    /// Machines that run at once.
    pub machines: usize,
    /// Where the random numbers begin.
    pub seed: u64,
    /// The file that keeps the rows of a campaign, if one does.
    pub checkpoint: Option<PathBuf>,
    /// Go on with the campaign in that file.
    pub resume: bool,
}

impl Selection {
    /// The workloads of a server.
    fn workloads(&self, server: &Server) -> Vec<Workload> {
        let all = server.workloads.iter().copied();
        if self.workloads.is_empty() && self.is_quick {
            return all.take(1).collect();
        }
        all.filter(|workload| self.workloads.is_empty() || self.workloads.contains(workload)).collect()
    }

    fn servers(&self) -> Vec<Server> {
        if self.servers.is_empty() { SERVERS.to_vec() } else { self.servers.clone() }
    }

    fn faults(&self) -> Vec<Fault> {
        if self.faults.is_empty() { Fault::ALL.to_vec() } else { self.faults.clone() }
    }
}

/// The matrix of an image.
#[derive(Debug)]
pub struct Matrix<'a> {
    image: Image,
    disks: Disks,
    sum: String,
    selection: &'a Selection,
    checkpoint: Mutex<Checkpoint>,
    /// How many machines there were.
    machines: AtomicU64,
}

/// A machine, and what is in it while nobody disturbs it.
struct Ready {
    system: System,
    services: Services,
    census: Census,
    count: Residue,
}

/// All cells of a server and a workload.
struct Group<'a> {
    server: &'a Server,
    campaign: Campaign,
    program: Program,
    work: Work,
    /// What undisturbed work is like, once it is known.
    calm: Option<Calm>,
    ready: Option<Ready>,
    /// Addresses of it to which other programs come.
    crowded: BTreeSet<u64>,
    /// Why there is no machine for it.
    is_hopeless: Option<String>,
}

impl<'a> Matrix<'a> {
    /// Prepares a campaign.
    ///
    /// # Errors
    /// The image lacks something, a tool of the host does, or the checkpoint is of another campaign.
    pub fn new(image: &Image, selection: &'a Selection) -> Result<Matrix<'a>> {
        let folder = Folder::make("survive")?;
        let disks = Disks::make(folder)?;
        let checkpoint = match &selection.checkpoint {
            Some(path) if selection.resume => Checkpoint::resume(path, selection.seed, selection.runs)?,
            path => Checkpoint::begin(path.as_deref(), selection.seed, selection.runs),
        };
        let (checkpoint, machines) = (Mutex::new(checkpoint), AtomicU64::new(0));
        // A campaign takes hours, in which its own files may be built anew.
        let image = image.held_in(disks.folder())?;
        Ok(Matrix { image, sum: disks.sum()?, disks, selection, checkpoint, machines })
    }

    /// Runs all cells; each is told of when it is finished.
    ///
    /// # Errors
    /// A program of the image or the workspace cannot be read, or the checkpoint cannot be written.
    pub fn run(&self, progress: &Progress, mut finished: impl FnMut(&Row) + Send) -> Result<Vec<Row>> {
        let groups =
            self.selection.servers().into_iter().flat_map(|server| {
                self.selection.workloads(&server).into_iter().map(move |workload| (server, workload))
            });
        let groups = Mutex::new(groups.collect::<Vec<_>>().into_iter());
        let finished: Mutex<&mut (dyn FnMut(&Row) + Send)> = Mutex::new(&mut finished);
        let work = || -> Result<()> {
            loop {
                let next = lock(&groups).next();
                let Some((server, workload)) = next else { return Ok(()) };
                let done = self.group(&server, workload, progress, &finished);
                if done.is_err() {
                    // Nobody begins anything more.
                    lock(&groups).by_ref().for_each(drop);
                    return done;
                }
            }
        };
        work_at_once(self.selection.machines, work)?;
        Ok(lock(&self.checkpoint).rows.clone())
    }

    /// All cells of a server and a workload.
    fn group(
        &self,
        server: &Server,
        workload: Workload,
        progress: &Progress,
        finished: &Mutex<&mut (dyn FnMut(&Row) + Send)>,
    ) -> Result<()> {
        let elf = self.image.programs.get(server.binary).with_context(|| format!("no {}", server.name))?;
        let mut group = Group {
            server,
            campaign: Campaign::new(&self.image, self.disks.folder(), server, workload)?,
            program: Program::read(elf)?,
            work: Work::of(server, workload, &self.sum)?,
            calm: None,
            ready: None,
            crowded: BTreeSet::new(),
            is_hopeless: None,
        };
        let tell = |row: &Row| lock(finished)(row);
        let is_cell = |fault: &Fault| !fault.strikes_requests() || server.is_called(workload);
        let faults: Vec<Fault> = self.selection.faults().into_iter().filter(is_cell).collect();
        for (index, fault) in faults.iter().enumerate() {
            let key = [server.name, fault.name(), workload.name()];
            let known = lock(&self.checkpoint).find(key).cloned();
            if let Some(row) = known {
                tell(&row);
                continue;
            }
            progress.step(&format!("{} × {fault} × {workload}", server.name));
            let mut row = Row::new(server.name, fault.name(), workload.name());
            self.cell(&mut group, *fault, &mut row)?;
            if index + 1 == faults.len() {
                self.look_at_disks(&mut group, &mut row)?;
            }
            tell(&row);
            lock(&self.checkpoint).add(row)?;
        }
        Ok(())
    }

    /// All runs of a cell. A machine in which something went wrong is not used again.
    fn cell(&self, group: &mut Group<'_>, fault: Fault, row: &mut Row) -> Result<()> {
        for number in 0..self.selection.runs {
            if let Some(reason) = &group.is_hopeless {
                (row.runs, row.client_errors) = (row.runs + 1, row.client_errors + 1);
                row.fail(format!("seed {} run {number}: {reason}", self.selection.seed).chars().take(TOLD).collect());
                continue;
            }
            let mut machine = match group.ready.take() {
                Some(machine) => machine,
                None => match self.prepare(group) {
                    Ok(machine) => machine,
                    Err(error) => {
                        // Once is enough: it takes long, and would come again.
                        let reason = format!("a plain kill is not survived: {error:#}");
                        (row.runs, row.client_errors) = (row.runs + 1, row.client_errors + 1);
                        row.fail(
                            format!("seed {} run {number}: {reason}", self.selection.seed).chars().take(TOLD).collect(),
                        );
                        group.is_hopeless = Some(reason);
                        continue;
                    }
                },
            };
            let calm = group.calm.as_ref().context("the machine was prepared")?;
            row.runs += 1;
            let mut found = None;
            for draw in 0..DRAWS {
                let mut random = Random::of(self.selection.seed, &row.key(), number * DRAWS + draw);
                let what = (fault, &group.work, calm);
                let place = (draw > 0, &mut group.crowded);
                let campaign = &group.campaign;
                found = trial(&mut machine.system, &group.program, campaign, what, place, &mut random).transpose();
                if found.is_some() {
                    break;
                }
            }
            let wrong = match found {
                None => {
                    // The line is over, and nothing was done to it.
                    row.runs -= 1;
                    row.fail(format!("seed {} run {number}: no such moment came", self.selection.seed));
                    group.ready = Some(machine);
                    continue;
                }
                Some(Err(error)) => vec![format!("{error:#}")],
                Some(Ok(trial)) => judge(row, group, fault, &trial, &mut machine),
            };
            if wrong.is_empty() {
                row.pass += 1;
                group.ready = Some(machine);
                continue;
            }
            let text: String = wrong.join("; ").chars().take(TOLD).collect();
            row.fail(format!("seed {} run {number}: {text}", self.selection.seed));
            if let Ok(copies) = machine.system.shut_down() {
                row.bytes_lost += copies.bytes_lost(&self.disks)?;
            }
        }
        if let Some(machine) = group.ready.take() {
            match self.left_behind(machine, group, row) {
                Ok(machine) => group.ready = Some(machine),
                Err(error) => {
                    row.pass = row.pass.saturating_sub(1);
                    row.fail(
                        format!("seed {}: afterwards {error:#}", self.selection.seed).chars().take(TOLD).collect(),
                    );
                }
            }
        }
        Ok(())
    }

    /// Counts what the runs of a cell have left behind.
    fn left_behind(&self, mut machine: Ready, group: &Group<'_>, row: &mut Row) -> Result<Ready> {
        settle(&mut machine.system, group.server, &group.work)?;
        let after = machine.census.settled(&mut machine.system, group.server)?;
        let (sum, texts) = after.since(&machine.count);
        row.residue += sum;
        if sum > 0 {
            row.fail(format!("seed {}: left behind {}", self.selection.seed, texts.join(", ")));
        }
        machine.count = after;
        machine.services = Services::list(&mut machine.system)?;
        Ok(machine)
    }

    /// The host's look at the disks of the machine that has gone through all cells of a group: what it finds is told of with the last one.
    fn look_at_disks(&self, group: &mut Group<'_>, row: &mut Row) -> Result<()> {
        let Some(machine) = group.ready.take_if(|_| group.server.directory.device().is_some()) else { return Ok(()) };
        let faults = match machine.system.shut_down() {
            Ok(copies) => {
                row.bytes_lost += copies.bytes_lost(&self.disks)?;
                copies.faults()
            }
            Err(error) => vec![format!("{error:#}").chars().take(TOLD).collect()],
        };
        if !faults.is_empty() {
            row.pass = row.pass.saturating_sub(1);
            row.fail(format!("seed {}: afterwards {}", self.selection.seed, faults.join("; ")));
        }
        Ok(())
    }

    /// A machine whose work is known.
    fn prepare(&self, group: &mut Group<'_>) -> Result<Ready> {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        let copies = self.disks.copy(&format!("machine-{number}"))?;
        let mut system = System::boot(&group.campaign, copies)?;
        if group.calm.is_none() {
            group.calm = Some(calm(&mut system, &group.program, &group.work)?);
        } else {
            begin(&mut system, &group.work)?;
        }
        settle(&mut system, group.server, &group.work)?;
        // To count makes something in the shell that stays, the first time.
        let mut census = Census::default();
        census.count(&mut system, group.server)?;
        let count = census.settled(&mut system, group.server)?;
        let services = Services::list(&mut system)?;
        Ok(Ready { system, services, census, count })
    }
}

/// What is wrong after a fault; nothing, where nobody noticed it.
fn judge(row: &mut Row, group: &Group<'_>, fault: Fault, trial: &Trial, machine: &mut Ready) -> Vec<String> {
    let Ready { system, services, .. } = machine;
    let expected = group.calm.as_ref().map_or("", |calm| calm.output.as_str());
    let mut wrong = Vec::new();
    let place = format!("at {:#x}, {}, {} deaths", trial.address, trial.moment, trial.seen.deaths);
    row.alive += u64::from(trial.seen.deaths == 0);
    row.recoveries.extend(trial.seen.recovery);
    match &trial.output {
        Err(error) => {
            row.client_errors += 1;
            let end = match system.end() {
                Some(End::Panic(panic)) => format!("KERNEL PANIC {}", panic.message),
                _ => error.clone(),
            };
            return vec![format!("{end} ({place})")];
        }
        Ok(output) if *output != expected && !fault.may_be_seen() => {
            row.client_errors += 1;
            wrong.push(format!("printed {} ({place})", difference(output, expected)));
        }
        Ok(_) => {}
    }
    match others(system, group.server, services) {
        Ok((others, now)) => {
            wrong.extend(others.into_iter().map(|text| format!("{text} ({place})")));
            *services = now;
        }
        Err(error) => wrong.push(format!("{error:#} ({place})")),
    }
    // Who sent a deadly request sees an error, nobody else does.
    if wrong.is_empty() && fault.may_be_seen() {
        if let Some(line) = &group.work.again {
            // It says so where there is nothing to be made possible.
            let _ = system.command(line);
        }
        let again = system.command(&group.work.line);
        if !again.as_ref().is_ok_and(|again| *again == expected) {
            row.client_errors += 1;
            wrong.push(format!("afterwards {again:?} ({place})"));
        }
    }
    wrong
}

/// Where the rows of the last campaign of the command line are.
///
/// # Errors
/// There is no workspace.
pub fn checkpoint_path() -> Result<PathBuf> {
    Ok(Workspace::locate()?.target().join("survive/checkpoint.json"))
}

/// What a text has in place of another from where they part.
fn difference(found: &str, expected: &str) -> String {
    let same = found.lines().zip(expected.lines()).take_while(|(one, other)| one == other).count();
    let [found, expected] = [found, expected].map(|text| text.lines().nth(same).unwrap_or("(nothing)"));
    format!("{found:?} in place of {expected:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_matrix_has_one_workload_a_server() {
        let mut selection = Selection {
            servers: vec![],
            faults: vec![],
            workloads: vec![],
            is_quick: true,
            runs: 1,
            machines: 1,
            seed: 1,
            checkpoint: None,
            resume: false,
        };
        assert!(selection.servers().iter().all(|server| selection.workloads(server).len() == 1));
        selection.workloads = vec![Workload::Writes];
        let ext4 = Server::find("ext4").unwrap();
        assert_eq!(selection.workloads(&ext4), [Workload::Writes]);
        assert!(selection.workloads(&Server::find("uart").unwrap()).is_empty());
        assert_eq!(selection.faults().len(), 10);
    }

    #[test]
    fn differences_name_the_first_line() {
        assert_eq!(difference("a\nb\n", "a\nc\n"), "\"b\" in place of \"c\"");
        assert_eq!(difference("a\n", "a\nc\n"), "\"(nothing)\" in place of \"c\"");
    }
}
