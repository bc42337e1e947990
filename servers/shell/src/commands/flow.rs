//! `:`, `break`, `continue`, `return`, `exit`, `sh`, `source`: how a script goes on.

use super::{Arguments, Command, Outcome, Topic};
use crate::failure::{Failure, error, usage};
use crate::run::Flow;
use crate::shell::Shell;
use crate::status;
use alloc::format;
use alloc::string::String;
use libsys::fs;

/// Bytes of the longest script.
pub(crate) const SCRIPT: usize = 128 * 1024;

pub(super) static COLON: Command = Command {
    name: ":",
    usage: "[WORD]…",
    summary: "Does nothing, successfully.",
    details: "",
    topic: Topic::Nothing,
    run: |_, _| Ok(()),
};

pub(super) static BREAK: Command = Command {
    name: "break",
    usage: "[LOOPS]",
    summary: "Leaves a loop, or several within each other.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| leave_loops(shell, arguments, Flow::Break),
};

pub(super) static CONTINUE: Command = Command {
    name: "continue",
    usage: "[LOOPS]",
    summary: "Goes on with the next turn of a loop.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| leave_loops(shell, arguments, Flow::Continue),
};

fn leave_loops(shell: &mut Shell, arguments: &mut Arguments, flow: fn(u32) -> Flow) -> Outcome {
    arguments.no_option()?;
    let loops = optional(arguments, 1, "a number of loops")?;
    if loops == 0 {
        return usage("`0` is not a number of loops");
    }
    if shell.state.loops == 0 {
        return error("there is no loop");
    }
    shell.flow = flow(loops.min(shell.state.loops));
    Ok(())
}

fn optional<T: core::str::FromStr>(arguments: &mut Arguments, other: T, what: &str) -> Result<T, Failure> {
    let Some(word) = arguments.take() else {
        return Ok(other);
    };
    arguments.end()?;
    super::arguments::parse(word, what)
}

pub(super) static RETURN: Command = Command {
    name: "return",
    usage: "[STATUS]",
    summary: "Leaves a function or a file that is sourced.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.no_option()?;
        let status = optional(arguments, shell.status(), "a status")?;
        if shell.state.calls == 0 {
            return error("there is no function and no file to leave");
        }
        shell.flow = Flow::Return;
        done(status)
    },
};

pub(super) static EXIT: Command = Command {
    name: "exit",
    usage: "[STATUS]",
    summary: "Ends a script, a subshell, or the commands of the kernel's command line.",
    details: "At the prompt it ends the line: `poweroff` ends more.\n",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.no_option()?;
        let status = optional(arguments, shell.status(), "a status")?;
        shell.flow = Flow::Exit;
        done(status)
    },
};

fn done(status: u8) -> Outcome {
    if status == status::SUCCESS { Ok(()) } else { Err(Failure::Status(status)) }
}

pub(super) static SH: Command = Command {
    name: "sh",
    usage: "[-ex] [FILE [ARGUMENT]… | -c TEXT [NAME [ARGUMENT]…]]",
    summary: "Runs a script; without one, what it reads from a pipe or file.",
    details: "  -c  runs the text\n\
              \x20 -e  ends at the first failure\n\
              \x20 -x  shows commands before they are run\n\
              What the script changes is forgotten at its end; it gets the variables that are exported.\n",
    topic: Topic::Files,
    run: sh,
};

fn sh(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let (mut ends_on_failure, mut traces, mut is_text) = (false, false, false);
    while let Some(option) = arguments.option() {
        for letter in option.chars().skip(1) {
            match letter {
                'e' => ends_on_failure = true,
                'x' => traces = true,
                'c' => is_text = true,
                _ => return super::arguments::unknown_option(option),
            }
        }
    }
    let (name, text) = if is_text {
        let text = arguments.require("a text")?;
        (arguments.take().unwrap_or("sh"), String::from(text))
    } else {
        match arguments.take() {
            Some(file) => (file, read(file)?),
            None if matches!(shell.streams.input, crate::streams::Input::Terminal) => {
                return usage("a script is missing");
            }
            None => ("sh", shell.read_input()?),
        }
    };
    let positions = arguments.rest();
    let mut after = status::SUCCESS;
    let flow = shell.subshell(|shell| {
        shell.state.variables.retain(|_, variable| variable.is_exported);
        shell.state.functions.clear();
        (shell.state.ends_on_failure, shell.state.traces) = (ends_on_failure, traces);
        (shell.state.loops, shell.state.calls) = (0, 0);
        let flow = shell.run_file(name, &text, Some(positions));
        after = shell.status();
        flow
    });
    shell.flow = flow;
    done(after)
}

pub(super) static SOURCE: Command = Command {
    name: "source",
    usage: "FILE [ARGUMENT]…",
    summary: "Runs a script as if its lines stood here; `.` is the same.",
    details: "",
    topic: Topic::Files,
    run: source,
};

fn source(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    arguments.no_option()?;
    let file = arguments.require("a file")?;
    let text = read(file)?;
    let positions = arguments.rest();
    let flow = shell.run_file(file, &text, (!positions.is_empty()).then_some(positions));
    shell.flow = flow;
    done(shell.status())
}

/// The text of a script.
fn read(file: &str) -> Result<String, Failure> {
    let failed = |error| Failure::Error(format!("{file}: {error}"));
    let metadata = fs::metadata(file).map_err(failed)?;
    if metadata.is_file() && metadata.len() > SCRIPT as u64 {
        return error(format!("{file}: a script has at most {} KiB", SCRIPT / 1024));
    }
    if !metadata.is_file() && !metadata.is_dir() {
        return error(format!("{file}: it is no file"));
    }
    fs::read_to_string(file).map_err(failed)
}
