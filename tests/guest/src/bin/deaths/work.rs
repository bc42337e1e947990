//! Work that goes on while servers die: every operation has to succeed and every byte to be right. What is counted are whole operations.
//!
//! | work | an operation is |
//! |---|---|
//! | `cached` | a piece read of the start of a file that the host has made, and compared |
//! | `uncached` | a page at a place drawn by lot read of that file, which is larger than the file system's memory, and compared |
//! | `disk` | the same of a whole disk, through `block` |
//! | `writes` | a file written, made durable, read and compared |
//! | `memory` | the same on the file system in memory |
//! | `names` | a directory and a file made, renamed, listed and removed |
//! | `walk` | a tree walked and counted |
//! | `calls` | a request to each server that has a protocol of its own |

use crate::probe::{Probe, open_disk};
use crate::{PATTERN, told};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use guest::random::Random;
use libsys::block::{Buffer, Disk};
use libsys::fs::{self, File};
use libsys::path;
use libsys::protocol::block::SECTOR_BYTES;
use libsys::time::{self, Duration};

/// Bytes of what is read at once, and of a page at a place drawn by lot.
const PIECE: usize = 16 << 10;
const PAGE: usize = 4096;

/// Bytes from the start of the file that are read over and over.
const CACHED: u64 = 256 << 10;

/// Bytes of a file that is written.
const FILE: usize = 64 << 10;

/// Directories of the tree, and files in each.
const DIRECTORIES: usize = 4;
const FILES: usize = 8;

/// What `calls` asks, and whom.
const PROBES: [(&str, &str); 9] = [
    ("init", "info"),
    ("uart", "line"),
    ("console", "size"),
    ("log", "log"),
    ("rtc", "now"),
    ("random", "fill"),
    ("null", "poll"),
    ("pci", "functions"),
    ("vfs", "name:/tmp"),
];

/// A work under way.
enum Work {
    Pieces { file: File, at: u64 },
    Pages { file: File, pages: u64, random: Random },
    Disk { disk: Box<Disk>, buffer: Buffer, pages: u64, random: Random },
    Writes { name: String, round: u64 },
    Names { directory: String },
    Walk { directory: String },
    Calls(Vec<Probe>),
}

/// Does work of a kind on a file, a disk or in a directory until a moment of the monotonic clock, and returns how many operations that were.
pub fn until(kind: &str, on: &str, end: u64) -> Result<u64, String> {
    let mut work = Work::begin(kind, on)?;
    let mut operations = 0;
    while time::now() < end {
        work.operation().map_err(|error| format!("{kind}, operation {operations}: {error}"))?;
        operations += 1;
    }
    work.end()?;
    Ok(operations)
}

/// The moment in which all workers end, which the first of them has noted in a file.
pub fn common_end(file: &str, seconds: u64) -> Result<u64, String> {
    let own = time::deadline_after(Duration::from_secs(seconds));
    match fs::read(file) {
        Ok(bytes) => bytes.try_into().map(u64::from_le_bytes).map_err(|_| format!("{file} has no moment")),
        Err(_) => fs::write(file, own.to_le_bytes()).map(|()| own).map_err(told(file)),
    }
}

impl Work {
    fn begin(kind: &str, on: &str) -> Result<Work, String> {
        Ok(match kind {
            "cached" => Work::Pieces { file: File::open(on).map_err(told(on))?, at: 0 },
            "disk" => {
                let (disk, buffer) = open_disk(on, PAGE as u64)?;
                Work::Disk {
                    pages: disk.info().sectors * SECTOR_BYTES / PAGE as u64,
                    disk,
                    buffer,
                    random: Random::new(1),
                }
            }
            "uncached" => {
                let file = File::open(on).map_err(told(on))?;
                let pages = file.metadata().map_err(told(on))?.len() / PAGE as u64;
                Work::Pages { file, pages, random: Random::new(pages) }
            }
            "writes" | "memory" => Work::Writes { name: path::join(on, &format!("{kind}.file")), round: 0 },
            "names" => Work::Names { directory: path::join(on, "names") },
            "walk" => {
                let directory = path::join(on, "tree");
                for number in 0..DIRECTORIES {
                    let below = path::join(&directory, &number.to_string());
                    fs::create_dir_all(&below).map_err(told(&below))?;
                    for file in 0..FILES {
                        let name = path::join(&below, &file.to_string());
                        fs::write(&name, [file as u8]).map_err(told(&name))?;
                    }
                }
                Work::Walk { directory }
            }
            "calls" => {
                let probes = PROBES.iter().map(|(server, probe)| Probe::open(server, probe));
                Work::Calls(probes.collect::<Result<_, _>>()?)
            }
            _ => return Err(format!("`{kind}` is no work")),
        })
    }

    fn operation(&mut self) -> Result<(), String> {
        match self {
            Work::Pieces { file, at } => {
                read_and_compare(file, *at, PIECE, 0)?;
                *at = (*at + PIECE as u64) % CACHED;
                Ok(())
            }
            Work::Pages { file, pages, random } => read_and_compare(file, random.below(*pages) * PAGE as u64, PAGE, 0),
            Work::Disk { disk, buffer, pages, random } => {
                let at = random.below(*pages) * PAGE as u64;
                disk.read_at(at / SECTOR_BYTES, buffer, 0, PAGE as u64).map_err(told("a disk"))?;
                let mut page = vec![0; PAGE];
                buffer.copy_out(0, &mut page);
                compare(&page, at, 0)
            }
            Work::Writes { name, round } => {
                *round += 1;
                write_and_compare(name, *round)
            }
            Work::Names { directory } => make_and_remove(directory),
            Work::Walk { directory } => walk(directory),
            Work::Calls(probes) => probes.iter_mut().try_for_each(Probe::ask),
        }
    }

    /// Leaves behind what the host looks for: [`crate`]'s pattern as it is, in what was written.
    fn end(self) -> Result<(), String> {
        match self {
            Work::Writes { name, .. } => write_and_compare(&name, 0),
            _ => Ok(()),
        }
    }
}

/// What is at a place of a file in a round.
fn word(at: u64, round: u64) -> [u8; 8] {
    (at / 8).wrapping_mul(PATTERN).wrapping_add(round).to_le_bytes()
}

fn read_and_compare(file: &File, at: u64, bytes: usize, round: u64) -> Result<(), String> {
    let mut piece = vec![0; bytes];
    let mut read = 0;
    while read < bytes {
        let count = file.read_at(&mut piece[read..], at + read as u64).map_err(told("a read"))?;
        if count == 0 {
            return Err(format!("the file ends at {}", at + read as u64));
        }
        read += count;
    }
    compare(&piece, at, round)
}

/// Compares what was read at a place with what was there in a round.
fn compare(piece: &[u8], at: u64, round: u64) -> Result<(), String> {
    for (offset, found) in (at..).step_by(8).zip(piece.chunks_exact(8)) {
        let wanted = word(offset, round);
        if found != wanted {
            return Err(format!("at {offset} there is {found:02x?} in place of {wanted:02x?}"));
        }
    }
    Ok(())
}

fn write_and_compare(name: &str, round: u64) -> Result<(), String> {
    let file = File::options().read(true).write(true).create(true).open(name).map_err(told(name))?;
    for at in (0..FILE).step_by(PIECE) {
        let piece: Vec<u8> = (at..at + PIECE).step_by(8).flat_map(|at| word(at as u64, round)).collect();
        let mut written = 0;
        while written < PIECE {
            let count = file.write_at(&piece[written..], (at + written) as u64).map_err(told("a write"))?;
            if count == 0 {
                return Err(format!("nothing is written at {at}"));
            }
            written += count;
        }
    }
    file.sync_all().map_err(told("fsync"))?;
    (0..FILE).step_by(PIECE).try_for_each(|at| read_and_compare(&file, at as u64, PIECE, round))
}

fn make_and_remove(directory: &str) -> Result<(), String> {
    let [before, after] = ["before", "after"].map(|name| path::join(directory, name));
    fs::create_dir(directory).map_err(told("mkdir"))?;
    File::create_new(&before).map_err(told("create"))?;
    fs::rename(&before, &after).map_err(told("rename"))?;
    let names = names(directory)?;
    if names != ["after"] {
        return Err(format!("{names:?} are in the directory"));
    }
    fs::remove_file(&after).map_err(told("unlink"))?;
    fs::remove_dir(directory).map_err(told("rmdir"))
}

fn walk(directory: &str) -> Result<(), String> {
    let directories = names(directory)?;
    if directories.len() != DIRECTORIES {
        return Err(format!("{directories:?} are in the tree"));
    }
    for below in directories {
        let below = path::join(directory, &below);
        let files = names(&below)?;
        if files.len() != FILES {
            return Err(format!("{files:?} are in {below}"));
        }
        for file in files {
            let name = path::join(&below, &file);
            let bytes = fs::metadata(&name).map_err(told(&name))?.len();
            if bytes != 1 {
                return Err(format!("{name} has {bytes} bytes"));
            }
        }
    }
    Ok(())
}

/// Names in a directory, in order.
fn names(directory: &str) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(directory).map_err(told(directory))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string()).map_err(told(directory)));
    let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}
