//! `dmesg`: what the kernel and the programs have logged.

use super::arguments::unknown_option;
use super::control::refused;
use super::{Arguments, Command, Outcome, Topic};
use crate::events::LOG;
use crate::failure::{Failure, usage};
use crate::shell::Shell;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use libsys::client::{self, CallError};
use libsys::protocol::LogClient;
use libsys::protocol::log::{Cursor, Level, Record};

pub(super) static DMESG: Command = Command {
    name: "dmesg",
    usage: "[-l LEVEL] [-n COUNT] [-f] [SOURCE…]",
    summary: "Shows what the kernel and the programs have logged.",
    details: "  -l LEVEL  only what is this urgent: emerg alert crit error warn notice info debug, or 0 to 7\n\
              \x20 -n COUNT  only the last ones\n\
              \x20 -f        goes on with what comes, until Ctrl-C\n\
              SOURCE is the name of a program, or `kernel`.\n",
    topic: Topic::Services,
    run: dmesg,
};

/// Short names of the levels, the most urgent first.
const NAMES: [&str; 8] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

/// What is to be shown.
struct Wanted<'a> {
    least: Level,
    count: usize,
    sources: &'a [String],
}

fn dmesg(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let (mut least, mut count, mut follow) = (Level::Debug, usize::MAX, false);
    while let Some(option) = arguments.option() {
        match option {
            "-l" => {
                let word = arguments.require("a level")?;
                let number = NAMES.iter().position(|name| *name == word);
                let number = number.or_else(|| word.parse().ok());
                let level = number.and_then(|number| Level::from_number(u8::try_from(number).ok()?));
                let Some(level) = level else {
                    return usage(format!("`{word}` is not a level: {}", NAMES.join(" ")));
                };
                least = level;
            }
            "-n" => count = arguments.value("a number")?,
            "-f" => follow = true,
            _ => return unknown_option(option),
        }
    }
    let sources = arguments.rest();
    print(shell, &Wanted { least, count, sources }, follow)
}

pub(super) fn show(shell: &mut Shell) -> Outcome {
    let all = Wanted { least: Level::Debug, count: usize::MAX, sources: &[] };
    print(shell, &all, false)
}

fn print(shell: &mut Shell, wanted: &Wanted, follow: bool) -> Outcome {
    let session = shell.registry.connect("log", false);
    let session = session.or_else(|error| refused("log", error))?;
    let log: LogClient = client::unchecked(session);
    if follow {
        log.notify(&shell.events.signaller(LOG)?, LOG, wanted.least)?;
    }
    let mut cursor = Cursor::START;
    // With a count, the last ones are known only at the end of what there is.
    let mut held = VecDeque::new();
    let mut is_caught_up = wanted.count == usize::MAX;
    loop {
        let part = match log.read(cursor, wanted.least) {
            Ok(part) => part,
            Err(CallError::PeerDied) => continue,
            Err(error) => return Err(error.into()),
        };
        if part.lost > 0 && cursor != Cursor::START {
            writeln!(shell, "… {} records are lost", part.lost)?;
        }
        let is_end = part.next == cursor;
        cursor = part.next;
        for record in part.records {
            if !wanted.sources.is_empty() && !wanted.sources.contains(&record.source) {
                continue;
            }
            if is_caught_up {
                write_record(shell, &record)?;
                continue;
            }
            if held.len() == wanted.count {
                held.pop_front();
            }
            if wanted.count > 0 {
                held.push_back(record);
            }
        }
        if !is_end {
            continue;
        }
        is_caught_up = true;
        for record in core::mem::take(&mut held) {
            write_record(shell, &record)?;
        }
        if !follow {
            return Ok(());
        }
        if shell.terminal.wait(LOG, None) == 0 {
            return Err(Failure::Output);
        }
    }
}

fn write_record(shell: &mut Shell, record: &Record) -> Outcome {
    let (seconds, micros) = (record.time / 1_000_000_000, record.time / 1000 % 1_000_000);
    let level = NAMES.get(record.level as usize).unwrap_or(&"?");
    // What programs log is their own choice: none of them gets to steer the terminal.
    let text = record.text.replace(|c: char| c.is_control() && c != '\t', "?");
    let source = match record.process {
        0 => record.source.clone(),
        process => format!("{}[{process}]", record.source),
    };
    writeln!(shell, "[{seconds:>5}.{micros:06}] {level:<6} {source}: {text}")?;
    Ok(())
}
