//! What Tab finds: commands, programs, files, services, jobs.

use crate::commands::{self, Topic};
use crate::jobs::Jobs;
use crate::line::Candidates;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::fs::{self, NodeKind};
use libsys::protocol::registry::Service;
use libsys::protocol::{RegistryClient, list};

/// Knows the words of the moment.
pub struct Completer<'a> {
    registry: &'a RegistryClient,
    jobs: &'a Jobs,
}

impl<'a> Completer<'a> {
    /// Asks this registry.
    pub fn new(registry: &'a RegistryClient, jobs: &'a Jobs) -> Completer<'a> {
        Completer { registry, jobs }
    }

    fn commands_and_programs(&self) -> Vec<String> {
        let commands = commands::COMMANDS.iter();
        let mut all: Vec<String> = commands.map(|command| command.name.to_string()).collect();
        all.extend(programs(self.registry).unwrap_or_default());
        let in_directory = fs::read_dir(PROGRAMS).into_iter().flatten().flatten();
        all.extend(in_directory.map(|entry| entry.file_name().to_string()));
        all
    }

    fn services(&self) -> Vec<String> {
        let services = services(self.registry).unwrap_or_default();
        services.into_iter().map(|service| service.name).collect()
    }
}

impl Candidates for Completer<'_> {
    fn after(&mut self, words: &[&str], begun: &str) -> Vec<String> {
        let is_file = words.last().is_some_and(|word| word.ends_with(['<', '>']));
        let [name, rest @ ..] = words else {
            return if begun.contains('/') { files(begun) } else { self.commands_and_programs() };
        };
        let Some(command) = commands::find(name).filter(|_| !is_file) else {
            return files(begun);
        };
        match command.topic {
            Topic::Nothing => Vec::new(),
            Topic::Files => files(begun),
            Topic::Words(all) if rest.is_empty() => all.iter().map(|word| word.to_string()).collect(),
            Topic::Words(_) => Vec::new(),
            Topic::Services => self.services(),
            Topic::Service(actions) if rest.is_empty() => actions.iter().map(|word| word.to_string()).collect(),
            Topic::Service(_) => self.services(),
            Topic::Targets => {
                let jobs = self.jobs.iter().map(|job| alloc::format!("%{}", job.number));
                let mut all = self.services();
                all.extend(jobs);
                all
            }
            Topic::Commands => self.commands_and_programs(),
        }
    }
}

/// Where programs are.
const PROGRAMS: &str = "/bin";

/// Paths in the directory of the one that was begun. What begins with a dot is only there if that is typed.
fn files(begun: &str) -> Vec<String> {
    let (directory, name) =
        begun.rsplit_once('/').map_or(("", begun), |(directory, _)| begun.split_at(directory.len() + 1));
    let entries = fs::read_dir(if directory.is_empty() { "." } else { directory });
    let entries = entries.into_iter().flatten().flatten();
    let shown = entries.filter(|entry| name.starts_with('.') || !entry.file_name().starts_with('.'));
    let path = |entry: fs::DirEntry| {
        let end = if entry.kind() == NodeKind::Directory { "/" } else { "" };
        alloc::format!("{directory}{}{end}", entry.file_name())
    };
    shown.map(path).collect()
}

/// All services that the registry knows.
pub fn services(registry: &RegistryClient) -> Result<Vec<Service>, libsys::client::CallError<libsys::wire::NoError>> {
    list::all(|first| registry.list(first))
}

/// The names of all programs of the boot archive.
pub fn programs(registry: &RegistryClient) -> Result<Vec<String>, libsys::client::CallError<libsys::wire::NoError>> {
    let mut all = Vec::new();
    loop {
        match registry.programs(all.len() as u32)? {
            part if part.is_empty() => return Ok(all),
            part => all.extend(part),
        }
    }
}
