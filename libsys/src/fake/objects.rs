//! The fake kernel's system calls on everything but messages.

use super::Who;
use super::kernel::{Account, Channel, Kernel, Object, Session, State};
use crate::thread::block;
use abi::inspect::{ProcessRecord, SessionRecord};
use abi::process::ProcessState;
use abi::{Error, ExitReason, Handle, Kind, Limits, PAYLOAD_BYTES, Rights, Syscall, Usage};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

/// Writes the start of the calling thread's call page.
fn write_payload<T: Copy>(records: &[T]) {
    let count = records.len().min(PAYLOAD_BYTES / size_of::<T>());
    let page = block::current().call_page;
    // SAFETY: the calling thread's page, which the system call's wrapper holds; records are plain integers, and fit.
    unsafe { core::ptr::copy_nonoverlapping(records.as_ptr(), (&raw mut (*page).payload).cast::<T>(), count) }
}

/// Makes a session of a channel that `minter` names.
pub(super) fn mint(state: &mut State, minter: u64, channel: Handle, badge: u64, account: u64) -> Result<Handle, Error> {
    let channel = state.find(minter, channel.0, Kind::Channel, Rights::MINT)?;
    if state.channel(channel).is_none_or(|channel| channel.closed) {
        return Err(Error::Closed);
    }
    state.charge(account, Limits { sessions: 1, ..Limits::default() })?;
    let object = state.add(Object::Session(Session { channel, badge, uses: BTreeMap::new() }));
    Ok(state.make(minter, object, false))
}

pub(super) fn system_call(state: &mut State, who: Who, call: Syscall, r: &mut [u64; 10]) -> Result<u64, Error> {
    let me = who.process;
    match call {
        Syscall::ChannelCreate => {
            state.find(me, r[0], Kind::Account, Rights::CHARGE)?;
            let server = if r[1] == 0 { me } else { state.find(me, r[1], Kind::Process, Rights::MANAGE)? };
            r[0] = state.new_channel(me, server, false).0;
        }
        Syscall::ChannelClose => {
            let number = state.find(me, r[0], Kind::Channel, Rights::MANAGE)?;
            state.close_channel(number);
        }
        Syscall::Signal => {
            let entry = state.entry(me, Handle(r[0]), Rights::SIGNAL)?;
            let number = state.find(me, r[0], Kind::Channel, Rights::SIGNAL)?;
            if r[1] & !entry.signals != 0 {
                return Err(Error::Denied);
            }
            state.signal(number, r[1]);
        }
        Syscall::SessionMint => {
            let account = state.find(me, r[2], Kind::Account, Rights::CHARGE)?;
            r[0] = mint(state, me, Handle(r[0]), r[1], account)?.0;
        }
        Syscall::SessionList => {
            let channel = state.find(me, r[0], Kind::Channel, Rights::RECEIVE)?;
            let all = state.sessions(channel);
            let count = all.len() as u64;
            let part: Vec<SessionRecord> =
                all.into_iter().skip(r[1] as usize).take(PAYLOAD_BYTES / size_of::<SessionRecord>()).collect();
            write_payload(&part);
            // The cursor counts the records that were listed.
            let listed = r[1] + part.len() as u64;
            [r[0], r[1]] = [part.len() as u64, if listed < count { listed } else { 0 }];
        }
        Syscall::SessionAcknowledge => {
            let channel = state.find(me, r[0], Kind::Channel, Rights::RECEIVE)?;
            let closes = &mut state.channel(channel).ok_or(Error::Closed)?.closes;
            let is_it = |close: &super::kernel::Close| close.badge == r[1] && close.client == r[2];
            let index = closes.iter().position(|(close, seen)| *seen && is_it(close)).ok_or(Error::BadState)?;
            closes.remove(index);
        }
        Syscall::HandleDuplicate => {
            let rights = Rights::from_bits_truncate(r[1] as u32);
            r[0] = state.grant(me, me, Handle(r[0]), rights, r[2], false)?.0;
        }
        Syscall::HandleClose => state.close(me, Handle(r[0]))?,
        Syscall::HandleInspect => {
            let entry = state.entry(me, Handle(r[0]), Rights::empty())?;
            let kind = state.kind(entry.object);
            [r[0], r[1], r[2], r[3], r[4]] =
                [kind as u64, entry.rights.bits().into(), entry.object, entry.signals, entry.keep.into()];
        }
        Syscall::HandleKeep => {
            let table = &mut state.processes.get_mut(&me).ok_or(Error::BadHandle)?.table;
            table.get(Handle(r[0])).ok_or(Error::BadHandle)?.keep = r[1] != 0;
        }
        Syscall::HandleGrant => {
            let process = state.find(me, r[0], Kind::Process, Rights::MANAGE)?;
            let alive = [ProcessState::New as u32, ProcessState::Running as u32];
            if !alive.contains(&state.exit_record(process).state) {
                return Err(Error::BadState);
            }
            let rights = Rights::from_bits_truncate(r[2] as u32);
            r[0] = state.grant(me, process, Handle(r[1]), rights, r[3], r[4] != 0)?.0;
        }
        Syscall::AccountSplit => {
            let parent = state.find(me, r[0], Kind::Account, Rights::CHARGE)?;
            let limits = Limits { frames: r[1], handles: r[2], threads: r[3], sessions: r[4], processes: r[5] };
            state.charge(parent, limits)?;
            let object = state.add(Object::Account(Account::new(parent, limits)));
            r[0] = state.make(me, object, false).0;
        }
        Syscall::AccountRead => {
            let account = state.find(me, r[0], Kind::Account, Rights::INSPECT)?;
            if let Object::Account(account) = &state.objects[&account] {
                write_payload(&[Usage {
                    limits: account.limits,
                    used: account.used(),
                    revoked: account.revoked.into(),
                }]);
            }
        }
        Syscall::AccountRevoke => {
            let account = state.find(me, r[0], Kind::Account, Rights::MANAGE)?;
            state.revoke(account);
        }
        Syscall::ProcessCreate => {
            let account = state.find(me, r[0], Kind::Account, Rights::CHARGE)?;
            state.charge(account, Limits { processes: 1, ..Limits::default() })?;
            let process = state.new_process(me, account);
            r[0] = state.make(me, process, false).0;
        }
        Syscall::ProcessStart => {
            let process = state.find(me, r[0], Kind::Process, Rights::MANAGE)?;
            let found = state.processes.get_mut(&process).ok_or(Error::BadHandle)?;
            if found.exit.state != ProcessState::New as u32 || found.threads == 0 {
                return Err(Error::BadState);
            }
            found.exit.state = ProcessState::Running as u32;
        }
        Syscall::ProcessKill => {
            let own = r[0] == 0;
            let process = if own { me } else { state.find(me, r[0], Kind::Process, Rights::MANAGE)? };
            let reason = ExitReason::from_number(r[1] as u32);
            let allowed =
                if own { [ExitReason::Exit, ExitReason::Panic] } else { [ExitReason::Killed, ExitReason::Hung] };
            if !allowed.contains(&reason) {
                return Err(Error::BadArgument);
            }
            state.kill(process, reason, r[2], own.then_some(who));
        }
        Syscall::ProcessReset => {
            let process = state.find(me, r[0], Kind::Process, Rights::MANAGE)?;
            if state.exit_record(process).state != ProcessState::Dead as u32 {
                return Err(Error::BadState);
            }
            state.reset(process);
            if r[1] != 0 {
                let channel = state.find(me, r[1], Kind::Channel, Rights::SIGNAL)?;
                state.signal(channel, r[2]);
            }
        }
        Syscall::ProcessInspect => {
            let process = state.find(me, r[0], Kind::Process, Rights::INSPECT)?;
            write_payload(&[state.exit_record(process)]);
        }
        Syscall::ProcessRead => {
            let process = state.find(me, r[0], Kind::Process, Rights::INSPECT)?;
            let part = state.read_memory(process, r[1], r[2].min(PAYLOAD_BYTES as u64) as usize);
            write_payload(&part);
            r[0] = part.len() as u64;
        }
        Syscall::ProcessWatch => {
            let process = state.find(me, r[0], Kind::Process, Rights::MANAGE)?;
            let channel = if r[1] == 0 { 0 } else { state.find(me, r[1], Kind::Channel, Rights::SIGNAL)? };
            state.processes.get_mut(&process).ok_or(Error::BadHandle)?.watcher =
                (channel != 0).then_some((channel, r[2]));
        }
        Syscall::ThreadCreate => {
            let process = if r[0] == 0 { me } else { state.find(me, r[0], Kind::Process, Rights::MANAGE)? };
            let account = state.find(me, r[6], Kind::Account, Rights::CHARGE)?;
            state.charge(account, Limits { threads: 1, ..Limits::default() })?;
            state.processes.get_mut(&process).ok_or(Error::BadHandle)?.threads += 1;
            let object = state.add(Object::Thread);
            r[0] = state.make(me, object, false).0;
        }
        Syscall::ThreadSchedule | Syscall::ThreadAffinity | Syscall::ThreadYield => {}
        Syscall::ThreadExit => {
            if let Some(number) = state.current.remove(&who.thread) {
                state.finish(number, Err(Error::Abandoned));
            }
            if r[0] != 0 {
                let channel = state.find(me, r[0], Kind::Channel, Rights::SIGNAL)?;
                state.signal(channel, r[1]);
            }
        }
        Syscall::MemoryCreate => {
            let account = state.find(me, r[0], Kind::Account, Rights::CHARGE)?;
            let frames = state.check_frames(account, r[1] / abi::PAGE_BYTES as u64)?;
            r[0] = state.new_memory(me, r[1], r[2], frames)?.0;
        }
        Syscall::MemoryMap => r[0] = state.map(me, r)?,
        Syscall::MemoryUnmap => state.unmap(me, r[0], r[1])?,
        Syscall::MemoryProtect => {}
        Syscall::MemorySeal => {
            let pages = state.pages(me, r[0], Rights::MANAGE)?;
            pages.sealed.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        Syscall::MemoryInspect => {
            let pages = state.pages(me, r[0], Rights::INSPECT)?;
            let sealed = pages.sealed.load(std::sync::atomic::Ordering::Relaxed);
            [r[0], r[1], r[2], r[3]] = [pages.bytes as u64, pages.kind as u64, sealed.into(), 0];
        }
        Syscall::InterruptAcknowledge => state.set_masked(me, r[0], false)?,
        Syscall::InterruptMask => state.set_masked(me, r[0], r[1] != 0)?,
        Syscall::PortIn => r[0] = state.port_device(me, r[0], Rights::READ)?.read(r[1] as u16, r[2]).into(),
        Syscall::PortOut => state.port_device(me, r[0], Rights::WRITE)?.write(r[1] as u16, r[2], r[3] as u32),
        Syscall::PortsDrain => (r[0], r[1]) = state.move_bytes(me, r, false)?,
        Syscall::PortsFill => (r[0], r[1]) = state.move_bytes(me, r, true)?,
        Syscall::DmaAttach => [r[0], r[1]] = [0, state.attach_dma(me, r[0], r[1])?],
        Syscall::DmaRelease => r[0] = state.release_dma(me, r[0], r[1])?,
        Syscall::SystemInspect => {
            state.find(me, r[0], Kind::Resource, Rights::INSPECT)?;
            if r[1] != abi::inspect::Subject::Processes as u64 {
                return Err(Error::Unsupported);
            }
            let mut after: Vec<u64> = state.processes.keys().copied().filter(|number| *number > r[2]).collect();
            after.sort_unstable();
            let fit = PAYLOAD_BYTES / size_of::<ProcessRecord>();
            let part =
                after.iter().take(fit).map(|process| ProcessRecord { process: *process, ..ProcessRecord::default() });
            let part: Vec<ProcessRecord> = part.collect();
            write_payload(&part);
            (r[0], r[1]) = (part.len() as u64, if after.len() > fit { after[fit - 1] } else { 0 });
        }
        Syscall::ClockRead => [r[0], r[1], r[2]] = [Kernel::nanoseconds(), Kernel::nanoseconds(), 1_000_000_000],
        Syscall::Identify => [r[0], r[1], r[2], r[3]] = [me, who.thread, who.incarnation, 0],
        _ => return Err(Error::Unsupported),
    }
    Ok(0)
}

impl State {
    pub(super) fn new_channel(&mut self, holder: u64, server: u64, keep: bool) -> Handle {
        let object = self.add(Object::Channel(Channel {
            server,
            queue: VecDeque::new(),
            signals: 0,
            closes: Vec::new(),
            withdrawn: VecDeque::new(),
            receivers: 0,
            closed: false,
        }));
        self.make(holder, object, keep)
    }

    fn close_channel(&mut self, number: u64) {
        if let Some(channel) = self.channel(number) {
            channel.closed = true;
        }
        let calls: Vec<u64> =
            self.calls.iter().filter(|(_, call)| call.channel == number).map(|(call, _)| *call).collect();
        calls.into_iter().for_each(|call| {
            self.finish(call, Err(Error::Closed));
        });
        Kernel::notify();
    }

    fn sessions(&self, channel: u64) -> Vec<SessionRecord> {
        let mut all: Vec<SessionRecord> = Vec::new();
        for object in self.objects.values() {
            match object {
                Object::Session(session) if session.channel == channel => {
                    let uses = session.uses.iter();
                    all.extend(uses.map(|(client, handles)| SessionRecord {
                        badge: session.badge,
                        client: *client,
                        handles: *handles,
                    }));
                }
                _ => {}
            }
        }
        if let Some(Object::Channel(channel)) = self.objects.get(&channel) {
            let closed = channel.closes.iter().map(|(close, _)| SessionRecord {
                badge: close.badge,
                client: close.client,
                handles: 0,
            });
            all.extend(closed);
        }
        all.sort_by_key(|record| (record.badge, record.client, record.handles));
        all
    }

    /// Whether a system call of a process is refused as if an account were exhausted.
    pub(super) fn refuses(&mut self, process: u64, call: Syscall) -> bool {
        let charges = matches!(
            call,
            Syscall::ChannelCreate
                | Syscall::SessionMint
                | Syscall::MemoryCreate
                | Syscall::CallKeep
                | Syscall::HandleDuplicate
        );
        let Some(found) = self.processes.get_mut(&process).filter(|found| charges && found.refusals > 0) else {
            return false;
        };
        found.refusals -= 1;
        true
    }

    /// Whether an account has so many frames: its count, which a new Memory adds itself to.
    fn check_frames(&mut self, account: u64, frames: u64) -> Result<Arc<AtomicU64>, Error> {
        let Some(Object::Account(account)) = self.objects.get(&account) else { return Err(Error::WrongKind) };
        let used = account.used().frames;
        let fits = used.checked_add(frames).is_some_and(|sum| sum <= account.limits.frames);
        if fits && !account.revoked { Ok(account.frames.clone()) } else { Err(Error::AccountExhausted) }
    }

    /// Charges an account with anything but Memory.
    fn charge(&mut self, account: u64, cost: Limits) -> Result<(), Error> {
        let Some(Object::Account(account)) = self.objects.get_mut(&account) else { return Err(Error::WrongKind) };
        let memories = account.frames.load(Ordering::Relaxed);
        let sum = |used: u64, cost: u64, limit: u64| {
            used.checked_add(cost).filter(|sum| *sum <= limit).ok_or(Error::AccountExhausted)
        };
        if account.revoked {
            return Err(Error::AccountExhausted);
        }
        account.used = Limits {
            frames: sum(account.used.frames + memories, cost.frames, account.limits.frames)? - memories,
            handles: sum(account.used.handles, cost.handles, account.limits.handles)?,
            threads: sum(account.used.threads, cost.threads, account.limits.threads)?,
            sessions: sum(account.used.sessions, cost.sessions, account.limits.sessions)?,
            processes: sum(account.used.processes, cost.processes, account.limits.processes)?,
        };
        Ok(())
    }

    fn revoke(&mut self, account: u64) {
        let below: Vec<u64> = self
            .objects
            .iter()
            .filter(|(number, object)| {
                **number == account || matches!(object, Object::Account(child) if child.parent == account)
            })
            .map(|(number, _)| *number)
            .collect();
        for number in &below {
            if let Some(Object::Account(account)) = self.objects.get_mut(number) {
                account.revoked = true;
            }
        }
        let charged: Vec<u64> =
            self.processes.iter().filter(|(_, p)| below.contains(&p.account)).map(|(n, _)| *n).collect();
        charged.into_iter().for_each(|process| self.kill(process, ExitReason::Revoked, 0, None));
    }
}
