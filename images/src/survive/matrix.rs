//! The matrix: all cells that were asked for, one machine after the other.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::checkpoint::Checkpoint;
use super::disks::Disks;
use super::fault::Fault;
use super::program::Program;
use super::random::Random;
use super::residue::Residue;
use super::row::Row;
use super::run::{Calm, Services, Trial, calm, others, trial};
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
    /// Where the random numbers begin.
    pub seed: u64,
    /// Go on where the last campaign ended.
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
    campaign: Campaign,
    disks: Disks,
    sum: String,
    selection: &'a Selection,
    checkpoint: Checkpoint,
    machines: u64,
}

/// A machine, and what is known of it.
struct Ready {
    system: System,
    calm: Calm,
    services: Services,
}

impl<'a> Matrix<'a> {
    /// Prepares a campaign.
    ///
    /// # Errors
    /// The image lacks something, a tool of the host does, or the checkpoint is of another campaign.
    pub fn new(image: &Image, selection: &'a Selection) -> Result<Matrix<'a>> {
        let folder = Workspace::locate()?.target().join("survive");
        let campaign = Campaign::new(image, &folder)?;
        let disks = Disks::make(&folder.join(std::process::id().to_string()))?;
        let path = checkpoint_path()?;
        let checkpoint = match selection.resume {
            true => Checkpoint::resume(&path, selection.seed, selection.runs)?,
            false => Checkpoint::begin(&path, selection.seed, selection.runs),
        };
        Ok(Matrix { campaign, sum: disks.sum()?, disks, selection, checkpoint, machines: 0 })
    }

    /// Runs all cells; each is told of when it is finished.
    ///
    /// # Errors
    /// A machine cannot be started, or a workload fails although nobody disturbs it.
    pub fn run(&mut self, progress: &Progress, mut finished: impl FnMut(&Row)) -> Result<&[Row]> {
        for server in self.selection.servers() {
            let elf = self.campaign.image().programs.get(server.binary).with_context(|| format!("no {}", server.name))?;
            let program = Program::read(elf)?;
            for workload in self.selection.workloads(&server) {
                let mut ready = None;
                for fault in self.selection.faults() {
                    let key = [server.name, fault.name(), workload.name()];
                    if let Some(row) = self.checkpoint.find(key) {
                        finished(row);
                        continue;
                    }
                    progress.step(&format!("{} × {fault} × {workload}", server.name));
                    let row = self.cell(&server, &program, fault, workload, &mut ready)?;
                    finished(&row);
                    self.checkpoint.add(row)?;
                }
            }
        }
        Ok(&self.checkpoint.rows)
    }

    /// All runs of a cell. A machine in which something went wrong is not used again.
    fn cell(
        &mut self,
        server: &Server,
        program: &Program,
        fault: Fault,
        workload: Workload,
        ready: &mut Option<Ready>,
    ) -> Result<Row> {
        let work = Work::of(server, workload, &self.sum)?;
        let mut row = Row::new(server.name, fault.name(), workload.name());
        let mut before = None;
        for number in 0..self.selection.runs {
            let machine = match ready.take() {
                Some(machine) => machine,
                None => {
                    before = None;
                    self.prepare(program, &work)?
                }
            };
            let Ready { mut system, calm, services } = machine;
            let count = match before.take() {
                Some(count) => count,
                None => Residue::count(&mut system, server)?,
            };
            row.runs += 1;
            let mut found = None;
            for draw in 0..DRAWS {
                let mut random = Random::of(self.selection.seed, &row.key(), number * DRAWS + draw);
                let tried = trial(&mut system, program, self.campaign.death(), (fault, &work, &calm), &mut random);
                match tried {
                    Ok(None) => {}
                    other => {
                        found = Some(other);
                        break;
                    }
                }
            }
            let label = format!("seed {} run {number}", self.selection.seed);
            let wrong = match found {
                None => vec!["no moment was reached".to_string()],
                Some(Err(error)) => vec![format!("{error:#}")],
                Some(Ok(None)) => vec![],
                Some(Ok(Some(trial))) => self.judge(&mut row, server, fault, &trial, &calm, &services, &mut system),
            };
            if wrong.is_empty() {
                let after = Residue::count(&mut system, server)?;
                let (sum, texts) = after.since(&count);
                row.residue += sum;
                if sum > 0 {
                    row.fail(format!("{label}: left behind {}", texts.join(", ")));
                }
                row.pass += 1;
                before = Some(after);
                // Starts are counted from here.
                let services = Services::list(&mut system)?;
                *ready = Some(Ready { system, calm, services });
            } else {
                let text: String = wrong.join("; ").chars().take(TOLD).collect();
                row.fail(format!("{label}: {text}"));
                if let Ok(copies) = system.shut_down() {
                    row.bytes_lost += copies.bytes_lost(&self.disks)?;
                }
            }
        }
        if let Some(Ready { mut system, .. }) = ready.take_if(|_| workload == Workload::Writes || workload == Workload::Names) {
            // What is on the disks after the last run of the cell is looked at by the host.
            let listed = system.command("sync");
            let copies = listed.and_then(|_| system.shut_down());
            match copies {
                Ok(copies) => {
                    row.bytes_lost += copies.bytes_lost(&self.disks)?;
                    let faults = copies.faults();
                    if !faults.is_empty() {
                        row.pass = row.pass.saturating_sub(1);
                        row.fail(format!("seed {}: {}", self.selection.seed, faults.join("; ")));
                    }
                }
                Err(error) => {
                    row.pass = row.pass.saturating_sub(1);
                    row.fail(format!("seed {}: at the end {error:#}", self.selection.seed));
                }
            }
        }
        Ok(row)
    }

    /// A machine whose work is known.
    fn prepare(&mut self, program: &Program, work: &Work) -> Result<Ready> {
        self.machines += 1;
        let copies = self.disks.copy(&format!("machine-{}", self.machines))?;
        let mut system = System::boot(&self.campaign, copies)?;
        let calm = calm(&mut system, program, work)?;
        let services = Services::list(&mut system)?;
        Ok(Ready { system, calm, services })
    }

    /// What is wrong after a fault; nothing, where nobody noticed it.
    fn judge(
        &self,
        row: &mut Row,
        server: &Server,
        fault: Fault,
        trial: &Trial,
        calm: &Calm,
        services: &Services,
        system: &mut System,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let place = format!("at {:#x}, arrival {}, {} deaths", trial.address, trial.moment.arrival, trial.seen.deaths);
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
            Ok(output) if *output != calm.output && !fault.may_be_seen() => {
                row.client_errors += 1;
                wrong.push(format!("printed {} ({place})", difference(output, &calm.output)));
            }
            Ok(_) => {}
        }
        match others(system, server, services) {
            Ok(others) => wrong.extend(others.into_iter().map(|text| format!("{text} ({place})"))),
            Err(error) => wrong.push(format!("{error:#} ({place})")),
        }
        // Who sent a deadly request sees an error, nobody else does.
        if fault.may_be_seen() && wrong.is_empty() {
            let again = system.command(&self.line(server, row));
            if !again.as_ref().is_ok_and(|again| *again == calm.output) {
                row.client_errors += 1;
                wrong.push(format!("afterwards {again:?} ({place})"));
            }
        }
        wrong
    }

    fn line(&self, server: &Server, row: &Row) -> String {
        let workload = server.workloads.iter().find(|workload| workload.name() == row.workload);
        workload.and_then(|workload| Work::of(server, *workload, &self.sum).ok()).map_or(String::new(), |work| work.line)
    }
}

/// Where the rows of the last campaign are.
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
            seed: 1,
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
