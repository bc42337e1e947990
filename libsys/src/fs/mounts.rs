//! What a process knows of its namespace: the mounts, a session for each that it uses, and the buffer that it lends to file systems. It is part of the process's
//! [`Env`](crate::env::Env).

use super::File;
use crate::client::{self, Client};
use crate::io::{Error, Result};
use crate::protocol::filesystem::FileError;
use crate::protocol::{FileClient, FileSystemClient, NamespaceClient, list};
use crate::sync::{Mutex, MutexGuard, OnceLock};
use crate::{Account, Mapping, Memory, Object, Session, WritableMapping};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU32, Ordering};

/// Bytes of the buffer that is lent to file systems, and so the most that one call moves.
pub(crate) const BUFFER_BYTES: usize = 128 * 1024;

/// The buffer is not lent.
const NOT_LENT: u32 = u32::MAX;

/// What a process knows.
#[derive(Debug, Default)]
pub(crate) struct Files {
    namespace: OnceLock<Option<NamespaceClient>>,
    known: Mutex<Known>,
    buffer: Mutex<Option<Buffer>>,
    /// The current directory; `None` until it was asked for.
    pub(super) current: Mutex<Option<Current>>,
}

/// The current directory.
#[derive(Debug)]
pub(super) struct Current {
    /// Its path.
    pub(super) path: String,
    /// It is open, so that its file system is in use; not the one that a process starts in, which whoever started it is in as well.
    pub(super) _held: Option<File>,
}

#[derive(Debug, Default)]
struct Known {
    changes: Option<Mapping>,
    /// The counter of the namespace when the mounts were read.
    counter: u64,
    /// The longest path first, so that the first that fits is the one.
    mounts: Vec<Entry>,
}

/// A mount, whose session is fetched when it is used.
#[derive(Debug)]
struct Entry {
    id: u64,
    /// Number of the file system: that of its oldest mount, as directories of one are mounted at other places, too.
    file_system: u64,
    path: String,
    mount: Option<Arc<Mount>>,
}

/// A mount that is used.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Its number in the namespace.
    pub(super) id: u64,
    /// Where it is; `/` as the empty text.
    pub(super) path: String,
    /// The directory that is mounted.
    pub(super) names: FileSystemClient,
    /// The same session; `names` closes it.
    data: ManuallyDrop<FileClient>,
    lent: Lent,
}

impl Mount {
    fn new(id: u64, path: String, session: Session) -> Mount {
        let data = ManuallyDrop::new(client::unchecked(Session::from_handle(session.handle())));
        Mount { id, path, names: client::unchecked(session), data, lent: Lent::default() }
    }

    /// The number of the process's buffer in this file system.
    #[inline]
    pub(super) fn lent(&self, buffer: &Buffer) -> Result<u32> {
        self.lent.number(buffer, &self.data)
    }

    pub(super) fn forget_lent(&self) {
        self.lent.forget();
    }
}

/// The number under which a server knows the process's buffer.
#[derive(Debug)]
pub(super) struct Lent(AtomicU32);

impl Default for Lent {
    fn default() -> Lent {
        Lent(AtomicU32::new(NOT_LENT))
    }
}

impl Lent {
    /// The number; the buffer is lent over `over` if it was not.
    #[inline]
    pub(super) fn number(&self, buffer: &Buffer, over: &FileClient) -> Result<u32> {
        match self.0.load(Ordering::Relaxed) {
            NOT_LENT => {
                let number = over.lend(&buffer.memory)?;
                self.0.store(number, Ordering::Relaxed);
                Ok(number)
            }
            number => Ok(number),
        }
    }

    /// The server does not know it any more.
    pub(super) fn forget(&self) {
        self.0.store(NOT_LENT, Ordering::Relaxed);
    }
}

/// Memory that file systems read into and write from.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Memory,
    pub(super) mapping: WritableMapping,
}

impl Buffer {
    fn create(account: &Account) -> Result<Buffer> {
        let memory = Memory::create(account, BUFFER_BYTES as u64)?;
        let mapping = memory.map_writable()?;
        Ok(Buffer { memory, mapping })
    }
}

/// The process's buffer, held by the calling thread.
pub(super) struct HeldBuffer<'a>(MutexGuard<'a, Option<Buffer>>);

impl HeldBuffer<'_> {
    #[inline]
    pub(super) fn get(&self) -> Option<&Buffer> {
        self.0.as_ref()
    }
}

impl Files {
    /// The process's buffer, unless another thread uses it or there is no memory for it: then data goes in messages.
    #[inline]
    pub(super) fn buffer(&self) -> Option<HeldBuffer<'_>> {
        let mut held = self.buffer.try_lock()?;
        if held.is_none() {
            *held = Some(Buffer::create(crate::env::account()).ok()?);
        }
        Some(HeldBuffer(held))
    }

    /// The mount that a normal path belongs to, and the rest of the path.
    pub(super) fn locate<'p>(&self, path: &'p str) -> Result<(Arc<Mount>, &'p str)> {
        let mut known = self.known.lock();
        known.update(self)?;
        let entry = known.covering(path)?;
        let mount = match &entry.mount {
            Some(mount) => Arc::clone(mount),
            None => {
                let path = if entry.path.is_empty() { "/" } else { &entry.path };
                let (_, session) = self.namespace()?.resolve(path)?;
                let mount = Arc::new(Mount::new(entry.id, entry.path.clone(), session));
                entry.mount = Some(Arc::clone(&mount));
                mount
            }
        };
        Ok((mount, &path[entry.path.len()..]))
    }

    /// The number of the file system that a normal path belongs to.
    pub(super) fn file_system(&self, path: &str) -> Result<u64> {
        let mut known = self.known.lock();
        known.update(self)?;
        Ok(known.covering(path)?.file_system)
    }

    /// The namespace. Error: `NotGiven`.
    pub(crate) fn namespace(&self) -> Result<&NamespaceClient> {
        let take = || crate::env::take_session(crate::env::names::NAMESPACE).ok().map(client::unchecked);
        self.namespace.get_or_init(take).as_ref().ok_or(Error::NotGiven)
    }
}

impl Known {
    /// Reads the mounts anew if they have changed.
    #[inline]
    fn update(&mut self, files: &Files) -> Result<()> {
        match &self.changes {
            Some(changes) if changes.load_u64(0, Ordering::Acquire) == self.counter => Ok(()),
            _ => self.read_mounts(files.namespace()?),
        }
    }

    /// The mount that a normal path belongs to.
    #[inline]
    fn covering(&mut self, path: &str) -> Result<&mut Entry> {
        let bytes = path.as_bytes();
        let covers = |entry: &&mut Entry| {
            let mount = entry.path.as_bytes();
            let Some((start, rest)) = bytes.split_at_checked(mount.len()) else { return false };
            // The last byte tells most of them apart.
            matches!(rest.first(), None | Some(b'/')) && start.last() == mount.last() && start == mount
        };
        self.mounts.iter_mut().find(covers).ok_or(Error::File(FileError::NotFound))
    }

    #[cold]
    fn read_mounts(&mut self, namespace: &NamespaceClient) -> Result<()> {
        let Known { changes, counter, mounts } = self;
        let changes = match changes {
            Some(page) => page,
            None => changes.insert(namespace.changes()?.map_part(0, abi::PAGE_BYTES as u64)?),
        };
        // Read before the mounts: what changes meanwhile is seen the next time.
        let now = changes.load_u64(0, Ordering::Acquire);
        let all = list::all(|first| namespace.mounts(first)).map_err(Error::from)?;
        let mut before = core::mem::take(mounts);
        let oldest: Vec<u64> = all
            .iter()
            .map(|one| {
                all.iter().filter(|other| other.service == one.service).map(|other| other.id).min().unwrap_or(one.id)
            })
            .collect();
        for (mount, file_system) in all.into_iter().zip(oldest) {
            let path = if mount.path == "/" { String::new() } else { mount.path };
            let known = before.iter_mut().find(|entry| entry.id == mount.id && entry.path == path);
            let known = known.and_then(|entry| entry.mount.take());
            mounts.push(Entry { id: mount.id, file_system, path, mount: known });
        }
        mounts.sort_by_key(|entry| core::cmp::Reverse(entry.path.len()));
        *counter = now;
        Ok(())
    }
}

/// The session of a client.
pub(super) fn session_of(client: &impl Client) -> &Session {
    client.link().session()
}
