//! The shell itself: it reads command lines and runs them.

use crate::commands::{self, Arguments};
use crate::events::{CHILD, Events};
use crate::failure::Failure;
use crate::inspect::Inspect;
use crate::jobs::Jobs;
use crate::launch::{Child, Launch, LaunchError, Launcher, Scheduling};
use crate::line::{Decoder, Editor, History, Key, Outcome};
use crate::script::{self, Command, Script};
use crate::terminal::Terminal;
use crate::{complete, status};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};
use libsys::abi::ExitReason;
use libsys::protocol::RegistryClient;
use libsys::time::Instant;

/// What the shell says when it is ready for a line.
pub const PROMPT: &str = "skink> ";

/// What a terminal is asked before the first line: the cursor goes far to the right and down, and the terminal says
/// where that is: its size. Terminals that do not answer cost nothing.
const ASK_FOR_SIZE: &str = "\x1b7\x1b[999;999H\x1b[6n\x1b8";

/// How the machine is to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown {
    /// It starts again.
    pub restart: bool,
    /// What an emulator exits with.
    pub status: u8,
}

/// What the shell works with.
pub struct Parts {
    /// Its terminal.
    pub terminal: Terminal,
    /// What wakes it.
    pub events: Rc<Events>,
    /// init.
    pub registry: &'static RegistryClient,
    /// The kernel's own account of things.
    pub inspect: Box<dyn Inspect>,
    /// What starts programs.
    pub launcher: Box<dyn Launcher>,
}

/// A shell.
pub struct Shell {
    /// Where it reads and writes.
    pub terminal: Terminal,
    /// What wakes it.
    pub events: Rc<Events>,
    /// init.
    pub registry: &'static RegistryClient,
    /// The kernel's own account of things.
    pub inspect: Box<dyn Inspect>,
    /// Programs in the background.
    pub jobs: Jobs,
    /// Lines of before.
    pub history: History,
    /// Variables, which programs get as well.
    pub variables: Vec<(String, String)>,
    /// Set when the machine is to go down: nothing more is run then.
    pub shut_down: Option<ShutDown>,
    /// Whether a person is there.
    pub is_interactive: bool,
    /// When it was ready for the first command.
    pub ready: Instant,
    launcher: Box<dyn Launcher>,
    editor: Editor,
    decoder: Decoder,
    status: u8,
}

/// How a command is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// In the background.
    pub background: bool,
    /// Scheduled in this way.
    pub scheduling: Scheduling,
}

impl Shell {
    /// A shell that has not done anything yet.
    pub fn new(parts: Parts) -> Shell {
        Shell {
            terminal: parts.terminal,
            events: parts.events,
            registry: parts.registry,
            inspect: parts.inspect,
            launcher: parts.launcher,
            jobs: Jobs::default(),
            history: History::default(),
            variables: Vec::new(),
            shut_down: None,
            is_interactive: true,
            ready: Instant::now(),
            editor: Editor::default(),
            decoder: Decoder::default(),
            status: status::SUCCESS,
        }
    }

    /// Reads lines and runs them, until the machine is to go down or the terminal is gone.
    pub fn interact(&mut self) -> Option<ShutDown> {
        match self.terminal.size() {
            Some((columns, _)) => self.editor.set_columns(Some(columns.into())),
            None => self.say(ASK_FOR_SIZE),
        }
        self.ready = Instant::now();
        while self.shut_down.is_none() && !self.terminal.is_lost() {
            self.tell_of_jobs();
            match self.read_line() {
                Some(Outcome::Line(line)) => drop(self.run_text(&line)),
                Some(Outcome::EndOfInput) => self.say("Ctrl-D ends nothing here: `poweroff` does\n"),
                Some(Outcome::Cancelled) => self.status = status::INTERRUPTED,
                Some(Outcome::Editing) | None => {}
            }
        }
        self.terminal.drain();
        self.shut_down
    }

    /// Reads a line; `None` when the terminal is gone.
    fn read_line(&mut self) -> Option<Outcome> {
        self.terminal.edit();
        let mut out = String::new();
        self.editor.begin(PROMPT, &mut out);
        loop {
            self.say(&out);
            out.clear();
            let Some(byte) = self.terminal.read(None) else {
                if self.terminal.is_lost() {
                    return None;
                }
                continue;
            };
            let Some(key) = self.decoder.feed(byte) else {
                continue;
            };
            if let Key::Cursor(columns, rows) = key {
                self.terminal.set_size(columns, rows);
                self.editor.set_columns(Some(columns.into()));
                continue;
            }
            let mut candidates = complete::Completer::new(self.registry, &self.jobs);
            let outcome = self.editor.key(key, &mut self.history, &mut candidates, &mut out);
            if outcome != Outcome::Editing {
                self.say(&out);
                self.terminal.flush();
                return Some(outcome);
            }
        }
    }

    /// Runs a command line; its status.
    pub fn run_text(&mut self, text: &str) -> u8 {
        self.terminal.run();
        match script::parse(text) {
            Ok(script) => self.run_script(&script),
            Err(error) => {
                self.say(&alloc::format!("shell: {error}\n"));
                self.status = status::USAGE;
            }
        }
        self.terminal.flush();
        self.status
    }

    fn run_script(&mut self, script: &Script) {
        for statement in &script.statements {
            let how = How { background: statement.background, ..How::default() };
            for (condition, command) in &statement.commands {
                if condition.holds(self.status) {
                    self.status = self.run_command(command, how);
                }
                if self.terminal.is_interrupted() {
                    self.say("^C\n");
                    self.status = status::INTERRUPTED;
                    return;
                }
                if self.shut_down.is_some() || self.terminal.is_lost() {
                    return;
                }
            }
        }
    }

    fn run_command(&mut self, command: &Command, how: How) -> u8 {
        let status = self.status;
        let words: Vec<String> =
            command.words.iter().filter_map(|word| word.expand(status, |name| self.variable(name))).collect();
        self.run_words(&words, how)
    }

    /// Runs a command of these words; its status.
    pub fn run_words(&mut self, words: &[String], how: How) -> u8 {
        let Some(name) = words.first() else {
            return status::SUCCESS;
        };
        let Some(command) = commands::find(name) else {
            return self.run_program(words, how);
        };
        let mut arguments = Arguments::new(&words[1..]);
        let result = if arguments.asks_for_help() {
            command.write_help(&mut self.terminal).map_err(Failure::from)
        } else if how.background {
            Err(Failure::Usage("it is a part of the shell, and cannot run in the background".into()))
        } else {
            (command.run)(self, &mut arguments)
        };
        match result {
            Ok(()) => status::SUCCESS,
            Err(Failure::Status(status)) => status,
            Err(Failure::Output) => status::FAILURE,
            Err(Failure::Error(text)) => {
                self.say(&alloc::format!("{name}: {text}\n"));
                status::FAILURE
            }
            Err(Failure::Usage(text)) => {
                let usage = command.usage;
                self.say(&alloc::format!("{name}: {text}\nusage: {name} {usage}\n"));
                status::USAGE
            }
        }
    }

    fn run_program(&mut self, words: &[String], how: How) -> u8 {
        let launch =
            Launch { words, environment: &self.variables, is_foreground: !how.background, scheduling: how.scheduling };
        self.terminal.flush();
        let name = words.first().map_or("", String::as_str);
        match self.launcher.launch(&launch, &self.terminal, &self.events) {
            Ok(child) if how.background => {
                let process = child.process();
                let number = self.jobs.add(words.join(" "), child);
                self.say(&alloc::format!("[{number}] {process}\n"));
                status::SUCCESS
            }
            Ok(child) => self.wait_for(name, child),
            Err(error) => {
                self.say(&alloc::format!("{name}: {error}\n"));
                if error == LaunchError::NoSuchProgram && name.contains('=') {
                    self.say(&alloc::format!("to give a variable a value: export {name}\n"));
                }
                match error {
                    LaunchError::NoSuchProgram => status::NOT_FOUND,
                    LaunchError::Refused(_) => status::NOT_STARTED,
                }
            }
        }
    }

    /// Waits for a program to end; Ctrl-C kills it.
    pub fn wait_for(&mut self, name: &str, child: Box<dyn Child>) -> u8 {
        let mut is_killed = false;
        let record = loop {
            match child.ended() {
                Ok(Some(record)) => break record,
                Ok(None) => {}
                Err(error) => {
                    self.say(&alloc::format!("{name}: {error}\n"));
                    return status::FAILURE;
                }
            }
            if self.terminal.is_interrupted() && !is_killed {
                is_killed = true;
                // It may have ended at this moment; its record says so.
                let _ = child.kill(status::INTERRUPTED.into());
            }
            if is_killed {
                self.terminal.wait_regardless(CHILD);
            } else {
                self.terminal.wait(CHILD, None);
            }
        };
        let (status, said) = status::of_program(&record);
        if let Some(said) = said {
            self.say(&alloc::format!("{name}: {said}\n"));
        }
        if record.reason == ExitReason::Panic as u32
            && let Some(words) = child.last_words(&record)
        {
            self.say(&alloc::format!("{words}\n"));
        }
        status
    }

    /// Tells of programs in the background that have ended.
    pub fn tell_of_jobs(&mut self) {
        while let Some((job, _, said)) = self.jobs.next_ended() {
            self.say(&alloc::format!("[{}] {}: {said}\n", job.number, job.command));
        }
    }

    /// The status of the last command.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.variables.iter();
        let found = variables.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Gives a variable a value.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_string(),
            None => self.variables.push((name.to_string(), value.to_string())),
        }
    }

    /// Writes to the terminal, whatever becomes of it.
    fn say(&mut self, text: &str) {
        // Who does not want to read on, by Ctrl-C, still gets messages; a terminal that is gone gets none.
        let _ = self.terminal.write_str(text);
    }
}

/// Commands write to the shell.
impl fmt::Write for Shell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.terminal.write_str(text)
    }
}
