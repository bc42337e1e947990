//! Starting programs: what the shell asks for, and what it gets. [`crate::program`] does it with the kernel; a test
//! plays it.

use crate::events::Events;
use crate::streams::Streams;
use crate::terminal::Terminal;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt;
use libsys::abi::Parameters;
use libsys::pipe::PipeWriter;
use libsys::process::ExitRecord;
use libsys::state::Keepsake;
use libsys::{Account, Error, Handle, Object, Process, ThreadObject};
use serde::{Deserialize, Serialize};

/// A program to be started.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Its name and arguments; at least the name.
    pub words: &'a [String],
    /// Its variables.
    pub environment: &'a [(String, String)],
    /// Where it reads and writes.
    pub streams: &'a Streams,
    /// Whether it gets what is typed, where its input is the terminal.
    pub is_foreground: bool,
    /// How its first thread is scheduled.
    pub scheduling: Scheduling,
    /// What it is promised.
    pub share: Share,
}

/// What a program is promised of what the shell has left of memory, handles and the like: one of so many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How many parts.
    pub parts: u64,
}

impl Share {
    /// Of what a pipeline in the foreground is promised all together; one in the background leaves more for others.
    const FOREGROUND: u64 = 2;
    const BACKGROUND: u64 = 8;

    /// The share of one of a pipeline's programs, when `left` of them, it among them, are still to be started. All get the same.
    pub fn of_pipeline(programs: usize, left: usize, is_foreground: bool) -> Share {
        let all = if is_foreground { Share::FOREGROUND } else { Share::BACKGROUND };
        Share { parts: (all - 1) * programs as u64 + left as u64 }
    }

    /// The share of a program that is no part of a pipeline.
    pub fn alone(is_foreground: bool) -> Share {
        Share::of_pipeline(1, 1, is_foreground)
    }
}

/// How a thread is to be scheduled, where it is not as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// Policy, priority, weight.
    pub parameters: Option<Parameters>,
    /// CPUs, as a bit set.
    pub cpus: Option<u64>,
}

/// Makes programs.
pub trait Launcher {
    /// Makes a program, which runs from [`Child::start`] on. Its end is signalled as [`crate::events::CHILD`].
    fn launch(&mut self, launch: &Launch<'_>, terminal: &Terminal, events: &Events) -> Result<Launched, LaunchError>;

    /// A program of the shell before, which runs from here on, if it did not. Its end is signalled as if it had been made here. `None`: it is not there any more.
    fn recover(&mut self, kept: KeptChild, events: &Events) -> Option<Rc<dyn Child>> {
        let _ = (kept, events);
        None
    }

    /// Waits until what programs that ended had has come free: the next ones may need it. Ctrl-C ends that.
    fn settle(&mut self, terminal: &mut Terminal) {
        let _ = terminal;
    }
}

/// A program that was just made.
pub struct Launched {
    /// The program.
    pub child: Rc<dyn Child>,
    /// The writing end of its input, if that is a pipe of its own.
    pub input: Option<PipeWriter>,
}

/// A program that was made. Dropping it ends it, and whatever it has started itself.
pub trait Child {
    /// Has it run. Error: `BadState`: it does, or it has ended.
    fn start(&self) -> Result<(), Error>;
    /// Number of its process.
    fn process(&self) -> u64;
    /// How it ended, if it has.
    fn ended(&self) -> Result<Option<ExitRecord>, Error>;
    /// What it left, of an end that was a panic: its message.
    fn last_words(&self, record: &ExitRecord) -> Option<String>;
    /// Kills it; the code is left in its exit record.
    fn kill(&self, code: u64) -> Result<(), Error>;
    /// Schedules its first thread in another way.
    fn schedule(&self, scheduling: Scheduling) -> Result<(), Error>;
    /// The account that it is charged to.
    fn account(&self) -> Option<&Account>;
    /// Has it outlive the shell: by what the next one finds it. `None`: it cannot.
    fn keep(&self) -> Option<KeptChild> {
        None
    }
}

/// A program that outlives the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptChild {
    /// Its process.
    pub process: Keepsake,
    /// Its account.
    pub account: Keepsake,
    /// Its first thread.
    pub thread: Keepsake,
}

impl KeptChild {
    /// The handles, as far as they are there.
    pub fn handles(&self) -> impl Iterator<Item = Handle> + use<> {
        fn handle<O: Object>(kept: Keepsake) -> Option<Handle> {
            kept.take::<O>().ok().map(Object::into_handle)
        }
        let handles =
            [handle::<Process>(self.process), handle::<Account>(self.account), handle::<ThreadObject>(self.thread)];
        handles.into_iter().flatten()
    }
}

/// Why a program was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchError {
    /// There is none of this name.
    NoSuchProgram,
    /// What was refused, and why.
    Refused(String),
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaunchError::NoSuchProgram => f.write_str("there is no command or program of this name: `help` lists them"),
            LaunchError::Refused(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn the_programs_of_a_pipeline_get_the_same() {
        for (programs, is_foreground, together) in [(1, true, 2), (3, true, 2), (4, false, 8)] {
            let mut left = 24_000;
            for number in 0..programs {
                let part = left / Share::of_pipeline(programs, programs - number, is_foreground).parts;
                assert_eq!(part, 24_000 / together / programs as u64);
                left -= part;
            }
        }
    }
}
