//! The protocol `namespace`.

use crate::Vfs;
use crate::kept::{KeptMount, MOUNT};
use crate::kinds::{BIND, Kinds};
use crate::mounts::{DEV, Mounted, Wanted};
use crate::namespaces::Root;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use filesystem::FileError;
use libsys::client::{self, CallError, Client, OpenError};
use libsys::protocol::filesystem::{NodeKind, Walked};
use libsys::protocol::namespace::{Mount, MountOptions, Namespace, NamespaceError, Resolved, UnmountOptions};
use libsys::protocol::registry::RegistryError;
use libsys::protocol::{FileSystem, FileSystemClient};
use libsys::service::{Context, Reply};
use libsys::state::{Full, Keepsake, RecordKey};
use libsys::wire::NoError;
use libsys::{Header, Memory, Object, Session, message, path};

type Result<T> = core::result::Result<T, NamespaceError>;

/// Bytes of a message for the paths of mounts.
const ROOM: usize = 3000;

pub fn refused<E: Into<Refused>>(error: CallError<E>) -> NamespaceError {
    match error {
        CallError::Failed(error) => error.into().0,
        CallError::Kernel(libsys::Error::AccountExhausted | libsys::Error::NoSlot) => NamespaceError::Exhausted,
        CallError::Deadly | CallError::PeerDied | CallError::Closed | CallError::Abandoned | CallError::Unknown => {
            NamespaceError::Died
        }
        _ => NamespaceError::NotReady,
    }
}

/// The same of a client that could not be made.
pub fn not_open(error: OpenError) -> NamespaceError {
    match error {
        OpenError::Call(error) => refused(error),
        OpenError::Missing(_) => NamespaceError::NotReady,
    }
}

/// The session of a mounted directory.
fn session_of(root: &FileSystemClient) -> &Session {
    Client::link(root).session()
}

/// What an error of a server below means here.
pub struct Refused(NamespaceError);

impl From<NoError> for Refused {
    fn from(error: NoError) -> Refused {
        match error {}
    }
}

impl From<FileError> for Refused {
    fn from(error: FileError) -> Refused {
        Refused(NamespaceError::File(error))
    }
}

impl From<RegistryError> for Refused {
    fn from(error: RegistryError) -> Refused {
        Refused(match error {
            RegistryError::NoSuchName | RegistryError::Denied => NamespaceError::UnknownKind,
            RegistryError::Taken => NamespaceError::Busy,
            RegistryError::Exhausted => NamespaceError::Exhausted,
            RegistryError::GivenUp => NamespaceError::Died,
            _ => NamespaceError::NotReady,
        })
    }
}

impl Vfs {
    /// What a session sees. Error: `NotFound`, of one that an earlier incarnation made.
    fn seen(&self, cx: &Context) -> Result<Root> {
        self.namespaces.get(cx.badge()).ok_or(NamespaceError::NotFound)
    }

    /// A path of a namespace as one of the whole. Error: `BadPath`.
    fn whole(root: &Root, text: &str) -> Result<String> {
        if !path::is_normal(text) {
            return Err(NamespaceError::BadPath);
        }
        Ok(match (root.path.as_str(), text) {
            ("/", text) => text.to_string(),
            (root, "/") => root.to_string(),
            (root, text) => format!("{root}{text}"),
        })
    }

    /// The context in which vfs calls its own part of /dev.
    fn own() -> Context {
        Context::new(0, Header(0), message::Stamp::default())
    }

    /// A session of a directory of a mount: one of its own for each who asks, as 64 processes at most can share one.
    fn session(&mut self, path: &str, read_only: bool) -> Result<Session> {
        let (mounted, rest) = self.mounts.cover(path).ok_or(NamespaceError::NotFound)?;
        let read_only = read_only || mounted.what.read_only;
        let walked = match &mounted.root {
            Some(root) => root.subtree(rest, read_only).map_err(refused)?,
            None => {
                let rest = rest.to_string();
                let devices = FileSystem::subtree(&mut self.devices, &Self::own(), &rest, read_only);
                devices.map_err(NamespaceError::File)?
            }
        };
        match walked {
            (Walked::Here(()), Some(session)) => Ok(session),
            // The path has a link in it.
            _ => Err(NamespaceError::BadPath),
        }
    }

    /// Whether a path is that of a directory.
    fn check_directory(&mut self, path: &str) -> Result<()> {
        let (mounted, rest) = self.mounts.cover(path).ok_or(NamespaceError::NotFound)?;
        let status = match &mounted.root {
            Some(root) => root.status(rest, true).map_err(refused)?,
            None => {
                let rest = rest.to_string();
                FileSystem::status(&mut self.devices, &Self::own(), &rest, true).map_err(NamespaceError::File)?
            }
        };
        match status {
            Walked::Here(status) if status.kind == NodeKind::Directory => Ok(()),
            Walked::Here(_) => Err(NamespaceError::NotDirectory),
            Walked::Link(..) => Err(NamespaceError::BadPath),
        }
    }

    /// Adds a mount, staged, with the session of the directory that is mounted. Error: `Exhausted`.
    pub fn add_mount(
        &mut self,
        what: Wanted,
        service: String,
        is_instance: bool,
        root: Option<FileSystemClient>,
    ) -> Result<()> {
        let records = self.devices.volume().kept();
        let exhausted = |Full| NamespaceError::Exhausted;
        let id = self.counter.advance(records).map_err(exhausted)?;
        let keepsake = root.as_ref().map(|root| records.keep(session_of(root))).transpose();
        let keepsake = keepsake.map_err(|_| NamespaceError::Exhausted)?;
        let kept = KeptMount { what: what.clone(), service: service.clone(), is_instance, root: keepsake };
        if let Err(full) = records.put(RecordKey::new(MOUNT, id), &kept) {
            // Nothing names the session: it is closed here.
            if let Some(root) = &root {
                let _ = session_of(root).set_kept(false);
            }
            return Err(exhausted(full));
        }
        self.mounts.add(Mounted { id, what, service, is_instance, root: root.map(ManuallyDrop::new) });
        Ok(())
    }

    /// Mounts again what the incarnation before had mounted: nobody notices.
    pub fn mount_again(&mut self, id: u64, kept: KeptMount) {
        let KeptMount { what, service, is_instance, root } = kept;
        match root.map(Keepsake::take::<Session>).transpose() {
            Ok(root) => {
                let root = root.map(|session| ManuallyDrop::new(client::unchecked(session)));
                self.mounts.add(Mounted { id, what, service, is_instance, root });
            }
            Err(error) => {
                libsys::error!("{} is not mounted any more: {error}", what.path);
                self.devices.volume().kept().remove(RecordKey::new(MOUNT, id));
            }
        }
    }

    /// Mounts a directory at another place.
    fn bind(&mut self, source: String, what: Wanted) -> Result<()> {
        let service = self.mounts.cover(&source).map(|(mounted, _)| mounted.service.clone());
        let session = self.session(&source, what.read_only)?;
        self.add_mount(what, service.unwrap_or_default(), false, Some(client::unchecked(session)))
    }

    /// What can be mounted.
    pub fn kinds(&self) -> Kinds<'static> {
        let said = |name| self.env.parameter(name).unwrap_or_default();
        Kinds { on_disk: said("kinds"), aliases: said("aliases"), options: said("options") }
    }

    /// Takes a mount away, staged. Returns whether a server ends with it.
    fn take_away(&mut self, cx: &Context, target: &str, options: UnmountOptions) -> Result<bool> {
        if !cx.may_control() {
            return Err(NamespaceError::Denied);
        }
        let path = Self::whole(&self.seen(cx)?, target)?;
        let mounted = self.mounts.at(&path).ok_or(NamespaceError::NotFound)?;
        if path == "/" || self.mounts.has_below(&path) || self.namespaces.any_below(&path) {
            return Err(NamespaceError::Busy);
        }
        if let Some(root) = &mounted.root
            && mounted.what.kind != BIND
        {
            let is_busy = root.statistics().map(|statistics| statistics.in_use > 0).map_err(refused);
            if !options.force && is_busy? {
                return Err(NamespaceError::Busy);
            }
            match root.sync_all().map_err(refused) {
                Err(error) if !options.force => return Err(error),
                _ => {}
            }
        }
        let (id, ends) = (mounted.id, mounted.is_instance.then(|| mounted.service.clone()));
        let has_ending = ends.is_some();
        self.counter.advance(self.devices.volume().kept()).map_err(|Full| NamespaceError::Exhausted)?;
        if let Some(service) = ends {
            self.begin_end(cx.request(), service)?;
        }
        let records = self.devices.volume().kept();
        records.remove(RecordKey::new(MOUNT, id));
        if let Some(root) = self.mounts.remove(&path).and_then(|mounted| mounted.root) {
            // It is closed with the commit, not when the client here is dropped.
            if let Ok(keepsake) = Keepsake::of(session_of(&root)) {
                records.release(keepsake);
            }
        }
        Ok(has_ending)
    }

    fn prepare(&mut self, cx: &Context, target: &str) -> Result<String> {
        if !cx.may_control() {
            return Err(NamespaceError::Denied);
        }
        let target = Self::whole(&self.seen(cx)?, target)?;
        let is_wanted = self.jobs.wanted().any(|wanted| wanted.path == target);
        if self.mounts.at(&target).is_some() || is_wanted {
            return Err(NamespaceError::Busy);
        }
        self.check_directory(&target)?;
        Ok(target)
    }
}

impl Namespace for Vfs {
    fn resolve(&mut self, cx: &Context, path: &str) -> Result<(Resolved, Session)> {
        let root = self.seen(cx)?;
        let whole = Self::whole(&root, path)?;
        let (mounted, _) = self.mounts.cover(&whole).ok_or(NamespaceError::NotFound)?;
        let (id, at) = (mounted.id, mounted.what.path.clone());
        // Where the namespace's root is below the mount, the session starts at the root.
        let is_above = at.len() < root.path.len();
        let start = if is_above { root.path.clone() } else { at };
        let above = if root.path == "/" { 0 } else { root.path.len() };
        let prefix = if start == "/" { 0 } else { start.len().saturating_sub(above) };
        let session = self.session(&start, root.read_only)?;
        Ok((Resolved { prefix: prefix as u32, mount: id }, session))
    }

    fn changes(&mut self, _: &Context) -> Result<Memory> {
        self.counter.page().map_err(|_| NamespaceError::Exhausted)
    }

    fn mounts(&mut self, cx: &Context, first: u64) -> Vec<Mount> {
        let Ok(root) = self.seen(cx) else { return Vec::new() };
        let mut room = ROOM;
        let mut seen: Vec<_> = self.mounts.seen_from(&root.path).filter(|(mounted, _)| mounted.id >= first).collect();
        seen.sort_by_key(|(mounted, _)| mounted.id);
        seen.into_iter()
            .map_while(|(mounted, path)| {
                let Mounted { id, what: Wanted { source, kind, read_only, .. }, service, .. } = mounted;
                room = room.checked_sub(path.len() + source.len() + kind.len() + service.len() + 24)?;
                Some(Mount {
                    id: *id,
                    path,
                    source: source.clone(),
                    kind: kind.clone(),
                    service: service.clone(),
                    read_only: *read_only || root.read_only,
                })
            })
            .collect()
    }

    fn mount(
        &mut self,
        cx: &Context,
        source: &str,
        target: &str,
        kind: &str,
        options: MountOptions,
        reply: Reply<'_, Result<()>>,
    ) {
        let caller = cx.request();
        if self.jobs.knows(caller) {
            return reply.keep().map_or((), |call| self.adopt(caller, call));
        }
        self.outdate(caller);
        let path = match self.prepare(cx, target) {
            Ok(path) => path,
            Err(error) => return reply.send(Err(error)),
        };
        let read_only = options.read_only;
        let kinds = self.kinds();
        if options.parameters.iter().any(|(name, _)| !kinds.has_option(kind, name)) {
            return reply.send(Err(NamespaceError::UnknownOption));
        }
        if kinds.is_on_disk(kind) && !source.starts_with(DEV) {
            return reply.send(Err(NamespaceError::NoDisk));
        }
        let mut others = kinds.tried(kind);
        let kind = others.pop().unwrap_or_default();
        let what = Wanted { path, source: source.to_string(), kind, read_only };
        if what.kind == BIND {
            let result = self.seen(cx).and_then(|root| Self::whole(&root, source));
            return reply.send(result.and_then(|source| self.bind(source, what)));
        }
        if self
            .mounts
            .iter()
            .map(|mounted| &mounted.what)
            .chain(self.jobs.wanted())
            .any(|other| what.collides_with(other))
        {
            return reply.send(Err(NamespaceError::Busy));
        }
        // A call that cannot be kept is let go, and nothing is begun.
        if let Ok(call) = reply.keep() {
            self.begin_mount(cx, what, options, others, call);
        }
    }

    fn unmount(&mut self, cx: &Context, target: &str, options: UnmountOptions, reply: Reply<'_, Result<()>>) {
        let caller = cx.request();
        if !self.jobs.knows(caller) {
            self.outdate(caller);
            match self.take_away(cx, target, options) {
                Err(error) => return reply.send(Err(error)),
                Ok(false) => return reply.send(Ok(())),
                Ok(true) => {}
            }
        }
        // Its server has the disk until it is gone.
        if let Ok(call) = reply.keep() {
            self.adopt(caller, call);
        }
    }

    fn subtree(&mut self, cx: &Context, path: &str, read_only: bool) -> Result<Session> {
        let root = self.seen(cx)?;
        let whole = Self::whole(&root, path)?;
        self.check_directory(&whole)?;
        let seen = Root { path: whole, read_only: read_only || root.read_only };
        let records = self.devices.volume().kept();
        let badge = self.namespaces.add(records, seen).map_err(|Full| NamespaceError::Exhausted)?;
        self.channel.mint(badge, self.env.account()).map_err(|_| {
            self.namespaces.close(records, badge);
            NamespaceError::Exhausted
        })
    }
}
