//! The start: the mounts and directories that the manifest wants.

use crate::Vfs;
use crate::counter::Counter;
use crate::devices::Devices;
use crate::kept::KeptMounts;
use crate::mounts::{Mounted, Table, Wanted};
use crate::namespaces::Namespaces;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use filesystem::{Clock, FileError, FileServer};
use libsys::client::{self, CallError};
use libsys::driver::StartError;
use libsys::env::Env;
use libsys::protocol::FileSystemClient;
use libsys::protocol::filesystem::Walked;
use libsys::service::Result;
use libsys::{path, sys};

/// The name of what is served here, in the parameter `mounts`.
const DEV: &str = "dev";

/// Permission bits of directories that are made.
const MODE: u16 = 0o755;

fn wrong(what: &str, why: &str) -> StartError {
    StartError::Peer(format!("{what}: {why}"))
}

/// The server, with everything mounted.
pub fn start(env: &'static Env) -> Result<Vfs> {
    let incarnation = sys::identify().incarnation;
    let devices = FileServer::new(Devices::new(env, Clock::of(env)), env)?;
    let (kept, before) = KeptMounts::open(env)?;
    let mut vfs = Vfs {
        env,
        devices,
        mounts: Table::new(incarnation),
        kept,
        namespaces: Namespaces::new(incarnation),
        counter: Counter::create(env.account())?,
        starting: Vec::new(),
        ending: Vec::new(),
        channel: env.channel(),
    };
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
        vfs.mounts.add(Mounted {
            id: 0,
            what,
            service: name.to_string(),
            is_instance: false,
            is_of_manifest: true,
            root,
        });
    }
    for path in env.parameter("directories").unwrap_or_default().split_whitespace() {
        make_directory(&vfs.mounts, path)?;
    }
    vfs.mount_again(before);
    Ok(vfs)
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
