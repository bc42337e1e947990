//! `kill`, `nice`, `taskset`, `time`: what is done to processes.

use super::arguments::{parse, unknown_option};
use super::{Arguments, Command, Outcome, Topic, each};
use crate::complete;
use crate::failure::{Failure, error, usage};
use crate::launch::Scheduling;
use crate::shell::{How, Shell};
use crate::text::{Cpus, Time};
use alloc::format;
use core::fmt::Write;
use libsys::abi::inspect::ProcessRecord;
use libsys::abi::schedule::{DEFAULT_WEIGHT, MAX_PRIORITY};
use libsys::abi::{Parameters, Policy};
use libsys::client::CallError;
use libsys::protocol::registry::{Action, RegistryError};
use libsys::time;

/// init's name in its own registry.
pub(super) const INIT: &str = "init";

pub(super) static KILL: Command = Command {
    name: "kill",
    usage: "PID|NAME|%JOB…",
    summary: "Kills services and programs that the shell started.",
    details: "A service is killed where it stands; its manifest entry says whether it is started again. `service stop` ends one politely.\n\
              init is started again in any case, and goes on with all services as they are.\n",
    topic: Topic::Targets,
    run: kill,
};

fn kill(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let targets = arguments.rest();
    if let Some(option) = targets.iter().find(|word| word.starts_with('-')) {
        return usage(format!("there is no option {option}: there are no signals, killed is killed"));
    }
    if targets.is_empty() {
        return usage("nothing to kill");
    }
    each(shell, KILL.name, targets, kill_one)
}

fn kill_one(shell: &mut Shell, target: &str) -> Outcome {
    if let Some(job) = target.strip_prefix('%') {
        let number: usize = parse(job, "the number of a job")?;
        return match shell.jobs.iter().find(|job| job.number == number) {
            Some(job) => Ok(job.kill()?),
            None => error(format!("there is no job {target}")),
        };
    }
    let number = target.parse::<u64>().ok();
    if let Some(job) = number.and_then(|number| shell.jobs.of_process(number)) {
        return Ok(job.kill()?);
    }
    // The shell has no handles to services: init has.
    let services = complete::services(shell.registry)?;
    let is_meant = |service: &&libsys::protocol::registry::Service| match number {
        Some(number) => number != 0 && service.process == number,
        None => service.name == target,
    };
    if let Some(service) = services.iter().find(is_meant) {
        return shell.registry.control(&service.name, Action::Kill).or_else(|error| refused(&service.name, error));
    }
    let mut jobs = shell.jobs.iter();
    if let Some(job) = jobs.find(|job| job.command.split(' ').next() == Some(target)) {
        return Ok(job.kill()?);
    }
    // init is no service, and nobody's child. It serves the registry, and lets itself be killed through it.
    let is_init =
        |process: &ProcessRecord| process.parent == 0 && number.is_none_or(|number| process.process == number);
    if (number.is_some() || target == INIT) && shell.inspect.processes()?.iter().any(is_init) {
        return shell.registry.control(INIT, Action::Kill).or_else(|error| refused(INIT, error));
    }
    match number {
        Some(_) => error(format!("no service and no program of this shell has the number {target}")),
        None => error(format!("no service and no program of this shell is called {target}")),
    }
}

/// What a refusal of the registry means.
pub(super) fn refused<T>(name: &str, error: CallError<RegistryError>) -> Result<T, Failure> {
    let text = match error {
        CallError::Failed(RegistryError::NoSuchName) => format!("there is no service `{name}`"),
        CallError::Failed(RegistryError::Denied) => {
            format!("the shell may not do this to `{name}`")
        }
        CallError::Failed(RegistryError::NotPossible) => {
            format!("not possible in the state of `{name}`, or others depend on it")
        }
        CallError::Failed(RegistryError::NotReady) => format!("`{name}` is not ready"),
        CallError::Failed(RegistryError::GivenUp) => {
            format!("`{name}` died too often and was given up: `service start {name}` starts it again")
        }
        other => format!("{name}: {other}"),
    };
    Err(Failure::Error(text))
}

/// Weights of the nice values from −20 to 19: a step is a quarter more or less (as Linux has them).
const WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501,
    1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];

/// The weight of a nice value.
fn weight(nice: i32) -> Option<u32> {
    WEIGHTS.get(usize::try_from(nice.checked_add(20)?).ok()?).copied()
}

pub(super) static NICE: Command = Command {
    name: "nice",
    usage: "[-n NICE | -f PRIORITY | -r PRIORITY] PROGRAM [ARGUMENT]… | … -p PID",
    summary: "Runs a program with another priority, or changes a running one's.",
    details: "  -n NICE      a share of the CPU, from -20 (most) to 19 (least): 10\n\
              \x20 -f PRIORITY  real time, from 1 to 63: runs until it waits\n\
              \x20 -r PRIORITY  real time, in turns with others of the same priority\n\
              \x20 -p PID       changes the first thread of a program that the shell started\n",
    topic: Topic::Commands,
    run: nice,
};

fn nice(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let mut parameters = None;
    let mut process = None;
    while let Some(option) = arguments.option() {
        match option {
            "-n" => {
                let nice: i32 = arguments.value("a nice value")?;
                let weight = weight(nice);
                let Some(weight) = weight else {
                    return usage(format!("a nice value is from -20 to 19, not {nice}"));
                };
                parameters = Some(Parameters { policy: Policy::Fair, priority: 0, weight });
            }
            "-f" | "-r" => {
                let policy = if option == "-f" { Policy::Fifo } else { Policy::RoundRobin };
                let priority: u8 = arguments.value("a priority")?;
                if !(1..=MAX_PRIORITY).contains(&priority) {
                    return usage(format!("a priority is from 1 to {MAX_PRIORITY}, not {priority}"));
                }
                parameters = Some(Parameters { policy, priority, weight: DEFAULT_WEIGHT });
            }
            "-p" => process = Some(arguments.value("the number of a process")?),
            _ => return unknown_option(option),
        }
    }
    let usual = Parameters { weight: WEIGHTS[30], ..Parameters::DEFAULT };
    let scheduling = Scheduling { parameters: Some(parameters.unwrap_or(usual)), cpus: None };
    apply(shell, scheduling, process, arguments)
}

pub(super) static TASKSET: Command = Command {
    name: "taskset",
    usage: "CPUS PROGRAM [ARGUMENT]… | CPUS -p PID",
    summary: "Runs a program on certain CPUs, or moves a running one there.",
    details: "CPUS is a list such as 0,2-3, a bit set such as 0x5, or `all`.\n\
              \x20 -p PID  moves the first thread of a program that the shell started\n",
    topic: Topic::Nothing,
    run: taskset,
};

fn taskset(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let Cpus(cpus) = arguments.value("a list of CPUs")?;
    let present = shell.inspect.system()?.cpus;
    let known = u64::MAX >> (64 - present.clamp(1, 64));
    if cpus & known == 0 {
        return error(format!("there is no such CPU: there are {present}"));
    }
    let mut process = None;
    while let Some(option) = arguments.option() {
        match option {
            "-p" => process = Some(arguments.value("the number of a process")?),
            _ => return unknown_option(option),
        }
    }
    let scheduling = Scheduling { parameters: None, cpus: Some(cpus & known) };
    apply(shell, scheduling, process, arguments)
}

/// Schedules a running program, or one that is started for it.
fn apply(shell: &mut Shell, scheduling: Scheduling, process: Option<u64>, arguments: &mut Arguments) -> Outcome {
    if let Some(process) = process {
        arguments.end()?;
        return match shell.jobs.of_process(process) {
            Some(job) => Ok(job.child.schedule(scheduling)?),
            None => error(format!("{process} is not a program that this shell started")),
        };
    }
    let words = arguments.rest();
    let Some(name) = words.first() else {
        return usage("a program is missing");
    };
    if super::find(name).is_some() {
        return error(format!("`{name}` is a part of the shell: only programs can be scheduled"));
    }
    done(shell.run_words(words, How { scheduling }))
}

pub(super) static TIME: Command = Command {
    name: "time",
    usage: "COMMAND [ARGUMENT]…",
    summary: "Runs a command and tells how long it took.",
    details: "",
    topic: Topic::Commands,
    run: time_command,
};

fn time_command(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let words = arguments.rest();
    if words.is_empty() {
        return usage("a command is missing");
    }
    let before = time::now();
    let status = shell.run_words(words, How::default());
    let took = time::now().saturating_sub(before);
    writeln!(shell, "{} ({} us)", Time(took), took / 1000)?;
    done(status)
}

/// What another command's status comes to.
fn done(status: u8) -> Outcome {
    if status == 0 { Ok(()) } else { Err(Failure::Status(status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nice_values_are_weights() {
        assert_eq!((weight(-20), weight(0), weight(19)), (Some(88_761), Some(DEFAULT_WEIGHT), Some(15)));
        assert_eq!((weight(-21), weight(20), weight(i32::MAX)), (None, None, None));
        let all = (-20..20).map(|nice| Parameters { weight: weight(nice).expect("a weight"), ..Parameters::DEFAULT });
        assert!(all.into_iter().all(Parameters::is_valid));
    }
}
