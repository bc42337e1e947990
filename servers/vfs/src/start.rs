//! The start: the mounts and directories that the manifest wants.

use crate::Vfs;
use crate::counter::Counter;
use crate::devices::Devices;
use crate::jobs::Jobs;
use crate::kept::{KeptMount, MOUNT};
use crate::mounts::{Table, Wanted};
use crate::namespaces::Namespaces;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::{FileError, FileServer};
use libsys::client::{self, CallError};
use libsys::driver::StartError;
use libsys::env::Env;
use libsys::protocol::filesystem::Walked;
use libsys::protocol::{FileSystemClient, list};
use libsys::service::Result;
use libsys::{path, sys};

/// The name of what is served here, in the parameter `mounts`.
const DEV: &str = "dev";

/// Permission bits of directories that are made.
const MODE: u16 = 0o755;

fn wrong(what: &str, why: &str) -> StartError {
    StartError::Peer(format!("{what}: {why}"))
}

/// The class of the services that are file systems.
const FILE_SYSTEMS: &str = "filesystem";

/// The server as the incarnation before left it; in the first one with everything mounted that the manifest wants.
pub fn start(env: &'static Env) -> Result<Vfs> {
    let incarnation = sys::identify().incarnation;
    let channel = env.channel();
    let mut devices = FileServer::new(Devices::open(env)?, env)?;
    let records = devices.volume().kept();
    let before = records.all::<KeptMount>(MOUNT);
    let live: BTreeSet<u64> = channel.sessions()?.into_iter().map(|session| session.badge).collect();
    let namespaces = Namespaces::recover(records, incarnation, |badge| live.contains(&badge));
    let jobs = Jobs::recover(records);
    let counter = Counter::open(records, env.account())?;
    let mut vfs = Vfs { env, devices, mounts: Table::default(), namespaces, counter, jobs, channel };
    if before.is_empty() {
        mount_all(&mut vfs)?;
        if incarnation > 1 {
            remove_unknown(&vfs);
        }
    }
    for (key, kept) in before {
        vfs.mount_again(key.first, kept);
    }
    vfs.devices.volume().kept().commit();
    vfs.counter.publish();
    Ok(vfs)
}

/// Mounts what the manifest wants.
fn mount_all(vfs: &mut Vfs) -> Result<()> {
    let env = vfs.env;
    let mut sessions: Vec<(String, FileSystemClient)> = Vec::new();
    for word in env.parameter("mounts").unwrap_or_default().split_whitespace() {
        let (path, source) = word.split_once('=').ok_or_else(|| wrong(word, "not PATH=SESSION"))?;
        if !path::is_normal(path) {
            return Err(wrong(path, "not an absolute path"));
        }
        let (name, directory) = source.split_once('/').unwrap_or((source, ""));
        if path != "/" {
            make_directory(&vfs.mounts, path)?;
        }
        let root = if name == DEV { None } else { Some(root(env, &mut sessions, name, directory)?) };
        let kind = name.to_string();
        let what = Wanted { path: path.to_string(), source: source.to_string(), kind, read_only: false };
        vfs.add_mount(what, name.to_string(), false, root).map_err(|error| wrong(path, &format!("{error}")))?;
    }
    for path in env.parameter("directories").unwrap_or_default().split_whitespace() {
        make_directory(&vfs.mounts, path)?;
    }
    Ok(())
}

/// Takes file systems away that vfs started and does not know of: what it kept is lost. Those that are not of its making stay: init knows who made which.
fn remove_unknown(vfs: &Vfs) {
    let registry = vfs.env.registry();
    for member in list::all(|first| registry.members(FILE_SYSTEMS, first)).unwrap_or_default() {
        let _ = registry.remove_instance(&member.name);
    }
}

/// The directory of a file system that is mounted. The session is taken once, and stays for others.
fn root(
    env: &Env,
    sessions: &mut Vec<(String, FileSystemClient)>,
    name: &str,
    directory: &str,
) -> Result<FileSystemClient> {
    let index = match sessions.iter().position(|(known, _)| known == name) {
        Some(index) => index,
        None => {
            sessions.push((name.to_string(), client::open(env.take_session(name)?)?));
            sessions.len() - 1
        }
    };
    match sessions[index].1.subtree(directory, false)? {
        (Walked::Here(()), Some(session)) => Ok(client::unchecked(session)),
        _ => Err(wrong(directory, "not a directory")),
    }
}

/// Makes a directory for a mount or for everybody, if the file system there lets it and it is not there.
fn make_directory(mounts: &Table, path: &str) -> Result<()> {
    let Some((mounted, rest)) = mounts.cover(path) else { return Ok(()) };
    let Some(root) = &mounted.root else { return Ok(()) };
    match root.make_directory(rest, MODE) {
        Ok(_) | Err(CallError::Failed(FileError::Exists | FileError::ReadOnly)) => Ok(()),
        Err(error) => Err(wrong(path, &format!("{error}"))),
    }
}
