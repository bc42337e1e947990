//! What Tab finds: commands, programs, services, jobs.

use crate::commands::{self, Topic};
use crate::jobs::Jobs;
use crate::line::Candidates;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::protocol::RegistryClient;
use libsys::protocol::registry::Service;

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
        all
    }

    fn services(&self) -> Vec<String> {
        let services = services(self.registry).unwrap_or_default();
        services.into_iter().map(|service| service.name).collect()
    }
}

impl Candidates for Completer<'_> {
    fn after(&mut self, words: &[&str]) -> Vec<String> {
        let [name, rest @ ..] = words else {
            return self.commands_and_programs();
        };
        let Some(command) = commands::find(name) else {
            return Vec::new();
        };
        match command.topic {
            Topic::Nothing => Vec::new(),
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

/// All services that the registry knows.
pub fn services(registry: &RegistryClient) -> Result<Vec<Service>, libsys::client::CallError<libsys::wire::NoError>> {
    let mut all = Vec::new();
    loop {
        match registry.list(all.len() as u32)? {
            part if part.is_empty() => return Ok(all),
            part => all.extend(part),
        }
    }
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
