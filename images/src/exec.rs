//! Commands in, their output and status out: a machine that boots, runs them and ends.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::emulator::{Emulator, Event, Input};
use crate::end::End;
use crate::frame::{Deframer, Piece};
use crate::machine::{Machine, SerialEnd};
use crate::serial_log::SerialLog;
use crate::signals;

/// How long commands may take where nothing else is said, boot included.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a machine may take to switch itself off after its commands ended.
const POWER_OFF_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a machine is booted again whose QEMU crashed before any command began; the last time its processors take turns.
pub(crate) const SECOND_BOOTS: u32 = 2;

/// What became of commands.
#[derive(Debug, Clone)]
pub struct ExecResult {
    /// What they wrote, byte for byte.
    pub stdout: Vec<u8>,
    /// How it ended; [`End::Status`] if the commands did.
    pub end: End,
    /// What else came over the serial line: the kernel's log.
    pub log: String,
}

impl ExecResult {
    /// The exit status of the last command, or one above 100 that tells what went wrong.
    pub fn status(&self) -> u8 {
        self.end.exit_code()
    }

    /// What the commands wrote, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Machine {
    /// Boots, runs `commands` in the shell, and waits for their end. Bounded in time by
    /// [`Machine::timeout`], else by [`DEFAULT_TIMEOUT`].
    ///
    /// # Errors
    /// The machine cannot be started. All that happens later is in the result.
    pub fn run_exec(&self, commands: &str) -> Result<ExecResult> {
        let mut stdout = Vec::new();
        let (end, log) = self.stream_exec(commands, &mut stdout, Interruption::Ignored)?;
        Ok(ExecResult { stdout, end, log })
    }

    /// As [`Machine::run_exec`], but writes the commands' output to `output` as it comes, and
    /// returns the rest: how it ended, and the log.
    ///
    /// # Errors
    /// The machine cannot be started, or `output` cannot be written.
    pub fn stream_exec(
        &self,
        commands: &str,
        output: &mut dyn Write,
        interruption: Interruption,
    ) -> Result<(End, String)> {
        let machine = self.clone().with_commands(commands);
        machine.stream(output, interruption)
    }

    /// Boots what was set up to print an output and a status in the way of the shell, such as
    /// a program [in place of init](Machine::in_place_of_init). The rest as for
    /// [`Machine::stream_exec`].
    ///
    /// # Errors
    /// The machine cannot be started, or `output` cannot be written.
    pub fn stream(&self, output: &mut dyn Write, interruption: Interruption) -> Result<(End, String)> {
        let (end, log) = self.follow(output, interruption)?;
        let end = match end {
            // A machine that was switched off before its commands ended has failed them.
            End::PowerOff => End::Died("the machine ended before its commands did".to_string()),
            other => other,
        };
        Ok((end, log))
    }

    /// As [`Machine::stream`], where nobody expects a status: the machine's switching itself
    /// off is as good.
    ///
    /// # Errors
    /// As for [`Machine::stream`].
    pub fn follow(&self, output: &mut dyn Write, interruption: Interruption) -> Result<(End, String)> {
        let mut second_boots = 0;
        loop {
            let machine = self.clone();
            let machine = if second_boots == SECOND_BOOTS { machine.in_turns() } else { machine };
            let arguments = machine.arguments(SerialEnd::Program)?;
            let emulator = Emulator::start(&self.emulator()?, &arguments, Path::new("/"), Input::Nothing)?;
            let _signals = match interruption {
                Interruption::Ends => Some(signals::report_to(emulator.reporter())?),
                Interruption::Ignored => None,
            };
            let mut run = Run::new(self);
            let end = run.follow(&emulator, output)?;
            if !matches!(end, End::Crash(_)) || run.has_begun || second_boots == SECOND_BOOTS {
                return Ok((end, run.log.text()));
            }
            second_boots += 1;
            eprintln!("skink: {end}; nothing was run yet, so it is started again");
        }
    }
}

/// What a signal to this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruption {
    /// The machine is stopped in order.
    Ends,
    /// What it does anyway.
    Ignored,
}

/// A run of commands that is going on.
struct Run<'a> {
    machine: &'a Machine,
    limit: Duration,
    deadline: Instant,
    deframer: Deframer,
    log: SerialLog,
    transcript: SerialLog,
    status: Option<u8>,
    has_begun: bool,
}

impl<'a> Run<'a> {
    fn new(machine: &'a Machine) -> Self {
        let limit = machine.time_limit().unwrap_or(DEFAULT_TIMEOUT);
        Self {
            machine,
            limit,
            deadline: Instant::now() + limit,
            deframer: Deframer::default(),
            log: SerialLog::default(),
            transcript: SerialLog::default(),
            status: None,
            has_begun: false,
        }
    }

    fn follow(&mut self, emulator: &Emulator, output: &mut dyn Write) -> Result<End> {
        let end = loop {
            match emulator.next(Some(self.deadline)) {
                Some(Event::Output(bytes)) => {
                    self.transcript.push(&bytes);
                    let pieces = self.deframer.feed(&bytes);
                    self.take(pieces, output)?;
                }
                Some(Event::Exited { status, complaint }) => {
                    break End::judge(status, &self.transcript.text(), &complaint, self.status, self.machine.image());
                }
                Some(Event::Interrupted(signal)) => break End::Signal(signal),
                None => break self.end_of_time(),
            }
        };
        emulator.kill();
        self.has_begun = self.deframer.has_begun();
        let pieces = std::mem::take(&mut self.deframer).finish();
        self.take(pieces, output)?;
        Ok(end)
    }

    fn take(&mut self, pieces: Vec<Piece>, output: &mut dyn Write) -> Result<()> {
        for piece in pieces {
            match piece {
                Piece::Log(bytes) => self.log.push(&bytes),
                Piece::Output(bytes) => output
                    .write_all(&bytes)
                    .and_then(|()| output.flush())
                    .context("cannot write the commands' output")?,
                Piece::Exit(status) => {
                    self.status = Some(status);
                    self.deadline = self.deadline.min(Instant::now() + POWER_OFF_TIMEOUT);
                }
            }
        }
        Ok(())
    }

    /// The deadline passed: the kernel may have died without ending the machine.
    fn end_of_time(&self) -> End {
        match self.status {
            Some(_) => End::Died("the commands ended, but the machine did not switch off".into()),
            None => End::panic(&self.transcript.text(), self.machine.image()).unwrap_or(End::Hang(self.limit)),
        }
    }
}
