//! System calls that show the state of the system: records in the payload of the caller's call page.
//!
//! A listing goes on where its cursor says. Cursors are numbers, addresses and slots that mean the same whatever changes
//! between two calls: what exists all the while is listed, once. One call looks at a bounded number of objects.

use super::{NOTHING, Results, argument, object};
use crate::Kernel;
use crate::arch::clock;
use crate::object::{
    Account, Channel, DmaDomain, Object, ObjectType, Process, Resource, SessionUse, Thread, thread::Page,
    thread::State as ThreadState,
};
use abi::boot::ResourceKind;
use abi::inspect::{
    CallRecord, CallState, ChannelRecord, CpuRecord, HandleRecord, ProcessRecord, SessionRecord, Subject, SystemRecord,
    ThreadRecord, ThreadState as ShownState,
};
use abi::{Error, PAGE_BYTES, PAYLOAD_BYTES, Rights};
use zerocopy::{Immutable, IntoBytes};

/// Objects that one call looks at.
const STEPS: usize = 64;
/// Slots of a handle table that one call looks at.
const SLOT_STEPS: u32 = 512;
/// CPUs that one call looks at: their queues are counted.
const CPU_STEPS: usize = 8;
/// Processes that one call lists: their threads are counted.
const PROCESS_STEPS: usize = 16;

/// Records on their way into a payload.
struct Writer {
    page: Page,
    at: usize,
    count: u64,
}

impl Writer {
    fn new(thread: &Thread) -> Writer {
        Writer { page: thread.call_page(), at: 0, count: 0 }
    }

    /// Writes records, each with its cursor, until one does not fit any more: gives that one's cursor, or 0.
    fn put_all<R: IntoBytes + Immutable>(&mut self, mut records: impl Iterator<Item = (u64, R)>) -> u64 {
        records.find_map(|(cursor, record)| (!self.put(&record)).then_some(cursor)).unwrap_or(0)
    }

    /// Writes a record. Returns false, with nothing written, where it does not fit any more.
    fn put<R: IntoBytes + Immutable>(&mut self, record: &R) -> bool {
        let bytes = record.as_bytes();
        if self.at + bytes.len() > PAYLOAD_BYTES {
            return false;
        }
        self.page.write_payload(self.at, bytes);
        self.at += bytes.len();
        self.count += 1;
        true
    }
}

/// [`abi::Syscall::ClockRead`].
///
/// # Errors
/// None.
pub fn clock(_kernel: &Kernel, _thread: &Object<Thread>) -> Result<Results, Error> {
    Ok([clock::now(), clock::tsc(), clock::tsc_hertz(), 0, 0])
}

/// [`abi::Syscall::Identify`].
///
/// # Errors
/// None.
pub fn identify(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let process = thread.process.get(kernel);
    Ok([process.number(), thread.number(), process.incarnation.get(), kernel.this_cpu().index().into(), 0])
}

/// [`abi::Syscall::AccountRead`].
///
/// # Errors
/// See there.
pub fn account(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let account: &Object<Account> = object(kernel, thread, 0, Rights::INSPECT)?;
    Writer::new(thread).put(&account.usage());
    Ok(NOTHING)
}

/// [`abi::Syscall::ProcessInspect`].
///
/// # Errors
/// See there.
pub fn process(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let process: &Object<Process> = object(kernel, thread, 0, Rights::INSPECT)?;
    Writer::new(thread).put(&process.record());
    Ok(NOTHING)
}

/// [`abi::Syscall::SessionList`]: live uses of sessions, and closes that wait for an acknowledge. The cursor is a session's number.
///
/// # Errors
/// See there.
pub fn sessions(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let channel: &Object<Channel> = object(kernel, thread, 0, Rights::RECEIVE)?;
    let (mut writer, mut next) = (Writer::new(thread), 0);
    for (step, session) in channel.sessions.from(kernel, argument(thread, 1)).enumerate() {
        let needed = session.uses(kernel).count() * size_of::<SessionRecord>();
        if step == STEPS || writer.at + needed > PAYLOAD_BYTES {
            next = session.number();
            break;
        }
        for one in session.uses(kernel) {
            writer.put(&SessionRecord { badge: one.badge, client: one.client, handles: one.handles.get().into() });
        }
    }
    Ok([writer.count, next, 0, 0, 0])
}

/// [`abi::Syscall::DmaList`].
///
/// # Errors
/// See there.
pub fn attachments(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let domain: &Object<DmaDomain> = object(kernel, thread, 0, Rights::MANAGE)?;
    let mut writer = Writer::new(thread);
    let next = writer.put_all(domain.records(kernel, argument(thread, 1)));
    Ok([writer.count, next, 0, 0, 0])
}

/// [`abi::Syscall::SystemInspect`].
///
/// # Errors
/// See there; `BadArgument` also where no process has the number that the argument gives.
pub fn system(kernel: &Kernel, thread: &Object<Thread>) -> Result<Results, Error> {
    let resource: &Object<Resource> = object(kernel, thread, 0, Rights::INSPECT)?;
    resource.must_be(ResourceKind::Inspect)?;
    let subject = Subject::from_number(argument(thread, 1)).ok_or(Error::BadArgument)?;
    let (cursor, number) = (argument(thread, 2), argument(thread, 3));
    let of_process = || kernel.process(number).ok_or(Error::BadArgument);
    let mut writer = Writer::new(thread);
    let to = &mut writer;
    let next = match subject {
        Subject::System => {
            to.put(&system_record(kernel));
            0
        }
        Subject::Cpus => cpus(kernel, to, cursor),
        Subject::Processes => processes(kernel, to, cursor),
        Subject::Threads if number == 0 => nested(kernel, cursor, |process, index| threads(kernel, to, process, index)),
        Subject::Threads => {
            threads(kernel, to, of_process()?, cursor as usize & LAST_INDEX).map_or(0, |next| next as u64)
        }
        Subject::Mappings => mappings(kernel, to, of_process()?, cursor),
        Subject::Handles => handles(kernel, to, of_process()?, cursor),
        Subject::Channels => channels(kernel, to, cursor),
        Subject::Calls => nested(kernel, cursor, |process, index| calls(kernel, to, process, index)),
        Subject::Interrupts => interrupts(kernel, to, cursor),
        Subject::Ranges => ranges(kernel, to, cursor),
    };
    Ok([writer.count, next, 0, 0, 0])
}

/// The time-stamp counts in nanoseconds.
fn nanoseconds(counts: u64) -> u64 {
    (u128::from(counts) * 1_000_000_000 / u128::from(clock::tsc_hertz())) as u64
}

fn system_record(kernel: &Kernel) -> SystemRecord {
    let of = |object_type| kernel.counts.of(object_type);
    let frames = kernel.frames.total.get();
    SystemRecord {
        uptime: clock::now(),
        frames,
        free_frames: kernel.frames.free.get(),
        kernel_frames: (kernel.ranges.ram_bytes() / PAGE_BYTES as u64).saturating_sub(frames),
        processes: of(ObjectType::Process),
        threads: of(ObjectType::Thread),
        channels: of(ObjectType::Channel),
        sessions: of(ObjectType::Session),
        calls: of(ObjectType::Call),
        memories: of(ObjectType::Memory),
        handles: kernel.handles.get(),
        accounts: of(ObjectType::Account),
        interrupts: of(ObjectType::Interrupt),
        io_ports: of(ObjectType::IoPorts),
        dma_domains: of(ObjectType::DmaDomain),
        resources: of(ObjectType::Resource),
        cpus: kernel.cpus.get().iter().filter(|cpu| cpu.online.get()).count() as u64,
    }
}

fn cpus(kernel: &Kernel, to: &mut Writer, cursor: u64) -> u64 {
    let first = usize::try_from(cursor).unwrap_or(usize::MAX);
    let mut shown = first;
    for cpu in kernel.cpus.get().iter().skip(first).take(CPU_STEPS) {
        let record = CpuRecord {
            cpu: cpu.index().into(),
            busy: nanoseconds(cpu.counted_until.get().saturating_sub(cpu.idle_time.get())),
            idle: nanoseconds(cpu.idle_time.get()),
            switches: cpu.switches.get(),
            interrupts: cpu.interrupts.get(),
            ready: cpu.queue.len().into(),
            stolen: cpu.stolen.get(),
            thread: cpu.current.get(kernel).map_or(0, Object::number),
        };
        if cpu.online.get() && !to.put(&record) {
            break;
        }
        shown += 1;
    }
    if shown < kernel.cpus.get().len() { shown as u64 } else { 0 }
}

/// The cursor is a process's number.
fn processes(kernel: &Kernel, to: &mut Writer, cursor: u64) -> u64 {
    for (step, process) in kernel.processes.from(kernel, cursor).enumerate() {
        if step == PROCESS_STEPS || !to.put(&process_record(kernel, process)) {
            return process.number();
        }
    }
    0
}

fn process_record(kernel: &Kernel, process: &Object<Process>) -> ProcessRecord {
    let ran: u64 = process.threads.iter(kernel).map(|thread| thread.run_time.get()).sum();
    ProcessRecord {
        process: process.number(),
        parent: process.parent,
        name: process.name,
        incarnation: process.incarnation.get(),
        state: process.shown_state() as u32,
        threads: process.alive.get(),
        handles: process.handles.len().into(),
        resident_frames: process.space.resident.get(),
        run_time: nanoseconds(ran + process.past_run_time.get()),
        started: process.started.get(),
    }
}

/// Parts of a process are found by its number and theirs in its list, in one cursor.
const INDEX_BITS: u32 = 16;
const LAST_INDEX: usize = (1 << INDEX_BITS) - 1;

/// Lists parts of all processes. Those of one that does not fit any more wait for the next call, so that they are listed in one go
/// where they fit in a payload at all.
fn nested(kernel: &Kernel, cursor: u64, mut list: impl FnMut(&Object<Process>, usize) -> Option<usize>) -> u64 {
    let first = cursor >> INDEX_BITS;
    let mut looked = 0;
    for process in kernel.processes.from(kernel, first) {
        if looked >= STEPS {
            return process.number() << INDEX_BITS;
        }
        looked += 1 + process.threads.len() as usize;
        let index = if process.number() == first { cursor as usize & LAST_INDEX } else { 0 };
        if let Some(next) = list(process, index) {
            return process.number() << INDEX_BITS | next as u64;
        }
    }
    0
}

/// Lists parts from an index on, until `put` says that there was no room for one: gives that one's index, or `None` where all are listed, or were
/// looked at and are not shown.
fn parts<T>(items: impl Iterator<Item = T>, index: usize, mut put: impl FnMut(T) -> bool) -> Option<usize> {
    let mut rest = items.enumerate().skip(index).take_while(|(index, _)| *index < LAST_INDEX);
    rest.find_map(|(index, item)| (!put(item)).then_some(index))
}

fn threads(kernel: &Kernel, to: &mut Writer, process: &Object<Process>, index: usize) -> Option<usize> {
    let needed = process.threads.len() as usize * size_of::<ThreadRecord>();
    if index == 0 && to.count > 0 && to.at + needed > PAYLOAD_BYTES {
        return Some(0);
    }
    parts(process.threads.iter(kernel), index, |thread| to.put(&thread_record(kernel, thread)))
}

fn thread_record(kernel: &Kernel, thread: &Object<Thread>) -> ThreadRecord {
    let state = match thread.state.get() {
        ThreadState::New => ShownState::New,
        ThreadState::Ready => ShownState::Ready,
        ThreadState::Running => ShownState::Running,
        ThreadState::Receiving => ShownState::Receiving,
        ThreadState::Queued => ShownState::CallQueued,
        ThreadState::Current | ThreadState::Kept => ShownState::CallReceived,
        ThreadState::Flushing => ShownState::WaitingForCpus,
        ThreadState::Ended => ShownState::Ended,
    };
    let parameters = thread.parameters.get();
    let is_receiving = state == ShownState::Receiving;
    let waits_on = if is_receiving { thread.serving.get(kernel) } else { thread.called_channel(kernel) };
    ThreadRecord {
        thread: thread.number(),
        process: thread.process.number(),
        state: state as u32,
        policy: parameters.policy as u8,
        priority: parameters.priority,
        effective_priority: thread.rank.get(),
        cpu: thread.cpu.get() as u8,
        weight: parameters.weight,
        depth: thread.depth.get().into(),
        affinity: thread.affinity.get(),
        run_time: nanoseconds(thread.run_time.get()),
        waits_on: waits_on.map_or(0, Object::number),
        call_age: if thread.is_calling() { age(thread) } else { 0 },
    }
}

/// Nanoseconds since a call was queued, delivered or last progressed.
fn age(thread: &Thread) -> u64 {
    nanoseconds(clock::tsc().saturating_sub(thread.call_since.get()))
}

/// Calls are found by the threads that wait for their answers.
fn calls(kernel: &Kernel, to: &mut Writer, process: &Object<Process>, index: usize) -> Option<usize> {
    parts(process.threads.iter(kernel), index, |thread| {
        call_record(kernel, thread).is_none_or(|record| to.put(&record))
    })
}

fn call_record(kernel: &Kernel, thread: &Object<Thread>) -> Option<CallRecord> {
    let is_parked = || thread.kept.get(kernel).is_some_and(|call| call.parked.get());
    let state = match thread.state.get() {
        ThreadState::Queued => CallState::Queued,
        ThreadState::Current => CallState::Current,
        ThreadState::Kept if is_parked() => CallState::Parked,
        ThreadState::Kept => CallState::Kept,
        _ => return None,
    };
    let channel = thread.called_channel(kernel)?;
    Some(CallRecord {
        thread: thread.number(),
        client: thread.process.number(),
        channel: channel.number(),
        server: channel.server.get(kernel).map_or(0, Object::number),
        header: thread.request.get().0,
        age: if state == CallState::Parked { 0 } else { age(thread) },
        state: state as u32,
        faults: thread.faults.get(),
        serving_thread: thread.server.get(kernel).map_or(0, Object::number),
    })
}

/// The cursor is a channel's number.
fn channels(kernel: &Kernel, to: &mut Writer, cursor: u64) -> u64 {
    to.put_all(kernel.channels.from(kernel, cursor).map(|channel| {
        let record = ChannelRecord {
            channel: channel.number(),
            server: channel.server.get(kernel).map_or(0, Object::number),
            signals: channel.signals.get(),
            sessions: channel.sessions.len().into(),
            queued: channel.callers().into(),
            receivers: channel.receivers.len().into(),
            calls: channel.delivered.get(),
            closed: channel.closed.get().into(),
        };
        (record.channel, record)
    }))
}

/// The cursor is an address.
fn mappings(kernel: &Kernel, to: &mut Writer, process: &Object<Process>, cursor: u64) -> u64 {
    let records = (0..).map_while(|number| process.space.record(kernel, number));
    to.put_all(records.filter(|record| record.address >= cursor).map(|record| (record.address, record)))
}

/// The cursor is a slot.
fn handles(kernel: &Kernel, to: &mut Writer, process: &Object<Process>, cursor: u64) -> u64 {
    let (first, end) = (u32::try_from(cursor).unwrap_or(u32::MAX), process.handles.end.get());
    let last = first.saturating_add(SLOT_STEPS).min(end);
    for slot in first..last {
        let Some(found) = process.handles.at(kernel, slot) else { continue };
        let session = process.handles.get::<SessionUse>(kernel, found.handle, Rights::empty()).ok();
        let record = HandleRecord {
            handle: found.handle.0,
            object: found.object,
            kind: found.kind as u8,
            keep: found.keep.into(),
            reserved: 0,
            rights: found.rights.bits(),
            detail: session.map_or(found.mask, |session| session.channel.number()),
        };
        if !to.put(&record) {
            return slot.into();
        }
    }
    if last < end { last.into() } else { 0 }
}

/// The cursor is a vector.
fn interrupts(kernel: &Kernel, to: &mut Writer, cursor: u64) -> u64 {
    let first = u8::try_from(cursor).unwrap_or(u8::MAX);
    let records = kernel.vectors.from(kernel, first).map(|interrupt| interrupt.record(kernel));
    to.put_all(records.map(|record| (record.vector, record)))
}

/// In a cursor: the ports are done.
const IN_MEMORY: u64 = 1 << 63;

/// The cursor is a port, or a physical address with [`IN_MEMORY`].
fn ranges(kernel: &Kernel, to: &mut Writer, cursor: u64) -> u64 {
    let mut cursor = cursor;
    loop {
        let is_memory = cursor & IN_MEMORY != 0;
        let kind = if is_memory { ResourceKind::Physical } else { ResourceKind::Ports };
        match kernel.ranges.next_from(kernel, kind, cursor & !IN_MEMORY) {
            Some(record) if to.put(&record) => cursor = (record.start + record.length) | (cursor & IN_MEMORY),
            Some(_) => return cursor,
            None if is_memory => return 0,
            None => cursor = IN_MEMORY,
        }
    }
}
