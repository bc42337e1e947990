//! `jobs`, `fg`, `wait`: programs in the background.

use super::arguments::parse;
use super::{Arguments, Command, Outcome, Topic};
use crate::events::CHILD;
use crate::failure::{Failure, error};
use crate::shell::Shell;
use crate::text::Table;
use alloc::format;
use core::fmt::Write;

pub(super) static JOBS: Command = Command {
    name: "jobs",
    usage: "",
    summary: "Lists the programs in the background.",
    details: "",
    topic: Topic::Nothing,
    run: jobs,
};

fn jobs(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.end()?;
    shell.tell_of_jobs();
    let mut table = Table::new(&["JOB", ">PID", "COMMAND"]);
    for job in shell.jobs.iter() {
        table.row(&[&format!("%{}", job.number), &job.child.process(), &job.command]);
    }
    Ok(table.write(shell)?)
}

pub(super) static FG: Command = Command {
    name: "fg",
    usage: "[%JOB]",
    summary: "Waits for a program in the background, the last one if none is named; Ctrl-C kills it.",
    details: "",
    topic: Topic::Targets,
    run: fg,
};

fn fg(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let number = match arguments.take() {
        Some(word) => parse(word.trim_start_matches('%'), "the number of a job")?,
        None => match shell.jobs.last() {
            Some(number) => number,
            None => return error("nothing runs in the background"),
        },
    };
    arguments.end()?;
    let Some(job) = shell.jobs.take(number) else {
        return error(format!("there is no job %{number}"));
    };
    writeln!(shell, "{}", job.command)?;
    match shell.wait_for_all(&job.command, &job.others, &job.child) {
        0 => Ok(()),
        status => Err(Failure::Status(status)),
    }
}

pub(super) static WAIT: Command = Command {
    name: "wait",
    usage: "",
    summary: "Waits until no program runs in the background.",
    details: "Ctrl-C ends the wait, not the programs.\n",
    topic: Topic::Nothing,
    run: wait,
};

fn wait(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.end()?;
    let mut last = 0;
    loop {
        while let Some((job, status, said)) = shell.jobs.next_ended() {
            last = status;
            writeln!(shell, "[{}] {}: {said}", job.number, job.command)?;
        }
        if shell.jobs.last().is_none() {
            return if last == 0 { Ok(()) } else { Err(Failure::Status(last)) };
        }
        if shell.terminal.wait(CHILD, None) == 0 {
            return Err(Failure::Output);
        }
    }
}
