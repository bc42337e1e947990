//! A server of a FAT volume that dies, and a client of it: what deaths are tried with. Requests are kept track of as the loop of a server does, and the disk stays.

use super::*;
use libsys::Memory;
use libsys::state::{RecordKey, Records};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use volume::Kept;
use volume::testing::{Death, end_after};

/// What stands for the reply to a request: its number, and what was answered.
const REPLY: RecordKey = RecordKey::new(100, 0);

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(1_700_000_000) };
}

fn now() -> u64 {
    NOW.get()
}

/// Time passes, in seconds.
pub fn pass(seconds: u64) {
    NOW.set(NOW.get() + seconds);
}

/// What a client asks for. Names are paths; a number of a file means that file while it is open.
#[derive(Clone, Debug)]
pub enum Request {
    Create(String),
    Open(String),
    Write(u64, u64, Vec<u8>),
    Append(u64, Vec<u8>),
    Truncate(u64, u64),
    Remove(String),
    MakeDirectory(String),
    Rename(String, String),
    Sync(u64),
    SyncAll,
    Tick,
    Close(u64),
}

/// What is answered: a number of a file, of bytes, or nothing.
pub type Answer = Result<u64, FileError>;

/// A machine with a server that dies, and the disk that stays.
pub struct World {
    pub image: SharedImage,
    state: Memory,
    pub volume: Option<Volume>,
    pub dice: Dice,
    /// Steps after which an incarnation ends, at most; 0: none does.
    pub fuse: u64,
    pub deaths: u64,
    number: u64,
    /// Files that are open, as the kernel knows sessions, and how often.
    pub open: BTreeMap<u64, u32>,
    /// The one that is open for the reply that is on its way.
    opening: Option<u64>,
}

/// Whether a step of the server ended with its death.
fn survives<T>(operation: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(value) => Some(value),
        Err(what) if what.is::<Death>() => None,
        Err(what) => resume_unwind(what),
    }
}

/// Nobody starts a server again: what was kept for it is given back.
impl Drop for World {
    fn drop(&mut self) {
        self.volume = None;
        if let Ok(records) = self.state.map_writable().map(Records::of) {
            Kept::new(records.unwrap()).give_back();
        }
    }
}

impl World {
    pub fn new(image: SharedImage, seed: u64, fuse: u64) -> World {
        let state = Memory::create(account(), 256 << 10).unwrap();
        let (dice, open) = (Dice::new(seed), BTreeMap::new());
        let mut world = World { image, state, volume: None, dice, fuse, deaths: 0, number: 0, open, opening: None };
        world.start();
        world
    }

    pub fn light(&mut self) {
        end_after(if self.fuse == 0 { u64::MAX } else { self.dice.below(self.fuse) });
    }

    pub fn start(&mut self) {
        while self.volume.is_none() {
            self.light();
            let options = Options { seconds: now, cache_bytes: 1 << 20, ..options() };
            let requests = requests(&self.image, self.dice.below(1 << 30));
            let records = Records::of(self.state.map_writable().unwrap()).unwrap();
            let open: BTreeSet<u64> = self.open.keys().copied().chain(self.opening).collect();
            self.volume = survives(|| {
                let mut volume = Volume::mount_kept(account(), requests, options, Kept::new(records)).unwrap();
                for file in &open {
                    // One that was opened for a reply that never left may not be there.
                    assert!(volume.hold(*file).is_ok() || self.opening == Some(*file));
                }
                volume.reclaim(&|file| open.contains(&file)).unwrap();
                volume
            });
            self.deaths += u64::from(self.volume.is_none());
        }
    }

    pub fn volume(&mut self) -> &mut Volume {
        self.volume.as_mut().unwrap()
    }

    /// What the loop of a server does, with what a client does about a server that is not there.
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.number += 1;
        loop {
            let number = self.number;
            let volume = self.volume.as_mut().unwrap();
            let reply = volume.kept().records().unwrap().get::<(u64, u64)>(REPLY);
            if let Some((_, answer)) = reply.filter(|(known, _)| *known == number) {
                return self.opened(request, answer);
            }
            let (open, opening) = (&self.open, &mut self.opening);
            let answer = survives(|| {
                let answer = perform(volume, request, open, opening);
                if let Ok(value) = answer {
                    volume.kept().records().unwrap().put(REPLY, &(number, value)).unwrap();
                }
                while !volume.kept().records().unwrap().is_clean() {
                    volume.kept().commit();
                    volume.committed();
                }
                answer
            });
            match answer {
                Some(Err(FileError::WouldBlock)) => {}
                Some(Ok(answer)) => return self.opened(request, answer),
                Some(error) => return error,
                None => {
                    self.deaths += 1;
                    self.volume = None;
                    self.start();
                }
            }
        }
    }

    fn opened(&mut self, request: &Request, answer: u64) -> Answer {
        if matches!(request, Request::Create(_) | Request::Open(_)) {
            *self.open.entry(answer).or_default() += 1;
        }
        // A session that never got to anybody is closed.
        if let Some(other) = self.opening.take().filter(|other| !self.open.contains_key(other)) {
            self.volume().release(other).unwrap();
            self.volume().kept().commit();
            self.volume().committed();
        }
        Ok(answer)
    }
}

fn perform(volume: &mut Volume, request: &Request, open: &BTreeMap<u64, u32>, opening: &mut Option<u64>) -> Answer {
    let release = |volume: &mut Volume, file: u64| match open.contains_key(&file) {
        true => Ok(()),
        false => volume.release(file),
    };
    match request {
        Request::Create(path) => {
            let (folder, name) = parent(volume, path)?;
            let file = match volume.lookup(folder, name)? {
                Some((file, _)) => file,
                None => volume.create(folder, name, 0o644)?,
            };
            volume.hold(file)?;
            *opening = Some(file);
            Ok(file)
        }
        Request::Open(path) => {
            let (folder, name) = parent(volume, path)?;
            let (file, _) = volume.lookup(folder, name)?.ok_or(FileError::NotFound)?;
            volume.hold(file)?;
            *opening = Some(file);
            Ok(file)
        }
        Request::Write(file, offset, bytes) => put_bytes(volume, *file, *offset, bytes),
        Request::Append(file, bytes) => {
            let size = volume.size(*file)?;
            put_bytes(volume, *file, size, bytes)
        }
        Request::Truncate(file, bytes) => volume.truncate(*file, *bytes).map(|()| 0),
        Request::Remove(path) => {
            let (folder, name) = parent(volume, path)?;
            let file = volume.remove(folder, name)?;
            release(volume, file)?;
            Ok(file)
        }
        Request::MakeDirectory(path) => {
            let (folder, name) = parent(volume, path)?;
            volume.make_directory(folder, name)
        }
        Request::Rename(from, to) => {
            let (from, to) = (parent(volume, from)?, parent(volume, to)?);
            let replaced = volume.rename(from, to, true)?;
            replaced.map_or(Ok(()), |file| release(volume, file))?;
            Ok(0)
        }
        Request::Sync(file) => volume.sync(*file, file % 2 == 0).map(|()| 0),
        Request::SyncAll => volume.sync_all().map(|()| 0),
        Request::Tick => volume.tick().map(|()| 0),
        Request::Close(file) => volume.release(*file).map(|()| 0),
    }
}

/// The directory that a path leads to, and the name in it.
fn parent<'a>(volume: &mut Volume, path: &'a str) -> Result<(u64, &'a str), FileError> {
    let Some((folders, name)) = path.rsplit_once('/') else { return Ok((ROOT, path)) };
    let mut folder = ROOT;
    for part in folders.split('/') {
        folder = volume.lookup(folder, part)?.ok_or(FileError::NotFound)?.0;
    }
    Ok((folder, name))
}

/// One attempt at writing.
fn put_bytes(volume: &mut Volume, file: u64, offset: u64, bytes: &[u8]) -> Answer {
    volume.write(file, offset, bytes.len() as u64, |mapping, at, part, done| {
        mapping.copy_in(at, &bytes[done as usize..done as usize + part]);
    })
}
