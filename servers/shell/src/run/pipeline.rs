//! Pipelines, subshells, and what `$(…)` collects.
//!
//! Programs of a pipeline run at the same time, each in a process. What the shell does itself (what is built in, loops, functions) it does one after the other: in a
//! pipeline with several such commands, all but the last one run before it, and what they write is kept meanwhile.

use super::Flow;
use super::command::Assignments;
use crate::commands;
use crate::failure::{Failure, error};
use crate::launch::{Child, Share};
use crate::script::{Action, Command};
use crate::shell::{How, Shell};
use crate::status;
use crate::streams::{Input, Output, PipeInput, PipeOutput, Streams};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libsys::io::{Read, Write};
use libsys::pipe::{self, PipeReader, PipeWriter};
use libsys::{env, fs, thread};

/// Most that `$(…)` collects, in bytes.
const COLLECTED: usize = 256 * 1024;

/// Most of them within each other: each has a thread that collects.
const CAPTURES: u32 = 8;

/// A command of a pipeline, with its words expanded.
struct Stage<'a> {
    command: &'a Command,
    /// Of a simple command.
    words: Option<(Assignments, Vec<String>)>,
    /// A program; everything else the shell does itself.
    is_program: bool,
}

/// What became of a pipeline's programs.
struct Made {
    /// In the order of the pipeline, with their names.
    programs: Vec<(String, Rc<dyn Child>)>,
    /// The status of the last command, if that is no program that runs.
    last: Option<u8>,
}

impl Shell {
    pub(super) fn run_stages(&mut self, commands: &[Command], background: bool) -> Flow {
        let mut stages = Vec::new();
        for command in commands {
            match self.stage(command) {
                Ok(stage) => stages.push(stage),
                Err(failure) => return self.failed("shell", failure),
            }
        }
        if background {
            return self.run_in_background(&stages);
        }
        let before = self.running.len();
        let flow = match self.run_prepared(&stages, None) {
            Ok(flow) => flow,
            Err(failure) => self.failed("shell", failure),
        };
        self.running.truncate(before);
        flow
    }

    fn stage<'a>(&mut self, command: &'a Command) -> Result<Stage<'a>, Failure> {
        let Action::Simple { assignments, words } = &command.action else {
            return Ok(Stage { command, words: None, is_program: false });
        };
        let (assignments, words) = self.expanded(assignments, words)?;
        let is_program = words.first().is_some_and(|name| !self.is_inside(name));
        Ok(Stage { command, words: Some((assignments, words)), is_program })
    }

    fn run_prepared(&mut self, stages: &[Stage<'_>], input: Option<Vec<u8>>) -> Result<Flow, Failure> {
        let inside: Vec<usize> = (0..stages.len()).filter(|number| !stages[*number].is_program).collect();
        if let [.., earlier, _] = inside[..] {
            let (first, rest) = stages.split_at(earlier + 1);
            let mut flow = Ok(Flow::Next);
            let bytes = self.capture(|shell| {
                flow = shell.run_prepared(first, input);
                Flow::Next
            })?;
            return match flow? {
                Flow::Stop => Ok(Flow::Stop),
                _ => self.run_prepared(rest, Some(bytes)),
            };
        }
        let mut feeder = None;
        let mut own = None;
        let before = self.running.len();
        let started = self.make_all(stages, input, true, &mut feeder, &mut own)?;
        let waits = stages.first().is_some_and(|first| self.is_question(first)) && !started.programs.is_empty();
        match own {
            // The programs start with the whole answer in their pipe, and are noted with it.
            Some(_) if waits => {}
            // What the shell itself writes to them would be lost with it: they are noted behind that.
            Some(_) => self.start_from(before),
            None => self.set_off(before),
        }
        let mut flow = Flow::Next;
        let mut last = started.last;
        if let Some((stage, streams)) = own {
            let others = core::mem::replace(&mut self.unstarted, waits.then_some(before));
            flow = self.subshell(|shell| shell.with_streams(streams, |shell| shell.run_stage(stage)));
            let is_unstarted = core::mem::replace(&mut self.unstarted, others).is_some();
            last = last.or(Some(self.status).filter(|_| stages.last().is_some_and(|last| !last.is_program)));
            if is_unstarted {
                self.set_off(before);
            } else if !started.programs.is_empty() {
                self.session.note_programs(&self.running);
            }
        }
        for (name, child) in &started.programs {
            self.status = self.wait_for(name, child);
        }
        if let Some(feeder) = feeder {
            // Whom it fed has ended.
            thread::JoinHandle::join(feeder);
        }
        if let Some(last) = last {
            self.status = last;
        }
        Ok(if self.is_stopped() { Flow::Stop } else { flow })
    }

    /// Whether a stage is a command that only tells something, to a pipe.
    fn is_question(&self, stage: &Stage<'_>) -> bool {
        let Some((_, words)) = &stage.words else { return false };
        let Some((name, arguments)) = words.split_first() else { return false };
        let is_hidden = self.state.functions.contains_key(name) || !stage.command.redirections.is_empty();
        !is_hidden && commands::find(name).is_some_and(|command| command.is_question(arguments))
    }

    fn run_stage(&mut self, stage: &Stage<'_>) -> Flow {
        match &stage.words {
            Some((assignments, words)) => self.run_expanded(stage.command, assignments.clone(), words),
            None => self.run_command(stage.command),
        }
    }

    /// Makes the programs of a pipeline, the last one first: who reads a pipe has to be there before who writes it. They are the last ones of [`Shell::running`] then. There is at most one command that the shell
    /// runs itself: `own` gets it, with its streams. What is fed to the first program is fed by a thread.
    fn make_all<'a>(
        &mut self,
        stages: &'a [Stage<'a>],
        mut input: Option<Vec<u8>>,
        is_foreground: bool,
        feeder: &mut Option<thread::JoinHandle<()>>,
        own: &mut Option<(&'a Stage<'a>, Streams)>,
    ) -> Result<Made, Failure> {
        let before = self.running.len();
        let mut started = Made { programs: Vec::new(), last: None };
        let mut output = self.streams.output.clone();
        let programs = stages.iter().filter(|stage| stage.is_program).count();
        let mut left = programs;
        for (number, stage) in stages.iter().enumerate().rev() {
            let is_first = number == 0;
            let mut streams = Streams { output, ..self.streams.clone() };
            if !stage.is_program {
                streams.input = match (is_first, input.take()) {
                    (true, Some(bytes)) => Input::Pipe(Rc::new(PipeInput::of_bytes(bytes.into()))),
                    (true, None) => streams.input,
                    (false, bytes) => {
                        input = bytes;
                        let (reader, writer) = new_pipe()?;
                        *own =
                            Some((stage, Streams { input: Input::Pipe(Rc::new(PipeInput::new(reader))), ..streams }));
                        output = piped_to(writer, None);
                        continue;
                    }
                };
                *own = Some((stage, streams));
                break;
            }
            let is_piped = !is_first || input.is_some();
            if is_piped {
                streams.input = Input::Piped;
            }
            let mut writer = None;
            let share = Share::of_pipeline(programs, left, is_foreground);
            left -= 1;
            match self.make_stage(stage, streams, share, is_foreground) {
                Ok(program) => {
                    let name = stage.words.as_ref().and_then(|(_, words)| words.first().cloned()).unwrap_or_default();
                    writer = program.input.map(|writer| piped_to(writer, Some(program.child.clone())));
                    self.running.insert(before, program.child.clone());
                    started.programs.insert(0, (name, program.child));
                }
                Err(status) if number + 1 == stages.len() => started.last = Some(status),
                Err(_) => {}
            }
            if !is_piped {
                break;
            }
            // Where nobody reads, there is a pipe without a reader.
            output = match writer {
                Some(writer) => writer,
                None => piped_to(new_pipe()?.1, None),
            };
            if is_first && let (Some(bytes), Output::Pipe(pipe)) = (input.take(), &output) {
                let writer = Arc::clone(&pipe.writer);
                *feeder = Some(thread::spawn(move || {
                    // Who does not want all of it is no failure.
                    let _ = (&*writer).write_all(&bytes);
                })?);
                break;
            }
        }
        Ok(started)
    }

    fn make_stage(
        &mut self,
        stage: &Stage<'_>,
        streams: Streams,
        share: Share,
        is_foreground: bool,
    ) -> Result<crate::launch::Launched, u8> {
        let (assignments, words) = stage.words.clone().unwrap_or_default();
        self.line = stage.command.line;
        let streams = match self.redirected(&stage.command.redirections, streams) {
            Ok(streams) => streams,
            Err(failure) => {
                self.failed("shell", failure);
                return Err(self.status);
            }
        };
        let variables = self.state.variables.clone();
        for (name, value) in assignments {
            self.state.set(&name, value);
            self.state.export(&name);
        }
        let made = self.launch(&words, &streams, How::default(), share, is_foreground);
        self.state.variables = variables;
        made
    }

    fn run_in_background(&mut self, stages: &[Stage<'_>]) -> Flow {
        if let Some(inside) = stages.iter().find(|stage| !stage.is_program) {
            let name = inside.words.as_ref().and_then(|(_, words)| words.first().map(String::as_str));
            let name = String::from(name.unwrap_or("shell"));
            let text = "it is a part of the shell, and cannot run in the background";
            return self.failed(&name, Failure::Usage(text.into()));
        }
        if self.captures > 0 {
            return self.failed("shell", Failure::Usage("within $(…) nothing runs in the background".into()));
        }
        let before = self.running.len();
        let made = self.make_all(stages, None, false, &mut None, &mut None);
        self.running.truncate(before);
        let Made { mut programs, last } = match made {
            Ok(started) => started,
            Err(failure) => return self.failed("shell", failure),
        };
        self.status = last.unwrap_or(status::SUCCESS);
        let Some((_, child)) = programs.pop() else {
            return Flow::Next;
        };
        let commands = stages.iter().filter_map(|stage| stage.words.as_ref()).map(|(_, words)| words.join(" "));
        let command = commands.collect::<Vec<_>>().join(" | ");
        let process = child.process();
        let mut all: Vec<Rc<dyn Child>> = programs.into_iter().map(|(_, child)| child).collect();
        let others = all.clone();
        all.push(child.clone());
        let number = self.jobs.add(command.clone(), child, others);
        self.session.add_job(number, &command, &all);
        for child in &all {
            // As in `start_from`.
            let _ = child.start();
        }
        self.say(&format!("[{number}] {process}\n"));
        Flow::Next
    }

    /// Runs something, and forgets what it changes in the shell.
    pub(crate) fn subshell(&mut self, run: impl FnOnce(&mut Shell) -> Flow) -> Flow {
        let (state, line) = (self.state.clone(), self.line);
        let current = fs::current_directory();
        let flow = run(self);
        self.state = state;
        self.line = line;
        if let Ok(before) = current
            && fs::current_directory() != Ok(before.clone())
        {
            // It may have been taken away meanwhile.
            let _ = fs::set_current_directory(&before);
        }
        if flow == Flow::Stop { flow } else { Flow::Next }
    }

    /// Runs something in a subshell: what it writes. Its status is the shell's then.
    pub(super) fn capture(&mut self, run: impl FnOnce(&mut Shell) -> Flow) -> Result<Vec<u8>, Failure> {
        if self.captures >= CAPTURES {
            return error("too many commands within each other");
        }
        let (reader, writer) = new_pipe()?;
        let collector = thread::spawn(move || collect(reader))?;
        let streams = Streams { output: piped_to(writer, None), ..self.streams.clone() };
        self.captures += 1;
        self.subshell(|shell| shell.with_streams(streams, run));
        self.captures -= 1;
        collector.join()
    }
}

/// Everything up to the end of a pipe.
fn collect(mut reader: PipeReader) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    let mut part = alloc::vec![0; pipe::CAPACITY as usize];
    loop {
        match reader.read(&mut part) {
            Ok(0) => return Ok(all),
            Ok(count) if all.len() + count > COLLECTED => return error("that is too much output"),
            Ok(count) => {
                if all.try_reserve(count).is_err() {
                    return error("there is no memory for its output");
                }
                all.extend_from_slice(&part[..count]);
            }
            Err(error) => return Err(Failure::Error(format!("{error}"))),
        }
    }
}

fn new_pipe() -> Result<(PipeReader, PipeWriter), Failure> {
    pipe::create(env::account()).map_err(|error| Failure::Error(format!("there is no pipe for it: {error}")))
}

fn piped_to(writer: PipeWriter, reader: Option<Rc<dyn Child>>) -> Output {
    Output::Pipe(Rc::new(PipeOutput { writer: Arc::new(writer), reader }))
}
