//! A file's server that finds fault with the buffer that it was lent: it may have been started anew, or be wrong.

use libsys::env::{self, Env, Startup};
use libsys::fake::{self, FakeProcess};
use libsys::fs::File as Opened;
use libsys::io::Error;
use libsys::protocol;
use libsys::protocol::filesystem::FileError;
use libsys::service::{self, Context, Reply, Server};
use libsys::{Channel, Handle, Memory, Object, Rights, Session};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// As much of a file as reading asks for: methods of the same name, types and class are the same ones.
#[protocol]
pub trait File {
    /// As there.
    #[replay]
    fn read(
        &mut self,
        cx: &Context,
        offset: u64,
        bytes: u32,
        buffer: u32,
        at: u32,
        reply: Reply<'_, Result<u32, FileError>>,
    );
    /// As there.
    #[replay]
    fn lend(&mut self, cx: &Context, memory: Memory) -> Result<u32, FileError>;
}

/// As much of init's registry as a complaint asks for.
#[protocol]
pub trait Registry {
    /// As there.
    #[replay]
    fn complain(&mut self, cx: &Context, session: Session, method: u32);
}

/// What the file's server says to its next calls; when there is nothing left, all is well.
type Answers = Arc<Mutex<Vec<Result<u32, FileError>>>>;

struct Liar {
    reads: Answers,
    lends: Answers,
}

fn answer(answers: &Answers, good: u32) -> Result<u32, FileError> {
    answers.lock().expect("answers").pop().unwrap_or(Ok(good))
}

impl Server for Liar {
    fn start(_: &Env) -> service::Result<Liar> {
        unreachable!("the test makes it")
    }
}

impl File for Liar {
    fn read(&mut self, _: &Context, _: u64, bytes: u32, _: u32, _: u32, reply: Reply<'_, Result<u32, FileError>>) {
        reply.send(answer(&self.reads, bytes));
    }

    fn lend(&mut self, _: &Context, _: Memory) -> Result<u32, FileError> {
        answer(&self.lends, 1)
    }
}

libsys::serves!(Liar: File);

struct Init {
    complaints: Arc<AtomicU32>,
}

impl Server for Init {
    fn start(_: &Env) -> service::Result<Init> {
        unreachable!("the test makes it")
    }
}

impl Registry for Init {
    fn complain(&mut self, _: &Context, _: Session, _: u32) {
        self.complaints.fetch_add(1, Ordering::SeqCst);
    }
}

libsys::serves!(Init: Registry);

/// Runs a server in a process of its own: a session of it.
fn start<S: service::Serve + Send + 'static>(server: S) -> Session {
    let process = FakeProcess::new();
    let channel: Handle = process.new_channel();
    process.set_startup(Startup { handles: vec![("channel".into(), channel.0)], ..Startup::default() });
    process.spawn(move || service::run(server, env::channel()));
    let minted = process.run(move || {
        let channel = ManuallyDrop::new(Channel::from_handle(channel));
        channel.mint(1, &fake::account()).expect("a session").into_handle()
    });
    process.take(minted.expect("alive"), Rights::all())
}

/// Reads 8 bytes of a server that gives these answers, the last ones first, before it is right: what comes of it, and how often init was complained to.
fn read(lends: Vec<Result<u32, FileError>>, reads: Vec<Result<u32, FileError>>) -> (libsys::io::Result<usize>, u32) {
    let complaints = Arc::new(AtomicU32::new(0));
    let registry = start(Init { complaints: complaints.clone() });
    let file = start(Liar { reads: Arc::new(Mutex::new(reads)), lends: Arc::new(Mutex::new(lends)) });
    let client = FakeProcess::new();
    let registry = client.grant(&registry, Rights::all(), true);
    let file = client.grant(&file, Rights::all(), false);
    let own = client.run(|| fake::account().into_handle()).expect("alive");
    let handles = vec![("registry".into(), registry.0), ("account".into(), own.0)];
    client.set_startup(Startup { handles, ..Startup::default() });
    let read = client.run(move || Opened::from_session(Session::from_handle(file)).read_at(&mut [0; 8], 0));
    (read.expect("the client lives"), complaints.load(Ordering::SeqCst))
}

#[test]
fn a_server_that_was_started_anew_is_lent_the_buffer_again() {
    assert_eq!(read(vec![], vec![]), (Ok(8), 0));
    assert_eq!(read(vec![], vec![Err(FileError::NotLent)]), (Ok(8), 0), "nobody is blamed");
}

#[test]
fn a_server_that_says_so_again_is_complained_of() {
    let never = || Err(FileError::NotLent);
    assert_eq!(read(vec![], vec![never(), never(), never()]), (Ok(8), 2), "init replaces it after the second");
    let short = || Err(FileError::OutOfRange);
    assert_eq!(read(vec![], vec![short(), short()]), (Ok(8), 1));
    assert_eq!(read(vec![short(), short()], vec![]), (Ok(8), 1), "nor is that the Memory wrong");
}

#[test]
fn however_often_it_is_started_anew() {
    let numbers = (0..100).map(|incarnation| Ok(incarnation << 16)).collect();
    assert_eq!(read(numbers, vec![Err(FileError::NotLent); 99]), (Ok(8), 0));
}

#[test]
fn in_the_end_it_is_believed() {
    let never = vec![Err(FileError::NotLent); 100];
    let (read, complaints) = read(vec![], never);
    assert_eq!((read, complaints), (Err(Error::File(FileError::NotLent)), 2));
}

#[test]
fn other_errors_are_believed_at_once() {
    let read = read(vec![], vec![Err(FileError::Device)]);
    assert_eq!(read, (Err(Error::File(FileError::Device)), 0));
}
