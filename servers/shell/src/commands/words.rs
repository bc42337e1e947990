//! `export`, `history`, `clear`: the shell's own affairs.

use super::{Arguments, Command, Outcome, Topic};
use crate::failure::usage;
use crate::shell::Shell;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

pub(super) static EXPORT: Command = Command {
    name: "export",
    usage: "[NAME=VALUE…]",
    summary: "Gives variables values, for $NAME and for programs; without arguments lists them.",
    details: "",
    topic: Topic::Nothing,
    run: export,
};

fn export(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let words = arguments.rest();
    if words.is_empty() {
        let lines: Vec<String> = shell.variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        return Ok(shell.write_str(&lines.concat())?);
    }
    for word in words {
        match word.split_once('=') {
            Some((name, value)) if is_name(name) => shell.set_variable(name, value),
            _ => return usage(format!("`{word}` is not NAME=VALUE")),
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

pub(super) static HISTORY: Command = Command {
    name: "history",
    usage: "",
    summary: "Lists the lines that were entered.",
    details: "",
    topic: Topic::Nothing,
    run: history,
};

fn history(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.end()?;
    let lines: Vec<String> = shell.history.lines().map(String::from).collect();
    for (number, line) in lines.iter().enumerate() {
        writeln!(shell, "{:>4}  {line}", number + 1)?;
    }
    Ok(())
}

pub(super) static CLEAR: Command = Command {
    name: "clear",
    usage: "",
    summary: "Clears the terminal.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.end()?;
        Ok(shell.write_str("\x1b[H\x1b[2J")?)
    },
};
