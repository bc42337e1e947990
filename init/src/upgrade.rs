//! Live upgrade: a service goes on with another program, in the same process, with the same channels, sessions and state.
//!
//! | stage | ends when |
//! |---|---|
//! | [`Stage::Trial`] | the new program has served for [`TRIAL`]: approved. It dies by itself, hangs, or does not come to serve: rolled back |
//! | [`Stage::Back`] | the new program, started once more, has brought the state back to the form that the old one knows; or died over it |
//! | [`Stage::Approved`] | the next upgrade |
//!
//! The old program is held until the new one is approved. Requests wait meanwhile, as at every restart.

use crate::record::{Phase, Stage, UpgradeRecord};
use crate::registry::INIT;
use crate::service::GrantedObject;
use crate::supervisor::Supervisor;
use alloc::format;
use alloc::rc::Rc;
use core::mem::ManuallyDrop;
use libsys::abi::{ExitReason, PAGE_BYTES};
use libsys::log::Level;
use libsys::program::{LoadError, Program};
use libsys::protocol::registry::RegistryError;
use libsys::service::{Context, Reply};
use libsys::{Handle, Memory, Object, Rights, state, time};

/// Nanoseconds that a new program has to serve.
const TRIAL: u64 = 3_000_000_000;

/// Largest file.
const MOST_BYTES: u64 = 16 << 20;

type Answer = Result<(), RegistryError>;

impl Supervisor {
    /// Begins an upgrade, or finds the one that was asked for with the same Memory, and answers at its end.
    pub(crate) fn ask_for_upgrade(
        &mut self,
        cx: &Context,
        name: &str,
        file: &Memory,
        bytes: u64,
        reply: Reply<'_, Answer>,
    ) {
        match self.begin_upgrade(cx, name, file, bytes) {
            Err(error) => reply.send(Err(error)),
            Ok((_, Some(answer))) => reply.send(answer),
            Ok((index, None)) => {
                // Where it cannot be kept, the call is let go, and the caller hears that.
                let _ = self.services[index].upgraders.park(reply, ());
                self.settle();
            }
        }
    }

    /// The service, and the answer if it is known already.
    fn begin_upgrade(
        &mut self,
        cx: &Context,
        name: &str,
        file: &Memory,
        bytes: u64,
    ) -> Result<(usize, Option<Answer>), RegistryError> {
        if !cx.may_control() {
            return Err(RegistryError::Denied);
        }
        if name == INIT {
            return Err(RegistryError::NotPossible);
        }
        let index = self.find(name).ok_or(RegistryError::NoSuchName)?;
        let source = file.inspect_handle().map_err(|_| RegistryError::BadProgram)?.object;
        let record = &self.services[index].record;
        if let Some((_, holds)) = record.upgraded.filter(|(known, _)| *known == source) {
            return Ok((index, Some(if holds { Ok(()) } else { Err(RegistryError::RolledBack) })));
        }
        let on_its_way = record.upgrade.as_ref().filter(|upgrade| upgrade.stage != Stage::Approved);
        match on_its_way {
            Some(upgrade) if upgrade.source == source => return Ok((index, None)),
            Some(_) => return Err(RegistryError::NotPossible),
            None if record.phase != Phase::Ready || self.going_down.is_some() => {
                return Err(RegistryError::NotPossible);
            }
            None => {}
        }
        let (memory, program) = self.take_program(file, bytes)?;
        let before = self.services[index].record.upgrade.as_ref().map(|upgrade| (upgrade.file, upgrade.bytes));
        let file = memory.into_handle().0;
        self.programs.put_upgrade(file, program);
        let form = self.form_of(index);
        let stage = Stage::Trial { ready: 0 };
        self.services[index].record.upgrade = Some(UpgradeRecord { file, bytes, before, source, form, stage });
        let text = format!("{} is upgraded to another program", self.manifest.services[index].name);
        self.journal.write(Level::Notice, &text);
        // It commits the record.
        self.stop(index, true);
        Ok((index, None))
    }

    /// A copy of a program's file in kept, sealed Memory, and the program, which can be loaded.
    fn take_program(&self, file: &Memory, bytes: u64) -> Result<(Memory, Rc<Program>), RegistryError> {
        let exhausted = |_| RegistryError::Exhausted;
        if !(1..=MOST_BYTES).contains(&bytes) || file.info().is_ok_and(|info| info.bytes < bytes) {
            return Err(RegistryError::BadProgram);
        }
        let from = file.map().map_err(|_| RegistryError::BadProgram)?;
        let memory = Memory::create(&self.machine.account, bytes).map_err(exhausted)?;
        let into = memory.map_writable().map_err(exhausted)?;
        let mut part = [0; PAGE_BYTES / 4];
        for at in (0..bytes as usize).step_by(part.len()) {
            let part = &mut part[..(bytes as usize - at).min(PAGE_BYTES / 4)];
            from.copy_out(at, part);
            into.copy_in(at, part);
        }
        drop(into);
        memory.seal().map_err(exhausted)?;
        let program = load(&memory, bytes, self).map_err(|error| match error {
            LoadError::Kernel(_) => RegistryError::Exhausted,
            _ => RegistryError::BadProgram,
        })?;
        memory.set_kept(true).map_err(exhausted)?;
        Ok((memory, program))
    }

    /// The program that a service was upgraded to, if it was.
    pub(crate) fn upgraded(&mut self, index: usize) -> Option<Result<Rc<Program>, LoadError>> {
        let UpgradeRecord { file, bytes, .. } = *self.services[index].record.upgrade.as_ref()?;
        if let Some(program) = self.programs.upgrade(file) {
            return Some(Ok(program));
        }
        let memory = ManuallyDrop::new(Memory::from_handle(Handle(file)));
        let loaded = load(&memory, bytes, self);
        if let Ok(program) = &loaded {
            self.programs.put_upgrade(file, Rc::clone(program));
        }
        Some(loaded)
    }

    /// Whether the new program is started only to bring the state back.
    pub(crate) fn goes_back(&self, index: usize) -> bool {
        self.services[index].record.upgrade.as_ref().is_some_and(|upgrade| upgrade.stage == Stage::Back)
    }

    /// Whether a new program is on trial.
    fn is_on_trial(&self, index: usize) -> bool {
        let upgrade = self.services[index].record.upgrade.as_ref();
        upgrade.is_some_and(|upgrade| matches!(upgrade.stage, Stage::Trial { .. }))
    }

    /// A new program serves: its trial begins to count.
    pub(crate) fn note_trial(&mut self, index: usize, now: u64) {
        if self.is_on_trial(index)
            && let Some(upgrade) = &mut self.services[index].record.upgrade
        {
            upgrade.stage = Stage::Trial { ready: now };
        }
    }

    /// When a new program's trial ends, if it serves.
    pub(crate) fn trial_end(&self, index: usize) -> Option<u64> {
        let record = &self.services[index].record;
        match record.upgrade.as_ref()?.stage {
            Stage::Trial { ready } if ready != 0 && record.phase == Phase::Ready => Some(ready.saturating_add(TRIAL)),
            _ => None,
        }
    }

    /// Approves a new program that has served for long enough. Whether it did.
    pub(crate) fn approve(&mut self, index: usize) -> bool {
        if self.trial_end(index).is_none_or(|end| end > time::now()) {
            return false;
        }
        let Some(upgrade) = &mut self.services[index].record.upgrade else { return false };
        upgrade.stage = Stage::Approved;
        let before = upgrade.before.take();
        let source = upgrade.source;
        self.services[index].record.upgraded = Some((source, true));
        self.commit(index);
        self.drop_program(before);
        let text = format!("{} has another program", self.manifest.services[index].name);
        self.journal.write(Level::Notice, &text);
        self.answer_upgrade(index, Ok(()));
        true
    }

    /// The process of a service died, which was not told to end: what that means for an upgrade. `None`: nothing.
    pub(crate) fn judge_trial(&mut self, index: usize, reason: ExitReason, now: u64) -> Option<Phase> {
        if self.goes_back(index) {
            return Some(self.roll_back(index, now));
        }
        // Who is killed by somebody is not to blame.
        if !self.is_on_trial(index) || reason == ExitReason::Killed {
            return None;
        }
        let form = self.form_of(index);
        let upgrade = self.services[index].record.upgrade.as_mut()?;
        if upgrade.form != form {
            upgrade.stage = Stage::Back;
            return Some(Phase::Restarting(now));
        }
        Some(self.roll_back(index, now))
    }

    /// The program before takes its place again.
    fn roll_back(&mut self, index: usize, now: u64) -> Phase {
        if let Some(UpgradeRecord { file, bytes, before, source, form, .. }) =
            self.services[index].record.upgrade.take()
        {
            let stage = Stage::Approved;
            let record = &mut self.services[index].record;
            record.upgraded = Some((source, false));
            record.upgrade =
                before.map(|(file, bytes)| UpgradeRecord { file, bytes, before: None, source: 0, form, stage });
            self.commit(index);
            self.drop_program(Some((file, bytes)));
        }
        let text =
            format!("{}: the new program does not hold, the one before is back", self.manifest.services[index].name);
        self.journal.write(Level::Error, &text);
        self.answer_upgrade(index, Err(RegistryError::RolledBack));
        Phase::Restarting(now)
    }

    fn answer_upgrade(&mut self, index: usize, answer: Answer) {
        while let Some((call, ())) = self.services[index].upgraders.pop() {
            // Who is gone meanwhile does not want to know.
            let _ = call.reply(answer);
        }
    }

    fn drop_program(&mut self, file: Option<(u64, u64)>) {
        if let Some((file, _)) = file {
            self.programs.drop_upgrade(file);
            drop(Memory::from_handle(Handle(file)));
        }
    }

    /// What the form of a service's state is, for comparison.
    fn form_of(&self, index: usize) -> u64 {
        let (entry, service) = (&self.manifest.services[index], &self.services[index]);
        let Some(objects) = &service.objects else { return 0 };
        let granted = entry.grants.iter().zip(&objects.grants);
        let state = granted.filter(|(grant, _)| grant.name == state::NAME).find_map(|(_, object)| match object {
            GrantedObject::Memory(memory) => Some(memory),
            _ => None,
        });
        state.map_or(0, state::form_of)
    }
}

fn load(memory: &Memory, bytes: u64, supervisor: &Supervisor) -> Result<Rc<Program>, LoadError> {
    let rights = Rights::READ | Rights::EXECUTE | Rights::INSPECT | Rights::DUPLICATE;
    let memory = memory.duplicate(rights)?;
    Ok(Rc::new(Program::from_memory(&memory, 0, bytes, &supervisor.machine.account)?))
}
