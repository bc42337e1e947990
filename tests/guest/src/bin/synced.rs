//! `synced DIRECTORY NAME SEED`: writes files until the power is cut, and says on the serial line what must be there afterwards.
//!
//! | line | what it says |
//! |---|---|
//! | `synced NAME BYTES HASH` | `fsync` has answered: from now on the file is there with this content |
//! | `changing NAME` | from now on nothing is promised about the file: it is about to be written, renamed over or removed |
//!
//! Names of its files begin with its own. Between what is promised they make files, directories and links that nobody asks for, and remove some.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use guest::random::Random;
use guest::{console, say};
use libsys::fs::{self, File, OpenOptions};
use libsys::{ExitStatus, env, path};

libsys::main!(run);

/// Files of a writer that are kept; older ones are removed.
const KEPT: usize = 60;

/// Most bytes of a file, of a part that is written at once, and of a file nobody asks for.
const FILE: u64 = 300_000;
const PART: u64 = 70_000;
const NOISE: u64 = 60_000;

type Outcome = Result<(), String>;

fn run() -> ExitStatus {
    match work(env::arguments()) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(text) => {
            say!("synced: {text}");
            ExitStatus::FAILURE
        }
    }
}

fn work(words: &[String]) -> Outcome {
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        [directory, name, seed] => Writer::new(directory, name, number(seed)?).forever(),
        _ => Err("usage: synced DIRECTORY NAME SEED".into()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn about<E: core::fmt::Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

/// FNV-1a with 64 bits, which the host computes as well.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn content(random: &mut Random, bytes: u64) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::with_capacity(bytes as usize + 8);
    while content.len() < bytes as usize {
        content.extend(random.number().to_le_bytes());
    }
    content.truncate(bytes as usize);
    content
}

fn write_all(open: &File, name: &str, mut offset: u64, mut bytes: &[u8]) -> Outcome {
    while !bytes.is_empty() {
        let count = open.write_at(bytes, offset).map_err(about(name))?;
        bytes = bytes.get(count..).filter(|_| count > 0).ok_or_else(|| format!("{name}: {count} bytes written"))?;
        offset += count as u64;
    }
    Ok(())
}

/// Takes a promise back: whoever listens knows it before anything happens.
fn changing(name: &str) {
    say!("changing {name}");
    console::flush();
}

/// What one process does.
struct Writer {
    directory: String,
    name: String,
    random: Random,
    /// Names of files that something is promised about, and what is in them.
    kept: VecDeque<(String, Vec<u8>)>,
}

impl Writer {
    fn new(directory: &str, name: &str, seed: u64) -> Writer {
        // Names of other runs on the same disk are others.
        let name = format!("{name}-{seed}");
        Writer { directory: directory.to_string(), name, random: Random::new(seed), kept: VecDeque::new() }
    }

    fn at(&self, name: &str) -> String {
        path::join(&self.directory, name)
    }

    fn forever(&mut self) -> Outcome {
        let mut round = 0;
        loop {
            match self.random.below(8) {
                0..=3 => self.make(round)?,
                4 => self.append()?,
                5 => self.overwrite()?,
                6 => self.replace(round)?,
                _ => self.noise(round)?,
            }
            if self.kept.len() > KEPT
                && let Some((name, _)) = self.kept.pop_front()
            {
                changing(&name);
                fs::remove_file(&self.at(&name)).map_err(about(&name))?;
            }
            round += 1;
        }
    }

    /// Brings a file to the medium, and says so.
    fn promise(&mut self, open: &File, name: String, bytes: Vec<u8>) -> Outcome {
        open.sync_all().map_err(about(&name))?;
        say!("synced {name} {} {:016x}", bytes.len(), hash(&bytes));
        self.kept.push_back((name, bytes));
        Ok(())
    }

    /// A new file, in parts, some of which are synced on their own.
    fn write_new(&mut self, name: &str) -> Result<(File, Vec<u8>), String> {
        let size = self.random.below(FILE);
        let size = if self.random.one_in(3) { size } else { size / 16 };
        let bytes = content(&mut self.random, size);
        let open = File::create_new(&self.at(name)).map_err(about(name))?;
        let mut offset = 0;
        while offset < bytes.len() {
            let end = bytes.len().min(offset + 1 + self.random.below(PART) as usize);
            write_all(&open, name, offset as u64, &bytes[offset..end])?;
            if self.random.one_in(8) {
                open.sync_data().map_err(about(name))?;
            }
            offset = end;
        }
        Ok((open, bytes))
    }

    fn make(&mut self, round: u64) -> Outcome {
        let name = format!("{}-{round}", self.name);
        let (open, bytes) = self.write_new(&name)?;
        self.promise(&open, name, bytes)
    }

    /// One of the files that are there; nothing is promised about it any more.
    fn some(&mut self) -> Option<(String, Vec<u8>)> {
        let index = self.random.below(self.kept.len().max(1) as u64) as usize;
        let found = self.kept.remove(index)?;
        changing(&found.0);
        Some(found)
    }

    fn append(&mut self) -> Outcome {
        let Some((name, mut bytes)) = self.some() else { return Ok(()) };
        let open = OpenOptions::new().write(true).open(&self.at(&name)).map_err(about(&name))?;
        let size = self.random.below(PART);
        let more = content(&mut self.random, size);
        write_all(&open, &name, bytes.len() as u64, &more)?;
        bytes.extend(more);
        self.promise(&open, name, bytes)
    }

    fn overwrite(&mut self) -> Outcome {
        let Some((name, mut bytes)) = self.some() else { return Ok(()) };
        let open = OpenOptions::new().write(true).open(&self.at(&name)).map_err(about(&name))?;
        let start = self.random.below(bytes.len() as u64 + 1) as usize;
        let size = self.random.below(PART).min((bytes.len() - start) as u64);
        let new = content(&mut self.random, size);
        write_all(&open, &name, start as u64, &new)?;
        bytes[start..start + new.len()].copy_from_slice(&new);
        self.promise(&open, name, bytes)
    }

    /// A new file takes the name of another.
    fn replace(&mut self, round: u64) -> Outcome {
        let Some((name, _)) = self.some() else { return Ok(()) };
        let temporary = format!("{}-new-{round}", self.name);
        let (open, bytes) = self.write_new(&temporary)?;
        open.sync_all().map_err(about(&temporary))?;
        fs::rename(&self.at(&temporary), &self.at(&name)).map_err(about(&name))?;
        self.promise(&open, name, bytes)
    }

    /// What nobody asks for: blocks change their owners.
    fn noise(&mut self, round: u64) -> Outcome {
        let folder = self.at(&format!("{}-noise-{round}", self.name));
        fs::create_dir(&folder).map_err(about(&folder))?;
        for number in 0..self.random.below(6) {
            let file = path::join(&folder, &number.to_string());
            let size = self.random.below(NOISE);
            let bytes = content(&mut self.random, size);
            fs::write(&file, &bytes).map_err(about(&file))?;
            if self.random.one_in(3) {
                fs::remove_file(&file).map_err(about(&file))?;
            }
        }
        if self.random.one_in(4) { Ok(()) } else { fs::remove_dir_all(&folder).map_err(about(&folder)) }
    }
}
