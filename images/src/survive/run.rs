//! One fault, from the command to the prompt.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::fault::Fault;
use super::flight::{self, Arrival, Moment};
use super::program::Program;
use super::random::Random;
use super::server::{INIT, Server};
use super::strike::strike;
use super::system::System;
use super::watch::{Seen, Watch};
use super::work::Work;

/// Arrivals that are counted in an undisturbed line; the moments lie among them.
const MOST_ARRIVALS: u64 = 400;

/// Instructions of one arrival that are counted.
const MOST_INSTRUCTIONS: u64 = 2000;

/// Arrivals whose instructions are counted.
const SAMPLES: u64 = 3;

/// What an undisturbed line is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calm {
    /// What it prints.
    pub output: String,
    /// How often something arrives at the server.
    pub arrivals: u64,
    /// How often a call does.
    pub calls: u64,
    /// Instructions of the server for one arrival, on average.
    pub instructions: u64,
    /// Addresses of instructions that some arrivals had executed.
    pub executed: BTreeSet<u64>,
}

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Where it struck.
    pub moment: Moment,
    /// The address.
    pub address: u64,
    /// What came of it.
    pub seen: Seen,
    /// What the line printed, if it came to its end.
    pub output: Result<String, String>,
}

/// Looks at a line that nobody disturbs: twice, as the first time things are made that stay.
///
/// # Errors
/// It does not end, or what it prints is not what the work says.
pub fn calm(system: &mut System, program: &Program, work: &Work) -> Result<Calm> {
    begin(system, work)?;
    let mut deadline = system.begin(&work.line)?;
    let (mut arrivals, mut calls) = (0, 0);
    while let Some((arrival, _)) = flight::next_arrival(system, program, &mut deadline)? {
        arrivals += 1;
        calls += u64::from(arrival != Arrival::Signals);
        if arrivals == MOST_ARRIVALS {
            break;
        }
    }
    let output = finish(system, work)?;
    if let Some(expected) = &work.expected {
        anyhow::ensure!(*expected == output, "undisturbed, `{}` prints {output:?}, not {expected:?}", work.line);
    }
    let (instructions, executed) = instructions(system, program, work, arrivals)?;
    Ok(Calm { output, arrivals, calls, instructions, executed })
}

/// Prepares the work in a machine, and does it once.
///
/// # Errors
/// A line does not end.
pub fn begin(system: &mut System, work: &Work) -> Result<()> {
    for line in work.before.iter().chain([&work.line]) {
        system.command(line)?;
    }
    Ok(())
}

/// The length of some arrivals of a line, on average, and the instructions that they had executed.
fn instructions(system: &mut System, program: &Program, work: &Work, arrivals: u64) -> Result<(u64, BTreeSet<u64>)> {
    let mut deadline = system.begin(&work.line)?;
    let gap = arrivals / (SAMPLES + 1);
    let (mut sum, mut samples, mut executed) = (0, 0, BTreeSet::new());
    'line: for _ in 0..SAMPLES {
        for _ in 0..gap {
            if flight::next_arrival(system, program, &mut deadline)?.is_none() {
                break 'line;
            }
        }
        if gap > 0 {
            sum += flight::trace(system, program, MOST_INSTRUCTIONS, &mut deadline, |address| {
                executed.insert(address);
            })?;
            samples += 1;
        }
    }
    finish(system, work)?;
    Ok(((sum / samples.max(1)).max(1), executed))
}

/// Strikes once while a line is done. `None` where the line was over before the moment came.
///
/// # Errors
/// The debugger fails. What goes wrong in the machine is in the trial.
pub fn trial(
    system: &mut System,
    program: &Program,
    death: u64,
    (fault, work, calm): (Fault, &Work, &Calm),
    random: &mut Random,
) -> Result<Option<Trial>> {
    let is_call = fault.strikes_requests();
    let arrivals = if is_call { calm.calls } else { calm.arrivals };
    let moment = Moment { arrival: random.below(arrivals), instructions: random.below(calm.instructions), is_call };
    let mut deadline = system.begin(&work.line)?;
    let Some(registers) = flight::reach(system, program, moment, &mut deadline)? else {
        finish(system, work)?;
        return Ok(None);
    };
    let address = registers.get(crate::debugger::Register::RIP);
    let patch = strike(fault, system, program, &registers, random)?;
    let mut watch = Watch::new(program, Some(fault), death, &registers, patch);
    let followed = watch.follow(system, &mut deadline);
    let seen = watch.end(system);
    let output = match (&followed, &seen) {
        (Ok(()), Ok(_)) => finish(system, work),
        (Err(error), _) | (_, Err(error)) => Err(anyhow::anyhow!("{error:#}")),
    };
    let seen = seen.unwrap_or_default();
    Ok(Some(Trial { moment, address, seen, output: output.map_err(|error| format!("{error:#}")) }))
}

pub(crate) fn finish(system: &mut System, work: &Work) -> Result<String> {
    system.debugger().interrupt()?;
    system.debugger().break_only_at(&BTreeSet::new())?;
    system.finish(&work.line).with_context(|| format!("`{}`", work.line))
}

/// Does the work undisturbed in a machine that has just started, the second time after a plain kill of the server: what is made once is there then.
///
/// # Errors
/// A line does not end.
pub fn settle(system: &mut System, server: &Server, work: &Work) -> Result<()> {
    // init is no service, and can be killed as one.
    let own = (server.name == INIT).then(|| INIT.to_string());
    for service in Services::list(system)?.names(server).into_iter().chain(own) {
        // Not everybody can be killed so; who cannot is not started anew either.
        system.command(&format!("service kill {service}"))?;
    }
    system.command(&work.line).map(drop)
}

/// What is wrong with the services besides the one that was struck: those that do not serve, or died as well.
///
/// # Errors
/// The list is not printed.
pub fn others(system: &mut System, server: &Server, before: &Services) -> Result<Vec<String>> {
    let now = Services::list(system)?;
    let mut wrong = Vec::new();
    for service in &now.0 {
        let was = before.0.iter().find(|other| other.name == service.name);
        if service.state != "ready" && was.is_none_or(|was| was.state == "ready") {
            wrong.push(format!("{} is {}", service.name, service.state));
        }
        if !server.is_service(&service.name) && was.is_some_and(|was| was.starts != service.starts) {
            wrong.push(format!("{} died, too", service.name));
        }
    }
    Ok(wrong)
}

/// The services as the shell lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services(Vec<Service>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    name: String,
    state: String,
    starts: String,
}

impl Services {
    /// Asks the shell.
    ///
    /// # Errors
    /// The list is not printed.
    pub fn list(system: &mut System) -> Result<Services> {
        Ok(Services::parse(&system.command("service list")?))
    }

    /// The names of those that are the server.
    fn names(&self, server: &Server) -> Vec<String> {
        let own = self.0.iter().filter(|service| server.is_service(&service.name));
        own.filter(|service| service.state == "ready").map(|service| service.name.clone()).collect()
    }

    fn parse(text: &str) -> Services {
        let services = text.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, state, _, starts, ..] = words[..] else { return None };
            Some(Service { name: name.into(), state: state.into(), starts: starts.into() })
        });
        Services(services.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read() {
        let text =
            "NAME  STATE    PID  STARTS  FAULTS       UP  LAST EXIT\nuart  ready     45       1       0  0:00:00  -\n";
        let Services(services) = Services::parse(text);
        assert_eq!(services, [Service { name: "uart".into(), state: "ready".into(), starts: "1".into() }]);
    }
}
