//! The protocol `namespace`.

use crate::mounts::{Mounted, Wanted};
use crate::namespaces::Root;
use crate::{Starting, Vfs};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::FileError;
use libsys::client::{self, CallError};
use libsys::protocol::filesystem::{NodeKind, Walked};
use libsys::protocol::namespace::{Mount, MountOptions, Namespace, NamespaceError, Resolved, UnmountOptions};
use libsys::protocol::registry::{RegistryError, State};
use libsys::protocol::{FileSystem, FileSystemClient};
use libsys::service::{Context, Reply};
use libsys::{Handle, Header, Memory, Session, message, path};

type Result<T> = core::result::Result<T, NamespaceError>;

/// Signal bit: a service that is waited for has changed its state.
pub const STATE: u64 = 1 << 2;

/// Bytes of a message for the paths of mounts.
const ROOM: usize = 3000;

/// The kind of mount that shows a directory at another place.
const BIND: &str = "bind";

/// Where disks are.
const DEV: &str = "/dev/";

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

    fn add_mount(&mut self, what: Wanted, service: String, is_instance: bool, root: FileSystemClient) {
        self.mounts.add(Mounted { id: 0, what, service, is_instance, root: Some(root) });
        self.counter.advance();
    }

    /// Mounts a directory at another place.
    fn bind(&mut self, source: String, what: Wanted) -> Result<()> {
        let service = self.mounts.cover(&source).map(|(mounted, _)| mounted.service.clone());
        let session = self.session(&source, what.read_only)?;
        self.add_mount(what, service.unwrap_or_default(), false, client::unchecked(session));
        Ok(())
    }

    /// Starts the server of a file system on a disk; without a disk, where the source is none. Its name.
    fn start_server(&mut self, what: &Wanted, options: &MountOptions) -> Result<String> {
        let disk = match what.source.strip_prefix(DEV) {
            Some(name) => {
                let disk = self.devices.volume().disk(name, !what.read_only).map_err(|error| match error {
                    FileError::NotFound => NamespaceError::NotFound,
                    FileError::Busy => NamespaceError::Busy,
                    error => NamespaceError::File(error),
                })?;
                Some(disk)
            }
            None => None,
        };
        let mut parameters = options.parameters.clone();
        if what.read_only {
            parameters.push(("read-only".into(), "true".into()));
        }
        let registry = self.env.registry();
        let name = registry.instance(&what.kind, "", parameters, disk.as_ref()).map_err(refused)?;
        let signaller = self.channel.signaller(STATE).map_err(|_| NamespaceError::Exhausted)?;
        let _ = registry.watch(&name, &signaller, STATE);
        Ok(name)
    }

    /// Mounts what has become ready, and tells those whose file system does not come up.
    pub fn look_at_starting(&mut self) {
        for Starting { call, service, mount } in core::mem::take(&mut self.starting) {
            let result = match self.env.registry().info(&service).map(|info| info.state) {
                Ok(State::Ready) => self.finish(&service, mount),
                Ok(State::Waiting | State::Starting) => {
                    self.starting.push(Starting { call, service, mount });
                    continue;
                }
                // One that ends before it has ever served finds no file system that it knows.
                _ => Err(NamespaceError::NotReady),
            };
            if result.is_err() {
                self.remove_server(&service);
            }
            let _ = call.reply(result);
        }
    }

    fn finish(&mut self, service: &str, what: Wanted) -> Result<()> {
        let session = self.env.registry().connect(service, false).map_err(refused)?;
        let root = client::open(session).map_err(|_| NamespaceError::NotReady)?;
        self.add_mount(what, service.to_string(), true, root);
        Ok(())
    }

    fn remove_server(&self, service: &str) {
        // It may be gone already; init says so in its log if it does not want to.
        let _ = self.env.registry().remove_instance(service);
    }

    /// Who waited for a mount is gone: it is taken back.
    pub fn give_up_starting(&mut self, call: Handle) {
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
        let what = Wanted { path, source: source.to_string(), kind: kind.to_string(), read_only };
        if kind == BIND {
            let result = self.seen(cx).and_then(|root| Self::whole(&root, source));
            return reply.send(result.and_then(|source| self.bind(source, what)));
        }
        match self.start_server(&what, &options) {
            Err(error) => reply.send(Err(error)),
            Ok(service) => {
                // A call that cannot be kept is let go, and nothing waits for the server.
                match reply.keep() {
                    Ok(call) => self.starting.push(Starting { call, service, mount: what }),
                    Err(_) => return self.remove_server(&service),
                }
                self.look_at_starting();
            }
        }
    }

    fn unmount(&mut self, cx: &Context, target: &str, options: UnmountOptions) -> Result<()> {
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
            let statistics = root.statistics().map_err(refused);
            match statistics {
                Ok(statistics) if statistics.in_use > 0 && !options.force => return Err(NamespaceError::Busy),
                Err(error) if !options.force => return Err(error),
                _ => {}
            }
            match root.sync_all().map_err(refused) {
                Err(error) if !options.force => return Err(error),
                _ => {}
            }
        }
        if let Some(mounted) = self.mounts.remove(&path)
            && mounted.is_instance
        {
            let service = mounted.service.clone();
            drop(mounted);
            self.remove_server(&service);
        }
        self.counter.advance();
        Ok(())
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
