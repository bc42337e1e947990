//! `ps`, `top`, `maps`, `handles`, `accounts`: processes and what they have.

use super::arguments::{parse, unknown_option};
use super::{Arguments, Command, Outcome, Topic};
use crate::events::TERMINAL;
use crate::failure::{Failure, error};
use crate::shell::Shell;
use crate::text::{Cpus, Seconds, Size, Table, Time, name};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use libsys::abi::inspect::{ProcessRecord, ThreadRecord, ThreadState};
use libsys::abi::memory::{MemoryKind, Protection};
use libsys::abi::process::ProcessState;
use libsys::abi::{Handle, Kind, Policy, Rights};
use libsys::account::{Limits, Usage};
use libsys::{env, time};

pub(super) static PS: Command = Command {
    name: "ps",
    usage: "[-t]",
    summary: "Lists the processes, children below their parents.",
    details: "  -t  lists threads instead\n\
              INC counts incarnations: how often the process was started. MEMORY is what it has mapped, shared or not.\n",
    topic: Topic::Nothing,
    run: ps,
};

fn ps(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let mut threads = false;
    while let Some(option) = arguments.option() {
        match option {
            "-t" => threads = true,
            _ => return unknown_option(option),
        }
    }
    arguments.end()?;
    if threads { show_threads(shell) } else { show_processes(shell) }
}

pub(super) fn show_processes(shell: &mut Shell) -> Outcome {
    let all = shell.inspect.processes()?;
    let mut table =
        Table::new(&[">PID", ">PARENT", "NAME", "STATE", ">INC", ">THREADS", ">HANDLES", ">MEMORY", ">CPU TIME"]);
    for (depth, process) in tree(&all) {
        table.row(&[
            &process.process,
            &process.parent,
            &format!("{:1$}{2}", "", depth * 2, name(&process.name)),
            &state(process.state),
            &process.incarnation,
            &process.threads,
            &process.handles,
            &Size::of_frames(process.resident_frames),
            &Time(process.run_time),
        ]);
    }
    Ok(table.write(shell)?)
}

/// Processes with their depth: children behind their parents, else in order of their numbers.
fn tree(all: &[ProcessRecord]) -> Vec<(usize, &ProcessRecord)> {
    let numbers: BTreeSet<u64> = all.iter().map(|process| process.process).collect();
    let mut children: BTreeMap<u64, Vec<&ProcessRecord>> = BTreeMap::new();
    let mut roots = Vec::new();
    for process in all {
        // A parent that is gone, or younger than its child, is none: the records may be of different moments.
        if process.parent < process.process && numbers.contains(&process.parent) {
            children.entry(process.parent).or_default().push(process);
        } else {
            roots.push(process);
        }
    }
    let mut listed = Vec::with_capacity(all.len());
    let mut open: Vec<(usize, &ProcessRecord)> = roots.into_iter().rev().map(|root| (0, root)).collect();
    while let Some((depth, process)) = open.pop() {
        listed.push((depth, process));
        let below = children.remove(&process.process).unwrap_or_default();
        open.extend(below.into_iter().rev().map(|child| (depth + 1, child)));
    }
    listed
}

fn state(number: u32) -> &'static str {
    match ProcessState::from_number(number) {
        Some(ProcessState::New) => "new",
        Some(ProcessState::Running) => "running",
        Some(ProcessState::Draining) => "draining",
        Some(ProcessState::Dead) => "dead",
        None => "?",
    }
}

/// Names of all processes, by number.
pub(super) fn names(shell: &Shell) -> Result<BTreeMap<u64, String>, Failure> {
    let all = shell.inspect.processes()?;
    Ok(all.iter().map(|process| (process.process, name(&process.name))).collect())
}

/// The name of a process, or its number if it is gone; `-` for 0.
pub(super) fn name_of(names: &BTreeMap<u64, String>, process: u64) -> String {
    match (process, names.get(&process)) {
        (0, _) => "-".into(),
        (_, Some(name)) => name.clone(),
        (number, None) => format!("({number})"),
    }
}

pub(super) fn show_threads(shell: &mut Shell) -> Outcome {
    let names = names(shell)?;
    let mut table = Table::new(&[
        ">TID",
        ">PID",
        "PROCESS",
        "STATE",
        "POLICY",
        ">PRIORITY",
        ">NOW",
        ">WEIGHT",
        ">CPU",
        "CPUS",
        ">CPU TIME",
        ">CALL AGE",
    ]);
    for thread in shell.inspect.threads(0)? {
        let age = if thread.call_age == 0 { "-".to_string() } else { Time(thread.call_age).to_string() };
        table.row(&[
            &thread.thread,
            &thread.process,
            &name_of(&names, thread.process),
            &ThreadState::text(thread.state),
            &policy(&thread),
            &thread.priority,
            &thread.effective_priority,
            &thread.weight,
            &thread.cpu,
            &Cpus(thread.affinity),
            &Time(thread.run_time),
            &age,
        ]);
    }
    Ok(table.write(shell)?)
}

fn policy(thread: &ThreadRecord) -> &'static str {
    match Policy::from_number(thread.policy.into()) {
        Some(Policy::Fair) => "fair",
        Some(Policy::Fifo) => "fifo",
        Some(Policy::RoundRobin) => "rr",
        None => "?",
    }
}

pub(super) static TOP: Command = Command {
    name: "top",
    usage: "[-n COUNT] [-d SECONDS]",
    summary: "Shows which processes use the CPUs, again and again; `q` or Ctrl-C ends it.",
    details: "  -n COUNT    ends after so many times (in commands from the host: 1)\n\
              \x20 -d SECONDS  waits so long between them: 2\n",
    topic: Topic::Nothing,
    run: top,
};

fn top(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let mut count = if shell.is_interactive { u64::MAX } else { 1 };
    let mut pause = Seconds(2_000_000_000);
    while let Some(option) = arguments.option() {
        match option {
            "-n" => count = arguments.value("a number of times")?,
            "-d" => pause = arguments.value("a number of seconds")?,
            _ => return unknown_option(option),
        }
    }
    arguments.end()?;
    let mut before: BTreeMap<u64, u64> = BTreeMap::new();
    let mut then = 0;
    for round in 0..count {
        if round > 0 && !pause_or_quit(shell, pause)? {
            return Ok(());
        }
        let system = shell.inspect.system()?;
        let mut all = shell.inspect.processes()?;
        // In the first round: since boot.
        let used = |process: &ProcessRecord| {
            let before = before.get(&process.process).copied().unwrap_or(0);
            process.run_time.saturating_sub(before)
        };
        all.sort_by_key(|process| (core::cmp::Reverse(used(process)), process.process));
        let passed = system.uptime.saturating_sub(then).max(1);
        let mut table = Table::new(&[">PID", "NAME", "STATE", ">THREADS", ">MEMORY", ">CPU", ">CPU TIME"]);
        for process in &all {
            let permille = u128::from(used(process)) * 1000 / u128::from(passed);
            table.row(&[
                &process.process,
                &name(&process.name),
                &state(process.state),
                &process.threads,
                &Size::of_frames(process.resident_frames),
                &format!("{}.{} %", permille / 10, permille % 10),
                &Time(process.run_time),
            ]);
        }
        if shell.is_interactive {
            shell.write_str("\x1b[H\x1b[2J")?;
        }
        super::system::show_uptime(shell)?;
        super::system::show_memory(shell)?;
        table.write(shell)?;
        shell.terminal.flush();
        before = all.iter().map(|process| (process.process, process.run_time)).collect();
        then = system.uptime;
    }
    Ok(())
}

/// Waits for the next round; `false`: the user has seen enough.
fn pause_or_quit(shell: &mut Shell, Seconds(pause): Seconds) -> Result<bool, Failure> {
    let deadline = time::now().saturating_add(pause);
    while time::now() < deadline {
        match shell.terminal.read(Some(deadline)) {
            Some(b'q') => return Ok(false),
            Some(_) => {}
            None if shell.terminal.is_interrupted() => return Err(Failure::Output),
            None if shell.terminal.is_lost() => return Ok(false),
            // Bits of the terminal that meant nothing are taken with this.
            None => drop(shell.events.take(TERMINAL)),
        }
    }
    Ok(true)
}

/// The process that a word means: a number, or a name that only one has.
fn process(shell: &Shell, word: &str) -> Result<u64, Failure> {
    let all = shell.inspect.processes()?;
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = parse(word, "the number of a process")?;
        let is_there = all.iter().any(|process| process.process == number);
        return if is_there { Ok(number) } else { error(format!("there is no process {number}")) };
    }
    let mut fitting = all.iter().filter(|process| name(&process.name) == word);
    match (fitting.next(), fitting.next()) {
        (Some(process), None) => Ok(process.process),
        (None, _) => error(format!("there is no process `{word}`")),
        (Some(_), Some(_)) => error(format!("several processes are called {word}: give a number")),
    }
}

pub(super) static MAPS: Command = Command {
    name: "maps",
    usage: "PID|NAME",
    summary: "Shows what is mapped in a process.",
    details: "",
    topic: Topic::Services,
    run: maps,
};

fn maps(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let word = arguments.require("a process")?;
    arguments.end()?;
    let number = process(shell, word)?;
    let mut table = Table::new(&["ADDRESS", "END", ">SIZE", "ACCESS", "KIND", ">MEMORY", ">OFFSET", ">RESIDENT"]);
    let mut total = 0;
    for mapping in shell.inspect.mappings(number)? {
        total += mapping.bytes;
        let kind = match MemoryKind::from_number(mapping.kind.into()) {
            Some(MemoryKind::Anonymous) => "memory",
            Some(MemoryKind::Dma) => "dma",
            Some(MemoryKind::Device) => "device",
            None => "?",
        };
        table.row(&[
            &format!("{:#014x}", mapping.address),
            &format!("{:#014x}", mapping.address.saturating_add(mapping.bytes)),
            &Size(mapping.bytes),
            &access(mapping.protection),
            &kind,
            &mapping.memory,
            &format!("{:#x}", mapping.offset),
            &Size::of_frames(mapping.resident_frames),
        ]);
    }
    table.write(shell)?;
    writeln!(shell, "{} mapped", Size(total))?;
    Ok(())
}

fn access(protection: u32) -> String {
    let protection = Protection::from_bits_truncate(protection);
    let flag = |right, letter| {
        if protection.contains(right) { letter } else { '-' }
    };
    [flag(Protection::READ, 'r'), flag(Protection::WRITE, 'w'), flag(Protection::EXECUTE, 'x')].iter().collect()
}

pub(super) static HANDLES: Command = Command {
    name: "handles",
    usage: "PID|NAME",
    summary: "Shows what a process has handles to, and with which rights.",
    details: "Rights: Duplicate, Inspect, Manage, read, write, execute, receive (R), mint (T), signal (S), call (C), charge ($).\n",
    topic: Topic::Services,
    run: handles,
};

fn handles(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let word = arguments.require("a process")?;
    arguments.end()?;
    let number = process(shell, word)?;
    let mut table = Table::new(&["HANDLE", "KIND", ">OBJECT", "RIGHTS", "KEPT", "DETAIL"]);
    for record in shell.inspect.handles(number)? {
        let handle = Handle(record.handle);
        let detail = match Kind::from_number(record.kind) {
            Some(Kind::Channel) => format!("signals {:#x}", record.detail),
            Some(Kind::Session) => format!("channel {}", record.detail),
            _ if record.detail == 0 => String::new(),
            _ => format!("{:#x}", record.detail),
        };
        table.row(&[
            &format!("{}.{}", handle.slot(), handle.generation()),
            &Kind::from_number(record.kind).map_or("?", Kind::name),
            &record.object,
            &rights(record.rights),
            &if record.keep != 0 { "kept" } else { "" },
            &detail,
        ]);
    }
    Ok(table.write(shell)?)
}

fn rights(bits: u32) -> String {
    const LETTERS: [(Rights, char); 11] = [
        (Rights::DUPLICATE, 'D'),
        (Rights::INSPECT, 'I'),
        (Rights::MANAGE, 'M'),
        (Rights::READ, 'r'),
        (Rights::WRITE, 'w'),
        (Rights::EXECUTE, 'x'),
        (Rights::RECEIVE, 'R'),
        (Rights::MINT, 'T'),
        (Rights::SIGNAL, 'S'),
        (Rights::CALL, 'C'),
        (Rights::CHARGE, '$'),
    ];
    let rights = Rights::from_bits_truncate(bits);
    let letter = |(right, letter): &(Rights, char)| {
        if rights.contains(*right) { *letter } else { '-' }
    };
    LETTERS.iter().map(letter).collect()
}

pub(super) static ACCOUNTS: Command = Command {
    name: "accounts",
    usage: "",
    summary: "Shows what the shell and its programs may use, and what they use.",
    details: "What a sub-account may use counts as used in the one above it.\n",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        show_accounts(shell)
    },
};

pub(super) fn show_accounts(shell: &mut Shell) -> Outcome {
    let mut table = Table::new(&["ACCOUNT", ">MEMORY", ">HANDLES", ">THREADS", ">SESSIONS", ">PROCESSES"]);
    let mut add = |name: &str, usage: &Usage| {
        let row = |what: &str, limits: &Limits| {
            [
                format!("{name} {what}"),
                Size::of_frames(limits.frames).to_string(),
                limits.handles.to_string(),
                limits.threads.to_string(),
                limits.sessions.to_string(),
                limits.processes.to_string(),
            ]
        };
        for [a, b, c, d, e, f] in [row("limit", &usage.limits), row("used", &usage.used)] {
            table.row(&[&a, &b, &c, &d, &e, &f]);
        }
    };
    add("shell", &env::account().usage()?);
    for job in shell.jobs.iter() {
        if let Some(account) = job.child.account() {
            add(&format!("%{}", job.number), &account.usage()?);
        }
    }
    Ok(table.write(shell)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_below_their_parents() {
        let process = |process, parent| ProcessRecord { process, parent, ..ProcessRecord::default() };
        let all = [process(1, 0), process(2, 1), process(3, 1), process(5, 2), process(7, 6), process(8, 8)];
        let listed: Vec<(usize, u64)> = tree(&all).iter().map(|(depth, process)| (*depth, process.process)).collect();
        assert_eq!(listed, [(0, 1), (1, 2), (2, 5), (1, 3), (0, 7), (0, 8)]);
    }

    #[test]
    fn rights_are_letters() {
        assert_eq!(rights((Rights::DUPLICATE | Rights::CALL).bits()), "D--------C-");
        assert_eq!(access((Protection::READ | Protection::EXECUTE).bits() | 3 << 8), "r-x");
    }
}
