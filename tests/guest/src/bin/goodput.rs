//! `goodput WORK DIRECTORY SECONDS FILE`: does one kind of work over and over for so long, whatever happens to servers meanwhile, and writes into the file how often it got it done: `goodput WORK TIMES`. Each result is
//! checked; the first that is wrong ends it with status 1, and with `FAIL` in the file.
//!
//! | work | once |
//! |---|---|
//! | `reads` | a part of the file `file` there, which `deaths write` has made |
//! | `writes` | a file is written, made durable with `fsync`, and read |
//! | `names` | a directory and files in it are made, renamed, listed and removed |
//! | `walk` | a tree, which is made at first, from its root to all its leaves, and the programs in /bin |
//! | `services` | init is asked what services there are, and about each |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use guest::pattern::fill;
use guest::random::Random;
use guest::say;
use libsys::fs::{self, File};
use libsys::time::{Duration, Instant};
use libsys::{ExitStatus, env, path};

libsys::main!(run);

/// Bytes that are read, and those of a file that is written.
const READ: usize = 256 << 10;
const WRITTEN: usize = 64 << 10;

/// Each word of the file `file` is its number times this.
const PATTERN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Directories of the tree, and files in each.
const DIRECTORIES: usize = 8;
const FILES: usize = 8;

/// A program of /bin that is always there.
const PROGRAM: &str = "true";

type Outcome = Result<(), String>;

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(String::as_str).collect();
    let [work, directory, seconds, file] = words[..] else {
        say!("goodput WORK DIRECTORY SECONDS FILE");
        return ExitStatus::FAILURE;
    };
    let outcome = repeat(work, directory, seconds);
    let text = match &outcome {
        Ok(times) => format!("goodput {work} {times}\n"),
        Err(text) => format!("FAIL goodput {work}: {text}\n"),
    };
    match fs::write(file, text) {
        Ok(()) if outcome.is_ok() => ExitStatus::SUCCESS,
        Ok(()) => ExitStatus::FAILURE,
        Err(error) => {
            say!("FAIL goodput {work}: {file}: {error}");
            ExitStatus::FAILURE
        }
    }
}

fn repeat(work: &str, directory: &str, seconds: &str) -> Result<u64, String> {
    let seconds = seconds.parse().map_err(|_| format!("`{seconds}` is no number"))?;
    let mut worker = Worker { own: path::join(directory, work), directory: directory.to_string(), times: 0 };
    let step = match work {
        "reads" => Worker::read,
        "writes" => Worker::write,
        "names" => Worker::names,
        "walk" => Worker::walk,
        "services" => Worker::services,
        _ => return Err("no such work".to_string()),
    };
    worker.prepare(work)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        step(&worker).map_err(|error| format!("the {}th time: {error}", worker.times + 1))?;
        worker.times += 1;
    }
    Ok(worker.times)
}

/// Names what was tried.
trait Tried<T> {
    fn tried(self, what: &str) -> Result<T, String>;
}

impl<T, E: Display> Tried<T> for Result<T, E> {
    fn tried(self, what: &str) -> Result<T, String> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}")) }
}

/// Names in a directory, sorted.
fn list(directory: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).tried("list")? {
        names.push(entry.tried("list")?.file_name().to_string());
    }
    names.sort();
    Ok(names)
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

struct Worker {
    directory: String,
    own: String,
    times: u64,
}

impl Worker {
    fn prepare(&self, work: &str) -> Outcome {
        if work != "walk" {
            return Ok(());
        }
        fs::create_dir(&self.own).tried("make a directory")?;
        for directory in numbered(DIRECTORIES) {
            let directory = path::join(&self.own, &directory);
            fs::create_dir(&directory).tried("make a directory")?;
            for file in numbered(FILES) {
                fs::write(&path::join(&directory, &file), file.as_bytes()).tried("write")?;
            }
        }
        Ok(())
    }

    fn read(&self) -> Outcome {
        let file = File::open(&path::join(&self.directory, "file")).tried("open")?;
        let parts = file.metadata().tried("status")?.len() / READ as u64;
        let offset = Random::new(self.times).below(parts.max(1)) * READ as u64;
        let mut bytes = vec![0; READ];
        let mut done = 0;
        while done < READ {
            match file.read_at(&mut bytes[done..], offset + done as u64).tried("read")? {
                0 => return Err(format!("the file ends at {}", offset + done as u64)),
                count => done += count,
            }
        }
        for (word, bytes) in bytes.chunks(8).enumerate() {
            let number = offset / 8 + word as u64;
            if bytes != number.wrapping_mul(PATTERN).to_le_bytes() {
                return Err(format!("the word at {} is {bytes:02x?}", number * 8));
            }
        }
        Ok(())
    }

    fn write(&self) -> Outcome {
        let mut bytes = vec![0; WRITTEN];
        fill(1, self.times, &mut bytes);
        let file = File::create(&self.own).tried("make a file")?;
        let mut left = &bytes[..];
        while !left.is_empty() {
            let count = file.write(left).tried("write")?;
            left = left.get(count..).filter(|_| count > 0).ok_or("nothing is written")?;
        }
        file.sync_all().tried("sync")?;
        same("what is read", fs::read(&self.own).tried("read")? == bytes, true)
    }

    fn names(&self) -> Outcome {
        fs::create_dir(&self.own).tried("make a directory")?;
        for name in numbered(FILES) {
            File::create_new(&path::join(&self.own, &name)).tried("make a file")?;
        }
        let first = path::join(&self.own, "0");
        fs::rename(&first, &path::join(&self.own, "1")).tried("rename over another")?;
        fs::rename(&path::join(&self.own, "2"), &first).tried("rename")?;
        let names: Vec<String> = numbered(FILES).into_iter().filter(|name| name != "2").collect();
        same("names", list(&self.own)?, names.clone())?;
        for name in names {
            fs::remove_file(&path::join(&self.own, &name)).tried("remove")?;
        }
        fs::remove_dir(&self.own).tried("remove the directory")
    }

    fn walk(&self) -> Outcome {
        same("directories", list(&self.own)?, numbered(DIRECTORIES))?;
        for directory in numbered(DIRECTORIES) {
            let directory = path::join(&self.own, &directory);
            same("files", list(&directory)?, numbered(FILES))?;
            for file in numbered(FILES) {
                same("a file", fs::read_to_string(&path::join(&directory, &file)).tried("read")?, file)?;
            }
        }
        same("a program", list("/bin")?.iter().any(|name| name == PROGRAM), true)
    }

    fn services(&self) -> Outcome {
        let registry = env::get().registry();
        let mut names: Vec<String> = Vec::new();
        loop {
            let part = registry.list(names.len() as u32).tried("list")?;
            if part.is_empty() {
                break;
            }
            names.extend(part.into_iter().map(|service| service.name));
        }
        for name in &names {
            same("a name", &registry.info(name).tried(name)?.name, name)?;
        }
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        same("services, each once", once.len(), names.len())?;
        same("the shell", names.iter().any(|name| name == "shell"), true)
    }
}
