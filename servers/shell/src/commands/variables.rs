//! `export`, `unset`, `set`, `shift`, `read`: variables and options.

use super::arguments::unknown_option;
use super::{Arguments, Command, Outcome, Topic};
use crate::failure::{Failure, error, usage};
use crate::script::is_name;
use crate::shell::Shell;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

pub(super) static EXPORT: Command = Command {
    name: "export",
    usage: "[NAME[=VALUE]…]",
    summary: "Gives variables to programs, too; without arguments lists those.",
    details: "",
    topic: Topic::Nothing,
    run: export,
};

fn export(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let words = arguments.rest();
    if words.is_empty() {
        let lines = shell.state.exported().into_iter().map(|(name, value)| format!("{name}={value}\n"));
        let lines: Vec<String> = lines.collect();
        return Ok(shell.write_str(&lines.concat())?);
    }
    for word in words {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if !is_name(name) {
            return usage(format!("`{word}` is not NAME=VALUE"));
        }
        if let Some(value) = value {
            shell.state.set(name, value.into());
        }
        shell.state.export(name);
    }
    Ok(())
}

pub(super) static UNSET: Command = Command {
    name: "unset",
    usage: "NAME…",
    summary: "Takes variables and functions away.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.no_option()?;
        let names = arguments.rest();
        if names.is_empty() {
            return usage("a name is missing");
        }
        for name in names {
            if shell.state.variables.remove(name).is_none() {
                shell.state.functions.remove(name);
            }
        }
        Ok(())
    },
};

pub(super) static SET: Command = Command {
    name: "set",
    usage: "[-e|+e] [-x|+x] [[--] ARGUMENT…]",
    summary: "Sets options and positional parameters; without arguments lists variables.",
    details: "  -e  a script ends at the first command that fails; +e: it does not\n\
              \x20 -x  commands are shown before they are run; +x: they are not\n",
    topic: Topic::Nothing,
    run: set,
};

fn set(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    let words = arguments.rest();
    if words.is_empty() {
        let variables = shell.state.variables.iter();
        let lines: Vec<String> = variables.map(|(name, variable)| format!("{name}={}\n", variable.value)).collect();
        return Ok(shell.write_str(&lines.concat())?);
    }
    let mut rest = words;
    while let [first, behind @ ..] = rest {
        if first == "--" {
            shell.state.positions = behind.to_vec();
            return Ok(());
        }
        let is_on = first.starts_with('-');
        if first.len() < 2 || !(is_on || first.starts_with('+')) {
            shell.state.positions = rest.to_vec();
            return Ok(());
        }
        if !first.chars().skip(1).all(|letter| matches!(letter, 'e' | 'x')) {
            return unknown_option(first);
        }
        for letter in first.chars().skip(1) {
            match letter {
                'e' => shell.state.ends_on_failure = is_on,
                _ => shell.state.traces = is_on,
            }
        }
        rest = behind;
    }
    Ok(())
}

pub(super) static SHIFT: Command = Command {
    name: "shift",
    usage: "[COUNT]",
    summary: "Takes the first positional parameters away.",
    details: "",
    topic: Topic::Nothing,
    run: |shell, arguments| {
        arguments.no_option()?;
        let count: usize = match arguments.take() {
            Some(word) => super::arguments::parse(word, "a number")?,
            None => 1,
        };
        arguments.end()?;
        if count > shell.state.positions.len() {
            return error(format!("there are only {} parameters", shell.state.positions.len()));
        }
        shell.state.positions.drain(..count);
        Ok(())
    },
};

pub(super) static READ: Command = Command {
    name: "read",
    usage: "[-r] [NAME…]",
    summary: "Reads a line into variables, a word each, the rest into the last; fails at the end.",
    details: "Without names it is REPLY. A backslash means itself, as with -r in other shells.\n",
    topic: Topic::Nothing,
    run: read,
};

fn read(shell: &mut Shell, arguments: &mut Arguments) -> Outcome {
    while let Some(option) = arguments.option() {
        if option != "-r" {
            return unknown_option(option);
        }
    }
    let names = arguments.rest();
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return usage(format!("`{name}` is not a name"));
    }
    let line = shell.read_input_line()?;
    let is_end = line.is_none();
    let line = line.unwrap_or_default();
    let reply = [String::from("REPLY")];
    let names = if names.is_empty() { &reply } else { names };
    let mut rest = line.trim_matches([' ', '\t']);
    for (number, name) in names.iter().enumerate() {
        let (word, behind) = match rest.split_once([' ', '\t']) {
            Some((word, behind)) if number + 1 < names.len() => (word, behind.trim_start_matches([' ', '\t'])),
            _ => (rest, ""),
        };
        shell.state.set(name, word.into());
        rest = behind;
    }
    if is_end { Err(Failure::Status(crate::status::FAILURE)) } else { Ok(()) }
}
