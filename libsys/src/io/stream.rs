//! The standard streams: what the parent gave, be it a console, a device, a file or a pipe ([`StreamKind`]).

use super::{Error, Read, Result, Write, without_own};
use crate::channel::Event;
use crate::client::{self, CallError, Client};
use crate::env::{self, Env, StreamKind, names};
use crate::fs::File;
use crate::pipe::{PipeReader, PipeWriter};
use crate::protocol::character::CharacterError;
use crate::protocol::console::ConsoleError;
use crate::protocol::{CharacterClient, ConsoleClient};
use crate::sync::Mutex;
use crate::{Channel, Session};

/// Most bytes of one message to a console or device: it has fields of its own beside them.
const PART: usize = 2048;

/// Signal bit of the channel of an output: there is room again.
const ROOM: u64 = 1 << 0;

/// A stream to read from.
#[derive(Debug)]
pub enum Input {
    /// A terminal: lines, or bytes.
    Console(ConsoleClient),
    /// A device.
    Character(CharacterClient),
    /// A file.
    File(File),
    /// A pipe.
    Pipe(PipeReader),
}

/// A stream to write to.
#[derive(Debug)]
pub enum Output {
    /// A terminal.
    Console(ConsoleClient, Room),
    /// A device.
    Character(CharacterClient, Room),
    /// A file.
    File(File),
    /// A pipe.
    Pipe(PipeWriter),
}

/// Where a stream that was full says that it has room: made at the first need.
#[derive(Debug, Default)]
pub struct Room(Option<Channel>);

impl Input {
    /// The stream of this name that the process was given. Error: `NotGiven`.
    pub fn take(env: &Env, name: &str) -> Result<Input> {
        let session = || -> Result<Session> { env.take(name).map_err(|_| Error::NotGiven) };
        Ok(match env.stream(name) {
            StreamKind::Console => Input::Console(client::unchecked(session()?)),
            StreamKind::Character => Input::Character(client::unchecked(session()?)),
            StreamKind::File => Input::File(File::from_session(session()?)),
            StreamKind::Pipe => Input::Pipe(PipeReader::take(env, name)?),
        })
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let most = into.len().min(PART);
        let bytes = match self {
            Input::File(file) => return File::read(file, into),
            Input::Pipe(pipe) => return pipe.read(into),
            // What was typed is typed anew, or was lost with a server that died: either way there is more to come.
            Input::Console(console) => repeat(|| console.read(most as u32)).map_err(console_error)?,
            Input::Character(device) => repeat(|| device.read_wait(most as u32)).map_err(character_error)?,
        };
        let count = bytes.len().min(most);
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }
}

impl Output {
    /// The stream of this name that the process was given. Error: `NotGiven`.
    pub fn take(env: &Env, name: &str) -> Result<Output> {
        let session = || -> Result<Session> { env.take(name).map_err(|_| Error::NotGiven) };
        Ok(match env.stream(name) {
            StreamKind::Console => Output::Console(client::unchecked(session()?), Room::default()),
            StreamKind::Character => Output::Character(client::unchecked(session()?), Room::default()),
            StreamKind::File => Output::File(File::from_session(session()?)),
            StreamKind::Pipe => Output::Pipe(PipeWriter::take(env, name)?),
        })
    }
}

impl Write for Output {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        let part = &from[..from.len().min(PART)];
        if part.is_empty() {
            return Ok(0);
        }
        match self {
            Output::File(file) => File::write(file, from),
            Output::Pipe(pipe) => pipe.write(from),
            Output::Console(console, room) => loop {
                match repeat(|| console.write(part)) {
                    Err(CallError::Failed(ConsoleError::WouldBlock)) => {
                        room.wait(|channel| console.notify(channel, ROOM).map_err(without_own))?
                    }
                    result => return Ok((result.map_err(console_error)? as usize).min(part.len())),
                }
            },
            Output::Character(device, room) => loop {
                match repeat(|| device.write(part)) {
                    Err(CallError::Failed(CharacterError::WouldBlock)) => {
                        room.wait(|channel| device.notify(channel, ROOM).map_err(character_error))?
                    }
                    result => return Ok((result.map_err(character_error)? as usize).min(part.len())),
                }
            },
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Output::File(_) | Output::Pipe(_) => Ok(()),
            Output::Console(console, _) => repeat(|| console.flush()).map_err(console_error),
            Output::Character(device, _) => repeat(|| device.flush()).map_err(character_error),
        }
    }
}

impl Room {
    /// Waits until the stream has room; `ask` tells it whom to signal.
    fn wait(&mut self, ask: impl FnOnce(&Channel) -> Result<()>) -> Result<()> {
        let channel = match &self.0 {
            Some(channel) => channel,
            None => {
                let channel = Channel::create(env::account())?;
                ask(&channel.signaller(ROOM)?)?;
                self.0.insert(channel)
            }
        };
        // A server that dies meanwhile forgets who waits: look again now and then.
        let deadline = crate::time::deadline_after(crate::time::Duration::from_millis(100));
        if !matches!(channel.receive(Some(deadline)), Ok(Event::Signals(_))) {
            self.0 = None;
        }
        Ok(())
    }
}

/// Calls again where the server died: twice is better than not at all.
fn repeat<T, E>(
    mut call: impl FnMut() -> core::result::Result<T, CallError<E>>,
) -> core::result::Result<T, CallError<E>> {
    loop {
        match call() {
            Err(CallError::PeerDied | CallError::Abandoned) => {}
            result => return result,
        }
    }
}

fn console_error(error: CallError<ConsoleError>) -> Error {
    match error {
        CallError::Failed(_) | CallError::Closed => Error::HungUp,
        other => without_own(other),
    }
}

fn character_error(error: CallError<CharacterError>) -> Error {
    match error {
        CallError::Failed(CharacterError::HungUp) | CallError::Closed => Error::HungUp,
        CallError::Failed(CharacterError::Full) => Error::File(super::FileError::NoSpace),
        CallError::Failed(_) => Error::Device,
        other => without_own(other),
    }
}

/// The streams of a process, each taken from the environment at its first use. It is part of the process's [`Env`].
#[derive(Debug, Default)]
pub(crate) struct Streams {
    input: Mutex<Option<Input>>,
    output: Mutex<Option<Output>>,
    errors: Mutex<Option<Output>>,
}

/// A standard stream, as another process can use it besides this one.
pub(crate) enum Shared<'s> {
    /// A console, device or file: its session.
    Session(&'s Session),
    /// A pipe that is written to.
    Pipe(&'s PipeWriter),
}

impl Streams {
    /// Calls `give` with the name of each stream that the process has and another can use as well. An input that is a pipe is none: it has one reader. The streams stay open as long
    /// as the process runs.
    pub(crate) fn share(&self, mut give: impl FnMut(&str, Shared<'_>)) {
        // What was not given, or cannot be asked for its session, is not shared.
        let _ = with_input(&self.input, |input| {
            let session = match input {
                Input::Console(console) => console.link().session(),
                Input::Character(device) => device.link().session(),
                Input::File(file) => file.share()?,
                Input::Pipe(_) => return Ok(()),
            };
            give(names::STDIN, Shared::Session(session));
            Ok(())
        });
        for (place, name) in [(&self.output, names::STDOUT), (&self.errors, names::STDERR)] {
            let _ = with_output(place, name, |output| {
                let shared = match output {
                    Output::Console(console, _) => Shared::Session(console.link().session()),
                    Output::Character(device, _) => Shared::Session(device.link().session()),
                    Output::File(file) => Shared::Session(file.share()?),
                    Output::Pipe(pipe) => Shared::Pipe(pipe),
                };
                give(name, shared);
                Ok(())
            });
        }
    }
}

/// The standard input.
#[derive(Clone, Copy, Debug)]
pub struct Stdin(());

/// The standard output. Each write goes out at once: a [`BufWriter`](super::BufWriter) gathers them.
#[derive(Clone, Copy, Debug)]
pub struct Stdout(());

/// Where errors are told.
#[derive(Clone, Copy, Debug)]
pub struct Stderr(());

/// The standard input of this process. Without one, reads answer `NotGiven`.
pub fn stdin() -> Stdin {
    Stdin(())
}

/// The standard output of this process. Without one, writes answer `NotGiven`.
pub fn stdout() -> Stdout {
    Stdout(())
}

/// Where this process tells errors. Without it, writes answer `NotGiven`.
pub fn stderr() -> Stderr {
    Stderr(())
}

impl Read for Stdin {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        with_input(&env::get().streams.input, |input| input.read(into))
    }
}

fn with_input<T>(place: &Mutex<Option<Input>>, body: impl FnOnce(&mut Input) -> Result<T>) -> Result<T> {
    let mut held = place.lock();
    match &mut *held {
        Some(input) => body(input),
        none => body(none.insert(Input::take(env::get(), names::STDIN)?)),
    }
}

fn with_output<T>(place: &Mutex<Option<Output>>, name: &str, body: impl FnOnce(&mut Output) -> Result<T>) -> Result<T> {
    let mut held = place.lock();
    match &mut *held {
        Some(output) => body(output),
        none => body(none.insert(Output::take(env::get(), name)?)),
    }
}

macro_rules! output {
    ($name:ident, $place:ident, $given:ident) => {
        impl Write for $name {
            fn write(&mut self, from: &[u8]) -> Result<usize> {
                with_output(&env::get().streams.$place, names::$given, |output| output.write(from))
            }

            fn flush(&mut self) -> Result<()> {
                with_output(&env::get().streams.$place, names::$given, |output| output.flush())
            }
        }
    };
}

output!(Stdout, output, STDOUT);
output!(Stderr, errors, STDERR);
