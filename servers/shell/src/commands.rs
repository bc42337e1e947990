//! The commands that are built in: those that need the shell's handles.
//!
//! | file | commands |
//! |---|---|
//! | [`about`](self) | `help`, `sys` |
//! | `process` | `ps`, `top`, `maps`, `handles`, `accounts` |
//! | `control` | `kill`, `nice`, `taskset`, `time` |
//! | `job` | `jobs`, `fg`, `wait` |
//! | `service` | `service` |
//! | `crashes` | `crashes` |
//! | `system` | `free`, `uptime`, `channels`, `interrupts` and what only `sys` shows |
//! | `log` | `dmesg` |
//! | `power` | `reboot`, `poweroff` |
//! | `words` | `history`, `clear` |
//! | `variables` | `export`, `unset`, `set`, `shift`, `read` |
//! | `flow` | `:`, `break`, `continue`, `return`, `exit`, `sh`, `source` |
//! | `directory` | `cd` |
//! | `test` | `test`, `[` |

mod about;
mod arguments;
mod control;
mod crashes;
mod directory;
mod flow;
mod job;
mod log;
mod power;
mod process;
mod service;
mod system;
mod test;
mod upgrade;
mod variables;
mod words;

pub use arguments::Arguments;
pub(crate) use flow::SCRIPT;

use crate::failure::Failure;
use crate::shell::Shell;
use crate::status;
use alloc::string::String;
use core::fmt::{self, Write};

/// What running a command comes to.
pub type Outcome = Result<(), Failure>;

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What may follow the name.
    pub usage: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// More about it, in whole lines; may be empty.
    pub details: &'static str,
    /// What Tab offers behind it.
    pub topic: Topic,
    /// Does it.
    pub run: fn(&mut Shell, &mut Arguments) -> Outcome,
}

/// What may stand behind a command's name.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    /// Nothing that could be guessed.
    Nothing,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Services.
    Services,
    /// One of these words, then services.
    Service(&'static [&'static str]),
    /// Services and jobs.
    Targets,
    /// Another command.
    Commands,
    /// Files.
    Files,
}

/// Commands that change nothing but the shell: begun again, they do the same.
const OWN_AFFAIRS: [&str; 17] = [
    ":", "break", "cd", "continue", "exit", "export", "false", "history", "jobs", "return", "set", "shift", "test",
    "true", "unset", "wait", "[",
];

/// Commands that only tell something.
const QUESTIONS: [&str; 12] = [
    "accounts",
    "channels",
    "crashes",
    "dmesg",
    "free",
    "handles",
    "help",
    "interrupts",
    "maps",
    "ps",
    "sys",
    "uptime",
];

impl Command {
    /// Whether it changes nothing at all, with these arguments: to ask once more does no harm, as long as nobody has seen the answer.
    pub fn is_question(&self, arguments: &[String]) -> bool {
        let asks = |word: &String| matches!(word.as_str(), "list" | "info");
        QUESTIONS.contains(&self.name) || self.name == "service" && arguments.first().is_none_or(asks)
    }

    /// Whether it changes nothing but the shell.
    pub fn is_own_affair(&self) -> bool {
        OWN_AFFAIRS.contains(&self.name)
    }

    /// Writes what `--help` shows.
    pub fn write_help(&self, out: &mut dyn Write) -> fmt::Result {
        let Command { name, usage, summary, details, .. } = self;
        let blank = if usage.is_empty() { "" } else { " " };
        write!(out, "usage: {name}{blank}{usage}\n{summary}\n{details}")
    }
}

/// The commands of all files, in alphabetical order.
pub static COMMANDS: &[&Command] = &[
    &flow::COLON,
    &process::ACCOUNTS,
    &flow::BREAK,
    &directory::CD,
    &system::CHANNELS,
    &words::CLEAR,
    &flow::CONTINUE,
    &crashes::CRASHES,
    &log::DMESG,
    &flow::EXIT,
    &variables::EXPORT,
    &job::FG,
    &system::FREE,
    &process::HANDLES,
    &about::HELP,
    &words::HISTORY,
    &system::INTERRUPTS,
    &job::JOBS,
    &control::KILL,
    &process::MAPS,
    &control::NICE,
    &power::POWEROFF,
    &process::PS,
    &variables::READ,
    &power::REBOOT,
    &flow::RETURN,
    &service::SERVICE,
    &variables::SET,
    &flow::SH,
    &variables::SHIFT,
    &flow::SOURCE,
    &about::SYS,
    &control::TASKSET,
    &test::TEST,
    &control::TIME,
    &process::TOP,
    &variables::UNSET,
    &system::UPTIME,
    &job::WAIT,
];

/// Does something for each of some words. One that fails does not keep the others from it.
fn each(shell: &mut Shell, name: &str, words: &[String], mut run: impl FnMut(&mut Shell, &str) -> Outcome) -> Outcome {
    let mut outcome = Ok(());
    for word in words {
        match run(shell, word) {
            Err(Failure::Error(text)) => {
                writeln!(shell, "{name}: {text}")?;
                outcome = Err(Failure::Status(status::FAILURE));
            }
            other => other?,
        }
    }
    outcome
}

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    let name = match name {
        "." => "source",
        "[" => "test",
        name => name,
    };
    COMMANDS.iter().copied().find(|command| command.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_and_in_order() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
        assert!(find("ps").is_some() && find("p").is_none());
        for command in COMMANDS {
            assert!(command.summary.ends_with('.'), "{}", command.name);
            assert!(command.details.is_empty() || command.details.ends_with('\n'), "{}", command.name);
        }
    }
}
