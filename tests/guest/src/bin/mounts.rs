//! `mounts NAME DIRECTORY DISK ROUNDS`: walks through the names of the system, opens devices, and mounts and unmounts, so many rounds, whatever happens to vfs meanwhile. Every step has to succeed, once: a mount
//! that is made twice is `Busy`, an unmount `NotFound`. What is promised to last has to: the page that counts changes, the numbers of mounts and devices, sessions of a subtree. The first
//! thing that is otherwise ends it with status 1. In the end it says how many rounds it went, and how long that took.
//!
//! `DISK` is the path of a disk with the file `mark` on it, or `-`. With `DIRECTORY/wait` there, the last round is the one in which that goes.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use guest::say;
use libsys::client::CallError;
use libsys::fs::{self, OpenOptions};
use libsys::protocol::namespace::{MountOptions, NamespaceError, UnmountOptions};
use libsys::protocol::{CharacterClient, NamespaceClient, list};
use libsys::time::Instant;
use libsys::{ExitStatus, Object, Session, client, env, path};

libsys::main!(run);

type Outcome = Result<(), String>;

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(String::as_str).collect();
    let [name, directory, disk, rounds] = words[..] else {
        say!("mounts NAME DIRECTORY DISK ROUNDS");
        return ExitStatus::FAILURE;
    };
    let mut worker =
        Worker { name: name.into(), directory: directory.into(), disk: (disk != "-").then(|| disk.into()), round: 0 };
    let begun = Instant::now();
    let outcome = rounds.parse().map_err(|_| "how many rounds?".to_string()).and_then(|rounds| worker.work(rounds));
    say!("{name} went {} rounds in {} ms", worker.round, begun.elapsed().as_millis());
    match outcome {
        Ok(()) => ExitStatus::SUCCESS,
        Err(text) => {
            say!("FAIL {}, round {}: {text}", words.join(" "), worker.round);
            ExitStatus::FAILURE
        }
    }
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
    name: String,
    directory: String,
    disk: Option<String>,
    round: u32,
}

/// What is not to change.
struct Promised {
    page: u64,
    devices: Vec<(String, u64)>,
    subtree: NamespaceClient,
}

impl Worker {
    fn at(&self, name: &str) -> String {
        path::join(&self.directory, &format!("{name}-{}", self.name))
    }

    fn work(&mut self, rounds: u32) -> Outcome {
        let namespace = fs::namespace().tried("the namespace")?;
        let (own, bound, disk) = (self.at("own"), self.at("bound"), self.at("disk"));
        for directory in [&own, &bound, &disk] {
            fs::create_dir_all(directory).tried("make a directory")?;
        }
        fs::write(&path::join(&own, "inside"), b"seen").tried("write")?;
        let promised = Promised {
            page: number_of(&namespace.changes().tried("the page")?)?,
            devices: devices()?,
            subtree: subtree(namespace, &own)?,
        };
        let wait = path::join(&self.directory, "wait");
        while self.round < rounds || fs::exists(&wait) {
            self.round += 1;
            self.walk(namespace, &promised)?;
            self.bind(namespace, &own, &bound)?;
            if let Some(source) = &self.disk {
                self.mount(namespace, source, &disk)?;
            }
        }
        for directory in [&own, &bound, &disk] {
            fs::remove_dir_all(directory).tried("remove a directory")?;
        }
        Ok(())
    }

    fn walk(&self, namespace: &NamespaceClient, promised: &Promised) -> Outcome {
        same("the page of changes", number_of(&namespace.changes().tried("the page")?)?, promised.page)?;
        same("the devices", devices()?, promised.devices.clone())?;
        let (_, zero) = OpenOptions::new().read(true).open_any("/dev/zero").tried("open a device")?;
        let zero: CharacterClient = client::unchecked(zero);
        same("what a device gives", zero.read_wait(16).tried("read a device")?, [0; 16].to_vec())?;
        for path in ["/", "/bin", "/sys", "/tmp"] {
            let (found, session) = namespace.resolve(path).tried("resolve")?;
            same("the bytes of a mount's path", found.prefix as usize <= path.len(), true)?;
            drop(session);
        }
        same("a program", fs::metadata("/bin/true").tried("status")?.is_file(), true)?;
        // A subtree, by a session of long ago and by a new one.
        let fresh = subtree(namespace, &self.at("own"))?;
        for inside in [&promised.subtree, &fresh] {
            let (_, session) = inside.resolve("/").tried("resolve in a subtree")?;
            let seen = client::unchecked::<libsys::protocol::FileSystemClient>(session);
            seen.status("inside", true).tried("status in a subtree")?;
            same("mounts of a subtree", inside.mounts(0).tried("mounts")?.len(), 1)?;
        }
        Ok(())
    }

    fn bind(&self, namespace: &NamespaceClient, from: &str, to: &str) -> Outcome {
        let options = MountOptions { read_only: true, ..MountOptions::default() };
        namespace.mount(from, to, "bind", options.clone()).tried("bind")?;
        same("what is bound", fs::read(&path::join(to, "inside")).tried("read what is bound")?, b"seen".to_vec())?;
        same("writing there", fs::write(&path::join(to, "new"), b"").is_err(), true)?;
        let again = namespace.mount(from, to, "bind", options);
        same("binding again", again, Err(CallError::Failed(NamespaceError::Busy)))?;
        namespace.unmount(to, UnmountOptions::default()).tried("unbind")?;
        same("what was bound", fs::exists(&path::join(to, "inside")), false)?;
        let again = namespace.unmount(to, UnmountOptions::default());
        same("unbinding again", again, Err(CallError::Failed(NamespaceError::NotFound)))
    }

    fn mount(&self, namespace: &NamespaceClient, disk: &str, to: &str) -> Outcome {
        namespace.mount(disk, to, "auto", MountOptions::default()).tried("mount")?;
        let mark = path::join(to, "mark");
        same("the mark", fs::read(&mark).tried("read the mark")?.is_empty(), false)?;
        let new = path::join(to, "new");
        fs::write(&new, self.name.as_bytes()).tried("write there")?;
        fs::remove_file(&new).tried("remove there")?;
        same("mounts of it", self.mounted(namespace, to)?, 1)?;
        namespace.unmount(to, UnmountOptions::default()).tried("unmount")?;
        same("mounts of it", self.mounted(namespace, to)?, 0)?;
        same("the mark", fs::exists(&mark), false)
    }

    /// How many mounts there are at a path.
    fn mounted(&self, namespace: &NamespaceClient, path: &str) -> Result<usize, String> {
        let all = list::all(|first| namespace.mounts(first)).tried("mounts")?;
        Ok(all.iter().filter(|mount| mount.path == path).count())
    }
}

fn subtree(namespace: &NamespaceClient, path: &str) -> Result<NamespaceClient, String> {
    let session: Session = namespace.subtree(path, true).tried("a subtree")?;
    Ok(client::unchecked(session))
}

/// The kernel's number of an object.
fn number_of(object: &impl Object) -> Result<u64, String> {
    Ok(object.inspect_handle().tried("inspect")?.object)
}

/// Devices with their numbers.
fn devices() -> Result<Vec<(String, u64)>, String> {
    let entries = fs::read_dir("/dev").tried("list devices")?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.tried("list devices")?;
        found.push((entry.file_name().to_string(), entry.id()));
    }
    found.sort();
    Ok(found)
}
