//! `history`, `clear`: the shell's own affairs.

use super::{Arguments, Command, Outcome, Topic};
use crate::shell::Shell;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

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
