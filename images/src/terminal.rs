//! A person at the machine's serial line: this process's terminal, key by key.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::emulator::{Emulator, Event, Input};
use crate::end::End;
use crate::machine::{Machine, SerialEnd};
use crate::serial_log::SerialLog;
use crate::signals;

/// Bytes that are read from the terminal at a time.
const READ_SIZE: usize = 4096;

impl Machine {
    /// Boots with this process's terminal as the machine's serial line, until the machine is
    /// switched off, the person ends QEMU with Ctrl-A X, or [`Machine::timeout`] passes.
    ///
    /// # Errors
    /// The machine cannot be started, or the terminal fails.
    pub fn run_on_terminal(&self) -> Result<End> {
        let arguments = self.arguments(SerialEnd::Person)?;
        let emulator = Emulator::start(&self.emulator()?, &arguments, Path::new("/"), Input::Sent)?;
        let _signals = signals::report_to(emulator.reporter())?;
        let _raw = RawTerminal::enter()?;
        if let Some(input) = emulator.input() {
            thread::spawn(move || relay_keys(&input));
        }
        self.show(&emulator)
    }

    /// Shows what the machine prints until it ends.
    fn show(&self, emulator: &Emulator) -> Result<End> {
        let deadline = self.time_limit().map(|limit| Instant::now() + limit);
        let mut log = SerialLog::default();
        let mut stdout = io::stdout().lock();
        loop {
            match emulator.next(deadline) {
                Some(Event::Output(bytes)) => {
                    log.push(&bytes);
                    stdout.write_all(&bytes).and_then(|()| stdout.flush()).context("cannot write to the terminal")?;
                }
                Some(Event::Exited { status, complaint }) => {
                    return Ok(End::judge(status, &log.text(), &complaint, None, self.image()));
                }
                Some(Event::Interrupted(signal)) => return Ok(End::Signal(signal)),
                None => {
                    let hang = End::Hang(self.time_limit().unwrap_or_default());
                    return Ok(End::panic(&log.text(), self.image()).unwrap_or(hang));
                }
            }
        }
    }
}

/// Sends what is typed to the machine. Ends with the input, or with the process.
fn relay_keys(input: &Sender<Vec<u8>>) {
    let mut buffer = [0; READ_SIZE];
    let mut stdin = io::stdin().lock();
    while let Ok(length) = stdin.read(&mut buffer) {
        if length == 0 || input.send(buffer[..length].to_vec()).is_err() {
            return;
        }
    }
}

/// The terminal without line editing, echo and signal keys: those are the guest's. It is as
/// before when this is dropped.
struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    /// Nothing is changed where stdin is not a terminal.
    fn enter() -> Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Self { before: None });
        }
        let before = tcgetattr(io::stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).context("cannot change the terminal's settings")?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
