//! Small pieces gathered: readers that fetch more than was asked for, writers that hold back.

use super::{Error, Read, Result, Seek, Whence, Write};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of a buffer where nothing else is said.
const BYTES: usize = 4096;

/// A reader with a buffer.
#[derive(Debug)]
pub struct BufReader<R> {
    inner: R,
    buffer: Vec<u8>,
    /// What of the buffer was fetched and not read.
    start: usize,
    end: usize,
}

impl<R: Read> BufReader<R> {
    /// A buffer of 4 KiB.
    pub fn new(inner: R) -> BufReader<R> {
        BufReader::with_capacity(BYTES, inner)
    }

    /// A buffer of this size.
    pub fn with_capacity(bytes: usize, inner: R) -> BufReader<R> {
        BufReader { inner, buffer: vec![0; bytes.max(1)], start: 0, end: 0 }
    }

    /// The reader behind it.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// What is fetched; more is fetched where it is nothing. Nothing is the end.
    pub fn fill(&mut self) -> Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.end = self.inner.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes so many bytes of what is fetched as read.
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }

    /// Reads up to and with a byte of this value, or to the end; how many, 0 at the end.
    pub fn read_until(&mut self, byte: u8, into: &mut Vec<u8>) -> Result<usize> {
        let before = into.len();
        loop {
            let fetched = self.fill()?;
            let found = fetched.iter().position(|other| *other == byte);
            let count = found.map_or(fetched.len(), |at| at + 1);
            into.try_reserve(count).map_err(|_| Error::NoMemory)?;
            into.extend_from_slice(&fetched[..count]);
            self.consume(count);
            if found.is_some() || count == 0 {
                return Ok(into.len() - before);
            }
        }
    }

    /// Reads a line with its newline, the last one perhaps without; how many bytes, 0 at the end. Error besides: `NotText`.
    pub fn read_line(&mut self, into: &mut String) -> Result<usize> {
        let mut line = Vec::new();
        let count = self.read_until(b'\n', &mut line)?;
        into.push_str(core::str::from_utf8(&line).map_err(|_| Error::NotText)?);
        Ok(count)
    }

    /// Lines without their newlines.
    pub fn lines(mut self) -> impl Iterator<Item = Result<String>> {
        core::iter::from_fn(move || {
            let mut line = String::new();
            match self.read_line(&mut line) {
                Ok(0) => None,
                Ok(_) => {
                    line.truncate(line.strip_suffix('\n').map_or(line.len(), str::len));
                    Some(Ok(line))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }
}

impl<R: Read> Read for BufReader<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.start == self.end && into.len() >= self.buffer.len() {
            return self.inner.read(into);
        }
        let fetched = self.fill()?;
        let count = fetched.len().min(into.len());
        into[..count].copy_from_slice(&fetched[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Seek> Seek for BufReader<R> {
    fn seek(&mut self, from: Whence, offset: i64) -> Result<u64> {
        let ahead = (self.end - self.start) as i64;
        let offset = if from == Whence::Current { offset.saturating_sub(ahead) } else { offset };
        (self.start, self.end) = (0, 0);
        self.inner.seek(from, offset)
    }
}

/// A writer with a buffer, which goes out when it is full, with [`Write::flush`], and when it is dropped (then errors are lost).
#[derive(Debug)]
pub struct BufWriter<W: Write> {
    inner: W,
    buffer: Vec<u8>,
}

impl<W: Write> BufWriter<W> {
    /// A buffer of 4 KiB.
    pub fn new(inner: W) -> BufWriter<W> {
        BufWriter::with_capacity(BYTES, inner)
    }

    /// A buffer of this size.
    pub fn with_capacity(bytes: usize, inner: W) -> BufWriter<W> {
        BufWriter { inner, buffer: Vec::with_capacity(bytes.max(1)) }
    }

    /// The writer behind it.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    fn send(&mut self) -> Result<()> {
        let result = self.inner.write_all(&self.buffer);
        // What failed is not tried again: the caller knows.
        self.buffer.clear();
        result
    }
}

impl<W: Write> Write for BufWriter<W> {
    fn write(&mut self, from: &[u8]) -> Result<usize> {
        if self.buffer.len() + from.len() > self.buffer.capacity() {
            self.send()?;
        }
        if from.len() >= self.buffer.capacity() {
            return self.inner.write(from);
        }
        self.buffer.extend_from_slice(from);
        Ok(from.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.send()?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for BufWriter<W> {
    fn drop(&mut self) {
        let _ = self.send();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let reader = BufReader::with_capacity(3, &b"one\n\nthree\nfour"[..]);
        let lines: Vec<String> = reader.lines().map(|line| line.expect("text")).collect();
        assert_eq!(lines, ["one", "", "three", "four"]);
    }

    #[test]
    fn what_is_written_goes_out_at_last() {
        let mut out = Vec::new();
        let mut writer = BufWriter::with_capacity(4, &mut out);
        writer.write_all(b"ab").expect("room");
        assert!(writer.get_ref().is_empty());
        writer.write_all(b"cdefgh").expect("room");
        write!(writer, "{}", 9).expect("room");
        drop(writer);
        assert_eq!(out, b"abcdefgh9");
    }
}
