//! Starting a service: its objects, what it is given, its program, and off it goes.

use crate::machine;
use crate::manifest::{DEVICE, FIRMWARE_TABLES, Kind, Service as Entry};
use crate::record::Phase;
use crate::service::Objects;
use crate::supervisor::{Supervisor, bit};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use libsys::abi::Policy;
use libsys::env::names;
use libsys::inspect;
use libsys::log::Level;
use libsys::program::{Launch, LoadError};
use libsys::resource::ResourceKind;
use libsys::service::{CONTROL, GIVEN};
use libsys::{Channel, Error, Handle, Object, Rights};
use libsys::{state, time};

/// Bit of a badge of init's own channel: the session is not the service itself, but was made for it.
pub(crate) const DERIVED: u64 = 1 << 62;

/// Bits of a badge of init's own channel that say whose it is: one more than the service's index.
pub(crate) const OWNER: u64 = 0xffff;

/// Where the number of a session starts in a badge.
const NUMBER_SHIFT: u32 = 16;

impl Supervisor {
    /// Starts a service that is not running.
    pub(crate) fn start(&mut self, index: usize) {
        if let Err(error) = self.try_start(index) {
            self.start_failed(index, error);
        }
    }

    fn try_start(&mut self, index: usize) -> Result<(), LoadError> {
        let program = match self.upgraded(index) {
            Some(program) => program?,
            None => self.prepared(&self.manifest.services[index].binary.clone())?,
        };
        self.make(index)?;
        let known = self.sessions(index)?;
        let entry = &self.manifest.services[index];
        let objects = self.services[index].objects.as_ref().ok_or(Error::BadState)?;
        let signals = Rights::RECEIVE | Rights::MINT | Rights::SIGNAL | Rights::DUPLICATE | Rights::INSPECT;
        let mut launch = Launch::new(&program, &entry.name)
            .arguments(entry.arguments.iter().cloned())
            .grant(names::ACCOUNT, &objects.account, !Rights::MANAGE)
            .grant(names::PROCESS, &objects.process, Rights::all())
            .grant(names::CHANNEL, &objects.channel, signals)
            .grant(names::LOG, &objects.log, !Rights::MANAGE);
        for (name, value) in parameters(&self.machine.command_line, entry, self.machine.rsdp) {
            launch = launch.parameter(name, value);
        }
        if self.goes_back(index) {
            launch = launch.parameter(state::schema::PARAMETER.to_string(), "yes".to_string());
        }
        for (name, handle) in known {
            launch = launch.known(&name, handle);
        }
        for (grant, object) in entry.grants.iter().zip(&objects.grants) {
            launch = launch.known(&grant.name, object.grant_to(&objects.process)?);
        }
        let thread = launch.load_into(&objects.process, &objects.account)?;
        match entry.priority.policy {
            Policy::Fair => thread.schedule(entry.priority)?,
            _ => thread.schedule_real_time(entry.priority, self.machine.resource(ResourceKind::RealTime))?,
        }
        let record = objects.process.exit_record()?;
        let service = &mut self.services[index];
        service.is_new = false;
        service.record.started = time::now();
        service.record.incarnation = record.incarnation;
        service.record.complaints.clear();
        self.set_phase(index, Phase::Starting);
        let objects = self.services[index].objects.as_ref().ok_or(Error::BadState)?;
        objects.process.start()?;
        Ok(())
    }

    /// Makes a service's objects, unless they are there.
    fn make(&mut self, index: usize) -> Result<(), Error> {
        if self.services[index].objects.is_some() {
            return Ok(());
        }
        let entry = &self.manifest.services[index];
        let objects = Objects::create(self.machine, entry)?;
        objects.process.watch(Some((&self.machine.channel, bit(index))))?;
        let names = entry.sessions.iter().map(|session| session.names.len()).sum::<usize>();
        let count = 1 + names + usize::from(self.services[index].has_device());
        self.services[index].record.objects = Some(objects.handles(vec![0; count]));
        self.services[index].objects = Some(objects);
        let place = self.rings.next_place();
        self.services[index].record.ring = Some(place);
        self.commit(index);
        self.note_ring(place);
        self.rings.tell();
        Ok(())
    }

    /// The sessions that a service has or gets now, by name: they stay with its process through all incarnations.
    fn sessions(&mut self, index: usize) -> Result<Vec<(String, Handle)>, Error> {
        let entry = self.manifest.services[index].clone();
        let mut numbers = match &self.services[index].record.objects {
            Some(objects) => objects.sessions.clone(),
            None => return Err(Error::BadState),
        };
        self.forget_closed(index, &mut numbers)?;
        let mut known = Vec::new();
        if numbers[0] == 0 {
            let badge = if entry.control { CONTROL } else { 0 } | (index as u64 + 1);
            numbers[0] = self.mint(None, badge, index, 1)?[0];
        }
        known.push((names::REGISTRY.to_string(), Handle(numbers[0])));
        let mut at = 1;
        for session in &entry.sessions {
            let range = at..at + session.names.len();
            at = range.end;
            let below = self.manifest.find(&session.service).ok_or(Error::BadState)?;
            if self.services[below].objects.is_none() {
                continue;
            }
            if numbers[range.clone()].contains(&0) {
                let badge = self.next_badge() | if session.control { CONTROL } else { 0 };
                match self.mint(Some(below), badge, index, session.names.len()) {
                    Ok(minted) => numbers[range.clone()].copy_from_slice(&minted),
                    // It was given up: who can do without it goes on, and the others find no session of this name.
                    Err(Error::Closed) => continue,
                    Err(error) => return Err(error),
                }
            }
            let handles = numbers[range].iter().map(|number| Handle(*number));
            known.extend(session.names.iter().cloned().zip(handles));
        }
        if self.services[index].has_device() {
            if numbers[at] == 0 {
                numbers[at] = self.device_session(index)?;
            }
            known.push((DEVICE.to_string(), Handle(numbers[at])));
        }
        if let Some(objects) = &mut self.services[index].record.objects
            && objects.sessions != numbers
        {
            objects.sessions = numbers;
            self.commit(index);
        }
        Ok(known)
    }

    /// Forgets sessions that a process closed itself.
    fn forget_closed(&self, index: usize, numbers: &mut [u64]) -> Result<(), Error> {
        if numbers.iter().all(|number| *number == 0) {
            return Ok(());
        }
        let Some(objects) = &self.services[index].objects else { return Ok(()) };
        let held =
            inspect::handles(&self.machine.inspect, objects.number).map(|record| record.map(|record| record.handle));
        let held = held.collect::<Result<Vec<u64>, Error>>()?;
        for number in numbers.iter_mut().filter(|number| !held.contains(number)) {
            *number = 0;
        }
        Ok(())
    }

    /// A session to a service (`None`: init) for a service's process, under so many handles.
    pub(crate) fn mint(&self, below: Option<usize>, badge: u64, index: usize, count: usize) -> Result<Vec<u64>, Error> {
        let objects = |index: usize| self.services[index].objects.as_ref().ok_or(Error::BadState);
        let channel = match below {
            None => &self.machine.channel,
            Some(below) => &objects(below)?.channel,
        };
        let client = objects(index)?;
        let session = channel.mint(badge, &client.account)?;
        (0..count).map(|_| Ok(client.process.grant(&session, Rights::all(), true)?.0)).collect()
    }

    /// A badge that no session had yet, nor one of an earlier init.
    pub(crate) fn next_badge(&mut self) -> u64 {
        self.minted += 1;
        (self.machine.incarnation << 40 | self.minted << NUMBER_SHIFT) & !(CONTROL | DERIVED | GIVEN | OWNER)
    }

    /// Lets a service that was given up have a channel again. The sessions of others to the old one are over: who
    /// had one gets a new one, and is started again for that.
    pub(crate) fn reopen(&mut self, index: usize) -> Result<(), Error> {
        let service = &mut self.services[index];
        let Some(objects) = &mut service.objects else { return Ok(()) };
        let channel = Channel::create_for(&objects.account, &objects.process)?;
        channel.set_kept(true)?;
        objects.channel_number = channel.inspect_handle()?.object;
        objects.channel = channel;
        if let Some(handles) = &mut service.record.objects {
            handles.channel = objects.channel.handle().0;
        }
        self.commit(index);
        let name = self.manifest.services[index].name.clone();
        for other in 0..self.services.len() {
            let sessions = &self.manifest.services[other].sessions;
            let names = sessions.iter().flat_map(|session| session.names.iter().map(|_| session.service == name));
            let names = names.chain([self.services[other].is_device_of(&name)]);
            let Some(handles) = &mut self.services[other].record.objects else { continue };
            let mut is_client = false;
            for (number, is_to_it) in handles.sessions[1..].iter_mut().zip(names) {
                if is_to_it {
                    *number = 0;
                    is_client = true;
                }
            }
            if is_client && self.services[other].record.phase.is_up() {
                self.stop(other, true);
            } else if is_client {
                self.commit(other);
            }
        }
        Ok(())
    }
}

/// The parameters of a service: the command line's go over the manifest's, those of an instance over those of its template; `log`
/// is everybody's.
fn parameters(line: &str, entry: &Entry, rsdp: u64) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match all.iter_mut().find(|(known, _)| known == name) {
        Some(parameter) => parameter.1 = value.to_string(),
        None => all.push((name.to_string(), value.to_string())),
    };
    // `log=serial` is the kernel's.
    let mut logs = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("log="));
    if let Some(level) = logs.find(|level| level.parse::<Level>().is_ok()) {
        set("log", level);
    }
    for (name, value) in &entry.parameters {
        if value == FIRMWARE_TABLES { set(name, &format!("{rsdp}")) } else { set(name, value) }
    }
    if let Kind::Instance { of } = &entry.kind {
        machine::parameters(line, of).for_each(|(name, value)| set(name, &value));
    }
    machine::parameters(line, &entry.name).for_each(|(name, value)| set(name, &value));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn the_command_line_goes_over_the_manifest() {
        let text = b"service uart\nparameter rate 115200\nparameter x y\nservice null\nparameter log warning";
        let manifest = Manifest::parse(text).expect("good");
        let line = "log=serial log=debug uart.rate=9600 uart.new=1";
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        let expected = [pair("log", "debug"), pair("rate", "9600"), pair("x", "y"), pair("new", "1")];
        assert_eq!(parameters(line, &manifest.services[0], 0), expected);
        assert_eq!(parameters(line, &manifest.services[1], 0), [pair("log", "warning")]);
    }
}
