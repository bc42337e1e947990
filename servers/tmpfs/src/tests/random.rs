//! A client does whatever comes to its mind, and compares with the model what it is told, while the server is killed.

use super::model::{Model, Thing};
use super::world::World;
use filesystem::{FileError, StatusChange};
use libsys::client::{self, CallError};
use libsys::fake::account;
use libsys::protocol::file::{NEXT, Whence};
use libsys::protocol::filesystem::{OpenFlags, OpenOptions, RenameOptions, Walked};
use libsys::protocol::{FileClient, FileSystemClient};
use libsys::{Memory, Session, WritableMapping};
use std::time::{Duration, Instant};

const PATHS: [&str; 10] = [
    "a",
    "b",
    "c",
    "a/x",
    "a/y",
    "b/x",
    "b/y",
    "a/x/deep",
    "long-name-that-needs-a-larger-slot-than-the-small-one",
    "d",
];
const BUFFER: usize = 64 << 10;
/// A server that has not done by then what is left to do never does it.
const SOON: Duration = Duration::from_secs(20);

/// An open file.
struct Open {
    client: FileClient,
    file: usize,
    position: usize,
    appends: bool,
}

/// A client.
struct Client {
    root: FileSystemClient,
    model: Model,
    opens: Vec<Open>,
    memory: Memory,
    buffer: WritableMapping,
    number: Option<u32>,
    state: u64,
}

fn outcome<T>(result: Result<T, CallError<FileError>>) -> Result<T, FileError> {
    result.map_err(|error| error.failed().unwrap_or_else(|| panic!("{error:?}")))
}

fn here<T: std::fmt::Debug, W: std::fmt::Debug>(
    result: Result<Walked<T, W>, CallError<FileError>>,
) -> Result<T, FileError> {
    outcome(result).map(|walked| match walked {
        Walked::Here(value) => value,
        Walked::Link(..) => panic!("{walked:?}"),
    })
}

impl Client {
    fn new(world: &World, seed: u64) -> Client {
        let memory = Memory::create(&account(), BUFFER as u64).expect("memory");
        let buffer = memory.map_writable().expect("mapped");
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (model, opens) = (Model::default(), Vec::new());
        Client { root: world.root(), model, opens, memory, buffer, number: None, state }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % end
    }

    /// A path whose directory, if it is in one, is no link.
    fn path(&mut self) -> &'static str {
        loop {
            let path = PATHS[self.below(PATHS.len())];
            let mut above = path;
            let is_link = std::iter::from_fn(|| {
                above = above.rsplit_once('/')?.0;
                Some(above)
            });
            if !is_link.into_iter().any(|name| matches!(self.model.names.get(name), Some(Thing::Link(_)))) {
                return path;
            }
        }
    }

    /// Calls with the number of the buffer, which a server that was killed does not know any more.
    fn lent(
        &mut self,
        open: usize,
        call: impl Fn(&FileClient, u32) -> Result<u32, CallError<FileError>>,
    ) -> Result<u32, FileError> {
        loop {
            let number = match self.number {
                Some(number) => number,
                None => self.opens[open].client.lend(&self.memory).expect("lent"),
            };
            self.number = Some(number);
            match outcome(call(&self.opens[open].client, number)) {
                Err(FileError::NotLent) => self.number = None,
                result => return result,
            }
        }
    }

    fn random_bytes(&mut self) -> usize {
        match self.below(4) {
            0 => self.below(20),
            1 => self.below(5000),
            _ => self.below(BUFFER / 2),
        }
    }

    fn open(&mut self) {
        let path = self.path();
        let mut flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::NO_FOLLOW;
        for flag in [OpenFlags::CREATE, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE, OpenFlags::APPEND] {
            if self.below(3) == 0 || flag == OpenFlags::CREATE {
                flags |= flag;
            }
        }
        let (exclusive, truncate) = (flags.contains(OpenFlags::EXCLUSIVE), flags.contains(OpenFlags::TRUNCATE));
        let expected = self.model.open(path, true, exclusive, truncate);
        let opened = outcome(self.root.open(path, OpenOptions { flags, mode: 0o644 }));
        let session = opened.map(|(_, session)| session.expect("a session"));
        assert_eq!(session.as_ref().map(drop).map_err(|error| *error), expected.map(drop), "open {path} {flags:?}");
        if let (Ok(session), Ok(file)) = (session, expected) {
            let client = client::unchecked(session);
            self.opens.push(Open { client, file, position: 0, appends: flags.contains(OpenFlags::APPEND) });
        }
    }

    fn write(&mut self, open: usize) {
        let count = self.random_bytes();
        let bytes: Vec<u8> = (0..count).map(|_| self.below(256) as u8).collect();
        self.buffer.copy_in(0, &bytes);
        let Open { file, position, appends, .. } = self.opens[open];
        let end = self.model.files[file].bytes.len();
        let at_offset = self.below(2) == 0;
        let offset = match (at_offset, appends) {
            (true, _) => self.below(end + 10_000),
            (false, true) => end,
            (false, false) => position,
        };
        let place = if at_offset { offset as u64 } else { NEXT };
        let written = if count < 1000 && self.below(2) == 0 {
            outcome(self.opens[open].client.write_inline(place, &bytes))
        } else {
            self.lent(open, |client, number| client.write(place, count as u32, number, 0))
        };
        assert_eq!(written, Ok(count as u32), "write {count} at {offset}");
        if count > 0 {
            self.model.write(file, offset, &bytes);
        }
        if !at_offset {
            self.opens[open].position = offset + count;
        }
    }

    fn read(&mut self, open: usize) {
        let count = self.random_bytes();
        let Open { file, position, .. } = self.opens[open];
        let at_offset = self.below(2) == 0;
        let end = self.model.files[file].bytes.len();
        let offset = if at_offset { self.below(end + 1000) } else { position };
        let read = self.lent(open, |client, number| match at_offset {
            true => client.read(offset as u64, count as u32, number, 0),
            false => client.read_next(count as u32, number, 0),
        });
        let expected = &self.model.files[file].bytes[offset.min(end)..(offset + count).min(end)];
        assert_eq!(read, Ok(expected.len() as u32), "read {count} at {offset} of {end}");
        let mut bytes = vec![0; expected.len()];
        self.buffer.copy_out(0, &mut bytes);
        assert!(bytes == expected, "what was read at {offset}");
        if !at_offset {
            self.opens[open].position += expected.len();
        }
    }

    fn seek(&mut self, open: usize) {
        let Open { file, position, .. } = self.opens[open];
        let end = self.model.files[file].bytes.len();
        let offset = self.below(20_000) as i64 - 10_000;
        let (whence, base) = [(Whence::Start, 0), (Whence::Current, position), (Whence::End, end)][self.below(3)];
        let expected = base.checked_add_signed(offset as isize).ok_or(FileError::OutOfRange);
        let moved = outcome(self.opens[open].client.seek(whence, offset));
        assert_eq!(moved, expected.map(|position| position as u64));
        self.opens[open].position = expected.unwrap_or(position);
    }

    fn truncate(&mut self, open: usize) {
        let file = self.opens[open].file;
        let bytes = self.below(self.model.files[file].bytes.len() + 9000);
        assert_eq!(outcome(self.opens[open].client.truncate(bytes as u64)), Ok(()));
        self.model.files[file].bytes.resize(bytes, 0);
    }

    fn change_names(&mut self) {
        let (path, other) = (self.path(), self.path());
        match self.below(7) {
            0 => assert_eq!(here(self.root.make_directory(path, 0o755)), self.model.make(path, None), "make {path}"),
            1 => {
                let target = "t".repeat(1 + self.below(3000));
                let expected = self.model.make(path, Some(&target));
                assert_eq!(here(self.root.symlink(&target, path)), expected, "symlink {path}");
            }
            2 | 3 => {
                let directory = self.below(3) == 0;
                let expected = self.model.remove(path, directory);
                assert_eq!(here(self.root.remove(path, directory)), expected, "remove {path}");
            }
            4 | 5 => {
                let expected = self.model.rename(path, other);
                let renamed = here(self.root.rename(path, other, RenameOptions::empty()));
                assert_eq!(renamed, expected, "rename {path} {other}");
            }
            // Two names of one link would be one thing for the server, and two for the model.
            _ if matches!(self.model.names.get(path), Some(Thing::Link(_))) => {}
            _ => assert_eq!(here(self.root.link(path, other)), self.model.link(path, other), "link {path} {other}"),
        }
    }

    fn change_mode(&mut self, open: usize) {
        let mode = self.below(0o777) as u16;
        let change = StatusChange { mode: Some(mode), ..StatusChange::default() };
        assert_eq!(outcome(self.opens[open].client.set_status(change)), Ok(()));
        self.model.files[self.opens[open].file].mode = mode;
    }

    fn step(&mut self) {
        if self.opens.is_empty() || self.below(8) == 0 {
            return self.open();
        }
        let open = self.below(self.opens.len());
        match self.below(14) {
            0..=2 => self.write(open),
            3..=5 => self.read(open),
            6 => self.seek(open),
            7 => self.truncate(open),
            8..=11 => self.change_names(),
            12 => self.change_mode(open),
            _ => drop(self.opens.swap_remove(open)),
        }
    }

    /// Everything is as in the model.
    fn verify(&self) {
        for directory in std::iter::once("").chain(PATHS) {
            if directory.is_empty() || matches!(self.model.names.get(directory), Some(Thing::Directory(_))) {
                self.verify_names(directory);
            }
        }
        for open in &self.opens {
            let data = &self.model.files[open.file];
            let status = outcome(open.client.status()).expect("no error");
            assert_eq!(status.size, data.bytes.len() as u64);
            assert_eq!((status.links as usize, status.mode), (self.model.links(open.file), data.mode));
            assert_eq!(outcome(open.client.seek(Whence::Current, 0)), Ok(open.position as u64));
            self.verify_data(&open.client, &data.bytes);
        }
    }

    fn verify_names(&self, directory: &str) {
        let (_, session) = outcome(self.root.subtree(directory, true)).expect("a directory");
        let client: FileClient = client::unchecked(session.expect("a session"));
        let (mut cursor, mut names) = (0, Vec::new());
        loop {
            let (part, behind) = outcome(client.read_directory(cursor)).expect("no error");
            if part.is_empty() {
                break;
            }
            (cursor, _) = (behind, names.extend(part.into_iter().map(|entry| entry.name)));
        }
        names.sort();
        let below = |name: &String| match directory {
            "" => (!name.contains('/')).then(|| name.clone()),
            _ => Some(name.strip_prefix(directory)?.strip_prefix('/').filter(|rest| !rest.contains('/'))?.to_string()),
        };
        assert_eq!(names, self.model.names.keys().filter_map(below).collect::<Vec<_>>(), "names in {directory:?}");
        for name in names {
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            match &self.model.names[&path] {
                Thing::Link(target) => assert_eq!(here(self.root.read_link(&path)).as_ref(), Ok(target)),
                Thing::File(file) => {
                    let flags = OpenFlags::READ;
                    let opened = outcome(self.root.open(&path, OpenOptions { flags, mode: 0 })).expect("opened");
                    let session: Session = opened.1.expect("a session");
                    self.verify_data(&client::unchecked(session), &self.model.files[*file].bytes);
                }
                Thing::Directory(_) => {}
            }
        }
    }

    fn verify_data(&self, client: &FileClient, expected: &[u8]) {
        let mut part = [0; 3000];
        let mut at = 0;
        loop {
            let count = outcome(client.read_inline(at as u64, &mut part)).expect("no error");
            assert!(part[..count] == expected[at..at + count], "at {at}");
            at += count;
            if count == 0 {
                break;
            }
        }
        assert_eq!(at, expected.len());
    }

    /// Takes everything away.
    fn clear(&mut self) {
        self.opens.clear();
        let mut names: Vec<String> = self.model.names.keys().cloned().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in names {
            let is_directory = matches!(self.model.names[&name], Thing::Directory(_));
            assert_eq!(here(self.root.remove(&name, is_directory)), Ok(()));
        }
        self.model = Model::default();
    }

    fn free_bytes(&self) -> u64 {
        outcome(self.root.statistics()).expect("no error").free_bytes
    }
}

/// Rounds of work with fuses of so many system calls.
fn survive(seed: u64, fuse: u64, rounds: usize, steps: usize) -> u64 {
    let world = World::new();
    let mut client = Client::new(&world, seed);
    let free = client.free_bytes();
    let before = world.handles();
    for _ in 0..rounds {
        world.set_fuse(fuse);
        for _ in 0..steps {
            client.step();
        }
        world.set_fuse(0);
        client.verify();
        // What is known of the room is the same for the next incarnation.
        let known = client.free_bytes();
        world.kill();
        assert_eq!(client.free_bytes(), known, "what is taken");
        client.verify();
    }
    client.clear();
    while outcome(client.root.statistics()).expect("no error").in_use > 0 {
        std::thread::yield_now();
    }
    assert_eq!(client.free_bytes(), free, "all is given back");
    world.kill();
    assert_eq!(client.free_bytes(), free, "and stays so");
    // A chunk stays, and the session of the root. Sessions that were closed come to their ends when the server gets to them.
    let started = Instant::now();
    while world.handles() > before + 2 && started.elapsed() < SOON {
        std::thread::yield_now();
    }
    assert!(world.handles() <= before + 2, "{} handles, {before} before", world.handles());
    world.deaths()
}

#[test]
fn without_deaths_it_is_a_file_system() {
    survive(1, 0, 3, 200);
}

#[test]
fn a_server_that_is_killed_over_and_over_loses_nothing_and_does_nothing_twice() {
    let mut deaths = 0;
    for seed in 2..42 {
        deaths += survive(seed, 25 + 25 * (seed % 5), 4, 250);
    }
    assert!(deaths > 1000, "{deaths} deaths are no trial");
}
