//! `crashes`: what is left of services that died.

use super::{Arguments, Command, Outcome, Topic, each};
use crate::failure::{Failure, error, usage};
use crate::shell::Shell;
use crate::status;
use crate::text::{Latency, Table, Time};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use libsys::abi::ExitReason;
use libsys::crash::CrashSummary;
use libsys::fs;
use libsys::protocol::list;

pub(super) static CRASHES: Command = Command {
    name: "crashes",
    usage: "[list | show [NUMBER | SERVICE]…]",
    summary: "Shows what is left of services that died.",
    details: "  list  a line for each death that is kept (the same without arguments)\n\
              \x20 show  everything about some: by number, or the last of a service; without either, the last of all\n\
              The same texts are the files of /sys/crashes.\n",
    topic: Topic::Service(&["list", "show"]),
    run: crashes,
};

fn crashes(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    match arguments.take().unwrap_or("list") {
        "list" => {
            arguments.end()?;
            list(shell)
        }
        "show" => {
            let words = arguments.rest();
            let all = all(shell)?;
            if !words.is_empty() {
                return each(shell, CRASHES.name, words, |shell, word| match find(&all, word) {
                    Some(crash) => show(shell, crash),
                    None => error(format!("there is no crash `{word}`: `crashes` lists those that are kept")),
                });
            }
            match all.last() {
                Some(crash) => show(shell, crash),
                None => error("nothing has crashed"),
            }
        }
        word => usage(format!("`{word}` is none of list, show")),
    }
}

fn all(shell: &mut Shell) -> Result<Vec<CrashSummary>, Failure> {
    Ok(list::all(|first| shell.registry.crashes(first))?)
}

fn find<'a>(all: &'a [CrashSummary], word: &str) -> Option<&'a CrashSummary> {
    let is_meant = |crash: &&CrashSummary| crash.service == word || crash.number.to_string() == word;
    all.iter().rev().find(is_meant)
}

fn show(shell: &mut Shell, crash: &CrashSummary) -> Outcome {
    let path = format!("/sys/crashes/{}", crash.file_name());
    match fs::read(&path) {
        Ok(text) => Ok(shell.write_str(&String::from_utf8_lossy(&text))?),
        Err(reason) => error(format!("{path}: {reason}")),
    }
}

fn list(shell: &mut Shell) -> Outcome {
    let mut table = Table::new(&[">NUMBER", "SERVICE", ">INC", ">TIME", ">READY AFTER", "REASON"]);
    for crash in all(shell)? {
        let ready = crash.ready.map(|ready| Latency(ready.saturating_sub(crash.time)).to_string());
        table.row(&[
            &crash.number,
            &crash.service,
            &crash.incarnation,
            &Time(crash.time),
            &ready.unwrap_or_else(|| "-".to_string()),
            &status::describe_code(ExitReason::from_number(crash.reason), crash.code),
        ]);
    }
    Ok(table.write(shell)?)
}
