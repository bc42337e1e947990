//! What a program writes: its standard output, gathered into large pieces, and what it complains of.

use crate::{Failure, Input};
use alloc::string::String;
use core::fmt;
use libsys::env::{self, StreamKind};
use libsys::io::{self, BufWriter, Read, Write};

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

    /// Asks `NAME: …? ` on the standard error, and reads a line of the standard input: whether the answer begins with `y` or `Y`. No answer is none of these.
    pub fn confirm(&mut self, question: impl fmt::Display) -> bool {
        // As for a complaint. A question that nobody sees is answered all the same, by a pipe or a file.
        let _ = self.out.flush();
        let mut errors = BufWriter::new(io::stderr());
        let _ = write!(errors, "{}: {question}? ", self.name).and_then(|()| errors.flush());
        is_consent(&mut io::stdin())
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

/// Whether a line begins with `y` or `Y`. It is read byte by byte: what is behind it is for the next question.
fn is_consent(input: &mut impl Read) -> bool {
    let (mut first, mut byte) = (None, [0]);
    while input.read(&mut byte) == Ok(1) && byte[0] != b'\n' {
        first = first.or(Some(byte[0]));
    }
    matches!(first, Some(b'y' | b'Y'))
}

impl Write for Output {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.out.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::is_consent;

    #[test]
    fn an_answer_is_a_line() {
        let mut answers = &b"yes\nn\n\nY\n y\ny"[..];
        let all = [true, false, false, true, false, true, false];
        assert_eq!(all.map(|_| is_consent(&mut answers)), all);
    }
}
