//! Where commands read and write: the terminal, files and devices, pipes.

use crate::launch::Child;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::fmt;
use libsys::client;
use libsys::env::StreamKind;
use libsys::fs::{File, FileError, NodeKind, OpenOptions};
use libsys::io::{self, Room};
use libsys::pipe::{PipeReader, PipeWriter};
use libsys::sync::Mutex;
use libsys::{Object, Rights, Session};

/// What a program may do with the session of a stream.
const STREAM: Rights = Rights::CALL.union(Rights::DUPLICATE).union(Rights::INSPECT);

/// The three of them.
#[derive(Clone, Debug)]
pub struct Streams {
    /// What is read.
    pub input: Input,
    /// Where output goes.
    pub output: Output,
    /// Where errors are told.
    pub errors: Output,
}

impl Streams {
    /// All of them the terminal.
    pub fn terminal() -> Streams {
        Streams { input: Input::Terminal, output: Output::Terminal, errors: Output::Terminal }
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub enum Input {
    /// What is typed.
    Terminal,
    /// A file or device.
    Open(Rc<OpenInput>),
    /// A pipe that the shell itself reads. Programs that it starts meanwhile have an empty input: a pipe has one reader.
    Pipe(Rc<PipeInput>),
    /// A pipe of the program that is started, whose writing end the shell gets.
    Piped,
}

/// Where output goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// It is shown.
    Terminal,
    /// Into a file or device.
    Open(Rc<OpenOutput>),
    /// Into a pipe.
    Pipe(Rc<PipeOutput>),
}

/// A file or device to read.
#[derive(Debug)]
pub struct OpenInput {
    /// What it is.
    pub kind: StreamKind,
    /// The session, for programs, which share the position.
    pub session: Session,
    /// For the shell itself.
    pub stream: RefCell<io::Input>,
}

/// A file or device to write.
#[derive(Debug)]
pub struct OpenOutput {
    /// What it is.
    pub kind: StreamKind,
    /// The session, for programs, which share the position.
    pub session: Session,
    /// For the shell itself.
    pub stream: RefCell<io::Output>,
}

/// A pipe to read, and what was read of it and not used.
#[derive(Debug)]
pub struct PipeInput {
    /// `None`: there is only what is held.
    pub reader: Option<Arc<Mutex<PipeReader>>>,
    /// Bytes that came and were not used.
    pub held: RefCell<VecDeque<u8>>,
    /// Nothing more comes.
    pub is_over: Cell<bool>,
}

impl PipeInput {
    /// A pipe.
    pub fn new(reader: PipeReader) -> PipeInput {
        PipeInput {
            reader: Some(Arc::new(Mutex::new(reader))),
            held: RefCell::new(VecDeque::new()),
            is_over: Cell::new(false),
        }
    }

    /// Bytes that are here already.
    pub fn of_bytes(bytes: VecDeque<u8>) -> PipeInput {
        PipeInput { reader: None, held: RefCell::new(bytes), is_over: Cell::new(true) }
    }
}

/// A pipe to write.
pub struct PipeOutput {
    /// Its writing end.
    pub writer: Arc<PipeWriter>,
    /// Who reads it, if it is a program.
    pub reader: Option<Rc<dyn Child>>,
}

impl PipeOutput {
    /// Whether nobody will read it any more.
    pub fn is_deserted(&self) -> bool {
        let reader = self.reader.as_ref();
        reader.is_some_and(|reader| !matches!(reader.ended(), Ok(None)))
    }
}

impl fmt::Debug for PipeOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeOutput").field("writer", &self.writer).finish_non_exhaustive()
    }
}

/// Opens what is to be read.
pub fn open_input(path: &str) -> io::Result<Input> {
    let (kind, session) = open(path, OpenOptions::new().read(true))?;
    let own = session.duplicate(STREAM)?;
    let stream = match kind {
        StreamKind::Character => io::Input::Character(client::unchecked(own)),
        StreamKind::Console => io::Input::Console(client::unchecked(own)),
        _ => io::Input::File(File::from_session(own)),
    };
    Ok(Input::Open(Rc::new(OpenInput { kind, session, stream: RefCell::new(stream) })))
}

/// Opens what is to be written: from the start, or at its end.
pub fn open_output(path: &str, append: bool) -> io::Result<Output> {
    let options = OpenOptions::new().write(true).create(true);
    let options = if append { options.append(true) } else { options.truncate(true) };
    let (kind, session) = open(path, options)?;
    let own = session.duplicate(STREAM)?;
    let stream = match kind {
        StreamKind::Character => io::Output::Character(client::unchecked(own), Room::default()),
        StreamKind::Console => io::Output::Console(client::unchecked(own), Room::default()),
        _ => io::Output::File(File::from_session(own)),
    };
    Ok(Output::Open(Rc::new(OpenOutput { kind, session, stream: RefCell::new(stream) })))
}

fn open(path: &str, options: OpenOptions) -> io::Result<(StreamKind, Session)> {
    let (opened, session) = options.open_any(path)?;
    let kind = match opened.kind {
        NodeKind::File => StreamKind::File,
        NodeKind::Character => StreamKind::Character,
        NodeKind::Console => StreamKind::Console,
        NodeKind::Directory => return Err(FileError::IsDirectory.into()),
        _ => return Err(FileError::Unsupported.into()),
    };
    Ok((kind, session))
}
