//! The example of the book, `docs/file-systems.md`, and with it the server of all file systems, on the fake kernel: sessions, buffers, positions, locks.

mod note;

use libsys::client::{self, CallError};
use libsys::env::{self, Startup};
use libsys::fake::{FakeProcess, account};
use libsys::protocol::file::{NEXT, Whence};
use libsys::protocol::filesystem::{FileError, OpenFlags, OpenOptions, Walked};
use libsys::protocol::{FileClient, FileSystemClient};
use libsys::{Channel, Memory, Object, Rights, Session};
use note::NoteServer;
use std::mem::ManuallyDrop;

/// Starts the server in a process of its own, and gives its root.
fn start() -> FileSystemClient {
    let process = FakeProcess::new();
    let channel = process.new_channel();
    let own = process.run(|| account().into_handle()).expect("alive");
    let handles = vec![("channel".to_string(), channel.0), ("account".to_string(), own.0)];
    process.set_startup(Startup { handles, ..Startup::default() });
    process.spawn(libsys::service::main::<NoteServer>);
    let minted = process.run(move || {
        let channel = ManuallyDrop::new(Channel::from_handle(channel));
        channel.mint(1, env::account()).expect("a session").into_handle()
    });
    let session: Session = process.take(minted.expect("alive"), Rights::all());
    client::open(session).expect("all methods")
}

fn options(flags: OpenFlags) -> OpenOptions {
    OpenOptions { flags, mode: 0o644 }
}

fn open(root: &FileSystemClient, flags: OpenFlags) -> FileClient {
    match root.open("note", options(flags)).expect("opened") {
        (Walked::Here(_), Some(session)) => client::open(session).expect("a file"),
        other => panic!("{other:?}"),
    }
}

const BOTH: OpenFlags = OpenFlags::READ.union(OpenFlags::WRITE);

#[test]
fn data_goes_through_lent_memory() {
    let root = start();
    let file = open(&root, BOTH);
    let memory = Memory::create(&account(), 8192).expect("memory");
    let mapping = memory.map_writable().expect("mapped");
    let number = file.lend(&memory).expect("lent");
    mapping.copy_in(100, b"some text");
    assert_eq!(file.write(NEXT, 9, number, 100), Ok(9));
    assert_eq!(file.read(5, 100, number, 4000), Ok(4));
    let mut text = [0; 4];
    mapping.copy_out(4000, &mut text);
    assert_eq!(&text, b"text");
    assert_eq!(file.read_next(10, number, 0), Ok(0), "the write has moved the position to the end");
    assert_eq!(file.seek(Whence::End, -4), Ok(5));
    assert_eq!(file.read_next(10, number, 0), Ok(4));
    assert_eq!(file.read(0, 5000, number, 4000), Err(CallError::Failed(FileError::OutOfRange)));
    assert_eq!(file.read(0, 1, number + 1, 0), Err(CallError::Failed(FileError::NotLent)));
    assert_eq!(file.write(4095, 9, number, 100), Ok(1), "what fits");
    assert_eq!(file.write(4096, 9, number, 100), Err(CallError::Failed(FileError::NoSpace)));
}

#[test]
fn a_buffer_is_of_its_process_alone() {
    let root = start();
    let file = open(&root, BOTH);
    let memory = Memory::create(&account(), 4096).expect("memory");
    let number = file.lend(&memory).expect("lent");
    assert_eq!(file.read(0, 1, number, 0), Ok(0));
    let stranger = FakeProcess::new();
    let session = stranger.grant(file_session(&file), Rights::all(), false);
    let result = stranger.run(move || {
        let file: FileClient = client::unchecked(Session::from_handle(session));
        file.read(0, 1, number, 0)
    });
    assert_eq!(result, Some(Err(CallError::Failed(FileError::NotLent))));
}

fn file_session(file: &FileClient) -> &Session {
    client::Client::link(file).session()
}

#[test]
fn sessions_may_do_what_they_were_opened_for() {
    let root = start();
    let reader = open(&root, OpenFlags::READ);
    assert_eq!(reader.write_inline(0, b"x"), Err(CallError::Failed(FileError::Denied)));
    let writer = open(&root, OpenFlags::WRITE);
    assert_eq!(writer.write_inline(0, b"x"), Ok(1));
    assert_eq!(writer.read_inline(0, &mut [0; 4]), Err(CallError::Failed(FileError::Denied)));
    let (walked, session) = root.subtree("", true).expect("a subtree");
    assert_eq!(walked, Walked::Here(()));
    let read_only: FileSystemClient = client::open(session.expect("a session")).expect("a file system");
    let refused = |result: Result<_, CallError<FileError>>| result.map(drop).expect_err("refused").failed();
    assert_eq!(refused(read_only.open("note", options(BOTH))), Some(FileError::ReadOnly));
    assert!(read_only.open("note", options(OpenFlags::READ)).is_ok());
    assert_eq!(refused(root.open("other", options(OpenFlags::READ))), Some(FileError::NotFound));
    assert_eq!(refused(root.open("note/x", options(OpenFlags::READ))), Some(FileError::NotDirectory));
    assert_eq!(
        root.open("../x", options(OpenFlags::READ)).map(|(walked, _)| walked),
        Ok(Walked::Link((), "../x".into()))
    );
    assert_eq!(root.statistics().expect("no error").in_use, 2, "the file twice; a subtree's root does not count");
}

#[test]
fn a_lock_is_waited_for() {
    let root = start();
    let (first, second) = (open(&root, BOTH), open(&root, BOTH));
    assert_eq!(first.lock(true, true), Ok(()));
    assert_eq!(second.lock(false, false), Err(CallError::Failed(FileError::WouldBlock)));
    let waiting = FakeProcess::current().spawn(move || second.lock(true, true));
    drop(first);
    assert_eq!(waiting.join().expect("joined"), Some(Ok(())), "its close lets go of it");
}

#[test]
fn who_asked_hears_of_changes() {
    let root = start();
    let file = open(&root, BOTH);
    let channel = libsys::fake::channel();
    file.notify(&channel.signaller(2).expect("a handle"), 2).expect("asked");
    open(&root, BOTH).write_inline(0, b"news").expect("written");
    assert_eq!(channel.receive(Some(0)), Ok(libsys::channel::Event::Signals(2)));
}

#[test]
fn the_book_shows_this_code() {
    let book = include_str!("../../../../docs/file-systems.md");
    assert!(book.contains(include_str!("note.rs")), "docs/file-systems.md differs from note.rs");
}
