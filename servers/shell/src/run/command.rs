//! Simple commands.

use super::Flow;
use crate::commands::{self, Arguments};
use crate::failure::Failure;
use crate::launch::{Launch, LaunchError, Launched, Share};
use crate::script::{Command, Word, expand};
use crate::shell::{How, Shell};
use crate::status;
use crate::streams::Streams;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// Variables and their values.
pub(super) type Assignments = Vec<(String, String)>;

impl Shell {
    /// What assignments and words come to.
    pub(super) fn expanded(
        &mut self,
        assignments: &[(String, Word)],
        words: &[Word],
    ) -> Result<(Assignments, Vec<String>), Failure> {
        let words = expand::words(words, self)?;
        let mut values = Vec::new();
        for (name, word) in assignments {
            values.push((name.clone(), expand::one(word, self)?));
        }
        Ok((values, words))
    }

    pub(super) fn run_simple(&mut self, command: &Command, assignments: &[(String, Word)], words: &[Word]) -> Flow {
        self.substituted = None;
        match self.expanded(assignments, words) {
            Ok((assignments, words)) => self.run_expanded(command, assignments, &words),
            Err(failure) => self.failed("shell", failure),
        }
    }

    pub(super) fn run_expanded(&mut self, command: &Command, assignments: Assignments, words: &[String]) -> Flow {
        if self.state.traces && !(words.is_empty() && assignments.is_empty()) {
            let values = assignments.iter().map(|(name, value)| alloc::format!("{name}={value}"));
            let all: Vec<String> = values.chain(words.iter().cloned()).collect();
            self.say(&alloc::format!("+ {}\n", all.join(" ")));
        }
        let streams = match command.redirections.as_slice() {
            [] => None,
            redirections => match self.redirected(redirections, self.streams.clone()) {
                Ok(streams) => Some(streams),
                Err(failure) => return self.failed("shell", failure),
            },
        };
        if words.is_empty() {
            for (name, value) in assignments {
                self.state.set(&name, value);
            }
            self.status = self.substituted.unwrap_or(status::SUCCESS);
            return Flow::Next;
        }
        // They are there for this command alone.
        let before: Vec<_> =
            assignments.iter().map(|(name, _)| (name.clone(), self.state.variables.get(name).cloned())).collect();
        for (name, value) in assignments {
            self.state.set(&name, value);
            self.state.export(&name);
        }
        let flow = match streams {
            Some(streams) => self.with_streams(streams, |shell| shell.call(words)),
            None => self.call(words),
        };
        for (name, variable) in before.into_iter().rev() {
            match variable {
                Some(variable) => self.state.variables.insert(name, variable),
                None => self.state.variables.remove(&name),
            };
        }
        flow
    }

    /// Runs a function, or what [`Shell::run_words`] runs.
    fn call(&mut self, words: &[String]) -> Flow {
        let Some((name, arguments)) = words.split_first() else {
            return Flow::Next;
        };
        let Some(body) = self.state.functions.get(name).map(Rc::clone) else {
            self.status = self.run_words(words, How::default());
            return core::mem::take(&mut self.flow);
        };
        let positions = core::mem::replace(&mut self.state.positions, arguments.to_vec());
        let loops = core::mem::take(&mut self.state.loops);
        self.state.calls += 1;
        let flow = self.run_command(&body);
        self.state.calls = self.state.calls.saturating_sub(1);
        self.state.loops = loops;
        self.state.positions = positions;
        match flow {
            Flow::Return | Flow::Break(_) | Flow::Continue(_) => Flow::Next,
            flow => flow,
        }
    }

    /// Whether the shell runs a command of this name itself.
    pub(super) fn is_inside(&self, name: &str) -> bool {
        self.state.functions.contains_key(name) || commands::find(name).is_some()
    }

    /// Runs a command that is built in, or a program; its status.
    pub fn run_words(&mut self, words: &[String], how: How) -> u8 {
        let Some(name) = words.first() else {
            return status::SUCCESS;
        };
        let Some(command) = commands::find(name) else {
            return self.run_program(words, how);
        };
        if !command.is_own_affair() && self.unstarted.is_none() {
            self.session.go_inside();
        }
        let mut arguments = Arguments::new(&words[1..]);
        let result = if arguments.asks_for_help() {
            command.write_help(self).map_err(Failure::from)
        } else if name == "[" && words.last().is_none_or(|last| last != "]") {
            Err(Failure::Usage("its `]` is missing".into()))
        } else {
            if name == "[" {
                arguments = Arguments::new(&words[1..words.len() - 1]);
            }
            (command.run)(self, &mut arguments)
        };
        // What nobody reads any more is no failure to be told.
        let result = result.and_then(|()| self.flush_last());
        match result {
            Ok(()) => status::SUCCESS,
            Err(Failure::Status(status)) => {
                let flushed = self.flush();
                if flushed.is_ok() { status } else { status::FAILURE }
            }
            Err(Failure::Output) => {
                self.held.clear();
                status::FAILURE
            }
            Err(Failure::Error(text)) => {
                let _ = self.flush();
                self.complain(name, &text);
                status::FAILURE
            }
            Err(Failure::Usage(text)) => {
                let _ = self.flush();
                let usage = command.usage;
                self.complain(name, &text);
                self.say(&alloc::format!("usage: {name} {usage}\n"));
                status::USAGE
            }
        }
    }

    fn run_program(&mut self, words: &[String], how: How) -> u8 {
        let streams = self.streams.clone();
        match self.launch(words, &streams, how, Share::alone(true), true) {
            Ok(Launched { child, .. }) => {
                drop(streams);
                let before = self.running.len();
                self.running.push(child.clone());
                self.set_off(before);
                let status = self.wait_for(words.first().map_or("", String::as_str), &child);
                self.running.truncate(before);
                status
            }
            Err(status) => status,
        }
    }

    /// Has the programs run that are the last of [`Shell::running`], from one on. They are noted first: a shell that dies between has them started by the next one,
    /// and none is started twice.
    pub(super) fn set_off(&mut self, from: usize) {
        self.session.note_programs(&self.running);
        self.start_from(from);
    }

    /// The same of programs that are not noted: the next shell ends them.
    pub(super) fn start_from(&self, from: usize) {
        for child in self.running.iter().skip(from) {
            // Refused where somebody has killed it already: then it has ended, as will be seen.
            let _ = child.start();
        }
    }

    /// Starts programs that wait for an answer, now that somebody sees a part of it. What is written to them is lost with the shell from here on.
    pub(super) fn start_unstarted(&mut self) {
        if let Some(from) = self.unstarted.take() {
            self.session.go_inside();
            self.start_from(from);
        }
    }

    /// Makes a program; the status of one that cannot be.
    pub(super) fn launch(
        &mut self,
        words: &[String],
        streams: &Streams,
        how: How,
        share: Share,
        is_foreground: bool,
    ) -> Result<Launched, u8> {
        // What was written before it comes before what it writes.
        let _ = self.flush();
        self.terminal.flush();
        let environment = self.state.exported();
        let scheduling = how.scheduling;
        let launch = Launch { words, environment: &environment, streams, is_foreground, scheduling, share };
        let name = words.first().map_or("", String::as_str);
        self.launcher.launch(&launch, &self.terminal, &self.events).map_err(|error| {
            self.complain(name, &alloc::format!("{error}"));
            match error {
                LaunchError::NoSuchProgram => status::NOT_FOUND,
                LaunchError::Refused(_) => status::NOT_STARTED,
            }
        })
    }
}
