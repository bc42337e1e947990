//! Where the shell's own output goes and its input comes from. What may wait for others runs in a thread of its own, so that Ctrl-C is heard meanwhile.

use crate::commands::SCRIPT;
use crate::events::THREAD;
use crate::failure::{Failure, error};
use crate::line::Outcome;
use crate::script::{Redirection, RedirectionKind, expand};
use crate::shell::Shell;
use crate::status;
use crate::streams::{Input, OpenInput, Output, PipeInput, Streams, open_input, open_output};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, Ordering};
use libsys::fs::FileError;
use libsys::io::{self, Read, Whence, Write};
use libsys::thread;

/// Output that is held back at most where it does not go to the terminal.
const HELD: usize = 16 * 1024;

/// Bytes that are read at once.
const PART: usize = 4096;

/// Longest line that is read.
const LINE: usize = 128 * 1024;

/// Commands write to the shell: the output of the moment.
impl fmt::Write for Shell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if matches!(self.streams.output, Output::Terminal) {
            return self.terminal.write_str(text);
        }
        self.held.extend_from_slice(text.as_bytes());
        if self.held.len() < HELD {
            return Ok(());
        }
        self.flush().map_err(|_| fmt::Error)
    }
}

impl Shell {
    /// Tells something where errors are told, whatever becomes of it.
    pub(crate) fn say(&mut self, text: &str) {
        self.start_unstarted();
        let _ = match self.streams.errors.clone() {
            // Who does not want to read on, by Ctrl-C, still gets messages; a terminal that is gone gets none.
            Output::Terminal => self.terminal.write_str(text).map_err(Failure::from),
            output => self.send(&output, text.as_bytes().to_vec()),
        };
    }

    /// Sends what is held back.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if !self.held.is_empty() {
            self.start_unstarted();
        }
        self.flush_last()
    }

    /// The same when nothing comes behind it: programs that are not started find it in their pipe, which has room for all that is ever held back.
    pub(super) fn flush_last(&mut self) -> Result<(), Failure> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = core::mem::take(&mut self.held);
        let output = self.streams.output.clone();
        self.send(&output, held)
    }

    fn send(&mut self, output: &Output, bytes: Vec<u8>) -> Result<(), Failure> {
        let result = match output {
            Output::Terminal => return Ok(self.terminal.write_str(&String::from_utf8_lossy(&bytes))?),
            Output::Open(open) => open.stream.borrow_mut().write_all(&bytes),
            Output::Pipe(pipe) => {
                let writer = Arc::clone(&pipe.writer);
                self.in_thread(move || (&*writer).write_all(&bytes))?
            }
        };
        match result {
            Ok(()) => Ok(()),
            Err(io::Error::BrokenPipe) => Err(Failure::Output),
            Err(error) => Err(Failure::Error(format!("it cannot be written: {error}"))),
        }
    }

    /// Does something that may wait for programs of the pipeline. Ctrl-C kills these, and with that ends the wait.
    pub(super) fn in_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.terminal.flush();
        let signaller = self.events.signaller(THREAD)?;
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let thread = thread::spawn(move || {
            let result = work();
            done.store(true, Ordering::Release);
            // The channel is the shell's own.
            let _ = signaller.signal(THREAD);
            result
        })?;
        while !is_done.load(Ordering::Acquire) {
            if self.terminal.is_interrupted() {
                self.kill_running();
                self.terminal.wait_regardless(THREAD);
            } else {
                self.terminal.wait(THREAD, None);
            }
        }
        Ok(thread.join())
    }

    /// Runs something with other streams.
    pub(super) fn with_streams<T>(&mut self, streams: Streams, run: impl FnOnce(&mut Shell) -> T) -> T {
        let _ = self.flush();
        let before = core::mem::replace(&mut self.streams, streams);
        let result = run(self);
        if self.flush_last().is_err() && self.status == status::SUCCESS {
            self.status = status::FAILURE;
        }
        self.streams = before;
        result
    }

    /// The streams that redirections make of others.
    pub(super) fn redirected(
        &mut self,
        redirections: &[Redirection],
        mut streams: Streams,
    ) -> Result<Streams, Failure> {
        for Redirection { stream, kind } in redirections {
            let output = match kind {
                RedirectionKind::Read(word) => {
                    let path = expand::one(word, self)?;
                    streams.input = open_input(&path).map_err(|error| about(&path, error))?;
                    continue;
                }
                RedirectionKind::Write(word) | RedirectionKind::Append(word) => {
                    let path = expand::one(word, self)?;
                    let append = matches!(kind, RedirectionKind::Append(_));
                    open_output(&path, append).map_err(|error| about(&path, error))?
                }
                RedirectionKind::Same(1) => streams.output.clone(),
                RedirectionKind::Same(_) => streams.errors.clone(),
            };
            match stream {
                1 => streams.output = output,
                _ => streams.errors = output,
            }
        }
        Ok(streams)
    }

    /// Reads a line of the input; `None`: its end.
    pub(crate) fn read_input_line(&mut self) -> Result<Option<String>, Failure> {
        let bytes = match self.streams.input.clone() {
            Input::Terminal => return self.read_typed_line(),
            Input::Open(open) => line_of(&open)?,
            Input::Pipe(pipe) => self.line_of_pipe(&pipe)?,
            Input::Piped => None,
        };
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn read_typed_line(&mut self) -> Result<Option<String>, Failure> {
        if !self.is_interactive {
            return Ok(None);
        }
        // What is an answer here is no command to come back to.
        let history = core::mem::take(&mut self.history);
        let outcome = self.edit_line("");
        self.history = history;
        self.terminal.run();
        match outcome {
            Some(Outcome::Line(line)) => Ok(Some(line)),
            Some(Outcome::Cancelled) => {
                self.terminal.interrupt();
                Err(Failure::Status(status::INTERRUPTED))
            }
            _ => Ok(None),
        }
    }

    fn line_of_pipe(&mut self, pipe: &Rc<PipeInput>) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            {
                let mut held = pipe.held.borrow_mut();
                if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let mut line: Vec<u8> = held.drain(..=end).collect();
                    line.pop();
                    return Ok(Some(line));
                }
                if held.len() > LINE {
                    return error("the line is too long");
                }
                if pipe.is_over.get() {
                    return Ok(if held.is_empty() { None } else { Some(held.drain(..).collect()) });
                }
            }
            if !self.fill(pipe)? {
                pipe.is_over.set(true);
            }
        }
    }

    /// Waits for more of a pipe; `false`: its end.
    fn fill(&mut self, pipe: &Rc<PipeInput>) -> Result<bool, Failure> {
        let Some(reader) = pipe.reader.clone() else {
            return Ok(false);
        };
        let part = self.in_thread(move || {
            let mut part = alloc::vec![0; PART];
            let count = reader.lock().read(&mut part);
            count.map(|count| {
                part.truncate(count);
                part
            })
        })?;
        let part = part.map_err(|error| Failure::Error(format!("it cannot be read: {error}")))?;
        pipe.held.borrow_mut().extend(&part);
        Ok(!part.is_empty())
    }

    /// All of the input, as `sh` reads a script.
    pub(crate) fn read_input(&mut self) -> Result<String, Failure> {
        let mut all = String::new();
        while let Some(line) = self.read_input_line()? {
            if all.len() + line.len() > SCRIPT {
                return error("the script is too long");
            }
            all.push_str(&line);
            all.push('\n');
        }
        Ok(all)
    }
}

fn about(path: &str, error: io::Error) -> Failure {
    Failure::Error(format!("{path}: {error}"))
}

/// A line of a file. The position is behind it then, as programs share it.
fn line_of(open: &OpenInput) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let mut stream = open.stream.borrow_mut();
    // A device has no position: what was read of it is gone.
    let most = if matches!(*stream, io::Input::File(_)) { PART } else { 1 };
    let mut part = alloc::vec![0; most];
    let failed = |error: io::Error| Failure::Error(format!("it cannot be read: {error}"));
    loop {
        let count = stream.read(&mut part).map_err(failed)?;
        let read = &part[..count];
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&read[..end]);
            if let io::Input::File(file) = &*stream {
                file.seek(Whence::Current, -((count - end - 1) as i64)).map_err(failed)?;
            }
            return Ok(Some(line));
        }
        line.extend_from_slice(read);
        if count == 0 {
            return Ok(if line.is_empty() { None } else { Some(line) });
        }
        if line.len() > LINE {
            return Err(failed(FileError::TooLarge.into()));
        }
    }
}
