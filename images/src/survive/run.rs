//! One fault, from the command to the prompt.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::fault::Fault;
use super::flight::{self, Arrival, Moment, Reached};
use super::program::Program;
use super::random::Random;
use super::server::{INIT, Server};
use super::strike::strike;
use super::system::{Campaign, System};
use super::watch::{Seen, Watch};
use super::work::Work;

/// Arrivals that are looked at in an undisturbed line, and those of them that are followed: the first ones all, then one of some.
const MOST_ARRIVALS: u64 = 120;
const FIRST_ARRIVALS: u64 = 8;
const GAP: u64 = 4;

/// Instructions that are followed: of one arrival, and in all.
const MOST_INSTRUCTIONS: u64 = 2000;
const MOST_FOLLOWED: usize = 24_000;

/// A moment is one of the first so many executions of an instruction in a line, if it has as many: a break point stops the machine at each of those before.
const MOST_TIMES: u64 = 4;

/// Calls among which a fault that needs one strikes.
const MOST_CALLS: u64 = 12;

/// Draws of an address at which other programs are not seen all the time.
const DRAWS: u32 = 100;

/// What an undisturbed line is like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calm {
    /// What it prints.
    pub output: String,
    /// How often a call arrives, as far as that was counted.
    pub calls: u64,
    /// What the server had executed for some arrivals: each instruction as often as it was.
    pub followed: Vec<u64>,
    /// For how many of these arrivals it had executed an address.
    pub times: BTreeMap<u64, u64>,
    /// Arrivals that were followed.
    pub arrivals: u64,
}

impl Calm {
    /// Addresses that were executed.
    pub fn executed(&self) -> Vec<u64> {
        self.times.keys().copied().collect()
    }

    /// A moment: a random one of all instructions that were followed, or as many behind a random call as there are for one. `is_first`: the earliest of its kind. `crowded` are addresses to which other programs come.
    /// `None`: nothing arrives.
    fn moment(&self, is_call: bool, is_first: bool, crowded: &BTreeSet<u64>, random: &mut Random) -> Option<Moment> {
        if is_call {
            let length = (self.followed.len() as u64 / self.arrivals.max(1)).max(1);
            let number = if is_first { 0 } else { random.below(self.calls.min(MOST_CALLS)) };
            return (self.calls > 0).then(|| Moment::Call { number, instructions: random.below(length) });
        }
        let mut address = *random.choose(&self.followed)?;
        for _ in 0..DRAWS {
            if !crowded.contains(&address) {
                break;
            }
            address = *random.choose(&self.followed)?;
        }
        let times = self.times.get(&address).map_or(1, |times| *times);
        let time = if is_first { 1 } else { 1 + random.below(times.min(MOST_TIMES)) };
        Some(Moment::Execution { address, time })
    }
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

/// Looks at a line that nobody disturbs: the second time, as the first time things are made that stay.
///
/// # Errors
/// It does not end, or what it prints is not what the work says.
pub fn calm(system: &mut System, program: &Program, work: &Work) -> Result<Calm> {
    begin(system, work)?;
    let mut calm = Calm::default();
    let mut deadline = system.begin(&work.line)?;
    for number in 0..MOST_ARRIVALS {
        let Some((arrival, _)) = flight::next_arrival(system, program, &mut deadline)? else { break };
        calm.calls += u64::from(arrival != Arrival::Signals);
        let is_chosen = number < FIRST_ARRIVALS || number % GAP == 0;
        if is_chosen && calm.followed.len() < MOST_FOLLOWED {
            let from = calm.followed.len();
            flight::trace(system, program, MOST_INSTRUCTIONS, &mut deadline, |address| calm.followed.push(address))?;
            for address in calm.followed[from..].iter().collect::<BTreeSet<_>>() {
                *calm.times.entry(*address).or_default() += 1;
            }
            calm.arrivals += 1;
        }
    }
    calm.output = finish(system, work)?;
    if let Some(expected) = &work.expected {
        let output = &calm.output;
        anyhow::ensure!(expected == output, "undisturbed, `{}` prints {output:?}, not {expected:?}", work.line);
    }
    Ok(calm)
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

/// Strikes once while a line is done. `None` where the line was over before the moment came. `crowded` are addresses at which no moment is looked for any more.
///
/// # Errors
/// The debugger fails. What goes wrong in the machine is in the trial.
pub fn trial(
    system: &mut System,
    program: &Program,
    campaign: &Campaign,
    (fault, work, calm): (Fault, &Work, &Calm),
    (is_first, crowded): (bool, &mut BTreeSet<u64>),
    random: &mut Random,
) -> Result<Option<Trial>> {
    let mut deadline = system.begin(&work.line)?;
    let (moment, registers) = loop {
        let moment = calm.moment(fault.strikes_requests(), is_first, crowded, random);
        let moment = moment.context("nothing arrives at the server")?;
        match flight::reach(system, program, moment, &mut deadline)? {
            Reached::At(registers) => break (moment, registers),
            Reached::Over => {
                finish(system, work)?;
                return Ok(None);
            }
            Reached::Crowded => {
                if let Moment::Execution { address, .. } = moment {
                    crowded.insert(address);
                }
            }
        }
    };
    let address = registers.get(crate::debugger::Register::RIP);
    let patch = strike(fault, system, program, &registers, random)?;
    let mut watch = Watch::new(program, fault, campaign, &registers, patch);
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
    kill(system, server)?;
    system.command(&work.line).map(drop)
}

/// Kills the server, and nothing else, by a command.
///
/// # Errors
/// The line does not end.
pub fn kill(system: &mut System, server: &Server) -> Result<()> {
    // init is no service, and can be killed as one.
    let own = (server.name == INIT).then(|| INIT.to_string());
    for service in Services::list(system)?.names(server).into_iter().chain(own) {
        // Not everybody can be killed so; who cannot is not started anew either.
        system.command(&format!("service kill {service}"))?;
    }
    Ok(())
}

/// What is wrong with the services besides the one that was struck: those that do not serve, or died as well. And how they are now.
///
/// # Errors
/// The list is not printed.
pub fn others(system: &mut System, server: &Server, before: &Services) -> Result<(Vec<String>, Services)> {
    let now = Services::at_rest(system)?;
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
    Ok((wrong, now))
}

/// How often the services are listed again where one is in one of these states: the server of a mount that failed ends when its user has been told.
const MOST_LISTS: usize = 10;
const IN_TRANSIT: [&str; 2] = ["stopping", "starting"];

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

    /// The same when none is on its way from one state to another, or after a while.
    fn at_rest(system: &mut System) -> Result<Services> {
        let mut services = Services::list(system)?;
        for _ in 0..MOST_LISTS {
            if services.0.iter().all(|service| !IN_TRANSIT.contains(&service.state.as_str())) {
                break;
            }
            services = Services::list(system)?;
        }
        Ok(services)
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
    fn moments_are_executions_that_were_seen_and_not_those_of_others() {
        let calm = Calm {
            calls: 2,
            followed: vec![1, 2, 2, 3],
            times: [(1, 1), (2, 9), (3, 1)].into(),
            arrivals: 2,
            ..Calm::default()
        };
        let mut random = Random::new(1);
        let crowded = BTreeSet::from([1]);
        for _ in 0..100 {
            let moment = calm.moment(false, false, &crowded, &mut random);
            assert!(
                matches!(
                    moment,
                    Some(
                        Moment::Execution { address: 2, time: 1..=MOST_TIMES }
                            | Moment::Execution { address: 3, time: 1 }
                    )
                ),
                "{moment:?}"
            );
            let moment = calm.moment(true, false, &crowded, &mut random);
            assert!(matches!(moment, Some(Moment::Call { number: 0..=1, instructions: 0..=1 })), "{moment:?}");
        }
        assert_eq!(Calm::default().moment(false, false, &crowded, &mut random), None);
        assert_eq!(Calm::default().moment(true, false, &crowded, &mut random), None);
    }

    #[test]
    fn services_are_read() {
        let text =
            "NAME  STATE    PID  STARTS  FAULTS       UP  LAST EXIT\nuart  ready     45       1       0  0:00:00  -\n";
        let Services(services) = Services::parse(text);
        assert_eq!(services, [Service { name: "uart".into(), state: "ready".into(), starts: "1".into() }]);
    }
}
