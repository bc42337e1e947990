//! Records of `SystemInspect` and `SessionList`: fixed layout, as many as fit in a payload.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What `SystemInspect` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Subject {
    /// [`SystemRecord`], one.
    System = 0,
    /// [`CpuRecord`]s.
    Cpus = 1,
    /// [`ProcessRecord`]s.
    Processes = 2,
    /// [`ThreadRecord`]s of the process whose number is the argument (0: of all).
    Threads = 3,
    /// [`MappingRecord`]s of the process whose number is the argument.
    Mappings = 4,
    /// [`HandleRecord`]s of the process whose number is the argument.
    Handles = 5,
    /// [`ChannelRecord`]s.
    Channels = 6,
    /// [`CallRecord`]s: calls that wait for an answer.
    Calls = 7,
    /// [`InterruptRecord`]s.
    Interrupts = 8,
    /// [`RangeRecord`]s: who uses which ports and which device memory.
    Ranges = 9,
}

impl Subject {
    /// The subject with this number.
    pub const fn from_number(number: u64) -> Option<Subject> {
        match number {
            0 => Some(Subject::System),
            1 => Some(Subject::Cpus),
            2 => Some(Subject::Processes),
            3 => Some(Subject::Threads),
            4 => Some(Subject::Mappings),
            5 => Some(Subject::Handles),
            6 => Some(Subject::Channels),
            7 => Some(Subject::Calls),
            8 => Some(Subject::Interrupts),
            9 => Some(Subject::Ranges),
            _ => None,
        }
    }
}

/// Memory and object counts of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct SystemRecord {
    /// Nanoseconds since boot.
    pub uptime: u64,
    /// Frames of RAM that the kernel manages.
    pub frames: u64,
    /// Of these, free.
    pub free_frames: u64,
    /// Frames of the kernel's image and its tables of frames, not managed.
    pub kernel_frames: u64,
    pub processes: u64,
    pub threads: u64,
    pub channels: u64,
    pub sessions: u64,
    pub calls: u64,
    pub memories: u64,
    pub handles: u64,
    pub accounts: u64,
    pub interrupts: u64,
    pub io_ports: u64,
    pub dma_domains: u64,
    pub resources: u64,
    pub cpus: u64,
}

/// One CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct CpuRecord {
    /// Its number, from 0.
    pub cpu: u64,
    /// Nanoseconds it ran threads.
    pub busy: u64,
    /// Nanoseconds it was idle.
    pub idle: u64,
    /// Switches between threads.
    pub switches: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Threads ready on it.
    pub ready: u64,
    /// Threads taken from other CPUs.
    pub stolen: u64,
    /// Number of the running thread; 0 when idle.
    pub thread: u64,
}

/// One process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ProcessRecord {
    /// Its number.
    pub process: u64,
    /// The process that made it; 0 for init.
    pub parent: u64,
    /// Its name, padded with zeros.
    pub name: [u8; 16],
    /// Which incarnation it is.
    pub incarnation: u64,
    /// [`crate::process::ProcessState`].
    pub state: u32,
    /// Threads.
    pub threads: u32,
    /// Handles.
    pub handles: u64,
    /// Frames mapped by it alone or shared.
    pub resident_frames: u64,
    /// Nanoseconds its threads ran.
    pub run_time: u64,
    /// When it was started, in nanoseconds of the monotonic clock.
    pub started: u64,
}

/// One thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ThreadRecord {
    /// Its number.
    pub thread: u64,
    /// Its process.
    pub process: u64,
    /// [`ThreadState`].
    pub state: u32,
    /// [`crate::Policy`].
    pub policy: u8,
    /// Own priority.
    pub priority: u8,
    /// Inherited rank: the priority at which it is scheduled now, 0 for fair.
    pub effective_priority: u8,
    /// CPU it ran on last.
    pub cpu: u8,
    /// Weight.
    pub weight: u32,
    /// Depth of its current call chain.
    pub depth: u32,
    /// Bit set of CPUs it may run on.
    pub affinity: u64,
    /// Nanoseconds it ran.
    pub run_time: u64,
    /// Number of the channel that it waits on; 0 for none.
    pub waits_on: u64,
    /// Nanoseconds since it waits for a reply; 0 when it does not.
    pub call_age: u64,
}

/// States of a thread, as records show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum ThreadState {
    New = 0,
    Ready = 1,
    Running = 2,
    Receiving = 3,
    CallQueued = 4,
    CallReceived = 5,
    WaitingForCpus = 6,
    Ended = 7,
}

impl ThreadState {
    /// A word for people.
    pub const fn text(number: u32) -> &'static str {
        match number {
            0 => "new",
            1 => "ready",
            2 => "running",
            3 => "receive",
            4 => "queued",
            5 => "call",
            6 => "unmap",
            _ => "ended",
        }
    }
}

/// One mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct MappingRecord {
    /// First address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
    /// Number of the Memory.
    pub memory: u64,
    /// Offset in the Memory.
    pub offset: u64,
    /// Protection word.
    pub protection: u32,
    /// [`crate::memory::MemoryKind`].
    pub kind: u32,
    /// Frames of the Memory that are placed.
    pub resident_frames: u64,
}

/// One handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct HandleRecord {
    /// Its number.
    pub handle: u64,
    /// Number of the object.
    pub object: u64,
    /// [`crate::Kind`].
    pub kind: u8,
    /// 1 when kept across incarnations.
    pub keep: u8,
    /// Zero.
    pub reserved: u16,
    /// Rights.
    pub rights: u32,
    /// Signal mask or other detail of the kind: a session's channel.
    pub detail: u64,
}

/// One channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct ChannelRecord {
    /// Its number.
    pub channel: u64,
    /// The process that serves it; 0 for none.
    pub server: u64,
    /// Signal bits that are set.
    pub signals: u64,
    /// Sessions.
    pub sessions: u64,
    /// Callers queued.
    pub queued: u64,
    /// Threads that wait in receive.
    pub receivers: u64,
    /// Calls ever delivered.
    pub calls: u64,
    /// 1 when closed.
    pub closed: u64,
}

/// One call that waits for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct CallRecord {
    /// The calling thread.
    pub thread: u64,
    /// Its process.
    pub client: u64,
    /// The channel.
    pub channel: u64,
    /// The serving process.
    pub server: u64,
    /// Header of the request.
    pub header: u64,
    /// Nanoseconds since it was delivered or last progressed; of a queued one, since it was queued.
    pub age: u64,
    /// [`CallState`].
    pub state: u32,
    /// Faults that struck while it was current.
    pub faults: u32,
    /// Number of the serving thread when current; 0 otherwise.
    pub serving_thread: u64,
}

/// States of a call, as records show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum CallState {
    Queued = 1,
    Current = 2,
    Kept = 3,
    Parked = 4,
}

/// One interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct InterruptRecord {
    /// Its line, or [`crate::ports::MSI`].
    pub line: u64,
    /// Its vector.
    pub vector: u64,
    /// The process whose channel it signals; 0 for none.
    pub process: u64,
    /// Times it struck.
    pub count: u64,
    /// 1 when masked.
    pub masked: u64,
    /// Longest time from the interrupt to the driver's acknowledge, in nanoseconds.
    pub longest_latency: u64,
    /// Sum of these times.
    pub total_latency: u64,
    /// Number of them.
    pub acknowledged: u64,
}

/// A range in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct RangeRecord {
    /// [`crate::boot::ResourceKind`]: ports or physical memory.
    pub kind: u64,
    /// First.
    pub start: u64,
    /// How many ports or bytes.
    pub length: u64,
    /// The process that made the object; 0 is the kernel, for devices that it drives itself.
    pub process: u64,
}

/// One process's hold on a session, as `SessionList` lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct SessionRecord {
    /// The badge.
    pub badge: u64,
    /// The client process.
    pub client: u64,
    /// Handles that it has; 0: closed, and the close is not acknowledged, or not delivered while another handle flies.
    pub handles: u64,
}
