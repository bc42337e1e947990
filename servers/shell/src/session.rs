//! What of a person's session outlives the shell: variables, functions, options, the current directory, history, the line that is being typed, jobs, and how far the line that runs has come.
//!
//! A line is run statement by statement, and each statement pipeline by pipeline; what they have changed in the shell is committed, with how far it has come, before the next one begins. A shell
//! that dies goes on there. A pipeline that was under way is not run again, unless it was nothing but the shell's own affair: its programs go on, and the next shell waits for them and has their status.
//! What cannot be gone on with is the rest of a loop, a function or a file: the statement ends with the status of the program that ran.
//!
//! Not kept: redirections of the shell itself, and functions that there is no room for.

use crate::launch::{Child, KeptChild};
use crate::script::Command;
use crate::state::{State, Variable};
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::env::Env;
use libsys::state::{RecordKey, Records};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const SETTINGS: RecordKey = RecordKey::new(1, 0);
const TYPED: RecordKey = RecordKey::new(2, 0);
const LINE: RecordKey = RecordKey::new(3, 0);
const PROGRAMS: RecordKey = RecordKey::new(4, 0);
const FUNCTIONS: RecordKey = RecordKey::new(7, 0);
/// By number.
const JOB: u16 = 5;
/// Lines that were entered, by their order.
const ENTERED: u16 = 6;

/// What commands can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Name, value, and whether programs get it.
    variables: Vec<(String, String, bool)>,
    positions: Vec<String>,
    ends_on_failure: bool,
    traces: bool,
    /// A record of its own: it is long, and seldom another.
    #[serde(skip)]
    functions: BTreeMap<String, Rc<Command>>,
    /// Of the last command.
    pub status: u8,
    /// The current directory.
    pub directory: Option<String>,
}

impl Settings {
    /// Those of a shell.
    pub fn of(state: &State, status: u8, directory: Option<String>) -> Settings {
        let variables = state.variables.iter();
        Settings {
            variables: variables.map(|(name, one)| (name.clone(), one.value.clone(), one.is_exported)).collect(),
            positions: state.positions.clone(),
            ends_on_failure: state.ends_on_failure,
            traces: state.traces,
            functions: state.functions.clone(),
            status,
            directory,
        }
    }

    /// Puts them into a shell that has just started.
    pub fn restore(&self, state: &mut State) {
        let variables = self.variables.iter().cloned();
        state.variables.extend(variables.map(|(name, value, is_exported)| (name, Variable { value, is_exported })));
        state.positions.clone_from(&self.positions);
        state.ends_on_failure = self.ends_on_failure;
        state.traces = self.traces;
        state.functions.clone_from(&self.functions);
    }
}

/// The line that is being typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// Its text so far.
    pub text: String,
    /// Bytes before the cursor.
    pub cursor: usize,
    /// Bytes that came from the console and were not looked at.
    pub ahead: Vec<u8>,
    /// How many came from it, all in all.
    pub received: u64,
}

/// The line that runs, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What was entered.
    pub text: String,
    /// Statement and pipeline in it.
    pub at: (u32, u32),
    /// The pipeline has done something that others see: it is not run again.
    pub is_inside: bool,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptJob {
    /// What was typed.
    pub command: String,
    /// Its programs, with the last one at the end.
    pub programs: Vec<KeptChild>,
}

/// The session.
#[derive(Debug, Default)]
pub struct Session {
    /// `None`: nothing outlives this shell.
    records: Option<Records>,
    settings: Settings,
    typed: Typed,
    line: Option<Line>,
    jobs: Vec<usize>,
    /// Orders of the first and behind the last line that was entered.
    entered: (u64, u64),
}

impl Session {
    /// The session of the shell before, if the manifest gives Memory for one.
    pub fn open(env: &Env) -> Session {
        Records::open(env).map_or_else(|_| Session::default(), Session::of)
    }

    /// The session that records hold.
    pub fn of(records: Records) -> Session {
        let lines = records.all::<String>(ENTERED);
        let entered = lines.first().zip(lines.last()).map(|(first, last)| (first.0.first, last.0.first + 1));
        let jobs = records.all::<KeptJob>(JOB).into_iter().map(|(key, _)| key.first as usize).collect();
        let mut session =
            Session { records: Some(records), jobs, entered: entered.unwrap_or((0, 0)), ..Session::default() };
        session.settings = session.get(SETTINGS).unwrap_or_default();
        session.settings.functions = session.get(FUNCTIONS).unwrap_or_default();
        session.typed = session.get(TYPED).unwrap_or_default();
        session.line = session.get(LINE);
        session
    }

    fn get<V: DeserializeOwned>(&self, key: RecordKey) -> Option<V> {
        self.records.as_ref()?.get(key)
    }

    /// What commands had changed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The line that was being typed.
    pub fn typed(&self) -> &Typed {
        &self.typed
    }

    /// The line that ran, and its programs that ran.
    pub fn line(&self) -> Option<(Line, Vec<KeptChild>)> {
        Some((self.line.clone()?, self.get(PROGRAMS).unwrap_or_default()))
    }

    /// Lines that were entered, the oldest first.
    pub fn entered(&self) -> Vec<String> {
        let lines = self.records.iter().flat_map(|records| records.all::<String>(ENTERED));
        lines.map(|(_, line)| line).collect()
    }

    /// Jobs by number.
    pub fn jobs(&self) -> Vec<(usize, KeptJob)> {
        let jobs = self.records.iter().flat_map(|records| records.all::<KeptJob>(JOB));
        jobs.map(|(key, job)| (key.first as usize, job)).collect()
    }

    /// All programs that are named.
    pub fn programs(&self) -> Vec<KeptChild> {
        let running = self.get::<Vec<KeptChild>>(PROGRAMS).unwrap_or_default();
        running.into_iter().chain(self.jobs().into_iter().flat_map(|(_, job)| job.programs)).collect()
    }

    /// Notes the line that is being typed.
    pub fn note_typed(&mut self, typed: Typed) {
        if self.records.is_some() && typed != self.typed {
            self.put(TYPED, &typed);
            self.typed = typed;
            self.commit();
        }
    }

    /// Notes that a line is run; `typed`: what there is behind it, where it was entered.
    pub fn begin_line(&mut self, text: &str, typed: Option<Typed>) {
        if self.records.is_none() {
            return;
        }
        if let Some(typed) = typed {
            self.put(TYPED, &typed);
            self.typed = typed;
            self.enter_line(text);
        }
        let line = Line { text: text.to_string(), at: (0, 0), is_inside: false };
        self.put(LINE, &line);
        self.line = Some(line);
        self.commit();
    }

    /// Notes a line of the history; where there is no room, the oldest go.
    fn enter_line(&mut self, text: &str) {
        let Some(records) = &mut self.records else { return };
        let key = RecordKey::new(ENTERED, self.entered.1);
        while records.put(key, &text).is_err() {
            if self.entered.0 == self.entered.1 {
                return;
            }
            records.remove(RecordKey::new(ENTERED, self.entered.0));
            self.entered.0 += 1;
            records.commit();
        }
        self.entered.1 += 1;
        if self.entered.1 - self.entered.0 > crate::line::LINES as u64 {
            records.remove(RecordKey::new(ENTERED, self.entered.0));
            self.entered.0 += 1;
        }
    }

    /// Notes that a pipeline of the line begins, with what those before it have changed.
    pub fn begin_pipeline(&mut self, at: (u32, u32), settings: Settings) {
        let Some(mut line) = self.line.clone().filter(|_| self.records.is_some()) else { return };
        self.note_settings(settings);
        (line.at, line.is_inside) = (at, false);
        self.forget_programs();
        self.put(LINE, &line);
        self.line = Some(line);
        self.commit();
    }

    /// Notes that the pipeline that runs is about to do something that others see.
    pub fn go_inside(&mut self) {
        self.stage_inside();
        self.commit();
    }

    fn stage_inside(&mut self) {
        if let Some(mut line) = self.line.clone().filter(|line| !line.is_inside && self.records.is_some()) {
            line.is_inside = true;
            self.put(LINE, &line);
            self.line = Some(line);
        }
    }

    /// Notes the programs that are waited for: all of the pipeline, which need not run yet. If the shell dies before, they are ended, and the pipeline is begun again.
    pub fn note_programs(&mut self, programs: &[Rc<dyn Child>]) {
        if self.records.is_some() {
            let kept: Vec<KeptChild> = programs.iter().filter_map(|program| program.keep()).collect();
            self.put(PROGRAMS, &kept);
            self.stage_inside();
            self.commit();
        }
    }

    /// Notes that the line is over.
    pub fn end_line(&mut self, settings: Settings) {
        if self.records.is_some() {
            self.note_settings(settings);
        }
        self.forget_programs();
        if let Some(records) = &mut self.records {
            records.remove(LINE);
        }
        self.line = None;
        self.commit();
    }

    /// Notes what commands have changed.
    fn note_settings(&mut self, settings: Settings) {
        if settings.functions != self.settings.functions {
            self.put(FUNCTIONS, &settings.functions);
        }
        if settings != self.settings {
            self.put(SETTINGS, &settings);
            self.settings = settings;
        }
    }

    fn forget_programs(&mut self) {
        if let Some(records) = &mut self.records {
            records.remove(PROGRAMS);
        }
    }

    /// Notes a job that has begun.
    pub fn add_job(&mut self, number: usize, command: &str, programs: &[Rc<dyn Child>]) {
        if self.records.is_some() {
            let programs = programs.iter().filter_map(|program| program.keep()).collect();
            self.put(RecordKey::new(JOB, number as u64), &KeptJob { command: command.to_string(), programs });
            self.jobs.push(number);
            self.stage_inside();
            self.commit();
        }
    }

    /// Forgets the jobs that there are not any more.
    pub fn forget_jobs(&mut self, is_there: impl Fn(usize) -> bool) {
        let Some(records) = &mut self.records else { return };
        for number in self.jobs.extract_if(.., |number| !is_there(*number)) {
            records.remove(RecordKey::new(JOB, number as u64));
        }
        records.commit();
    }

    fn put<V: Serialize>(&mut self, key: RecordKey, value: &V) {
        if let Some(records) = &mut self.records
            && records.put(key, value).is_err()
        {
            // What is there of it is not true any more.
            records.remove(key);
        }
    }

    fn commit(&mut self) {
        if let Some(records) = &mut self.records {
            records.commit();
        }
    }
}
