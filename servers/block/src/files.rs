//! Files that become disks: a driver is started for each, as an instance of a template, and then found like any other.

use crate::serve::LONGEST_TEXT;
use crate::{BlockServer, Known};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::client::CallError;
use libsys::protocol::block::BlockError;
use libsys::protocol::filesystem::FileError;
use libsys::protocol::registry::{RegistryError, Service, State};
use libsys::service::{Kept, Reply};
use libsys::{Handle, Session, env};

type Answer<T> = Result<T, BlockError>;

/// What is under way.
#[derive(Debug, Default)]
pub struct Files {
    /// The template of the drivers, if this server makes disks of files.
    template: Option<String>,
    /// Who waits for a driver's disk.
    adding: Vec<(Kept<Answer<String>>, String)>,
    /// Who waits until a driver is gone.
    removing: Vec<(Kept<Answer<()>>, String)>,
}

impl Files {
    /// Nothing is under way.
    pub fn new(template: Option<&str>) -> Files {
        Files { template: template.map(String::from), ..Files::default() }
    }

    /// Who waited is gone: a disk that nobody knows of is taken away again.
    pub fn withdrawn(&mut self, call: Handle) {
        self.removing.retain(|(waiting, _)| !waiting.is(call));
        for (_, driver) in self.adding.extract_if(.., |(waiting, _)| waiting.is(call)) {
            remove(&driver);
        }
    }
}

impl BlockServer {
    /// Starts a driver for a file.
    pub fn begin_to_add(&mut self, file: &Session, path: &str, read_only: bool, reply: Reply<'_, Answer<String>>) {
        let Some(template) = &self.files.template else { return reply.send(Err(BlockError::Unsupported)) };
        let read_only = if read_only { "yes" } else { "no" };
        let parameters = vec![("path".into(), shown(path)), ("read-only".into(), read_only.into())];
        match env::get().registry().instance(template, "", parameters, Some(file)) {
            Err(error) => reply.send(Err(refused(error))),
            Ok(driver) => match reply.keep() {
                Ok(call) => self.files.adding.push((call, driver)),
                // The caller hears that, and gets no disk.
                Err(_) => remove(&driver),
            },
        }
        self.look_at_files();
    }

    /// Ends the driver of a disk, if it is a file's.
    pub fn begin_to_remove(&mut self, name: &str, reply: Reply<'_, Answer<()>>) {
        let driver = match self.removable(name) {
            Ok(driver) => driver,
            Err(error) => return reply.send(Err(error)),
        };
        match env::get().registry().remove_instance(&driver) {
            Err(error) => reply.send(Err(refused(error))),
            Ok(()) => {
                if let Ok(call) = reply.keep() {
                    self.files.removing.push((call, driver));
                }
            }
        }
        self.look_at_files();
    }

    /// The driver of a disk that nobody has open.
    fn removable(&self, name: &str) -> Answer<String> {
        // Also one whose driver was given up.
        let is_it = |known: &&Known| known.name == name && self.drivers_named(&known.driver);
        let Some(known) = self.disks.iter().find(is_it) else {
            // What is no disk may be a partition.
            return Err(if self.find(name).is_ok() { BlockError::Unsupported } else { BlockError::NoSuchDisk });
        };
        if self.files.template.is_none() {
            return Err(BlockError::Unsupported);
        }
        if self.promises.sessions.iter().any(|session| session.disk == name) {
            return Err(BlockError::Busy);
        }
        Ok(known.driver.clone())
    }

    /// Whether there is a driver of this name, in whatever state.
    fn drivers_named(&self, driver: &str) -> bool {
        !matches!(env::get().registry().info(driver), Err(CallError::Failed(_)))
    }

    /// Answers those whose driver has come or gone.
    pub fn look_at_files(&mut self) {
        for (call, driver) in core::mem::take(&mut self.files.adding) {
            match self.added(&driver) {
                None => self.files.adding.push((call, driver)),
                Some(result) => {
                    if result.is_err() {
                        remove(&driver);
                    }
                    // Who is gone leaves a disk that the next one finds.
                    let _ = call.reply(result);
                }
            }
        }
        for (call, driver) in core::mem::take(&mut self.files.removing) {
            let is_live = self.disks.iter().any(|known| known.driver == driver && known.live.is_some());
            if is_live || self.drivers_named(&driver) {
                self.files.removing.push((call, driver));
            } else {
                let _ = call.reply(Ok(()));
            }
        }
    }

    /// What became of a driver that was started; `None`: nothing yet.
    fn added(&mut self, driver: &str) -> Option<Answer<String>> {
        let info = env::get().registry().info(driver);
        let is_it = |known: &&Known| known.driver == driver && known.live.is_some();
        if matches!(&info, Ok(service) if service.state == State::Ready)
            && !self.disks.iter().any(|known| is_it(&known))
        {
            self.discover();
        }
        if let Some(known) = self.disks.iter().find(is_it) {
            return Some(Ok(known.name.clone()));
        }
        match info {
            // One that ends before it has ever served says in its status why it cannot.
            Ok(Service { last_exit, last_code, .. }) if last_exit != 0 => {
                Some(Err(match FileError::of_exit_status(last_code) {
                    Some(FileError::Busy) => BlockError::Busy,
                    Some(FileError::Unsupported) => BlockError::Unsupported,
                    Some(FileError::Exhausted) => BlockError::Exhausted,
                    Some(FileError::Denied) => BlockError::Denied,
                    Some(FileError::ReadOnly) => BlockError::ReadOnly,
                    _ => BlockError::Device,
                }))
            }
            Ok(Service { state: State::Waiting | State::Starting | State::Restarting(_), .. }) => None,
            // It serves, and is no disk; or it cannot be started.
            _ => Some(Err(BlockError::Device)),
        }
    }
}

/// Asks for a driver's end.
fn remove(driver: &str) {
    if let Err(error) = env::get().registry().remove_instance(driver) {
        libsys::error!("{driver} stays: {error}");
    }
}

/// A path as it is shown: where it is long, its end.
fn shown(path: &str) -> String {
    let length = path.chars().count();
    if length <= LONGEST_TEXT {
        return path.into();
    }
    core::iter::once('…').chain(path.chars().skip(length - (LONGEST_TEXT - 1))).collect()
}

fn refused(error: CallError<RegistryError>) -> BlockError {
    match error {
        CallError::Failed(RegistryError::NotPossible) => BlockError::Nested,
        CallError::Failed(RegistryError::Exhausted) => BlockError::Exhausted,
        CallError::Failed(RegistryError::NoSuchName | RegistryError::NotAService) => BlockError::Unsupported,
        CallError::Failed(RegistryError::Denied) => BlockError::Denied,
        _ => BlockError::Device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_paths_the_end_is_shown() {
        assert_eq!(shown("/mnt/disk.img"), "/mnt/disk.img");
        let long = shown(&"ä/".repeat(300));
        assert!(long.starts_with('…') && long.ends_with("ä/") && long.chars().count() == LONGEST_TEXT, "{long}");
    }
}
