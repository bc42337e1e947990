//! A program at the machine's serial line: types, waits for text, and controls QEMU.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::debugger::Debugger;
use crate::emulator::{Emulator, Event, Input};
use crate::end::End;
use crate::exec::SECOND_BOOTS;
use crate::machine::{Machine, SerialEnd};
use crate::qmp::{Qmp, QmpListener};
use crate::serial_log::SerialLog;
use crate::workspace::Workspace;

/// How long a QEMU that failed may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Characters of the transcript that an error shows.
const SHOWN: usize = 4000;

/// A machine that is being driven. Dropping it ends the machine.
#[derive(Debug)]
pub struct Session {
    running: Running,
    machine: Machine,
    log: SerialLog,
    /// Text that came and was not waited for yet.
    unread: Vec<u8>,
    end: Option<End>,
    /// Whether anything was done to the machine but to watch it.
    is_touched: bool,
    /// How often it was booted again since QEMU crashed.
    second_boots: u32,
}

/// A QEMU that runs, and how to control it.
#[derive(Debug)]
struct Running {
    // Dropped in this order: the machine first, then its socket's folder.
    emulator: Emulator,
    qmp: Qmp,
    listener: QmpListener,
}

impl Machine {
    /// Boots, and returns at once. Should QEMU crash before anything is sent to the machine, it is started again.
    ///
    /// # Errors
    /// The machine cannot be started.
    pub fn session(&self) -> Result<Session> {
        Ok(Session {
            running: self.power_on()?,
            machine: self.clone(),
            log: SerialLog::default(),
            unread: Vec::new(),
            end: None,
            is_touched: false,
            second_boots: 0,
        })
    }

    fn power_on(&self) -> Result<Running> {
        let listener = QmpListener::bind(&Workspace::locate()?.target().join("run"))?;
        let mut arguments = self.arguments(SerialEnd::Program)?;
        arguments.extend(QmpListener::arguments());
        let emulator = Emulator::start(&self.emulator()?, &arguments, listener.folder(), Input::Sent)?;
        let qmp = match listener.accept() {
            Ok(qmp) => qmp,
            Err(error) => {
                let soon = Some(Instant::now() + LAST_WORDS);
                while let Some(event) = emulator.next(soon) {
                    if let Event::Exited { complaint, .. } = event {
                        bail!("QEMU failed: {complaint}");
                    }
                }
                return Err(error);
            }
        };
        Ok(Running { emulator, qmp, listener })
    }
}

impl Session {
    /// Sends `bytes` as if they were typed. Never waits.
    pub fn send(&mut self, bytes: &[u8]) {
        self.is_touched = true;
        self.running.emulator.send(bytes);
    }

    /// Types `line` and the return key.
    pub fn type_line(&mut self, line: &str) {
        self.send(line.as_bytes());
        self.send(b"\r");
    }

    /// Waits until the machine prints `text`, and returns what it printed from the end of the
    /// last wait up to and with `text`.
    ///
    /// # Errors
    /// The time passes, or the machine ends: the message shows what it printed last.
    pub fn expect(&mut self, text: &str, time: Duration) -> Result<String> {
        self.expect_any(&[text], time).map(|(_, before)| before)
    }

    /// As [`Session::expect`], for whichever of `texts` comes first; also returns its index.
    ///
    /// # Errors
    /// As for [`Session::expect`].
    pub fn expect_any(&mut self, texts: &[&str], time: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + time;
        loop {
            let found = texts
                .iter()
                .enumerate()
                .filter_map(|(index, text)| {
                    let start = find(&self.unread, text.as_bytes())?;
                    Some((start, index, start + text.len()))
                })
                .min();
            if let Some((_, index, end)) = found {
                let before: Vec<u8> = self.unread.drain(..end).collect();
                return Ok((index, String::from_utf8_lossy(&before).into_owned()));
            }
            if let Some(end) = &self.end {
                bail!("the machine ended before it printed {texts:?}: {end}\n{}", self.tail());
            }
            if !self.step(deadline) {
                bail!("{texts:?} did not come within {} ms\n{}", time.as_millis(), self.tail());
            }
        }
    }

    /// Waits for the machine's end.
    ///
    /// # Errors
    /// The time passes.
    pub fn wait_for_end(&mut self, time: Duration) -> Result<End> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(end) = &self.end {
                return Ok(end.clone());
            }
            if !self.step(deadline) {
                bail!("the machine did not end within {} ms\n{}", time.as_millis(), self.tail());
            }
        }
    }

    /// QEMU's control channel.
    pub fn qmp(&mut self) -> &mut Qmp {
        self.is_touched = true;
        &mut self.running.qmp
    }

    /// Stops the machine, which was made with [`Machine::debugged`], for the debugger that is returned. One at a time.
    ///
    /// # Errors
    /// The machine has none, or has ended.
    pub fn debugger(&mut self) -> Result<Debugger> {
        self.is_touched = true;
        Debugger::connect(self.running.listener.folder())
    }

    /// Whether the machine has printed `text` since the end of the last wait, or does within `time`. Nothing is taken from
    /// what the next wait returns.
    ///
    /// # Errors
    /// The machine has ended without it.
    pub fn has_printed(&mut self, text: &str, time: Duration) -> Result<bool> {
        self.has_printed_all(&[text], time)
    }

    /// The same of several texts, each behind the one before it.
    ///
    /// # Errors
    /// The machine has ended without them.
    pub fn has_printed_all(&mut self, texts: &[&str], time: Duration) -> Result<bool> {
        let deadline = Instant::now() + time;
        loop {
            let behind =
                |from: usize, text: &&str| Some(from + find(&self.unread[from..], text.as_bytes())? + text.len());
            if texts.iter().try_fold(0, behind).is_some() {
                return Ok(true);
            }
            if let Some(end) = &self.end {
                bail!("the machine ended before it printed {texts:?}: {end}\n{}", self.tail());
            }
            if !self.step(deadline) {
                return Ok(false);
            }
        }
    }

    /// How the machine ended, if it is known to have.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Ends the machine as if its plug were pulled.
    pub fn kill(&mut self) {
        self.is_touched = true;
        self.running.emulator.kill();
    }

    /// All that the machine printed and this session took in so far.
    pub fn transcript(&self) -> String {
        self.log.text()
    }

    /// Takes in the next event. False if the deadline came first.
    fn step(&mut self, deadline: Instant) -> bool {
        match self.running.emulator.next(Some(deadline)) {
            Some(Event::Output(bytes)) => {
                self.log.push(&bytes);
                self.unread.extend(bytes);
            }
            Some(Event::Exited { status, complaint }) => {
                let log = self.log.text();
                let end = End::judge(status, &log, &complaint, None, self.machine.image());
                if matches!(end, End::Crash(_)) && !self.is_touched && self.second_boots < SECOND_BOOTS {
                    eprintln!("skink: {end}; nothing was typed yet, so it is started again");
                    self.second_boots += 1;
                    let machine = self.machine.clone();
                    let is_last = self.second_boots == SECOND_BOOTS;
                    if let Ok(running) = if is_last { machine.in_turns() } else { machine }.power_on() {
                        self.running = running;
                        self.log = SerialLog::default();
                        self.unread.clear();
                        return true;
                    }
                }
                self.end = Some(end);
            }
            Some(Event::Interrupted(signal)) => self.end = Some(End::Signal(signal)),
            None => return false,
        }
        true
    }

    /// The end of the transcript, for messages.
    fn tail(&self) -> String {
        let text = self.log.text();
        let skipped = text.chars().count().saturating_sub(SHOWN);
        let shown: String = text.chars().skip(skipped).collect();
        format!("--- the machine's last words ---\n{shown}\n---")
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1)).position(|window| window == wanted)
}
