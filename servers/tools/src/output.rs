//! What a program writes: its standard output, gathered into large pieces, and what it complains of.

use crate::{Failure, Input};
use alloc::string::String;
use core::fmt;
use libsys::env::{self, StreamKind};
use libsys::io::{self, BufWriter, Write};

/// What is held back at most.
const HELD: usize = 16 * 1024;

/// The standard output of a program, and its complaints.
#[derive(Debug)]
pub struct Output {
    name: String,
    out: BufWriter<io::Stdout>,
    complaints: u64,
}

impl Output {
    /// The output of the program of this name.
    pub(crate) fn new(name: &str) -> Output {
        Output { name: name.into(), out: BufWriter::with_capacity(HELD, io::stdout()), complaints: 0 }
    }

    /// Writes `NAME: …` to the standard error, behind what was written before; the program will have failed.
    pub fn complain(&mut self, text: impl fmt::Display) {
        self.complaints += 1;
        self.warn(text);
    }

    /// The same, but the program has not failed.
    pub fn warn(&mut self, text: impl fmt::Display) {
        // What does not get out is found with the next write, or at the end; without a standard error nobody hears.
        let _ = self.out.flush();
        let mut errors = BufWriter::new(io::stderr());
        let _ = writeln!(errors, "{}: {text}", self.name).and_then(|()| errors.flush());
    }

    /// How often [`Output::complain`] was called.
    pub fn complaints(&self) -> u64 {
        self.complaints
    }

    /// The program has not failed, whatever it complained of until now.
    pub fn forgive(&mut self) {
        self.complaints = 0;
    }

    /// Whether a person reads it as it is written.
    pub fn is_console(&self) -> bool {
        env::get().stream(env::names::STDOUT) == StreamKind::Console
    }

    /// Takes a step: what it was refused is complained of, and the program goes on. Other failures stay.
    pub fn attempt(&mut self, step: impl FnOnce(&mut Output) -> Result<(), Failure>) -> Result<(), Failure> {
        match step(self) {
            Err(Failure::Error(text)) => {
                self.complain(text);
                Ok(())
            }
            result => result,
        }
    }

    /// Takes a step for each operand, and goes on with the next where one was refused.
    pub fn each(
        &mut self,
        operands: &[&str],
        mut step: impl FnMut(&mut Output, &str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        operands.iter().try_for_each(|operand| self.attempt(|out| step(out, operand)))
    }

    /// The same with what the operands name to read; without any it is the standard input.
    pub fn each_input(
        &mut self,
        operands: &[&str],
        mut step: impl FnMut(&mut Output, &str, &mut Input) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let operands = if operands.is_empty() { &["-"] } else { operands };
        self.each(operands, |out, name| step(out, name, &mut Input::open(name)?))
    }
}

impl Write for Output {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.out.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
