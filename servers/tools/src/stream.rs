//! A stream that a program was given: `stdin`, `stdout` or `stderr`, all of them sessions to a console.

use crate::Failure;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use libsys::client::{self, CallError};
use libsys::protocol::ConsoleClient;
use libsys::protocol::console::ConsoleError;
use libsys::{Channel, env};

/// What is held back at most: about half of what a message takes.
const HELD: usize = 2048;

/// Signal bit: the console has room again.
const ROOM: u64 = 1 << 0;

/// A stream; what is written to it goes out in large pieces, and with [`Stream::flush`].
#[derive(Debug)]
pub struct Stream {
    console: ConsoleClient,
    held: String,
    /// Made when the console had no room for the first time.
    room: Option<Channel>,
}

impl Stream {
    /// The stream of this name. Error: it was not given.
    pub fn open(name: &str) -> Result<Stream, Failure> {
        let session = env::take_session(name).map_err(|error| Failure::Error(format!("{error}")))?;
        Ok(Stream { console: client::unchecked(session), held: String::new(), room: None })
    }

    /// Waits for input, at most `most` bytes; nothing is the end of it.
    pub fn read(&mut self, most: u32) -> Result<Vec<u8>, Failure> {
        loop {
            match self.console.read(most) {
                // What it had typed is typed anew, or was lost with it: either way there is more to come.
                Err(CallError::PeerDied | CallError::Abandoned) => {}
                result => return result.map_err(|error| Failure::Error(format!("{error}"))),
            }
        }
    }

    /// Sends bytes as they are, behind what was written before.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.flush()?;
        self.send(bytes)
    }

    /// Sends what was written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let held = core::mem::take(&mut self.held);
        self.send(held.as_bytes())
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match self.console.write(&bytes[..bytes.len().min(HELD)]) {
                Ok(count) => bytes = bytes.get(count as usize..).unwrap_or_default(),
                Err(CallError::Failed(ConsoleError::WouldBlock)) => self.wait_for_room()?,
                // Twice is better than not at all.
                Err(CallError::PeerDied | CallError::Abandoned) => self.room = None,
                Err(_) => return Err(Failure::Output),
            }
        }
        Ok(())
    }

    fn wait_for_room(&mut self) -> Result<(), Failure> {
        let refused = |error: libsys::Error| Failure::Error(format!("{error}"));
        if self.room.is_none() {
            let channel = Channel::create(env::account()).map_err(refused)?;
            let signaller = channel.signaller(ROOM).map_err(refused)?;
            let asked = self.console.notify(&signaller, ROOM);
            asked.map_err(|_| Failure::Output)?;
            self.room = Some(channel);
        }
        if let Some(channel) = &self.room {
            // A console that dies meanwhile forgets who waits: look again now and then.
            let deadline = libsys::time::deadline_after(libsys::time::Duration::from_millis(100));
            if channel.receive(Some(deadline)).is_err() {
                self.room = None;
            }
        }
        Ok(())
    }
}

impl fmt::Write for Stream {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.held.push_str(text);
        if self.held.len() >= HELD {
            return self.flush().map_err(|_| fmt::Error);
        }
        Ok(())
    }
}
