//! The shell's end of the console: output in large pieces, keys as they are typed, Ctrl-C.
//!
//! The console may die and come back at any time. Its registry entry is watched, and what it was told is told again.

use crate::events::{CONSOLE, Events, INTERRUPT, TERMINAL};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt;
use libsys::client::{CallError, Client};
use libsys::protocol::console::{ConsoleError, Mode};
use libsys::protocol::{ConsoleClient, RegistryClient};
use libsys::time;

/// The console's name in the registry.
const SERVICE: &str = "console";

/// Output that is held back at most: about half of what a message takes.
const HELD: usize = 2048;

/// How long a console that died is awaited before it is tried again.
const PAUSE: u64 = 20_000_000;

/// While a line is edited: every key comes, Ctrl-C among them.
const EDITING: Mode = Mode { canonical: false, echo: false, interrupts: false, newline_in: false, newline_out: true };

/// While a command runs: Ctrl-C interrupts it, and what is typed waits, unseen, for the next prompt.
const RUNNING: Mode = Mode { interrupts: true, ..EDITING };

/// The shell's terminal.
#[derive(Debug)]
pub struct Terminal {
    console: ConsoleClient,
    events: Rc<Events>,
    mode: Mode,
    output: String,
    input: VecDeque<u8>,
    /// Bytes that the console gave, to the shells before this one too.
    received: u64,
    interrupted: bool,
    /// The terminal is gone for good.
    is_lost: bool,
}

impl Terminal {
    /// A terminal on a console.
    pub fn new(console: ConsoleClient, events: Rc<Events>, registry: &RegistryClient) -> Terminal {
        if let Ok(channel) = events.signaller(CONSOLE) {
            // A console that the registry does not know is not restarted by it either.
            let _ = registry.watch(SERVICE, &channel, CONSOLE);
        }
        let mut terminal = Terminal {
            console,
            events,
            mode: RUNNING,
            output: String::new(),
            input: VecDeque::new(),
            received: 0,
            interrupted: false,
            is_lost: false,
        };
        terminal.tell();
        terminal
    }

    /// Tells the console what this session wants of it.
    fn tell(&mut self) {
        let told = self.console.set_mode(self.mode).map(drop);
        self.is_lost |= told == Err(CallError::Closed);
        // Without the right to it there is no Ctrl-C; everything else works.
        if let Ok(channel) = self.events.signaller(INTERRUPT) {
            let _ = self.console.interrupts(&channel, INTERRUPT);
        }
        if let Ok(channel) = self.events.signaller(TERMINAL) {
            let _ = self.console.notify(&channel, TERMINAL);
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            while self.console.set_mode(mode) == Err(CallError::PeerDied) {}
        }
    }

    /// Whether the terminal is gone for good.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// From here on a line is edited.
    pub fn edit(&mut self) {
        self.flush();
        self.set_mode(EDITING);
    }

    /// From here on a command runs: Ctrl-C before that is not meant for it.
    pub fn run(&mut self) {
        self.set_mode(RUNNING);
        self.events.take(INTERRUPT);
        self.interrupted = false;
    }

    /// Whether Ctrl-C was typed since the command began.
    pub fn is_interrupted(&mut self) -> bool {
        self.interrupted |= self.events.take(INTERRUPT) != 0;
        self.interrupted
    }

    /// As if Ctrl-C were typed.
    pub fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Waits for one of `bits`, or for Ctrl-C: returns 0 for that, and when the deadline passed.
    pub fn wait(&mut self, bits: u64, deadline: Option<u64>) -> u64 {
        self.flush();
        if self.interrupted {
            return 0;
        }
        let came = self.wait_below(bits | INTERRUPT, deadline);
        self.interrupted |= came & INTERRUPT != 0;
        if self.interrupted { 0 } else { came & bits }
    }

    /// Waits for one of `bits`, Ctrl-C or not.
    pub fn wait_regardless(&mut self, bits: u64) {
        self.flush();
        self.wait_below(bits, None);
    }

    /// Waits, and looks after the console meanwhile.
    fn wait_below(&mut self, bits: u64, deadline: Option<u64>) -> u64 {
        loop {
            let came = self.events.wait(bits | CONSOLE, deadline);
            if came & CONSOLE != 0 {
                self.tell();
            }
            if came & bits != 0 || came == 0 {
                return came & bits;
            }
        }
    }

    /// The next byte that was typed. What was received before, and is not [`Terminal::ahead`], has to be noted by then: the console gives it to no later shell. `None`: the deadline passed, Ctrl-C interrupted a command, or the terminal is gone.
    pub fn read(&mut self, deadline: Option<u64>) -> Option<u8> {
        loop {
            if let Some(byte) = self.input.pop_front() {
                return Some(byte);
            }
            self.flush();
            let mut bytes = [0; 256];
            match self.console.read_noted(self.received, &mut bytes) {
                // Ctrl-D is a key as any other in these modes: nothing at all is the end.
                Ok(0) => self.is_lost = true,
                Ok(count) => {
                    self.received += count as u64;
                    self.input.extend(&bytes[..count]);
                    continue;
                }
                Err(CallError::Failed(ConsoleError::WouldBlock)) => {
                    let came = self.wait_below(TERMINAL | INTERRUPT, deadline);
                    self.interrupted |= came & INTERRUPT != 0;
                    if came & TERMINAL == 0 {
                        return None;
                    }
                }
                Err(error) => self.bear(error),
            }
            if self.is_lost {
                return None;
            }
        }
    }

    /// Bytes that were typed and not read.
    pub fn ahead(&self) -> &VecDeque<u8> {
        &self.input
    }

    /// How many bytes came from the console, all in all.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Goes on after a shell that had received so many bytes, and not looked at these.
    pub fn resume(&mut self, received: u64, ahead: &[u8]) {
        self.received = received;
        self.input.extend(ahead);
    }

    /// Sends everything that was written to the console.
    pub fn flush(&mut self) {
        let output = core::mem::take(&mut self.output);
        self.send(output.as_bytes());
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_lost {
            let part = &bytes[..bytes.len().min(HELD)];
            match self.console.write(part) {
                Ok(count) => bytes = bytes.get(count as usize..).unwrap_or_default(),
                Err(CallError::Failed(ConsoleError::WouldBlock)) => {
                    self.wait_below(TERMINAL, None);
                }
                Err(error) => self.bear(error),
            }
        }
    }

    /// Sends what was written, and waits until it has left the machine.
    pub fn drain(&mut self) {
        self.flush();
        while !self.is_lost {
            match self.console.flush() {
                Ok(()) => return,
                Err(error) => self.bear(error),
            }
        }
    }

    /// A call that failed: whether to make it again is what [`Terminal::is_lost`] says then. A console that died while
    /// it had the call may have carried it out; what is shown twice is better than what is missing.
    fn bear(&mut self, error: CallError<ConsoleError>) {
        match error {
            // A request that killed its server several times is made anew: it is given up with the console at the latest.
            CallError::PeerDied | CallError::Abandoned | CallError::Deadly => {
                let deadline = time::now().saturating_add(PAUSE);
                self.events.wait(CONSOLE, Some(deadline));
                self.tell();
            }
            _ => self.is_lost = true,
        }
    }

    /// Columns and rows, if anybody knows.
    pub fn size(&self) -> Option<(u16, u16)> {
        let size = self.console.size().ok()?;
        (size.0 > 0 && size.1 > 0).then_some(size)
    }

    /// Remembers how large the terminal is, for everybody.
    pub fn set_size(&self, columns: u16, rows: u16) {
        // Who asks next finds out in his own way.
        let _ = self.console.set_size(columns, rows);
    }

    /// The session to the console, for programs that are started.
    pub fn console(&self) -> &libsys::Session {
        self.console.link().session()
    }
}

/// Fails when the command is to end: after Ctrl-C, or without a terminal.
impl fmt::Write for Terminal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.output.push_str(text);
        if self.output.len() < HELD {
            return Ok(());
        }
        self.flush();
        if self.is_interrupted() || self.is_lost {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
