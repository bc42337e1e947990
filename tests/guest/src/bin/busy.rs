//! `busy DIRECTORY work NAME`: works with files as programs do, on its own ones and on some that all who are busy there share, until there is a file `stop` in the directory. Every operation has to succeed, and
//! every byte to be right, whatever happens to the servers meanwhile; the first that is not ends it with status 1. In the end it prints how many rounds it went.
//!
//! `busy DIRECTORY prepare` makes the directory, `stop` the file; `clean` prints how far all have counted, checks that they have left nothing else, and takes the directory away.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use guest::say;
use libsys::channel::Event;
use libsys::fs::{self, File, FileError, OpenOptions};
use libsys::time::{self, Duration};
use libsys::{Channel, ExitStatus, env, path};

libsys::main!(run);

/// The bit by which changes are signalled.
const NEWS: u64 = 1;

/// How long a signal may take.
const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = Result<(), String>;

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(String::as_str).collect();
    let outcome = match words.as_slice() {
        [directory, "prepare"] => fs::create_dir(directory).tried("make the directory"),
        [directory, "stop"] => File::create_new(&path::join(directory, "stop")).tried("make").map(drop),
        [directory, "clean"] => clean(directory),
        [directory, "work", name] => {
            let mut worker = Worker { directory: directory.to_string(), name: name.to_string(), round: 0 };
            let outcome = worker.work();
            say!("{name} went {} rounds", worker.round);
            outcome
        }
        _ => Err("DIRECTORY prepare, stop, clean or work NAME".to_string()),
    };
    match outcome {
        Ok(()) => ExitStatus::SUCCESS,
        Err(text) => {
            say!("FAIL {}: {text}", words.join(" "));
            ExitStatus::FAILURE
        }
    }
}

fn clean(directory: &str) -> Outcome {
    let count = fs::read(&path::join(directory, "count")).tried("read")?;
    let count = count.try_into().map(u64::from_le_bytes).map_err(|_| "it is no number".to_string())?;
    say!("counted {count}");
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).tried("list")? {
        names.push(entry.tried("list")?.file_name().to_string());
    }
    names.sort();
    same("what is left", names, ["count", "log", "stop"].map(String::from).to_vec())?;
    fs::remove_dir_all(directory).tried("remove")
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

struct Worker {
    directory: String,
    name: String,
    round: u32,
}

impl Worker {
    fn at(&self, name: &str) -> String {
        path::join(&self.directory, &format!("{name}-{}", self.name))
    }

    fn shared(&self, name: &str) -> String {
        path::join(&self.directory, name)
    }

    /// Bytes of this round.
    fn pattern(&self, bytes: usize) -> Vec<u8> {
        let seed = self.round as usize + self.name.len();
        (0..bytes).map(|at| ((at / 7) ^ (at >> 9) ^ seed) as u8).collect()
    }

    fn work(&mut self) -> Outcome {
        let program = fs::read("/bin/true").tried("read a program")?;
        while !fs::exists(&self.shared("stop")) {
            self.round += 1;
            self.data()?;
            self.names()?;
            self.removed()?;
            self.count()?;
            self.append()?;
            self.positions()?;
            self.notified()?;
            same("a program", fs::read("/bin/true").tried("read a program")? == program, true)?;
            self.system()?;
        }
        self.check_log()
    }

    fn data(&self) -> Outcome {
        let (file, bytes) = (self.at("data"), self.pattern(30_000 + self.round as usize));
        fs::write(&file, &bytes).tried("write")?;
        let open = OpenOptions::new().read(true).write(true).open(&file).tried("open")?;
        same("its size", open.metadata().tried("status")?.len(), bytes.len() as u64)?;
        open.write_at(b"middle", 4093).tried("write in the middle")?;
        open.set_len(20_000).tried("cut off")?;
        open.write_at(b"end", 25_000).tried("write behind the end")?;
        let mut expected = bytes;
        expected[4093..4099].copy_from_slice(b"middle");
        expected.truncate(20_000);
        expected.resize(25_000, 0);
        expected.extend_from_slice(b"end");
        same("what is read", fs::read(&file).tried("read")? == expected, true)
    }

    fn names(&self) -> Outcome {
        let (directory, data) = (self.at("directory"), self.at("data"));
        fs::create_dir(&directory).tried("make a directory")?;
        let (a, b) = (path::join(&directory, "a"), path::join(&directory, "b"));
        File::create_new(&a).tried("make a file")?;
        same(
            "making it again",
            File::create_new(&a).map(drop).map_err(|error| error.file()),
            Err(Some(FileError::Exists)),
        )?;
        fs::rename(&data, &a).tried("rename over it")?;
        same("the old name", fs::exists(&data), false)?;
        match fs::hard_link(&a, &b) {
            // Where there are no links.
            Err(error) if error.file() == Some(FileError::Unsupported) => fs::rename(&a, &b).tried("rename")?,
            linked => {
                linked.tried("link")?;
                fs::remove_file(&a).tried("remove")?;
                fs::symlink("b", &a).tried("make a link")?;
                same("through the link", fs::read(&a).tried("read")?.len(), 25_003)?;
                fs::remove_file(&a).tried("remove")?;
            }
        }
        same("the other name", fs::read(&b).tried("read")?.len(), 25_003)?;
        fs::remove_file(&b).tried("remove")?;
        fs::remove_dir(&directory).tried("remove the directory")
    }

    fn removed(&self) -> Outcome {
        let file = self.at("removed");
        let open = OpenOptions::new().read(true).write(true).create_new(true).open(&file).tried("make")?;
        open.write(b"still").tried("write")?;
        fs::remove_file(&file).tried("remove")?;
        open.write(b" here").tried("write")?;
        let mut text = [0; 10];
        same("bytes", open.read_at(&mut text, 0).tried("read")?, 10)?;
        same("its text", &text, b"still here")
    }

    /// All count together, one after the other.
    fn count(&self) -> Outcome {
        let open = OpenOptions::new().read(true).write(true).create(true).open(&self.shared("count")).tried("open")?;
        open.lock().tried("lock")?;
        let mut text = [0; 8];
        open.read_at(&mut text, 0).tried("read")?;
        open.write_at(&(u64::from_le_bytes(text) + 1).to_le_bytes(), 0).tried("write")?;
        open.unlock().tried("unlock")
    }

    /// All write one log.
    fn append(&self) -> Outcome {
        let open = OpenOptions::new().append(true).create(true).open(&self.shared("log")).tried("open")?;
        let line = format!("{} {}\n", self.name, self.round);
        same("bytes of a line", open.write(line.as_bytes()).tried("append")?, line.len())
    }

    fn check_log(&self) -> Outcome {
        let text = fs::read_to_string(&self.shared("log")).tried("read")?;
        let own = text.lines().filter_map(|line| line.strip_prefix(self.name.as_str())?.strip_prefix(' '));
        let own: Vec<&str> = own.collect();
        let expected: Vec<String> = (1..=self.round).map(|round| round.to_string()).collect();
        same("its lines in the log", own == expected, true)
    }

    /// The server knows where a shared file stands.
    fn positions(&self) -> Outcome {
        let (file, bytes) = (self.at("positions"), self.pattern(3000));
        let writer = File::create(&file).tried("make")?;
        writer.share().tried("share")?;
        for part in bytes.chunks(700) {
            same("bytes written", writer.write(part).tried("write")?, part.len())?;
        }
        let reader = File::open(&file).tried("open")?;
        reader.share().tried("share")?;
        let mut found = Vec::new();
        let mut part = [0; 450];
        loop {
            match reader.read(&mut part).tried("read")? {
                0 => break,
                count => found.extend_from_slice(&part[..count]),
            }
        }
        same("what is read in parts", found == bytes, true)?;
        fs::remove_file(&file).tried("remove")
    }

    fn notified(&self) -> Outcome {
        let file = self.at("notified");
        let channel = Channel::create(env::account()).tried("make a channel")?;
        let open = File::create(&file).tried("make")?;
        open.notify(&channel.signaller(NEWS).tried("a signaller")?, NEWS).tried("ask for news")?;
        fs::write(&file, b"news").tried("write")?;
        let deadline = time::now() + PATIENCE.as_nanos() as u64;
        same("the news", channel.receive(Some(deadline)).map_err(|error| error.to_string()), Ok(Event::Signals(NEWS)))?;
        fs::remove_file(&file).tried("remove")
    }

    /// What the system says of itself is of one moment, however it is read.
    fn system(&self) -> Outcome {
        let open = File::open("/sys/services").tried("open")?;
        open.share().tried("share")?;
        let (mut text, mut part) = (Vec::new(), vec![0; 200]);
        loop {
            match open.read(&mut part).tried("read")? {
                0 => break,
                count => text.extend_from_slice(&part[..count]),
            }
        }
        let text = String::from_utf8(text).tried("the services")?;
        let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        same("services, each once", once.len(), names.len())?;
        same("the last line is whole", text.ends_with('\n') && names.contains(&"shell"), true)
    }
}
