//! The shell itself: it reads command lines and runs them.

use crate::events::{CHILD, Events};
use crate::inspect::Inspect;
use crate::jobs::{Job, Jobs};
use crate::launch::{Child, Launcher, Scheduling};
use crate::line::{Buffer, Decoder, Editor, History, Key, Outcome};
use crate::run::Flow;
use crate::script;
use crate::session::{Session, Settings, Typed};
use crate::state::State;
use crate::streams::Streams;
use crate::terminal::Terminal;
use crate::{complete, status};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::abi::ExitReason;
use libsys::fs;
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
    /// What outlives the shell.
    pub session: Session,
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
    /// What commands can change in it.
    pub(crate) state: State,
    /// Where commands read and write at the moment.
    pub(crate) streams: Streams,
    /// Output that is held back; never the terminal's.
    pub(crate) held: Vec<u8>,
    /// Programs of the pipelines that run.
    pub(crate) running: Vec<Rc<dyn Child>>,
    /// From where on these are not started: they wait for the answer to a question, which is asked again if the shell dies before.
    pub(crate) unstarted: Option<usize>,
    /// How it goes on behind what is built in and runs.
    pub(crate) flow: Flow,
    /// The line of the command that runs.
    pub(crate) line: u32,
    /// Conditions that run within each other: `set -e` is not for them.
    pub(crate) conditions: u32,
    /// Commands that run within each other.
    pub(crate) depth: u32,
    /// How many `$(…)` run within each other.
    pub(crate) captures: u32,
    /// The status of the last `$(…)` of the command.
    pub(crate) substituted: Option<u8>,
    /// Set when the machine is to go down: nothing more is run then.
    pub shut_down: Option<ShutDown>,
    /// Whether a person is there.
    pub is_interactive: bool,
    /// When it was ready for the first command.
    pub ready: Instant,
    pub(crate) launcher: Box<dyn Launcher>,
    editor: Editor,
    decoder: Decoder,
    pub(crate) session: Session,
    /// The status of the last command.
    pub(crate) status: u8,
}

/// How a command is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Scheduled in this way.
    pub scheduling: Scheduling,
}

impl Shell {
    /// A shell that has not done anything yet.
    pub fn new(parts: Parts) -> Shell {
        let mut shell = Shell {
            terminal: parts.terminal,
            events: parts.events,
            registry: parts.registry,
            inspect: parts.inspect,
            launcher: parts.launcher,
            jobs: Jobs::default(),
            history: History::default(),
            state: State::default(),
            streams: Streams::terminal(),
            held: Vec::new(),
            running: Vec::new(),
            unstarted: None,
            flow: Flow::Next,
            line: 1,
            conditions: 0,
            depth: 0,
            captures: 0,
            substituted: None,
            shut_down: None,
            is_interactive: true,
            ready: Instant::now(),
            editor: Editor::default(),
            decoder: Decoder::default(),
            session: parts.session,
            status: status::SUCCESS,
        };
        shell.restore();
        shell
    }

    /// Takes over what outlived the shell before, but for the line that ran.
    fn restore(&mut self) {
        let settings = self.session.settings().clone();
        settings.restore(&mut self.state);
        self.status = settings.status;
        if let Some(directory) = &settings.directory {
            // It may have been taken away meanwhile.
            let _ = fs::set_current_directory(directory);
        }
        self.history.restore(self.session.entered());
        let typed = self.session.typed();
        self.terminal.resume(typed.received, &typed.ahead);
        for (number, job) in self.session.jobs() {
            let programs = job.programs.into_iter();
            let mut programs: Vec<Rc<dyn Child>> =
                programs.filter_map(|kept| self.launcher.recover(kept, &self.events)).collect();
            if let Some(child) = programs.pop() {
                self.jobs.restore(Job { number, command: job.command, child, others: programs });
            }
        }
    }

    /// What commands have changed.
    pub(crate) fn settings(&self) -> Settings {
        Settings::of(&self.state, self.status, fs::current_directory().ok())
    }

    /// Goes on with the line that ran when the shell before died; `None`: there is none. Its status.
    pub(crate) fn resume_line(&mut self) -> Option<u8> {
        let (line, programs) = self.session.line()?;
        let script = script::parse(&line.text).ok();
        let (mut statement, mut pipeline) = line.at;
        if line.is_inside {
            let all: Vec<Rc<dyn Child>> =
                programs.into_iter().filter_map(|kept| self.launcher.recover(kept, &self.events)).collect();
            if let Some((last, others)) = all.split_last() {
                self.terminal.run();
                self.status = self.wait_for_all("shell", others, last);
            }
            let of_statement = script.as_ref().and_then(|script| script.statements.get(statement as usize));
            pipeline += 1;
            if of_statement.is_none_or(|one| one.pipelines.len() <= pipeline as usize) {
                (statement, pipeline) = (statement + 1, 0);
            }
        }
        let status = match &script {
            Some(script) => {
                self.terminal.run();
                self.run_parsed(script, (statement, pipeline))
            }
            None => self.status,
        };
        Some(status)
    }

    /// Reads lines and runs them, until the machine is to go down or the terminal is gone.
    pub fn interact(&mut self) -> Option<ShutDown> {
        match self.terminal.size() {
            Some((columns, _)) => self.editor.set_columns(Some(columns.into())),
            None => self.say(ASK_FOR_SIZE),
        }
        self.ready = Instant::now();
        let _ = self.resume_line();
        while self.shut_down.is_none() && !self.terminal.is_lost() {
            self.tell_of_jobs();
            match self.edit_line(PROMPT) {
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
    pub(crate) fn edit_line(&mut self, prompt: &str) -> Option<Outcome> {
        self.terminal.edit();
        let mut out = String::new();
        let typed = self.session.typed();
        if typed.text.is_empty() {
            self.editor.begin(prompt, &mut out);
        } else {
            let mut buffer = Buffer::new(typed.text.clone());
            buffer.move_to(typed.cursor);
            self.editor.resume(prompt, buffer, &mut out);
        }
        let mut undecoded = Vec::new();
        loop {
            self.say(&out);
            out.clear();
            let line = self.editor.line();
            let typed = Typed { text: line.text().to_string(), cursor: line.cursor(), ..self.received(&undecoded) };
            self.session.note_typed(typed);
            let Some(byte) = self.terminal.read(None) else {
                if self.terminal.is_lost() {
                    return None;
                }
                continue;
            };
            undecoded.push(byte);
            let Some(key) = self.decoder.feed(byte) else {
                continue;
            };
            undecoded.clear();
            if let Key::Cursor(columns, rows) = key {
                self.terminal.set_size(columns, rows);
                self.editor.set_columns(Some(columns.into()));
                continue;
            }
            let mut candidates = complete::Completer::new(self.registry, &self.jobs);
            let outcome = self.editor.key(key, &mut self.history, &mut candidates, &mut out);
            if outcome != Outcome::Editing {
                match &outcome {
                    Outcome::Line(line) => self.session.begin_line(line, Some(self.received(&[]))),
                    _ => self.session.note_typed(self.received(&[])),
                }
                self.say(&out);
                self.terminal.flush();
                return Some(outcome);
            }
        }
    }

    /// What came from the console, beside the line that is typed; `undecoded` are the bytes of a key that has not come whole.
    fn received(&self, undecoded: &[u8]) -> Typed {
        let ahead = undecoded.iter().chain(self.terminal.ahead()).copied().collect();
        Typed { ahead, received: self.terminal.received(), ..Typed::default() }
    }

    /// Runs a command line; its status.
    pub fn run_text(&mut self, text: &str) -> u8 {
        self.terminal.run();
        match script::parse(text) {
            Ok(script) => {
                self.session.begin_line(text, None);
                self.run_parsed(&script, (0, 0))
            }
            Err(error) => {
                self.say(&alloc::format!("shell: {error}\n"));
                self.status = status::USAGE;
                self.end_line()
            }
        }
    }

    /// Runs a line from somewhere on; its status.
    fn run_parsed(&mut self, script: &script::Script, first: (u32, u32)) -> u8 {
        let flow = self.run_script_from(script, first);
        if self.terminal.is_interrupted() {
            self.say("^C\n");
            self.status = status::INTERRUPTED;
        } else if flow == Flow::Exit && self.is_interactive && !self.state.ends_on_failure {
            self.say("`exit` ends nothing here: `poweroff` does\n");
        }
        self.end_line()
    }

    fn end_line(&mut self) -> u8 {
        let _ = self.flush();
        self.terminal.flush();
        let settings = self.settings();
        self.session.end_line(settings);
        self.status
    }

    /// Runs the text of a file; `arguments` are its positional parameters, or stay as they are.
    pub(crate) fn run_file(&mut self, name: &str, text: &str, arguments: Option<&[String]>) -> Flow {
        // The first line may name who runs it, which is a comment here.
        let script = match script::parse(text) {
            Ok(script) => script,
            Err(error) => {
                let line = error.line;
                self.say(&alloc::format!("{name}:{line}: {error}\n"));
                self.status = status::USAGE;
                return Flow::Next;
            }
        };
        let source = self.state.source.replace(name.to_string());
        let positions = arguments.map(|all| core::mem::replace(&mut self.state.positions, all.to_vec()));
        self.state.calls += 1;
        self.status = status::SUCCESS;
        let flow = self.run_script(&script);
        self.state.calls = self.state.calls.saturating_sub(1);
        self.state.source = source;
        if let Some(positions) = positions {
            self.state.positions = positions;
        }
        if flow == Flow::Return { Flow::Next } else { flow }
    }

    /// Waits for the programs of a pipeline to end; Ctrl-C kills them. The status of the last one.
    pub fn wait_for_all(&mut self, name: &str, others: &[Rc<dyn Child>], last: &Rc<dyn Child>) -> u8 {
        let before = self.running.len();
        self.running.extend(others.iter().cloned());
        self.running.push(last.clone());
        self.session.note_programs(&self.running);
        for child in others {
            self.wait_for(name, child);
        }
        let status = self.wait_for(name, last);
        self.running.truncate(before);
        status
    }

    /// Kills the programs that are waited for.
    pub(crate) fn kill_running(&self) {
        for child in &self.running {
            // It may have ended at this moment; its record says so.
            let _ = child.kill(status::INTERRUPTED.into());
        }
    }

    /// Waits for a program to end; Ctrl-C kills it, and the others of its pipeline.
    pub(crate) fn wait_for(&mut self, name: &str, child: &Rc<dyn Child>) -> u8 {
        let mut is_killed = false;
        let record = loop {
            match child.ended() {
                Ok(Some(record)) => break record,
                Ok(None) => {}
                Err(error) => {
                    self.complain(name, &alloc::format!("{error}"));
                    return status::FAILURE;
                }
            }
            if self.terminal.is_interrupted() && !is_killed {
                is_killed = true;
                self.kill_running();
            }
            if is_killed {
                self.terminal.wait_regardless(CHILD);
            } else {
                self.terminal.wait(CHILD, None);
            }
        };
        let (status, said) = status::of_program(&record);
        if let Some(said) = said {
            self.complain(name, &said);
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
        let jobs = &self.jobs;
        self.session.forget_jobs(|number| jobs.iter().any(|job| job.number == number));
        self.launcher.settle(&mut self.terminal);
    }

    /// The status of the last command.
    pub fn status(&self) -> u8 {
        self.status
    }
}
