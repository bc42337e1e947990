//! The traits of the crate `embedded-io`, so that other crates read and write what Skink has.

use super::{BufReader, BufWriter, Error, Input, Output, Read, Seek, Stderr, Stdin, Stdout, Whence, Write};
use crate::fs::File;
use crate::pipe::{PipeReader, PipeWriter};
use crate::protocol::filesystem::FileError;
use embedded_io::{ErrorKind, ErrorType, SeekFrom};

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Error::NotGiven => ErrorKind::NotConnected,
            Error::BrokenPipe | Error::HungUp => ErrorKind::BrokenPipe,
            Error::UnexpectedEnd | Error::NotText => ErrorKind::InvalidData,
            Error::NoMemory => ErrorKind::OutOfMemory,
            Error::Device | Error::Call(_) | Error::Kernel(_) => ErrorKind::Other,
            Error::File(_) | Error::Namespace(_) => self.file().map_or(ErrorKind::Other, kind),
        }
    }
}

fn kind(error: FileError) -> ErrorKind {
    match error {
        FileError::NotFound => ErrorKind::NotFound,
        FileError::Exists => ErrorKind::AlreadyExists,
        FileError::Denied | FileError::ReadOnly => ErrorKind::PermissionDenied,
        FileError::BadName | FileError::NameTooLong | FileError::OutOfRange => ErrorKind::InvalidInput,
        FileError::Exhausted => ErrorKind::OutOfMemory,
        FileError::Unsupported => ErrorKind::Unsupported,
        FileError::Interrupted => ErrorKind::Interrupted,
        FileError::Corrupt => ErrorKind::InvalidData,
        FileError::NoSpace => ErrorKind::WriteZero,
        _ => ErrorKind::Other,
    }
}

macro_rules! error_of {
    ($($type:ty),+) => {
        $(impl ErrorType for $type {
            type Error = Error;
        })+
    };
}

macro_rules! readers {
    ($($type:ty),+) => {
        $(impl embedded_io::Read for $type {
            fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
                Read::read(self, into)
            }
        })+
    };
}

macro_rules! writers {
    ($($type:ty),+) => {
        $(impl embedded_io::Write for $type {
            fn write(&mut self, from: &[u8]) -> Result<usize, Error> {
                write(self, from)
            }

            fn flush(&mut self) -> Result<(), Error> {
                Write::flush(self)
            }
        })+
    };
}

error_of!(File, Input, Stdin, PipeReader, Output, Stdout, Stderr, PipeWriter);
readers!(File, Input, Stdin, PipeReader);
writers!(File, Output, Stdout, Stderr, PipeWriter);

/// No byte written means there that the stream is broken, which nobody expects: it is an error.
fn write(stream: &mut impl Write, from: &[u8]) -> Result<usize, Error> {
    match stream.write(from)? {
        0 if !from.is_empty() => Err(Error::File(FileError::NoSpace)),
        count => Ok(count),
    }
}

impl<R> ErrorType for BufReader<R> {
    type Error = Error;
}

impl<R: Read> embedded_io::Read for BufReader<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        Read::read(self, into)
    }
}

impl<W: Write> ErrorType for BufWriter<W> {
    type Error = Error;
}

impl<W: Write> embedded_io::Write for BufWriter<W> {
    fn write(&mut self, from: &[u8]) -> Result<usize, Error> {
        write(self, from)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Write::flush(self)
    }
}

impl<R: Read> embedded_io::BufRead for BufReader<R> {
    fn fill_buf(&mut self) -> Result<&[u8], Error> {
        self.fill()
    }

    fn consume(&mut self, bytes: usize) {
        BufReader::consume(self, bytes);
    }
}

impl embedded_io::Seek for File {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        seek(self, to)
    }
}

impl<R: Read + Seek> embedded_io::Seek for BufReader<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        seek(self, to)
    }
}

/// Error besides: `OutOfRange` (no file is so long).
fn seek(stream: &mut impl Seek, to: SeekFrom) -> Result<u64, Error> {
    let (whence, offset) = match to {
        SeekFrom::Start(offset) => (Whence::Start, i64::try_from(offset).map_err(|_| FileError::OutOfRange)?),
        SeekFrom::Current(offset) => (Whence::Current, offset),
        SeekFrom::End(offset) => (Whence::End, offset),
    };
    stream.seek(whence, offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use embedded_io::{BufRead as _, Error as _};

    /// What a crate does that knows nothing of Skink.
    fn copy<R: embedded_io::BufRead, W: embedded_io::Write<Error = R::Error>>(
        from: &mut R,
        to: &mut W,
    ) -> Result<usize, R::Error> {
        let mut all = 0;
        loop {
            let bytes = from.fill_buf()?;
            let count = bytes.len();
            if count == 0 {
                to.flush()?;
                return Ok(all);
            }
            to.write_all(bytes)?;
            from.consume(count);
            all += count;
        }
    }

    #[test]
    fn a_crate_that_knows_only_the_traits_copies() {
        let text: Vec<u8> = (0..10_000u32).map(|at| at as u8).collect();
        let mut copied = BufWriter::with_capacity(7, Vec::new());
        assert_eq!(copy(&mut BufReader::with_capacity(100, &text[..]), &mut copied), Ok(text.len()));
        assert!(*copied.get_ref() == text);
    }

    #[test]
    fn what_is_full_is_an_error_and_ends_nothing_in_a_panic() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> super::super::Result<usize> {
                Ok(0)
            }

            fn flush(&mut self) -> super::super::Result<()> {
                Ok(())
            }
        }
        let mut writer = BufWriter::with_capacity(4, Full);
        let error = embedded_io::Write::write_all(&mut writer, &[1; 10]).expect_err("no room");
        assert_eq!((error, error.kind()), (Error::File(FileError::NoSpace), ErrorKind::WriteZero));
        let mut reader = BufReader::new(&b"ab"[..]);
        assert_eq!(reader.fill_buf(), Ok(&b"ab"[..]));
    }

    #[test]
    fn positions_beyond_what_a_file_can_have_are_refused() {
        struct Somewhere;
        impl Seek for Somewhere {
            fn seek(&mut self, from: Whence, offset: i64) -> super::super::Result<u64> {
                Ok(offset as u64 + from as u64)
            }
        }
        assert_eq!(seek(&mut Somewhere, SeekFrom::Start(5)), Ok(5));
        assert_eq!(seek(&mut Somewhere, SeekFrom::End(3)), Ok(3 + Whence::End as u64));
        assert_eq!(seek(&mut Somewhere, SeekFrom::Start(1 << 63)), Err(Error::File(FileError::OutOfRange)));
    }
}
