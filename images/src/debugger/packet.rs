//! The frames of the GDB remote serial protocol: `$text#checksum`, each acknowledged with `+`.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Bytes that are read at a time.
const READ: usize = 8192;

/// Says that a packet came well.
const ACKNOWLEDGE: u8 = b'+';

/// A connection that carries packets.
#[derive(Debug)]
pub struct Packets {
    stream: UnixStream,
    unread: Vec<u8>,
    /// Packets that came, and are acknowledged with whatever is sent next: a write less, and so half the time that a step takes.
    unacknowledged: usize,
}

impl Packets {
    /// Packets over this connection.
    pub fn new(stream: UnixStream) -> Packets {
        Packets { stream, unread: Vec::new(), unacknowledged: 0 }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.raw(&frame(text))
    }

    /// Sends bytes that are no packet.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        let mut all = vec![ACKNOWLEDGE; std::mem::take(&mut self.unacknowledged)];
        all.extend_from_slice(bytes);
        self.stream.write_all(&all).context("QEMU's debugger stub is gone")
    }

    /// The next packet; `None` if there is none by the deadline.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<String>> {
        loop {
            if let Some((packet, end)) = unframe(&self.unread) {
                self.unread.drain(..end);
                self.unacknowledged += 1;
                return Ok(Some(packet));
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(rest.max(Duration::from_micros(100))))?;
            let mut buffer = [0; READ];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the machine has ended: QEMU closed its debugger stub"),
                Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("QEMU's debugger stub fails"),
            }
        }
    }
}

/// A packet as bytes.
fn frame(text: &str) -> Vec<u8> {
    let sum = text.bytes().fold(0u8, u8::wrapping_add);
    format!("${text}#{sum:02x}").into_bytes()
}

/// The first whole packet in `bytes`, and where it ends. What is before it are acknowledgements.
fn unframe(bytes: &[u8]) -> Option<(String, usize)> {
    let start = bytes.iter().position(|byte| *byte == b'$')? + 1;
    let length = bytes[start..].iter().position(|byte| *byte == b'#')?;
    let end = start + length + 3;
    (bytes.len() >= end).then(|| (String::from_utf8_lossy(&bytes[start..start + length]).into_owned(), end))
}

/// Bytes as the protocol writes them.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that are written so; `None` for an error's answer.
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks_exact(2);
    if text.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_framed_and_found_again() {
        assert_eq!(frame("g"), b"$g#67");
        let mut bytes = b"+".to_vec();
        bytes.extend(frame("T05thread:01;"));
        assert_eq!(unframe(&bytes[..bytes.len() - 1]), None);
        assert_eq!(unframe(&bytes), Some(("T05thread:01;".to_string(), bytes.len())));
    }

    #[test]
    fn bytes_and_errors() {
        assert_eq!(from_hexadecimal(&hexadecimal(&[0, 0x7f, 255])), Some(vec![0, 0x7f, 255]));
        assert_eq!((from_hexadecimal("E14"), from_hexadecimal(""), from_hexadecimal("zz")), (None, None, None));
    }

    #[test]
    fn what_came_is_acknowledged_with_what_is_sent_next() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut packets = Packets::new(ours);
        theirs.write_all(&frame("OK")).unwrap();
        assert!(packets.receive(Instant::now() + Duration::from_secs(20)).unwrap().is_some());
        packets.send("g").unwrap();
        packets.send("g").unwrap();
        let mut sent = [0; 9];
        theirs.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"+$g#67$g#");
    }

    #[test]
    fn a_machine_that_is_silent_or_gone() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut packets = Packets::new(ours);
        assert_eq!(packets.receive(Instant::now() + Duration::from_millis(5)).unwrap(), None);
        theirs.write_all(&frame("OK")).unwrap();
        let soon = Instant::now() + Duration::from_secs(20);
        assert_eq!(packets.receive(soon).unwrap().as_deref(), Some("OK"));
        drop(theirs);
        assert!(packets.receive(soon).is_err());
    }
}
