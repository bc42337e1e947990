//! Stopping services, one or all, and then the machine.

use crate::record::{Phase, Record};
use crate::supervisor::Supervisor;
use alloc::format;
use libsys::abi::boot::Power;
use libsys::log::Level;
use libsys::resource::ResourceKind;
use libsys::service::QUIESCE;
use libsys::time;

/// What an emulator's debug-exit device is told at an orderly end: the host tool knows it from an emulator that failed.
const ORDERLY: u64 = 0x10;

impl Supervisor {
    /// Begins to end a service that runs: politely, if it asked for that, and by force at its deadline.
    pub(crate) fn stop(&mut self, index: usize, again: bool) {
        let patience = self.manifest.services[index].quiesce;
        if let (Some(_), Some(objects)) = (patience, &self.services[index].objects) {
            let _ = objects.channel.signal(QUIESCE);
        }
        let until = patience.map_or(0, |patience| time::now().saturating_add(patience));
        self.set_phase(index, Phase::Stopping { until, again });
    }

    /// Notes that the machine is to go down.
    pub(crate) fn begin_to_go_down(&mut self, restart: bool, status: u8) {
        if self.going_down.is_none() {
            // Should the record not be written, an init that dies meanwhile has to be asked again.
            let _ = self.table.add(&Record::ShutDown { restart, status }.encode());
            self.going_down = Some((restart, status));
            self.journal.write(Level::Notice, if restart { "the machine restarts" } else { "the machine goes down" });
        }
    }

    /// Ends what nobody depends on any more; the machine, when nothing is left. Whether there was something to do.
    pub(crate) fn go_down(&mut self) -> bool {
        let Some((restart, status)) = self.going_down else { return false };
        let mut has_changed = false;
        let mut is_over = true;
        for place in (0..self.manifest.order.len()).rev() {
            let index = self.manifest.order[place];
            match self.services[index].record.phase {
                Phase::Starting | Phase::Ready => {
                    is_over = false;
                    if !self.is_below(index) {
                        self.stop(index, false);
                        has_changed = true;
                    }
                }
                Phase::Stopping { .. } => is_over = false,
                Phase::Waiting | Phase::Restarting(_) => {
                    self.set_phase(index, Phase::Stopped);
                    has_changed = true;
                }
                Phase::Stopped | Phase::GivenUp => {}
            }
        }
        if is_over {
            while self.tell_host() {}
            let action = if restart { Power::Restart } else { Power::Off };
            let status = if status == 0 { ORDERLY } else { status.into() };
            let error = self.machine.resource(ResourceKind::Power).power(action, status);
            self.journal.write(Level::Emergency, &format!("the machine does not go down: {error}"));
            self.going_down = None;
        }
        has_changed
    }

    /// Whether a service that runs has to be stopped before this one.
    fn is_below(&self, index: usize) -> bool {
        let this = &self.manifest.services[index];
        // A disk's file system, or the file system that a disk's file lies in: no manifest knows that.
        let channel = self.services[index].channel_number();
        let mut others = self.services.iter().zip(&self.manifest.services);
        others.any(|(service, entry)| {
            let is_above = || entry.dependencies().any(|below| this.is_meant_by(below));
            service.record.phase.is_up() && (service.below == channel && channel.is_some() || is_above())
        })
    }

    /// Whether a service that runs has sessions to this one from its start.
    pub(crate) fn is_needed(&self, index: usize) -> bool {
        let name = &self.manifest.services[index].name;
        let mut others = self.services.iter().zip(&self.manifest.services);
        others.any(|(service, entry)| {
            service.record.phase.is_up() && entry.sessions.iter().any(|below| below.service == *name)
        })
    }
}
