//! What runs a script.
//!
//! | file | part |
//! |---|---|
//! | this one | statements, compound commands |
//! | [`command`] | simple commands: functions, what is built in, programs |
//! | [`pipeline`] | `a | b`, `$(…)`, subshells |
//! | [`stream`] | where output goes and input comes from; redirections |
//! | [`surroundings`] | what `$…` and patterns mean |

mod command;
mod pipeline;
mod stream;
mod surroundings;

use crate::failure::Failure;
use crate::script::{Action, Command, Condition, Pipeline, Script, Word, expand, pattern};
use crate::shell::Shell;
use crate::status;
use crate::streams::Output;
use alloc::format;

/// How it goes on after a command. Its status is the shell's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// With the next one.
    #[default]
    Next,
    /// Behind so many loops.
    Break(u32),
    /// With the next turn of the loop that is outside of so many others, less one.
    Continue(u32),
    /// Behind the function or the sourced file.
    Return,
    /// Behind the script, or the subshell.
    Exit,
    /// Not at all: Ctrl-C, the terminal is gone, the machine goes down.
    Stop,
}

/// Most commands that are within each other when they run: the stack has an end.
const DEPTH: u32 = 100;

impl Shell {
    /// Runs statements.
    pub(crate) fn run_script(&mut self, script: &Script) -> Flow {
        self.run_script_from(script, (0, 0))
    }

    /// Runs what is behind the first so many statements, and so many pipelines of the next one.
    pub(crate) fn run_script_from(&mut self, script: &Script, first: (u32, u32)) -> Flow {
        let is_line = self.depth == 0 && self.captures == 0;
        for (at, statement) in script.statements.iter().enumerate().skip(first.0 as usize) {
            let mut is_last_run = false;
            let skipped = if at == first.0 as usize { first.1 as usize } else { 0 };
            for (number, (condition, pipeline)) in statement.pipelines.iter().enumerate().skip(skipped) {
                if is_line {
                    let settings = self.settings();
                    self.session.begin_pipeline((at as u32, number as u32), settings);
                }
                if !condition.holds(self.status) {
                    is_last_run = false;
                    continue;
                }
                let is_last = number + 1 == statement.pipelines.len();
                // What `&&` and `||` look at is a condition.
                let flow = match is_last {
                    true => self.run_pipeline(pipeline, statement.background),
                    false => self.as_condition(|shell| shell.run_pipeline(pipeline, false)),
                };
                is_last_run = is_last && !pipeline.is_negated;
                self.launcher.settle(&mut self.terminal);
                if flow != Flow::Next {
                    return flow;
                }
                if self.is_stopped() {
                    return Flow::Stop;
                }
            }
            let is_failure = is_last_run && self.status != status::SUCCESS;
            if is_failure && self.state.ends_on_failure && self.conditions == 0 {
                return Flow::Exit;
            }
        }
        Flow::Next
    }

    /// Whether nothing more is to be run.
    fn is_stopped(&mut self) -> bool {
        if self.terminal.is_interrupted() {
            self.status = status::INTERRUPTED;
            return true;
        }
        self.shut_down.is_some() || self.terminal.is_lost()
    }

    /// Runs what `set -e` does not look at.
    fn as_condition<T>(&mut self, run: impl FnOnce(&mut Shell) -> T) -> T {
        self.conditions += 1;
        let result = run(self);
        self.conditions -= 1;
        result
    }

    fn run_pipeline(&mut self, pipeline: &Pipeline, background: bool) -> Flow {
        let flow = match pipeline.stages.as_slice() {
            [command] if !background && pipeline.is_negated => self.as_condition(|shell| shell.run_command(command)),
            [command] if !background => self.run_command(command),
            stages => self.run_stages(stages, background),
        };
        if pipeline.is_negated && flow == Flow::Next {
            self.status = u8::from(self.status == status::SUCCESS);
        }
        flow
    }

    /// Runs a command that is not part of a pipeline, or is the shell's part of one.
    pub(crate) fn run_command(&mut self, command: &Command) -> Flow {
        if self.depth >= DEPTH {
            self.complain("shell", "too many commands within each other");
            self.status = status::FAILURE;
            return Flow::Exit;
        }
        self.depth += 1;
        let before = core::mem::replace(&mut self.line, command.line);
        let flow = match &command.action {
            Action::Simple { assignments, words } => self.run_simple(command, assignments, words),
            action if command.redirections.is_empty() => self.run_action(action),
            action => match self.redirected(&command.redirections, self.streams.clone()) {
                Ok(streams) => self.with_streams(streams, |shell| shell.run_action(action)),
                Err(failure) => self.failed("shell", failure),
            },
        };
        self.line = before;
        self.depth -= 1;
        flow
    }

    fn run_action(&mut self, action: &Action) -> Flow {
        match action {
            // It has been taken care of.
            Action::Simple { .. } => Flow::Next,
            Action::Group(script) => self.run_script(script),
            Action::Subshell(script) => self.subshell(|shell| shell.run_script(script)),
            Action::If { branches, otherwise } => self.run_branches(branches, otherwise.as_ref()),
            Action::Loop { until, condition, body } => self.run_loop(*until, condition, body),
            Action::For { name, words, body } => self.run_for(name, words.as_deref(), body),
            Action::Case { word, arms } => self.run_case(word, arms),
            Action::Function { name, body } => {
                self.state.functions.insert(name.clone(), body.clone());
                self.status = status::SUCCESS;
                Flow::Next
            }
        }
    }

    fn run_branches(&mut self, branches: &[(Script, Script)], otherwise: Option<&Script>) -> Flow {
        for (condition, body) in branches {
            let flow = self.as_condition(|shell| shell.run_script(condition));
            if flow != Flow::Next {
                return flow;
            }
            if Condition::Success.holds(self.status) {
                return self.run_script(body);
            }
        }
        self.status = status::SUCCESS;
        otherwise.map_or(Flow::Next, |script| self.run_script(script))
    }

    fn run_loop(&mut self, until: bool, condition: &Script, body: &Script) -> Flow {
        let mut last = status::SUCCESS;
        loop {
            let flow = self.as_condition(|shell| shell.in_loop(|shell| shell.run_script(condition)));
            match after_turn(flow) {
                Turn::Next => {}
                Turn::Leave(flow) => return flow,
            }
            if (self.status == status::SUCCESS) == until {
                self.status = last;
                return Flow::Next;
            }
            match self.turn(body) {
                Turn::Next => last = self.status,
                Turn::Leave(flow) => return flow,
            }
        }
    }

    fn run_for(&mut self, name: &str, words: Option<&[Word]>, body: &Script) -> Flow {
        let values = match words {
            Some(words) => match expand::words(words, self) {
                Ok(values) => values,
                Err(failure) => return self.failed("for", failure),
            },
            None => self.state.positions.clone(),
        };
        self.status = status::SUCCESS;
        for value in values {
            self.state.set(name, value);
            match self.turn(body) {
                Turn::Next => {}
                Turn::Leave(flow) => return flow,
            }
        }
        Flow::Next
    }

    fn in_loop<T>(&mut self, run: impl FnOnce(&mut Shell) -> T) -> T {
        self.state.loops += 1;
        let result = run(self);
        self.state.loops = self.state.loops.saturating_sub(1);
        result
    }

    fn turn(&mut self, body: &Script) -> Turn {
        let flow = self.in_loop(|shell| shell.run_script(body));
        let turn = after_turn(flow);
        if matches!(turn, Turn::Leave(_)) {
            return turn;
        }
        if self.is_stopped() {
            return Turn::Leave(Flow::Stop);
        }
        // Whoever read what the loop writes has ended: there is no sense in more of it.
        if let Output::Pipe(pipe) = &self.streams.output
            && pipe.is_deserted()
        {
            self.status = status::BROKEN_PIPE;
            return Turn::Leave(Flow::Exit);
        }
        Turn::Next
    }

    fn run_case(&mut self, word: &Word, arms: &[(alloc::vec::Vec<Word>, Script)]) -> Flow {
        let found = expand::one(word, self).and_then(|text| {
            for (patterns, body) in arms {
                for one in patterns {
                    if pattern::matches(&expand::whole(one, self)?, &text) {
                        return Ok(Some(body));
                    }
                }
            }
            Ok(None)
        });
        match found {
            Ok(body) => {
                self.status = status::SUCCESS;
                body.map_or(Flow::Next, |body| self.run_script(body))
            }
            Err(failure) => self.failed("case", failure),
        }
    }

    /// Tells why something was not done, and sets the status.
    fn failed(&mut self, name: &str, failure: Failure) -> Flow {
        self.status = match failure {
            Failure::Status(status) => status,
            Failure::Output => status::FAILURE,
            Failure::Error(text) => {
                self.complain(name, &text);
                status::FAILURE
            }
            Failure::Usage(text) => {
                self.complain(name, &text);
                status::USAGE
            }
        };
        Flow::Next
    }

    /// Tells an error; in a script, with the place of the command.
    pub(crate) fn complain(&mut self, name: &str, text: &str) {
        let line = self.line;
        let place = self.state.source.as_ref().map_or_else(Default::default, |source| format!("{source}:{line}: "));
        self.say(&format!("{place}{name}: {text}\n"));
    }
}

/// How a loop goes on.
enum Turn {
    Next,
    Leave(Flow),
}

fn after_turn(flow: Flow) -> Turn {
    match flow {
        Flow::Next | Flow::Continue(0 | 1) => Turn::Next,
        Flow::Break(0 | 1) => Turn::Leave(Flow::Next),
        Flow::Break(loops) => Turn::Leave(Flow::Break(loops - 1)),
        Flow::Continue(loops) => Turn::Leave(Flow::Continue(loops - 1)),
        other => Turn::Leave(other),
    }
}
