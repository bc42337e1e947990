//! Death and the next incarnation in the fake kernel.

use super::Who;
use super::kernel::{CallState, Kernel, Object, State};
use abi::process::ProcessState;
use abi::{Class, Error, ExitReason};
use std::vec::Vec;

impl State {
    /// Counts a system call of a process: whether it is the one at which the process is to be killed.
    pub(super) fn burns_down(&mut self, process: u64) -> bool {
        let Some(found) = self.processes.get_mut(&process) else { return false };
        let is_last = found.fuse == Some(0);
        found.fuse = if is_last { None } else { found.fuse.map(|calls| calls - 1) };
        is_last
    }

    /// Ends an incarnation: its own calls first, then those that it had received, then its handles.
    pub(super) fn kill(&mut self, process: u64, reason: ExitReason, code: u64, thread: Option<Who>) {
        let Some(found) = self.processes.get_mut(&process) else { return };
        if found.exit.state == ProcessState::Dead as u32 {
            return;
        }
        found.exit.state = ProcessState::Dead as u32;
        found.exit.reason = reason as u32;
        found.exit.code = code;
        found.exit.time = Kernel::nanoseconds();
        found.exit.thread = thread.map_or(0, |who| who.thread);
        found.mappings.clear();
        let watcher = found.watcher;
        let current = thread.and_then(|who| self.current.get(&who.thread).copied());
        if let Some(call) = current.and_then(|number| self.calls.get(&number)) {
            let (header, client) = (call.request.header.0, call.client.process);
            let exit = &mut self.processes.get_mut(&process).expect("found above").exit;
            (exit.call, exit.client) = (header, client);
        }
        let made: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.client.process == process).map(|(n, _)| *n).collect();
        for number in made {
            if self.calls[&number].outcome.is_some() {
                self.calls.remove(&number);
            } else {
                self.give_up(number);
            }
        }
        self.return_received(process, reason, thread, current);
        for (handle, entry) in self.handles_of(process) {
            if !entry.keep {
                let _ = self.close(process, handle);
            }
        }
        if let Some((channel, bits)) = watcher {
            self.signal(channel, bits);
        }
        Kernel::notify();
    }

    /// Puts the calls that a dead server had received back, or ends them.
    fn return_received(&mut self, process: u64, reason: ExitReason, thread: Option<Who>, struck: Option<u64>) {
        let served =
            |state: &State, channel: u64| matches!(&state.objects[&channel], Object::Channel(c) if c.server == process);
        let held: Vec<u64> =
            self.calls.iter().filter(|(_, call)| served(self, call.channel)).map(|(n, _)| *n).collect();
        let mut again = Vec::new();
        for number in held {
            let call = self.calls.get_mut(&number).expect("listed above");
            if call.outcome.is_some() || call.state == CallState::Queued {
                continue;
            }
            if let CallState::Current(who) = call.state {
                self.current.remove(&who.thread);
                let counts = thread.is_none() || struck == Some(number);
                match reason {
                    ExitReason::Hung if counts => call.hangs += 1,
                    reason if reason.is_fault() && counts => call.faults += 1,
                    _ => {}
                }
            }
            if call.orphan {
                let sent = core::mem::take(&mut call.request.handles);
                self.calls.remove(&number);
                sent.into_iter().for_each(|entry| self.release(entry));
            } else if call.state == CallState::Parked || call.class != Class::Fail {
                // Nothing was done for a parked call: to its next server it is new.
                call.replayed |= call.state != CallState::Parked;
                call.state = CallState::Queued;
                again.push((call.channel, number));
            } else {
                self.finish(number, Err(Error::PeerDied));
            }
        }
        for (channel, number) in again.into_iter().rev() {
            if let Some(channel) = self.channel(channel) {
                channel.queue.push_front(number);
            }
        }
        for object in self.objects.values_mut() {
            if let Object::Channel(channel) = object
                && channel.server == process
            {
                channel.closes.iter_mut().for_each(|close| close.1 = false);
                channel.withdrawn.clear();
            }
        }
    }

    /// Starts the next incarnation of a dead process, with every signal bit of its channels set.
    pub(super) fn restart(&mut self, process: u64) {
        self.reset(process);
        if let Some(found) = self.processes.get_mut(&process) {
            found.exit.state = ProcessState::Running as u32;
        }
        Kernel::notify();
    }

    pub(super) fn reset(&mut self, process: u64) {
        if let Some(found) = self.processes.get_mut(&process) {
            found.exit.incarnation += 1;
            found.exit.state = ProcessState::New as u32;
        }
        for object in self.objects.values_mut() {
            if let Object::Channel(channel) = object
                && channel.server == process
            {
                channel.signals = u64::MAX;
            }
        }
    }
}
