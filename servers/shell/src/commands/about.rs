//! `help` and `sys`.

use super::{Arguments, COMMANDS, Command, Outcome, Topic, find, log, process, service, system};
use crate::complete;
use crate::failure::error;
use crate::shell::Shell;
use crate::text::Table;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

pub(super) static HELP: Command = Command {
    name: "help",
    usage: "[COMMAND]",
    summary: "Lists the commands and programs, or tells about one.",
    details: "Tab completes words, Up and Ctrl-R find earlier lines, Ctrl-C ends what runs.\n\
              `a; b`, `a && b`, `a || b` run one after the other; `a &` runs a program in the background.\n\
              `a | b` joins them, `< FILE`, `> FILE`, `>> FILE`, `2>&1` say where they read and write.\n\
              '…' \"…\" and \\ quote; $? is the last status, $NAME a variable, $(…) what commands write.\n\
              if, while, until, for, case, { }, ( ) and name() are as in other shells; `sh FILE` runs a script.\n",
    topic: Topic::Commands,
    run: help,
};

fn help(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let Some(name) = arguments.take() else {
        return overview(shell);
    };
    arguments.end()?;
    if let Some(command) = find(name) {
        return Ok(command.write_help(shell)?);
    }
    if complete::programs(shell.registry)?.iter().any(|program| program == name) {
        writeln!(shell, "`{name}` is a program: try `{name} --help`")?;
        return Ok(());
    }
    error(format!("there is no command or program `{name}`"))
}

fn overview(shell: &mut Shell) -> Outcome {
    let mut table = Table::new(&["COMMAND", "ARGUMENTS", "WHAT IT DOES"]);
    for command in COMMANDS {
        let usage = command.usage.split(" | ").next().unwrap_or("");
        let more = if usage.len() < command.usage.len() { " …" } else { "" };
        table.row(&[&command.name, &format!("{usage}{more}"), &command.summary]);
    }
    table.write(shell)?;
    match complete::programs(shell.registry) {
        Ok(programs) => writeln!(shell, "\nPrograms: {}", programs.join(" "))?,
        Err(error) => writeln!(shell, "\nPrograms: not known: {error}")?,
    }
    writeln!(shell, "`COMMAND --help` tells more; `help help` tells about keys and quotes.")?;
    Ok(())
}

/// A view of the system as text: its name, what it shows, and what shows it.
type View = (&'static str, &'static str, fn(&mut Shell) -> Outcome);

/// All views.
static VIEWS: &[View] = &[
    ("accounts", "what the shell and its programs may use, and use", process::show_accounts),
    ("boot", "when the shell was ready, memory in use, the clock's frequency: plain numbers", system::show_boot),
    ("calls", "calls that wait for an answer", system::show_calls),
    ("channels", "channels and what is queued on them", system::show_channels),
    ("cpus", "CPUs and how busy they are", system::show_cpus),
    ("interrupts", "interrupts, their drivers and latencies", system::show_interrupts),
    ("iomem", "device memory in use", system::show_device_memory),
    ("ioports", "I/O ports in use", system::show_ports),
    ("log", "what was logged", log::show),
    ("memory", "memory, free and used", system::show_memory),
    ("objects", "how many there are of each kernel object", system::show_objects),
    ("processes", "processes", process::show_processes),
    ("programs", "programs of the boot archive", show_programs),
    ("services", "services and their states", service::show_services),
    ("threads", "threads of all processes", process::show_threads),
    ("uptime", "how long the system runs", system::show_uptime),
];

pub(super) static SYS: Command = Command {
    name: "sys",
    usage: "[list | VIEW…]",
    summary: "Shows views of the system as text; `sys list` lists them.",
    details: "",
    topic: Topic::Words(&[
        "accounts",
        "boot",
        "calls",
        "channels",
        "cpus",
        "interrupts",
        "iomem",
        "ioports",
        "list",
        "log",
        "memory",
        "objects",
        "processes",
        "programs",
        "services",
        "threads",
        "uptime",
    ]),
    run: sys,
};

fn sys(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let views = arguments.rest();
    if views.is_empty() || views == ["list"] {
        let mut table = Table::new(&["VIEW", "WHAT IT SHOWS"]);
        for (name, summary, _) in VIEWS {
            table.row(&[name, summary]);
        }
        return Ok(table.write(shell)?);
    }
    for name in views {
        // As a path it will be one of a file, once there are files.
        let name: &String = name;
        let short = name.strip_prefix("/sys/").unwrap_or(name);
        match VIEWS.iter().find(|(known, ..)| *known == short) {
            Some((_, _, show)) => show(shell)?,
            None => return error(format!("there is no view `{name}`: `sys list` lists them")),
        }
    }
    Ok(())
}

fn show_programs(shell: &mut Shell) -> Outcome {
    for program in complete::programs(shell.registry)? {
        writeln!(shell, "{program}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tab_knows_all_views() {
        let Topic::Words(words) = SYS.topic else { panic!("words") };
        assert!(VIEWS.iter().all(|(name, ..)| words.contains(name)));
        assert_eq!(words.len(), VIEWS.len() + 1);
        assert!(VIEWS.is_sorted_by_key(|(name, ..)| *name));
    }
}
