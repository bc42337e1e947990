//! Pipes: bytes from any number of writers to one reader, in order, through shared Memory, without a server.
//!
//! The bytes are in a [`ring`](crate::ring) behind a page header that the writers share. The reader has a channel of its own; a writer has a session on it:
//!
//! | what happens | how it is told |
//! |---|---|
//! | bytes came into an empty ring | a signal to the reader |
//! | a writer finds the ring full | it calls the reader, who answers when there is room |
//! | the last writer is gone | the close of the session: the end of the input |
//! | the reader is gone | a word says so, or its channel is gone, and calls fail: `BrokenPipe` |
//!
//! Writers exclude each other by a word in the Memory that holds the number of the writing process; one that dies in between is told by its close, and the reader takes the word back. A
//! writer that breaks the rules spoils the bytes of this pipe, and nothing else.

use crate::channel::Event;
use crate::env::{Env, EnvError};
use crate::io::{Error, Read, Result, Write};
use crate::ring::{self, Consumer, Producer};
use crate::{Account, Channel, Header, Memory, Process, Rights, Session, WritableMapping, sys};
use abi::{Class, WORDS};
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

/// Bytes that a pipe holds.
pub const CAPACITY: u64 = 16 * 1024;

/// Number of the process that writes, or 0.
const WRITING: usize = 0;
/// Writers that wait for room.
const WAITING: usize = 8;
/// Not 0: the reader has closed the pipe. One that was killed has not said so; its channel goes with its process.
const CLOSED: usize = 16;
/// Where the ring starts.
const RING: usize = 64;

/// Signal bit: there is something to read.
const DATA: u64 = 1 << 0;

/// Turns of waiting for another writer after which the reader is asked, who knows whether that one is gone.
const PATIENCE: u32 = 100;

/// The reading end.
#[derive(Debug)]
pub struct PipeReader {
    channel: Channel,
    memory: Arc<WritableMapping>,
    ring: Consumer,
    is_closed: bool,
}

/// The writing end. Other processes can be given it as well: see [`crate::program::Launch::output`].
#[derive(Debug)]
pub struct PipeWriter {
    session: Session,
    signal: Channel,
    memory: Memory,
    mapping: Arc<WritableMapping>,
}

/// A pipe whose reader is this process.
pub fn create(account: &Account) -> Result<(PipeReader, PipeWriter)> {
    let channel = Channel::create(account)?;
    let writer = PipeWriter::create(&channel, account)?;
    let reader = PipeReader::new(channel, Arc::clone(&writer.mapping))?;
    Ok((reader, writer))
}

/// A pipe whose reader is a process that was not started yet: its channel, and the writing end, whose Memory the reader needs as well.
pub(crate) fn create_for(process: &Process, account: &Account) -> Result<(Channel, PipeWriter)> {
    let channel = Channel::create_for(account, process)?;
    let writer = PipeWriter::create(&channel, account)?;
    Ok((channel, writer))
}

impl PipeReader {
    fn new(channel: Channel, memory: Arc<WritableMapping>) -> Result<PipeReader> {
        let ring = Consumer::attach(Arc::clone(&memory), RING).map_err(|_| Error::Device)?;
        Ok(PipeReader { channel, memory, ring, is_closed: false })
    }

    /// The reading end that the process was given under a name.
    pub(crate) fn take(env: &Env, name: &str) -> Result<PipeReader> {
        let memory: Memory = env.take(&memory_name(name)).map_err(not_given)?;
        PipeReader::new(env.take(name).map_err(not_given)?, Arc::new(memory.map_writable()?))
    }

    /// Takes what is on the channel, until `deadline`: whether something was. A writer that waits for room is told to look.
    fn listen(&mut self, deadline: Option<u64>) -> Result<bool> {
        match self.channel.receive(deadline) {
            Ok(Event::Signals(_) | Event::Withdrawn(_)) => {}
            // Only who waits for room calls; whatever else it wants, it gets the same answer.
            Ok(Event::Call { .. }) => {
                let _ = sys::reply(Header::words(0, Class::Fail), [0; WORDS]);
            }
            Ok(Event::Close { badge, client, last }) => {
                let writing = self.memory.word_u64(WRITING);
                let _ = writing.compare_exchange(client, 0, Ordering::AcqRel, Ordering::Relaxed);
                self.is_closed |= last;
                let _ = self.channel.acknowledge_close(badge, client);
            }
            Err(crate::Error::TimedOut) => return Ok(false),
            Err(crate::Error::CallerGone) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let moved = self.ring.read(into).map_err(|_| Error::Device)?;
            if moved.bytes > 0 {
                if self.memory.load_u64(WAITING, Ordering::SeqCst) > 0 {
                    while self.listen(Some(0))? {}
                }
                return Ok(moved.bytes);
            }
            if self.is_closed {
                return Ok(0);
            }
            self.listen(None)?;
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        // Who writes learns it from the word, and who waits from the channel.
        self.memory.word_u64(CLOSED).store(1, Ordering::SeqCst);
        let _ = self.channel.close();
    }
}

impl PipeWriter {
    fn create(channel: &Channel, account: &Account) -> Result<PipeWriter> {
        let memory = Memory::create(account, RING as u64 + ring::memory_bytes(CAPACITY))?;
        let mapping = Arc::new(memory.map_writable()?);
        ring::format(&mapping, RING, CAPACITY)?;
        let session = channel.mint(0, account)?;
        Ok(PipeWriter { session, signal: channel.signaller(DATA)?, memory, mapping })
    }

    /// The writing end that the process was given under a name.
    pub(crate) fn take(env: &Env, name: &str) -> Result<PipeWriter> {
        let memory: Memory = env.take(&memory_name(name)).map_err(not_given)?;
        let mapping = Arc::new(memory.map_writable()?);
        let signal = env.take(&signal_name(name)).map_err(not_given)?;
        Ok(PipeWriter { session: env.take(name).map_err(not_given)?, signal, memory, mapping })
    }

    /// What another process needs of it: names of handles, and their rights.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn signal(&self) -> &Channel {
        &self.signal
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Waits in a call until the reader has looked at the pipe.
    fn ask_reader(&self) -> Result<()> {
        match self.session.call(Header::words(0, Class::Replay), [0; WORDS]) {
            Ok(_) => Ok(()),
            // The reader is another thread of this process, which cannot call itself.
            Err(crate::Error::Deadlock) => {
                sys::thread_yield();
                Ok(())
            }
            Err(_) => Err(Error::BrokenPipe),
        }
    }

    /// Makes this process the one that writes.
    fn enter(&self) -> Result<u64> {
        let own = sys::identify().process;
        let writing = self.mapping.word_u64(WRITING);
        let mut turns = 0;
        while writing.compare_exchange_weak(0, own, Ordering::Acquire, Ordering::Relaxed).is_err() {
            turns += 1;
            if turns % PATIENCE == 0 {
                self.ask_reader()?;
            } else {
                sys::thread_yield();
            }
        }
        Ok(own)
    }

    fn try_write(&self, from: &[u8]) -> Result<usize> {
        if self.mapping.load_u64(CLOSED, Ordering::SeqCst) != 0 {
            return Err(Error::BrokenPipe);
        }
        let own = self.enter()?;
        let moved = Producer::attach(Arc::clone(&self.mapping), RING).and_then(|mut ring| ring.write(from));
        let _ = self.mapping.word_u64(WRITING).compare_exchange(own, 0, Ordering::Release, Ordering::Relaxed);
        let moved = moved.map_err(|_| Error::Device)?;
        if moved.wake_peer && self.signal.signal(DATA).is_err() {
            return Err(Error::BrokenPipe);
        }
        Ok(moved.bytes)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        (&*self).write(from)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Threads can share it: each write is one of its own.
impl Write for &PipeWriter {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let waiting = || self.mapping.word_u64(WAITING);
        loop {
            match self.try_write(from)? {
                0 => {}
                count => return Ok(count),
            }
            waiting().fetch_add(1, Ordering::SeqCst);
            // The reader may have looked before it could know.
            let result = match self.try_write(from) {
                Ok(0) => self.ask_reader().map(|()| 0),
                result => result,
            };
            waiting().fetch_sub(1, Ordering::SeqCst);
            match result? {
                0 => {}
                count => return Ok(count),
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Rights of a reader to its channel.
pub(crate) const READER: Rights = Rights::RECEIVE.union(Rights::MANAGE).union(Rights::INSPECT);

/// Rights to a pipe's Memory.
pub(crate) const SHARED: Rights = Rights::READ.union(Rights::WRITE).union(Rights::INSPECT).union(Rights::DUPLICATE);

/// The name of the handle to the Memory of the pipe of a name.
pub(crate) fn memory_name(name: &str) -> alloc::string::String {
    format!("{name}.memory")
}

/// The name of the handle by which its writers signal its reader.
pub(crate) fn signal_name(name: &str) -> alloc::string::String {
    format!("{name}.signal")
}

fn not_given(_: EnvError) -> Error {
    Error::NotGiven
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Startup;
    use crate::fake;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn bytes_come_in_order_and_end_with_the_last_writer() {
        let (reading_process, writing_process) = (fake::FakeProcess::new(), fake::FakeProcess::new());
        let (send, receive) = std::sync::mpsc::channel();
        let reading = reading_process.spawn(move || {
            let (mut reader, writer) = create(crate::env::account()).expect("a pipe");
            let handles = [
                (String::from("stdout"), writing_process.grant(&writer.session, Rights::all(), false).0),
                (memory_name("stdout"), writing_process.grant(&writer.memory, SHARED, false).0),
                (signal_name("stdout"), writing_process.grant(&writer.signal, Rights::all(), false).0),
            ];
            drop(writer);
            send.send(handles).expect("heard");
            let mut all = Vec::new();
            reader.read_to_end(&mut all).expect("the end");
            all
        });
        let handles = receive.recv().expect("a writer").to_vec();
        writing_process.set_startup(Startup { handles, ..Startup::default() });
        let sent: Vec<u8> = (0..200_000u32).map(|n| (n / 3) as u8).collect();
        let written = writing_process.run(|| {
            let mut writer = PipeWriter::take(crate::env::get(), "stdout").expect("given");
            for part in sent.chunks(7001) {
                writer.write_all(part).expect("a reader");
            }
        });
        assert_eq!(written, Some(()));
        assert!(reading.join().expect("a thread").expect("no panic") == sent);
    }

    #[test]
    fn without_a_reader_the_pipe_is_broken() {
        let (reader, mut writer) = create(&fake::account()).expect("a pipe");
        drop(reader);
        assert_eq!(writer.write(b"x"), Err(Error::BrokenPipe));
    }
}
