//! The registry: what others may ask of init.

use crate::manifest::{Service as Entry, is_name};
use crate::record::Phase;
use crate::start::{DERIVED, OWNER};
use crate::supervisor::Supervisor;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::abi::ExitReason;
use libsys::crash::{Crash, CrashSummary};
use libsys::env::names;
use libsys::inspect;
use libsys::log::Level;
use libsys::protocol::registry::{Action, DeviceIds, LogSource, Member, Registry, RegistryError, Service, State};
use libsys::service::{CONTROL, Context, Reply};
use libsys::time;
use libsys::{Channel, Error, Handle, Memory, Object, Session};

/// The name under which init itself can be killed or started again; all services go on meanwhile.
pub(crate) const INIT: &str = "init";

/// Most further names of a service.
pub const MOST_NAMES: usize = 4;

/// Most clients whose complaints of one incarnation are noted.
pub const MOST_COMPLAINTS: usize = 8;

/// Clients whose complaints end a server.
const COMPLAINTS: usize = 3;

/// Services in one answer: each is at most 95 bytes.
const SERVICES_AT_ONCE: usize = 40;

/// Names of programs in one answer: each is at most 101 bytes, as archives have them.
const PROGRAMS_AT_ONCE: usize = 36;

/// Crashes in one answer: each is at most 70 bytes.
const CRASHES_AT_ONCE: usize = 50;

/// Members of a class in one answer: each is at most 45 bytes.
const MEMBERS_AT_ONCE: usize = 80;

/// The code in the exit record of a server that others complained of.
const COMPLAINED: u64 = 0xbad;

impl Registry for Supervisor {
    fn ready(&mut self, cx: &Context) -> Result<(), RegistryError> {
        let index = self.service_of(cx)?;
        if self.services[index].record.phase == Phase::Starting {
            self.note_ready(index);
            self.note_trial(index, libsys::time::now());
            self.set_phase(index, Phase::Ready);
            self.settle();
        }
        Ok(())
    }

    fn publish(&mut self, cx: &Context, name: &str, channel: Option<Channel>) -> Result<(), RegistryError> {
        let index = self.service_of(cx)?;
        if !is_name(name) || [names::REGISTRY, INIT].contains(&name) {
            return Err(RegistryError::BadName);
        }
        if self.find(name).is_some_and(|other| other != index) {
            return Err(RegistryError::Taken);
        }
        let handle = match channel {
            None => None,
            Some(channel) => {
                channel.set_kept(true).map_err(|_| RegistryError::Exhausted)?;
                Some(channel.into_handle().0)
            }
        };
        let names = &mut self.services[index].record.names;
        let before = match names.iter().position(|(known, _)| known == name) {
            Some(place) => core::mem::replace(&mut names[place].1, handle),
            None if names.len() == MOST_NAMES => {
                drop(handle.map(|handle| Channel::from_handle(libsys::Handle(handle))));
                return Err(RegistryError::Exhausted);
            }
            None => {
                names.push((name.to_string(), handle));
                None
            }
        };
        self.commit(index);
        drop(before.map(|handle| Channel::from_handle(libsys::Handle(handle))));
        Ok(())
    }

    fn connect(&mut self, cx: &Context, name: &str, wait: bool, reply: Reply<'_, Result<Session, RegistryError>>) {
        let Some(owner) = owner(cx) else { return reply.send(Err(RegistryError::Denied)) };
        if name == names::REGISTRY {
            let badge = self.next_badge() | DERIVED | (owner as u64 + 1);
            let session = self.machine.channel.mint(badge, &self.machine.account);
            return reply.send(session.map_err(|_| RegistryError::Exhausted));
        }
        let Some(index) = self.find(name) else { return reply.send(Err(RegistryError::NoSuchName)) };
        let entry = &self.manifest.services[owner];
        let called = &self.manifest.services[index];
        if !entry.may_connect(called) && !entry.sessions.iter().any(|session| session.service == called.name) {
            return reply.send(Err(RegistryError::Denied));
        }
        let on_demand = called.on_demand;
        let badge = self.next_badge() | cx.badge() & CONTROL;
        match self.services[index].record.phase {
            Phase::Ready => reply.send(self.session(index, name, badge)),
            Phase::GivenUp => reply.send(Err(RegistryError::GivenUp)),
            // It is about to come back: who has a session already does not notice, and nobody else is to.
            _ if !wait && self.services[index].record.comes_back() => reply.send(self.session(index, name, badge)),
            _ if !wait => reply.send(Err(RegistryError::NotReady)),
            phase => {
                // Where it cannot be kept, the call is let go, and the caller hears that.
                let _ = self.services[index].waiting.park(reply, (name.to_owned(), badge));
                if phase == Phase::Stopped && on_demand && self.going_down.is_none() {
                    self.services[index].record.history.clear();
                    self.set_phase(index, Phase::Waiting);
                    self.settle();
                }
            }
        }
    }

    fn watch(&mut self, cx: &Context, name: &str, channel: Channel, bits: u64) -> Result<State, RegistryError> {
        let index = self.find(name).ok_or(RegistryError::NoSuchName)?;
        self.watch_service(cx.badge(), index, channel, bits)?;
        Ok(self.services[index].state())
    }

    fn list(&mut self, first: u64) -> Vec<Service> {
        let from = usize::try_from(first).unwrap_or(usize::MAX);
        let running = (from..self.services.len()).filter(|index| self.manifest.services[*index].runs());
        running.take(SERVICES_AT_ONCE).map(|index| self.describe(index)).collect()
    }

    fn info(&mut self, name: &str) -> Result<Service, RegistryError> {
        self.find(name).map(|index| self.describe(index)).ok_or(RegistryError::NoSuchName)
    }

    fn control(&mut self, cx: &Context, name: &str, action: Action) -> Result<(), RegistryError> {
        if !cx.may_control() {
            return Err(RegistryError::Denied);
        }
        if name == INIT {
            if !matches!(action, Action::Restart | Action::Kill) {
                return Err(RegistryError::NotPossible);
            }
            // By the timer, when this is answered.
            self.ends = true;
            self.settle();
            return Ok(());
        }
        let index = self.find(name).ok_or(RegistryError::NoSuchName)?;
        if self.going_down.is_some() {
            return Err(RegistryError::NotPossible);
        }
        self.act(index, action)?;
        self.settle();
        Ok(())
    }

    fn upgrade(
        &mut self,
        cx: &Context,
        name: &str,
        file: Memory,
        bytes: u64,
        reply: Reply<'_, Result<(), RegistryError>>,
    ) {
        self.ask_for_upgrade(cx, name, &file, bytes, reply);
    }

    fn complain(&mut self, cx: &Context, session: Session, method: u32) {
        let Some(index) = self.server_of(&session) else { return };
        let (service, entry) = (&mut self.services[index], &self.manifest.services[index]);
        // Who does not serve yet has answered nobody.
        if service.record.phase != Phase::Ready {
            return;
        }
        let complaints = &mut service.record.complaints;
        // Who complains again has asked again.
        let is_again = complaints.contains(&cx.client());
        if !is_again && complaints.len() < MOST_COMPLAINTS {
            complaints.push(cx.client());
            let text = format!(
                "{}: a bad answer to the method {method:#x}, or none, says process {}",
                entry.name,
                cx.client()
            );
            self.journal.write(Level::Warning, &text);
        }
        // What they say may be true, too, of a disk that is corrupt.
        let is_bad = (is_again || complaints.len() >= COMPLAINTS)
            && service.record.history.can_spare(&entry.restart, time::now());
        if is_bad && let Some(objects) = &service.objects {
            let _ = objects.process.kill(ExitReason::Hung, COMPLAINED);
        }
        self.commit(index);
    }

    fn crashes(&mut self, first: u64) -> Vec<CrashSummary> {
        self.capsules.list(first).take(CRASHES_AT_ONCE).collect()
    }

    fn crash(&mut self, number: u64) -> Result<Crash, RegistryError> {
        self.note_answer(number);
        self.capsules.get(number).ok_or(RegistryError::NoSuchName)
    }

    fn program(&mut self, name: &str) -> Result<(Memory, u64), RegistryError> {
        let file = self.file(name).ok_or(RegistryError::NoSuchName)?;
        file.map_err(|_| RegistryError::Exhausted)
    }

    fn programs(&mut self, first: u32) -> Vec<String> {
        self.archive.programs().skip(first as usize).take(PROGRAMS_AT_ONCE).map(str::to_owned).collect()
    }

    fn log_ring(&mut self, cx: &Context, index: u32) -> Result<(LogSource, Memory), RegistryError> {
        self.must_collect_logs(cx)?;
        self.ring(index)
    }

    fn watch_log_rings(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), RegistryError> {
        self.must_collect_logs(cx)?;
        self.watch_rings(cx.badge(), channel, bits)
    }

    fn add_log_ring(&mut self, cx: &Context, source: LogSource, ring: Memory) -> Result<(), RegistryError> {
        if !is_name(&source.name) {
            return Err(RegistryError::BadName);
        }
        self.add_ring(cx.badge(), source.name, source.process, ring)
    }

    fn ended_log_rings(&mut self, cx: &Context) -> Result<Vec<u32>, RegistryError> {
        self.must_collect_logs(cx)?;
        Ok(self.rings.ended())
    }

    fn release_log_ring(&mut self, cx: &Context, index: u32) -> Result<(), RegistryError> {
        self.must_collect_logs(cx)?;
        self.release_ring(index);
        Ok(())
    }

    fn shut_down(&mut self, cx: &Context, restart: bool, status: u8) -> Result<(), RegistryError> {
        if !cx.may_control() {
            return Err(RegistryError::Denied);
        }
        self.begin_to_go_down(restart, status);
        self.settle();
        Ok(())
    }

    fn device_found(&mut self, cx: &Context, place: &str, ids: DeviceIds, badge: u64) -> Result<(), RegistryError> {
        let bus = self.service_of(cx)?;
        self.found(bus, place, &ids, badge)?;
        self.settle();
        Ok(())
    }

    fn device_gone(&mut self, cx: &Context, place: &str) -> Result<(), RegistryError> {
        let bus = self.service_of(cx)?;
        self.lost(bus, place)?;
        self.settle();
        Ok(())
    }

    fn instance(
        &mut self,
        cx: &Context,
        template: &str,
        name: &str,
        parameters: Vec<(String, String)>,
        device: Option<Session>,
    ) -> Result<String, RegistryError> {
        let maker = self.service_of(cx)?;
        let name = self.make_instance(maker, template, name, parameters, device)?;
        self.settle();
        Ok(name)
    }

    fn remove_instance(&mut self, cx: &Context, name: &str) -> Result<(), RegistryError> {
        let maker = self.service_of(cx)?;
        self.unmake_instance(maker, name)?;
        self.settle();
        Ok(())
    }

    fn members(&mut self, class: &str, first: u64) -> Vec<Member> {
        let services = self.services.iter().zip(&self.manifest.services).enumerate();
        let from = services.skip(usize::try_from(first).unwrap_or(usize::MAX));
        let of_class = from.filter(|(_, (_, entry))| entry.runs() && entry.class.as_deref() == Some(class));
        let member = |(index, (service, entry)): (usize, (&crate::service::Service, &Entry))| Member {
            name: entry.name.clone(),
            node: entry.node.clone(),
            ready: service.record.phase == Phase::Ready,
            place: index as u32,
        };
        of_class.take(MEMBERS_AT_ONCE).map(member).collect()
    }

    fn watch_class(&mut self, cx: &Context, class: &str, channel: Channel, bits: u64) -> Result<(), RegistryError> {
        self.watch_services_of(cx.badge(), class, channel, bits)
    }
}

impl Supervisor {
    /// The service whose own session a call came over.
    pub(crate) fn service_of(&self, cx: &Context) -> Result<usize, RegistryError> {
        match owner(cx) {
            Some(index) if cx.badge() & DERIVED == 0 && index < self.services.len() => Ok(index),
            _ => Err(RegistryError::NotAService),
        }
    }

    fn must_collect_logs(&self, cx: &Context) -> Result<(), RegistryError> {
        let index = self.service_of(cx).map_err(|_| RegistryError::Denied)?;
        if self.manifest.services[index].collects_logs { Ok(()) } else { Err(RegistryError::Denied) }
    }

    /// The service with a name of the manifest, or one that it published.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let published = |service: &crate::service::Service| service.record.names.iter().any(|(known, _)| known == name);
        self.manifest.find(name).or_else(|| self.services.iter().position(published))
    }

    /// A session to a service under one of its names.
    fn session(&self, index: usize, name: &str, badge: u64) -> Result<Session, RegistryError> {
        let service = &self.services[index];
        let published = service.record.names.iter().find(|(known, _)| known == name).and_then(|(_, channel)| *channel);
        let minted = match (published, &service.objects) {
            (Some(channel), _) => {
                let channel = core::mem::ManuallyDrop::new(Channel::from_handle(libsys::Handle(channel)));
                channel.mint(badge, &self.machine.account)
            }
            (None, Some(objects)) => objects.channel.mint(badge, &self.machine.account),
            (None, None) => Err(Error::BadState),
        };
        minted.map_err(|error| if error == Error::Closed { RegistryError::GivenUp } else { RegistryError::Exhausted })
    }

    /// Answers those who wait for a service that is ready.
    pub(crate) fn let_in(&mut self, index: usize) {
        while let Some((call, (name, badge))) = self.services[index].waiting.pop() {
            // Who is gone meanwhile gets nothing; his session is closed.
            let _ = call.reply(self.session(index, &name, badge));
        }
    }

    /// Answers those who wait for a service that does not come.
    pub(crate) fn turn_away(&mut self, index: usize, error: RegistryError) {
        while let Some((call, _)) = self.services[index].waiting.pop() {
            let _ = call.reply(Err(error));
        }
    }

    fn act(&mut self, index: usize, action: Action) -> Result<(), RegistryError> {
        let phase = self.services[index].record.phase;
        match (action, phase) {
            (Action::Start, Phase::GivenUp) => {
                if self.archive.program(&self.manifest.services[index].binary).is_none() {
                    return Err(RegistryError::NotPossible);
                }
                self.reopen(index).map_err(|_| RegistryError::Exhausted)?;
                self.services[index].record.history.clear();
                self.set_phase(index, Phase::Waiting);
            }
            (Action::Start, Phase::Stopped) => {
                self.services[index].record.history.clear();
                self.set_phase(index, Phase::Waiting);
            }
            (Action::Start, _) => {}
            (Action::Stop, _) if self.is_needed(index) => return Err(RegistryError::NotPossible),
            (Action::Stop, phase) if phase.is_up() => self.stop(index, false),
            (Action::Stop, Phase::Waiting | Phase::Restarting(_)) => self.set_phase(index, Phase::Stopped),
            (Action::Restart, phase) if phase.is_up() => self.stop(index, true),
            (Action::Restart, Phase::Restarting(_)) => self.set_phase(index, Phase::Restarting(0)),
            (Action::Kill, phase) if phase.is_up() => {
                if let Some(objects) = &self.services[index].objects {
                    let _ = objects.process.kill(ExitReason::Killed, 0);
                }
                self.services[index].look = true;
            }
            _ => return Err(RegistryError::NotPossible),
        }
        Ok(())
    }

    fn describe(&self, index: usize) -> Service {
        let service = &self.services[index];
        let record = &service.record;
        Service {
            name: self.manifest.services[index].name.clone(),
            place: index as u32,
            state: service.state(),
            process: service.objects.as_ref().map_or(0, |objects| objects.number),
            incarnation: record.incarnation,
            faults: record.faults,
            complaints: record.complaints.len() as u32,
            last_exit: record.last_exit.0,
            last_code: record.last_exit.1,
            started: record.started,
        }
    }

    /// The service that a session leads to.
    fn server_of(&self, session: &Session) -> Option<usize> {
        self.server_at(self.channel_of(session.handle())?)
    }

    /// The service with a channel of this number.
    pub(crate) fn server_at(&self, channel: u64) -> Option<usize> {
        self.services.iter().position(|service| service.channel_number() == Some(channel))
    }

    /// Number of the channel that a session of init's leads to: the kernel says.
    pub(crate) fn channel_of(&self, session: Handle) -> Option<u64> {
        let own = libsys::sys::identify().process;
        let mut handles = inspect::handles(&self.machine.inspect, own);
        handles.find_map(|record| record.ok().filter(|record| record.handle == session.0)).map(|record| record.detail)
    }
}

/// The index of the service that a session was made for.
fn owner(cx: &Context) -> Option<usize> {
    ((cx.badge() & OWNER) as usize).checked_sub(1)
}
