//! The protocol `namespace`.

use crate::kept::KeptMount;
use crate::mounts::{DEV, Mounted, Wanted};
use crate::namespaces::Root;
use crate::{Ending, Starting, Vfs};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::FileError;
use libsys::client::{self, CallError};
use libsys::protocol::filesystem::{NodeKind, Walked};
use libsys::protocol::namespace::{
    DISKS_PARAMETER, Mount, MountOptions, Namespace, NamespaceError, Resolved, UnmountOptions,
};
use libsys::protocol::registry::{RegistryError, State};
use libsys::protocol::{FileSystem, FileSystemClient};
use libsys::service::{Context, Reply};
use libsys::{Handle, Header, Memory, Session, message, path};

type Result<T> = core::result::Result<T, NamespaceError>;

/// Signal bit: a service that is waited for has changed its state.
pub const STATE: u64 = 1 << 2;

/// Bytes of a message for the paths of mounts.
const ROOM: usize = 3000;

/// The class of the services that are file systems.
const FILE_SYSTEMS: &str = "filesystem";

/// The kind of mount that is whatever is on the disk.
const AUTO: &str = "auto";

/// The kind of mount that shows a directory at another place.
const BIND: &str = "bind";

fn refused<E: Into<Refused>>(error: CallError<E>) -> NamespaceError {
    match error {
        CallError::Failed(error) => error.into().0,
        CallError::Kernel(libsys::Error::AccountExhausted | libsys::Error::NoSlot) => NamespaceError::Exhausted,
        _ => NamespaceError::NotReady,
    }
}

/// What an error of a server below means here.
struct Refused(NamespaceError);

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

    fn add_mount(&mut self, what: Wanted, service: String, is_instance: bool, root: FileSystemClient) -> Result<()> {
        let path = what.path.clone();
        self.mounts.add(Mounted { id: 0, what, service, is_instance, is_of_manifest: false, root: Some(root) });
        if let Err(error) = self.kept.update(&self.mounts) {
            self.mounts.remove(&path);
            return Err(error);
        }
        self.counter.advance();
        Ok(())
    }

    /// Mounts again what was mounted when the incarnation before died, and takes away file systems that it started and had not mounted yet.
    pub fn mount_again(&mut self, before: Vec<KeptMount>) {
        // Mounted directories are in mounted file systems.
        let (binds, mut disks): (Vec<KeptMount>, Vec<KeptMount>) =
            before.into_iter().partition(|mount| !mount.is_instance);
        disks.retain(|KeptMount { what, service, .. }| match self.finish(service, what.clone()) {
            Ok(()) => true,
            Err(error) => {
                libsys::error!("{} is not mounted any more: {error}", what.path);
                false
            }
        });
        for KeptMount { what, .. } in binds {
            if let Err(error) = self.bind(what.source.clone(), what.clone()) {
                libsys::error!("{} is not mounted any more: {error}", what.path);
            }
        }
        let registry = self.env.registry();
        let mut first = 0;
        while let Ok(members) = registry.members(FILE_SYSTEMS, first)
            && !members.is_empty()
        {
            first += members.len() as u32;
            let unknown = members.into_iter().filter(|member| disks.iter().all(|mount| mount.service != member.name));
            // Those that are not of vfs's making stay: init knows who made which.
            unknown.for_each(|member| self.remove_server(&member.name));
        }
    }

    /// Mounts a directory at another place.
    fn bind(&mut self, source: String, what: Wanted) -> Result<()> {
        let service = self.mounts.cover(&source).map(|(mounted, _)| mounted.service.clone());
        let session = self.session(&source, what.read_only)?;
        self.add_mount(what, service.unwrap_or_default(), false, client::unchecked(session))
    }

    /// Starts the server of a file system on a disk; without a disk, where the source is none. Its name.
    fn start_server(&mut self, what: &Wanted, options: &MountOptions) -> Result<String> {
        let starting = self.starting.iter().map(|starting| &starting.mount);
        if self.mounts.iter().map(|mounted| &mounted.what).chain(starting).any(|other| what.collides_with(other)) {
            return Err(NamespaceError::Busy);
        }
        let disk = match what.source.strip_prefix(DEV) {
            Some(name) => {
                let disks = self.devices.volume();
                // What cannot be written is mounted to be read.
                let disk = match disks.disk(name, !what.read_only) {
                    Err(FileError::ReadOnly) => disks.disk(name, false),
                    result => result,
                };
                Some(disk.map_err(|error| match error {
                    FileError::NotFound => NamespaceError::NoDisk,
                    FileError::Busy => NamespaceError::Busy,
                    error => NamespaceError::File(error),
                })?)
            }
            None => None,
        };
        let mut parameters = options.parameters.clone();
        // The last one counts.
        parameters.extend(disk.as_ref().map(|(_, service)| (DISKS_PARAMETER.into(), service.clone())));
        if what.read_only {
            parameters.push(("read-only".into(), "true".into()));
        }
        let registry = self.env.registry();
        let name = registry
            .instance(&what.kind, "", parameters, disk.as_ref().map(|(session, _)| session))
            .map_err(refused)?;
        let signaller = self.channel.signaller(STATE).map_err(|_| NamespaceError::Exhausted)?;
        let _ = registry.watch(&name, &signaller, STATE);
        Ok(name)
    }

    /// Mounts what has become ready, and tells those whose file system does not come up.
    pub fn look_at_starting(&mut self) {
        for starting in core::mem::take(&mut self.starting) {
            let info = self.env.registry().info(&starting.service);
            if starting.is_refused {
                match info {
                    // It has the disk until it is gone.
                    Ok(_) => self.starting.push(starting),
                    Err(_) => self.try_next(starting),
                }
                continue;
            }
            let result = match info {
                Ok(info) if info.state == State::Ready => self.finish(&starting.service, starting.mount.clone()),
                // One that ends before it has ever served says in its status why it cannot.
                Ok(info) if info.last_exit != 0 => Err(match FileError::of_exit_status(info.last_code) {
                    Some(FileError::Unsupported) => NamespaceError::NoFileSystem,
                    Some(error) => NamespaceError::File(error),
                    None => NamespaceError::NotReady,
                }),
                Ok(info) if matches!(info.state, State::Waiting | State::Starting | State::Restarting(_)) => {
                    self.starting.push(starting);
                    continue;
                }
                _ => Err(NamespaceError::NotReady),
            };
            if result.is_err() {
                self.remove_server(&starting.service);
            }
            if result == Err(NamespaceError::NoFileSystem) && !starting.others.is_empty() {
                self.starting.push(Starting { is_refused: true, ..starting });
                continue;
            }
            let _ = starting.call.reply(result);
        }
    }

    /// Tries the next kind for a disk that the last one does not know.
    fn try_next(&mut self, mut starting: Starting) {
        let Some(kind) = starting.others.pop() else {
            let _ = starting.call.reply(Err(NamespaceError::NoFileSystem));
            return;
        };
        starting.mount.kind = kind;
        starting.is_refused = false;
        match self.start_server(&starting.mount, &starting.options) {
            Ok(service) => self.starting.push(Starting { service, ..starting }),
            Err(error) => {
                let _ = starting.call.reply(Err(error));
            }
        }
    }

    /// The kinds that a mount tries, the last first.
    fn kinds(&self, kind: &str) -> Vec<String> {
        match kind {
            AUTO => {
                self.env.parameter("kinds").unwrap_or_default().split_whitespace().rev().map(String::from).collect()
            }
            kind => Vec::from([kind.to_string()]),
        }
    }

    /// Answers those whose unmounted file system has ended.
    pub fn look_at_ending(&mut self) {
        for Ending { call, service } in core::mem::take(&mut self.ending) {
            match self.env.registry().info(&service) {
                Ok(_) => self.ending.push(Ending { call, service }),
                Err(_) => drop(call.reply(Ok(()))),
            }
        }
    }

    fn finish(&mut self, service: &str, mut what: Wanted) -> Result<()> {
        let session = self.env.registry().connect(service, true).map_err(refused)?;
        let root: FileSystemClient = client::open(session).map_err(|_| NamespaceError::NotReady)?;
        what.read_only |= root.statistics().map_err(refused)?.read_only;
        self.add_mount(what, service.to_string(), true, root)
    }

    fn remove_server(&self, service: &str) {
        // It may be gone already; init says so in its log if it does not want to.
        let _ = self.env.registry().remove_instance(service);
    }

    /// Takes a mount away. Returns the service that ends with it.
    fn take_away(&mut self, cx: &Context, target: &str, options: UnmountOptions) -> Result<Option<String>> {
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
        let mounted = self.mounts.remove(&path).ok_or(NamespaceError::NotFound)?;
        // There are fewer than before: there is room.
        let _ = self.kept.update(&self.mounts);
        self.counter.advance();
        if !mounted.is_instance {
            return Ok(None);
        }
        let service = mounted.service.clone();
        drop(mounted);
        self.remove_server(&service);
        Ok(Some(service))
    }

    /// Who waited for a mount is gone: it is taken back.
    pub fn give_up(&mut self, call: Handle) {
        self.ending.retain(|ending| !ending.call.is(call));
        let (given_up, rest) =
            core::mem::take(&mut self.starting).into_iter().partition(|starting| starting.call.is(call));
        self.starting = rest;
        let given_up: Vec<Starting> = given_up;
        for starting in given_up {
            self.remove_server(&starting.service);
        }
    }

    fn prepare(&mut self, cx: &Context, target: &str) -> Result<String> {
        if !cx.may_control() {
            return Err(NamespaceError::Denied);
        }
        let target = Self::whole(&self.seen(cx)?, target)?;
        let is_wanted = self.starting.iter().any(|starting| starting.mount.path == target);
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

    fn mounts(&mut self, cx: &Context, first: u32) -> Vec<Mount> {
        let Ok(root) = self.seen(cx) else { return Vec::new() };
        let mut room = ROOM;
        let seen = self.mounts.seen_from(&root.path).skip(first as usize);
        seen.map_while(|(mounted, path)| {
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
        let path = match self.prepare(cx, target) {
            Ok(path) => path,
            Err(error) => return reply.send(Err(error)),
        };
        let read_only = options.read_only;
        let mut others = self.kinds(kind);
        let kind = others.pop().unwrap_or_default();
        let what = Wanted { path, source: source.to_string(), kind, read_only };
        if what.kind == BIND {
            let result = self.seen(cx).and_then(|root| Self::whole(&root, source));
            return reply.send(result.and_then(|source| self.bind(source, what)));
        }
        match self.start_server(&what, &options) {
            Err(error) => reply.send(Err(error)),
            Ok(service) => {
                // A call that cannot be kept is let go, and nothing waits for the server.
                match reply.keep() {
                    Ok(call) => {
                        self.starting.push(Starting { call, service, mount: what, is_refused: false, options, others });
                    }
                    Err(_) => return self.remove_server(&service),
                }
                self.look_at_starting();
            }
        }
    }

    fn unmount(&mut self, cx: &Context, target: &str, options: UnmountOptions, reply: Reply<'_, Result<()>>) {
        match self.take_away(cx, target, options) {
            Err(error) => reply.send(Err(error)),
            Ok(None) => reply.send(Ok(())),
            Ok(Some(service)) => {
                // It has the disk until it is gone.
                if let Ok(call) = reply.keep() {
                    self.ending.push(Ending { call, service });
                }
                self.look_at_ending();
            }
        }
    }

    fn subtree(&mut self, cx: &Context, path: &str, read_only: bool) -> Result<Session> {
        let root = self.seen(cx)?;
        let whole = Self::whole(&root, path)?;
        self.check_directory(&whole)?;
        let badge = self.namespaces.add(Root { path: whole, read_only: read_only || root.read_only });
        self.channel.mint(badge, self.env.account()).map_err(|_| {
            self.namespaces.close(badge);
            NamespaceError::Exhausted
        })
    }
}
