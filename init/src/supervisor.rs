//! The supervisor: all services, and how each goes from one state to the next.
//!
//! Nothing is decided in the handler of an event: a signal only says at which processes to look, a timer only that
//! time has passed. [`Supervisor::settle`] then looks, and acts until there is nothing left to do; so news that comes twice, or
//! that was lost with an incarnation of init, does no harm.

use crate::capsules::Capsules;
use crate::hang::Looks;
use crate::journal::Journal;
use crate::machine::Machine;
use crate::manifest::Manifest;
use crate::programs::Programs;
use crate::record::{Phase, Record};
use crate::rings::Rings;
use crate::service::Service;
use crate::table::{SlotNumber, Table, TableError};
use crate::watch::Watches;
use alloc::format;
use alloc::vec::Vec;
use libsys::WritableMapping;
use libsys::abi::process::ProcessState;
use libsys::abi::{ExitReason, ExitRecord};
use libsys::archive::Archive;
use libsys::log::Level;
use libsys::mapping::SealedMapping;
use libsys::program::LoadError;
use libsys::protocol::registry::RegistryError;
use libsys::time::{self, TimerId, Timers};

/// init.
#[derive(Debug)]
pub struct Supervisor {
    pub(crate) machine: &'static Machine,
    pub(crate) manifest: Manifest,
    pub(crate) archive: Archive,
    pub(crate) archive_bytes: SealedMapping,
    /// In the order of the manifest.
    pub(crate) services: Vec<Service>,
    pub(crate) table: Table<WritableMapping>,
    pub(crate) programs: Programs,
    pub(crate) watches: Watches,
    pub(crate) rings: Rings,
    pub(crate) journal: Journal,
    pub(crate) capsules: Capsules,
    /// The machine is to go down: it restarts, or ends with a status.
    pub(crate) going_down: Option<(bool, u8)>,
    pub(crate) looks: Looks,
    /// When calls are looked at next.
    pub(crate) next_sweep: u64,
    /// Sessions minted by this incarnation.
    pub(crate) minted: u64,
    /// init is to die, for its next incarnation.
    pub(crate) ends: bool,
    timers: Timers,
    armed: Option<TimerId>,
}

/// Rounds in which one service's step may lead to another's: as many as there can be services in a chain, and some.
const ROUNDS: usize = 2 * crate::manifest::MOST_WITH_INSTANCES;

impl Supervisor {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        machine: &'static Machine,
        manifest: Manifest,
        archive: Archive,
        archive_bytes: SealedMapping,
        table: Table<WritableMapping>,
        journal: Journal,
        rings: Rings,
    ) -> Supervisor {
        let entries = manifest.services.iter().enumerate();
        Supervisor {
            services: entries.map(|(index, entry)| Service::new(index, entry)).collect(),
            rings,
            machine,
            manifest,
            archive,
            archive_bytes,
            table,
            programs: Programs::default(),
            watches: Watches::default(),
            journal,
            capsules: Capsules::default(),
            going_down: None,
            looks: Looks::default(),
            next_sweep: 0,
            minted: 0,
            ends: false,
            timers: Timers::new(),
            armed: None,
        }
    }

    pub(crate) fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    /// Looks at what has news, and does what is to be done, until nothing is.
    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut has_changed = false;
            for place in 0..self.manifest.order.len() {
                let index = self.manifest.order[place];
                has_changed |= self.look(index);
                has_changed |= self.step(index);
            }
            has_changed |= self.go_down();
            if !has_changed {
                break;
            }
        }
        self.sweep();
        self.arm();
    }

    /// Sets the one timer to when something is due next.
    fn arm(&mut self) {
        let due = self.services.iter().filter_map(|service| match service.record.phase {
            Phase::Restarting(at) if service.can_start() => Some(at),
            Phase::Stopping { until, .. } => Some(until),
            _ => None,
        });
        let trials = (0..self.services.len()).filter_map(|index| self.trial_end(index));
        let due = due.chain(trials);
        let next = if self.ends { 0 } else { due.fold(self.next_sweep, u64::min) };
        if let Some(timer) = self.armed.take() {
            self.timers.cancel(timer);
        }
        self.armed = Some(self.timers.at(next));
    }

    /// Asks the kernel about a service's process. Whether there were news.
    fn look(&mut self, index: usize) -> bool {
        let service = &mut self.services[index];
        if !core::mem::take(&mut service.look) {
            return false;
        }
        let Some(objects) = &service.objects else { return false };
        let Ok(record) = objects.process.exit_record() else { return false };
        let phase = service.record.phase;
        match ProcessState::from_number(record.state) {
            Some(ProcessState::Running) | None => false,
            Some(ProcessState::New) if phase.is_up() => {
                // An earlier init went down between loading and starting it: what it loaded goes.
                self.discard(index);
                self.set_phase(index, Phase::Restarting(0));
                true
            }
            Some(ProcessState::New) => {
                service.is_new = true;
                service.dead_since = None;
                true
            }
            Some(ProcessState::Draining | ProcessState::Dead) => {
                service.dead_since = Some(record.time);
                if phase.is_up() {
                    self.died(index, &record);
                }
                self.reset(index);
                true
            }
        }
    }

    /// Does what a service's state asks for. Whether there was something.
    fn step(&mut self, index: usize) -> bool {
        if self.approve(index) {
            return true;
        }
        let service = &self.services[index];
        let now = time::now();
        match service.record.phase {
            _ if self.is_gone(index) => self.remove(index),
            Phase::Waiting if self.may_start(index) => self.start(index),
            Phase::Restarting(at) if service.can_start() && at <= now && self.going_down.is_none() => self.start(index),
            Phase::Stopping { until, .. } if until <= now => {
                if let Some(objects) = &service.objects {
                    let _ = objects.process.kill(ExitReason::Killed, 0);
                }
                self.services[index].look = true;
                // Once is enough: its death is told.
                if let Phase::Stopping { again, .. } = self.services[index].record.phase {
                    self.services[index].record.phase = Phase::Stopping { until: u64::MAX, again };
                }
            }
            _ => return false,
        }
        true
    }

    /// Whether everything that a waiting service depends on serves, or never will.
    fn may_start(&self, index: usize) -> bool {
        let service = &self.services[index];
        let is_settled = |name: &str| {
            let below = self.manifest.find(name).map(|below| self.services[below].record.phase);
            matches!(below, Some(Phase::Ready | Phase::GivenUp | Phase::Stopped) | None)
        };
        service.can_start() && self.going_down.is_none() && self.manifest.services[index].dependencies().all(is_settled)
    }

    /// Its process has died: what next?
    fn died(&mut self, index: usize, record: &ExitRecord) {
        let reason = ExitReason::from_number(record.reason);
        self.report_crash(index, record);
        let service = &mut self.services[index];
        service.is_new = false;
        service.record.last_exit = (record.reason, record.code);
        let was = service.record.phase;
        if reason.is_fault() || reason == ExitReason::Exit && record.code != 0 {
            service.record.faults = service.record.faults.saturating_add(1);
        }
        let policy = self.manifest.services[index].restart;
        let policy = &policy;
        let verdict = match was {
            Phase::Stopping { again: true, .. } => Phase::Restarting(record.time),
            Phase::Stopping { again: false, .. } => Phase::Stopped,
            _ => match self.judge_trial(index, reason, record.time) {
                Some(verdict) => verdict,
                None => {
                    let service = &mut self.services[index];
                    service.record.history.judge(policy, reason, record.code, record.time).into()
                }
            },
        };
        self.set_phase(index, verdict);
        self.rings.tell();
    }

    /// A start failed: it counts as a death by its own fault. With a bad program it would never succeed.
    pub(crate) fn start_failed(&mut self, index: usize, error: LoadError) {
        let (entry, is_first) = (&self.manifest.services[index], self.services[index].record.incarnation == 0);
        let text = format!("{} cannot be started: {error}", entry.name);
        if is_first && !entry.optional {
            self.end_boot(text);
        }
        self.journal.write(Level::Error, &text);
        self.discard(index);
        if let Some(phase) = self.judge_trial(index, ExitReason::Panic, time::now()) {
            return self.set_phase(index, phase);
        }
        if !matches!(error, LoadError::Kernel(_)) {
            return self.set_phase(index, Phase::GivenUp);
        }
        let service = &mut self.services[index];
        service.record.faults = service.record.faults.saturating_add(1);
        let policy = &self.manifest.services[index].restart;
        let verdict = service.record.history.judge(policy, ExitReason::Panic, 0, time::now());
        self.set_phase(index, verdict.into());
    }

    /// Empties a process that was loaded and not started.
    pub(crate) fn discard(&mut self, index: usize) {
        if let Some(objects) = &self.services[index].objects {
            let _ = objects.process.kill(ExitReason::Killed, 0);
        }
        self.reset(index);
    }

    /// Asks for the next incarnation of a dead process; a signal tells when it is there.
    fn reset(&mut self, index: usize) {
        self.services[index].is_new = false;
        let Some(objects) = &self.services[index].objects else { return };
        if let Err(error) = objects.process.reset(Some((&self.machine.channel, bit(index)))) {
            let text = format!("{}: it cannot be reset: {error}", self.manifest.services[index].name);
            self.journal.write(Level::Error, &text);
        }
    }

    /// Brings a service into another phase, for ever, and tells who wants to know.
    pub(crate) fn set_phase(&mut self, index: usize, phase: Phase) {
        let service = &mut self.services[index];
        if phase == Phase::GivenUp
            && let Some(objects) = &service.objects
        {
            let _ = objects.channel.close();
            let text = format!("{} is given up", self.manifest.services[index].name);
            self.journal.write(Level::Alert, &text);
        }
        self.services[index].record.phase = phase;
        self.commit(index);
        match phase {
            Phase::Ready => self.let_in(index),
            Phase::GivenUp => self.turn_away(index, RegistryError::GivenUp),
            _ => {}
        }
        self.tell(index);
    }

    /// Writes a service's record.
    pub(crate) fn commit(&mut self, index: usize) {
        let service = &self.services[index];
        let record = Record::Service(service.record.clone()).encode();
        let written = match service.slot {
            Some(slot) => self.table.set(slot, &record).map(|()| slot),
            None => self.table.add(&record),
        };
        self.services[index].slot = self.written(written);
    }

    /// Says so where a record could not be written: the next init will not know.
    pub(crate) fn written(&mut self, result: Result<SlotNumber, TableError>) -> Option<SlotNumber> {
        if let Err(error) = &result {
            self.journal.write(Level::Error, &format!("a record was not written: {error:?}"));
        }
        result.ok()
    }

    /// The service with a process.
    pub(crate) fn by_process(&self, number: u64) -> Option<usize> {
        self.services
            .iter()
            .position(|service| service.objects.as_ref().is_some_and(|objects| objects.number == number))
    }

    /// Marks the services whose signal bits are set.
    pub(crate) fn signalled(&mut self, bits: u64) {
        for (index, service) in self.services.iter_mut().enumerate() {
            service.look |= bits & bit(index) != 0;
        }
    }
}

/// The bit of init's channel that tells of a service's process. Several services may have the same: then it is looked at all of them.
pub(crate) fn bit(index: usize) -> u64 {
    1 << (index % u64::BITS as usize)
}

impl From<crate::policy::Verdict> for Phase {
    fn from(verdict: crate::policy::Verdict) -> Phase {
        use crate::policy::Verdict;
        match verdict {
            Verdict::Restart(at) => Phase::Restarting(at),
            Verdict::Stop => Phase::Stopped,
            Verdict::GiveUp => Phase::GivenUp,
        }
    }
}
