//! Files as volumes describe them, whatever the format.

use crate::disk::DiskError;
use crate::overlay::OverlayError;
use crate::page_cache::DataError;
use alloc::string::String;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with data.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Pipe,
    /// A socket's name.
    Socket,
}

/// What there is to know about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number in the volume.
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// Permissions, as POSIX has them.
    pub mode: u16,
    /// Whose it is.
    pub owner: u32,
    /// And of which group.
    pub group: u32,
    /// Names that it has.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes on the disk.
    pub allocated: u64,
    /// When it was read, in seconds since 1970.
    pub accessed: i64,
    /// When its data changed.
    pub modified: i64,
    /// When anything of it changed.
    pub changed: i64,
    /// When it was made.
    pub created: i64,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// The file's number.
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// Where to go on behind it.
    pub next: u64,
}

/// How much room a volume has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks.
    pub blocks: u64,
    /// Those that are free and promised to nobody.
    pub free_blocks: u64,
    /// Files that there can be; 0: any number.
    pub files: u64,
    /// How many more.
    pub free_files: u64,
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// No such file.
    NotFound,
    /// There is one already.
    Exists,
    /// It is no directory.
    NotDirectory,
    /// It is a directory.
    IsDirectory,
    /// The directory has names.
    NotEmpty,
    /// The name is too long.
    NameTooLong,
    /// The name cannot be one.
    BadName,
    /// The volume cannot be written.
    ReadOnly,
    /// The file's flags forbid it.
    Denied,
    /// The volume is full.
    NoSpace,
    /// The file would be too large.
    TooLarge,
    /// The server's memory is.
    Exhausted,
    /// The file has as many names as it can.
    TooManyLinks,
    /// It is in use.
    Busy,
    /// An argument is out of range.
    OutOfRange,
    /// The volume's format does not have it.
    Unsupported,
    /// The volume contradicts itself.
    Corrupt,
    /// The disk failed.
    Device,
    /// It takes several steps, of which one was done now: again.
    WouldBlock,
}

impl From<DataError> for FileError {
    fn from(error: DataError) -> FileError {
        match error {
            DataError::Disk(_) => FileError::Device,
            DataError::NoSpace => FileError::NoSpace,
            DataError::Corrupt => FileError::Corrupt,
            DataError::TooLarge => FileError::TooLarge,
            DataError::ReadOnly => FileError::ReadOnly,
            DataError::Exhausted => FileError::Exhausted,
        }
    }
}

impl From<FileError> for DataError {
    fn from(error: FileError) -> DataError {
        match error {
            FileError::NoSpace => DataError::NoSpace,
            FileError::TooLarge => DataError::TooLarge,
            FileError::ReadOnly => DataError::ReadOnly,
            FileError::Exhausted => DataError::Exhausted,
            FileError::Device => DataError::Disk(DiskError::Device),
            _ => DataError::Corrupt,
        }
    }
}

impl From<OverlayError> for FileError {
    fn from(error: OverlayError) -> FileError {
        match error {
            OverlayError::Disk(error) => DataError::from(error).into(),
            OverlayError::TooLarge => FileError::NoSpace,
            OverlayError::OutOfRange | OverlayError::Log(_) => FileError::Corrupt,
            OverlayError::Failed => FileError::Device,
            OverlayError::Exhausted => FileError::Exhausted,
        }
    }
}
