//! What the commands have in common: options, input and output, clear ends.
//!
//! The commands themselves are in `commands/`, a file each; they behave as users of Linux know them. What takes thought is here, where it is tested on the host:
//!
//! | file | part |
//! |---|---|
//! | [`options`], [`number`] | command lines |
//! | [`output`], [`input`], [`sink`], [`raw_disk`] | streams, files, devices, disks |
//! | [`walk`], [`names`], [`transfer`], [`glob`], [`mounts`] | trees of files |
//! | [`format`], [`calendar`], [`clock`], [`hexdump`] | how things are shown |
//! | [`listing`], [`search`], [`pattern`], [`context`], [`fields`], [`sets`], [`tail`], [`follow`], [`dd`] | what single programs do with data |
//! | [`launcher`] | programs that a command starts |
//! | [`editor`] | `edit` |
//! | [`disks`], [`pci_names`] | what single programs show |
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod calendar;
pub mod clock;
pub mod context;
pub mod dd;
pub mod disks;
pub mod editor;
pub mod fields;
pub mod follow;
pub mod format;
pub mod glob;
pub mod hexdump;
pub mod input;
pub mod launcher;
pub mod listing;
pub mod mounts;
pub mod names;
pub mod number;
pub mod options;
pub mod output;
pub mod pattern;
pub mod pci_names;
pub mod raw_disk;
pub mod search;
pub mod sets;
pub mod sink;
pub mod tail;
pub mod transfer;
pub mod walk;

pub use input::Input;
pub use options::Options;
pub use output::Output;

use alloc::format;
use alloc::string::String;
use core::fmt;
use libsys::ExitStatus;
use libsys::io::{self, Write};

/// A command's name, as it was called, and its arguments.
pub type Arguments = [String];

/// Status of a command that was called in a wrong way.
pub const USAGE: ExitStatus = ExitStatus(2);

/// Why a command does not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was called in a wrong way.
    Usage(String),
    /// It was asked what it does.
    Help,
    /// Something was refused.
    Error(String),
    /// What it wrote did not get out.
    Output(io::Error),
}

/// What `write!` to an [`Output`] returns; everything else that fails says what it is [`About`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

/// A failure with the name that it is about.
pub fn failed(name: &str, error: impl fmt::Display) -> Failure {
    Failure::Error(format!("{name}: {error}"))
}

/// Gives an error the name that it is about.
pub trait About<T> {
    /// The value, or a failure with the name.
    fn about(self, name: &str) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> About<T> for Result<T, E> {
    fn about(self, name: &str) -> Result<T, Failure> {
        self.map_err(|error| failed(name, error))
    }
}

/// Runs a command: `--help` and failures are the same for all. `help` is its usage line and what follows; `body` gets the arguments behind the name. The status is
/// that of `body`; where it is success and [`Output::complain`] was called, failure.
pub fn run(
    arguments: &Arguments,
    help: &str,
    body: impl FnOnce(&[String], &mut Output) -> Result<ExitStatus, Failure>,
) -> ExitStatus {
    let name = arguments.first().map_or("?", String::as_str);
    let arguments = arguments.get(1..).unwrap_or_default();
    let mut out = Output::new(libsys::path::file_name(name).unwrap_or(name));
    let result = match arguments {
        [word] if word == "--help" => Err(Failure::Help),
        _ => body(arguments, &mut out),
    };
    let status = result.and_then(|status| out.flush().map(|()| status).map_err(Failure::Output));
    match status {
        Ok(ExitStatus::SUCCESS) if out.complaints() > 0 => ExitStatus::FAILURE,
        Ok(status) => status,
        Err(Failure::Help) => match out.write_all(help.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => ExitStatus::SUCCESS,
            Err(_) => ExitStatus::FAILURE,
        },
        // Whoever read it wants no more of it.
        Err(Failure::Output(io::Error::BrokenPipe)) => ExitStatus::FAILURE,
        Err(Failure::Output(error)) => {
            out.complain(format_args!("write error: {error}"));
            ExitStatus::FAILURE
        }
        Err(Failure::Error(text)) => {
            out.complain(text);
            ExitStatus::FAILURE
        }
        Err(Failure::Usage(text)) => {
            let usage = help.lines().next().unwrap_or("");
            out.complain(format_args!("{text}\n{usage}"));
            USAGE
        }
    }
}

/// A command that takes no notice of its arguments, but for `--help`; what it says then, and its status anyway.
pub fn constant(arguments: &Arguments, help: &str, status: ExitStatus) -> ExitStatus {
    if arguments.get(1).is_some_and(|word| word == "--help") {
        // Nobody hears it: the status stays what it is.
        let _ = io::stdout().write_all(help.as_bytes());
    }
    status
}
