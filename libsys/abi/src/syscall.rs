//! The system calls: numbers, arguments and results. `a0` to `a9` are the argument registers of
//! the crate's table, `r0` to `r9` the same registers as results. Every call may end with
//! `BadHandle`, `WrongKind`, `Denied` or `BadArgument`; the other errors are named.
//!
//! «Payload» is the payload of the calling thread's call page: the kernel reads and writes no
//! other memory of a process.

macro_rules! syscalls {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// A system call's number, in `rax`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Syscall {
            $($(#[$doc])* $name = $number,)*
        }

        impl Syscall {
            /// All system calls, in order of their numbers.
            pub const ALL: &[Syscall] = &[$(Syscall::$name,)*];

            /// The system call with this number.
            #[inline]
            pub const fn from_number(number: u64) -> Option<Syscall> {
                match number {
                    $($number => Some(Syscall::$name),)*
                    _ => None,
                }
            }

            /// Its name, as the enum spells it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Syscall::$name => stringify!($name),)*
                }
            }
        }
    };
}

syscalls! {
    /// Does nothing: what entering and leaving the kernel costs.
    Null = 0;

    // Calls -----------------------------------------------------------------------------------
    /// Calls a server and waits for its reply. a0: Session (`CALL`); a1: header; a2–a9: words;
    /// call page: payload, handles (need `DUPLICATE`; they are duplicated), deadline, lane, sequence.
    /// r1: reply header; r2–r9: words; call page: payload, handles received.
    /// Errors: `BadMessage`, `NoSlot` or `AccountExhausted` (slots for the reply's handles),
    /// `Deadlock`, `NotStarted`, `Unknown`, `Abandoned`, `PeerDied`, `Closed`, `PeerFull`.
    Call = 1;
    /// Answers the current call and waits for what arrives next on a channel. a0: Channel
    /// (`RECEIVE`); a1: reply header (its deadline is the receive's); a2–a9: words; serve page: payload,
    /// handles (they are moved), deadline. Results as `Receive`.
    /// Errors: `BadState` (no current call), `CallerGone` (nothing was received), those of `Receive`; of a reply that mints, those of
    /// `SessionMint`: the call is not answered then.
    ReplyReceive = 2;
    /// Waits for what arrives next. a0: Channel (`RECEIVE`); a1: header: only its deadline and its
    /// acknowledgement of a close (a2: badge, a3: client; as `SessionAcknowledge`, one that is none is passed over) count; a deadline of 0 in the serve page polls. r0: see [`Delivery`]; `rax` 0. Errors: `TimedOut`, `Closed`,
    /// `BadState` (a current call is neither answered nor kept; or not the channel's server).
    Receive = 3;
    /// Answers the current call. Arguments as `ReplyReceive`, without a0. Errors: `BadState`, `CallerGone`, those of `SessionMint`.
    Reply = 4;
    /// Makes a handle of the current call, to answer it later. r0: Call.
    /// Errors: `BadState` (none is current), `NoSlot`, `AccountExhausted`.
    CallKeep = 5;
    /// Answers a kept call; consumes the handle whatever the outcome. a0: Call; a1–a9 as `Reply`, which mints nothing.
    /// Error: `CallerGone`.
    CallReply = 6;
    /// Makes a kept call the current one again; consumes the handle. a0: Call.
    /// Errors: `BadState` (another is current), `CallerGone` (of a parked call). Other work for a caller that left goes on, until it is answered.
    CallResume = 7;
    /// Says that work on a call goes on: its age starts anew. a0: Call, or none for the current one.
    CallProgress = 8;
    /// Parks a kept call: it waits for an event, nothing was done for it yet. a0: Call. It has no age, and goes back
    /// to the queue when the server dies, whatever its class.
    CallPark = 9;
    /// Lets a call go: the caller gets `Abandoned`. a0: Call, or none for the current one.
    CallAbandon = 10;

    // Channels and sessions -------------------------------------------------------------------
    /// Makes a channel. a0: Account (`CHARGE`); a1: Process (`MANAGE`) that serves it, or none for the caller's.
    /// r0: Channel. Errors: `AccountExhausted`, `NoSlot`.
    ChannelCreate = 11;
    /// Closes a channel for good: its callers get `Closed`. a0: Channel (`MANAGE`).
    ChannelClose = 12;
    /// Sets signal bits. a0: Channel (`SIGNAL`); a1: bits, of which the handle's mask lets pass.
    /// Error: `Denied` when a bit is outside of the mask.
    Signal = 13;
    /// Makes a session. a0: Channel (`MINT`); a1: badge; a2: Account (`CHARGE`). r0: Session.
    /// Errors: `AccountExhausted`, `NoSlot`, `Closed`.
    SessionMint = 14;
    /// Lists live sessions, and closes that are not acknowledged. a0: Channel (`RECEIVE`); a1: cursor (0 at first). r0: number of
    /// [`crate::inspect::SessionRecord`]s in the payload; r1: next cursor, 0 at the end.
    SessionList = 15;
    /// Acknowledges the delivered close of a session. a0: Channel (`RECEIVE`); a1: badge; a2: client process.
    /// Error: `BadState` (no such close was delivered).
    SessionAcknowledge = 16;

    // Handles ---------------------------------------------------------------------------------
    /// Makes another handle to an object. a0: any (`DUPLICATE`); a1: rights to keep, of those it has; a2: Channel:
    /// signal bits to keep. r0: the handle. Errors: `NoSlot`, `AccountExhausted`.
    HandleDuplicate = 17;
    /// Closes a handle. a0: any.
    HandleClose = 18;
    /// Describes a handle. a0: any. r0: kind; r1: rights; r2: number of the object; r3: signal mask; r4: keep flag.
    HandleInspect = 19;
    /// Says whether a handle is kept, under its number, across incarnations. a0: any; a1: 0 or 1.
    HandleKeep = 20;
    /// Gives another process a handle. a0: Process (`MANAGE`); a1: handle (`DUPLICATE`); a2: rights to keep;
    /// a3: signal bits to keep; a4: 1 to mark it kept. r0: its number over there.
    /// Errors: `BadState` (the process is draining or dead), `NoSlot`, `AccountExhausted` (of that process).
    HandleGrant = 21;

    // Accounts --------------------------------------------------------------------------------
    /// Makes a sub-account with limits that are promised at once. a0: Account (`CHARGE`); a1–a5: limits in the order of
    /// [`crate::Limits`]. r0: Account. Errors: `AccountExhausted`, `NoSlot`.
    AccountSplit = 22;
    /// Reads an account. a0: Account (`INSPECT`). Payload: [`crate::Usage`].
    AccountRead = 23;
    /// Revokes an account and all below it: further charges are refused and every process charged to it is
    /// killed (`Revoked`) and gives up all its handles, kept ones too. What was promised and is not used goes back at once, at a
    /// second call what came free since, and the rest when the last charge ends. a0: Account (`MANAGE`).
    AccountRevoke = 24;

    // Processes and threads -------------------------------------------------------------------
    /// Makes a process with an empty address space. a0: Account (`CHARGE`); a1, a2: its name, up to 16 bytes.
    /// r0: Process. Errors: `AccountExhausted`, `NoSlot`.
    ProcessCreate = 25;
    /// Starts a process: its threads become ready. a0: Process (`MANAGE`). Errors: `BadState` (not new, or no thread).
    ProcessStart = 26;
    /// Ends the incarnation. a0: Process (`MANAGE`), or none for the caller's own; a1: [`crate::ExitReason`]: of the own process `Exit` or
    /// `Panic`, of others `Killed` or `Hung`; a2: code. Killing the dead changes nothing.
    ProcessKill = 27;
    /// Makes a dead process new again, as its next incarnation, once it is drained. a0: Process (`MANAGE`); a1: Channel (`SIGNAL`)
    /// to signal when that is done, or none; a2: bits. A living process is not reset: `BadState`. Can be asked for
    /// again, by anyone with the right; each asker's last channel and bits count. The next incarnation starts with every signal bit of its channels set.
    ProcessReset = 28;
    /// Reads how a process ended or runs. a0: Process (`INSPECT`). Payload: [`crate::ExitRecord`].
    ProcessInspect = 29;
    /// Names a channel to signal at each death. a0: Process (`MANAGE`); a1: Channel (`SIGNAL`), or none; a2: bits. One watcher a process.
    ProcessWatch = 30;
    /// Reads memory of a process, the dead included. a0: Process (`INSPECT`); a1: address; a2: bytes. r0: bytes read
    /// into the payload, up to the first page that is not there.
    ProcessRead = 31;
    /// Makes a thread. a0: Process (`MANAGE`), or none for the caller's; a1: entry; a2: stack pointer; a3: argument (`rdi` of the new thread);
    /// a4: address for its two message pages (call page, then serve page), page aligned; a5: FS base; a6: Account (`CHARGE`).
    /// It starts at once in a running process, else with it. r0: Thread. Errors: `AccountExhausted`, `NoSlot`, `BadAddress`, `BadState`.
    ThreadCreate = 32;
    /// Sets a thread's own parameters. a0: Thread (`MANAGE`), or none for the caller; a1: policy; a2: priority; a3: weight;
    /// a4: for the real-time policies, a Resource of real time (`MANAGE`).
    ThreadSchedule = 33;
    /// Says on which CPUs a thread may run. a0: Thread (`MANAGE`), or none for the caller; a1: bit set. Error: `BadArgument` when no such CPU exists.
    ThreadAffinity = 34;
    /// Ends a thread's call or receive early. a0: Thread (`MANAGE`). The call ends with `NotStarted` or `Unknown`, a receive with `TimedOut`.
    /// Error: `BadState` (it waits for nothing).
    ThreadCancel = 35;
    /// Ends the calling thread. a0: Channel (`SIGNAL`) to signal when the thread is off its stack, or none; a1: bits. The last thread's end
    /// ends the process (`Exit`, a2: code). A current call is abandoned.
    ThreadExit = 36;
    /// Lets others of the same rank run.
    ThreadYield = 37;

    // Memory ----------------------------------------------------------------------------------
    /// Makes Memory. a0: Account (`CHARGE`); a1: bytes, a multiple of 4096; a2: [`crate::memory::MemoryKind`] (not `Device`).
    /// r0: Memory. Errors: `AccountExhausted`, `NoContiguousMemory`, `NoSlot`.
    MemoryCreate = 38;
    /// Makes device Memory. a0: Resource of physical memory (`MANAGE`); a1: physical address; a2: bytes; a3: [`crate::memory::Caching`]; a4: Account.
    /// r0: Memory. Errors: `Busy` (the range overlaps another device Memory), `Denied` (outside of the Resource, or RAM).
    MemoryDevice = 39;
    /// Maps Memory. a0: Process (`MANAGE`), or none for the caller's; a1: Memory (`READ`, `WRITE`, `EXECUTE` as the protection asks);
    /// a2: address, or 0 to let the kernel choose; a3: offset; a4: bytes; a5: protection word ([`crate::memory::Protection`]).
    /// r0: address. Errors: `BadAddress`, `Sealed`, `AccountExhausted` (page tables).
    MemoryMap = 40;
    /// Undoes a mapping, whole. a0: Process (`MANAGE`), or none; a1: its address. It has no effect left on any CPU when this returns.
    MemoryUnmap = 41;
    /// Changes a mapping's protection, within what the handle that mapped it allowed. a0: Process (`MANAGE`), or none; a1: its address;
    /// a2: protection word. Errors: `BadAddress`, `Sealed`, `Denied`.
    MemoryProtect = 42;
    /// Ends all writing, for ever: writable mappings become read-only. a0: Memory (`MANAGE`). Error: `Busy` (a device may write it).
    MemorySeal = 43;
    /// Describes Memory. a0: Memory (`INSPECT`). r0: bytes; r1: kind; r2: 1 when sealed; r3: frames placed.
    MemoryInspect = 44;

    // Devices ---------------------------------------------------------------------------------
    /// Binds an interrupt line to a channel's signal bits. a0: Resource of interrupts (`MANAGE`); a1: line (global system interrupt), or
    /// [`crate::ports::MSI`] for a message-signalled one; a2: Channel (`SIGNAL`); a3: bits; a4: [`crate::ports::Trigger`]; a5: Account. r0: Interrupt;
    /// MSI: r1: address, r2: data to program. Errors: `Busy`, `AccountExhausted`, `Unsupported` (no vector left).
    InterruptCreate = 45;
    /// Says that a delivered interrupt was handled: a level line is unmasked. a0: Interrupt (`MANAGE`); a1: 1 if the device had wanted something, 0 if not.
    InterruptAcknowledge = 46;
    /// Masks or unmasks. a0: Interrupt (`MANAGE`); a1: 1 to mask, 0 to unmask.
    InterruptMask = 47;
    /// Makes a range of ports. a0: Resource of ports (`MANAGE`); a1: first; a2: count; a3: Account. r0: IoPorts. Error: `Busy`.
    PortsCreate = 48;
    /// Reads a port. a0: IoPorts (`READ`); a1: offset; a2: bytes, 1, 2 or 4. r0: value.
    PortIn = 49;
    /// Writes a port. a0: IoPorts (`WRITE`); a1: offset; a2: bytes, 1, 2 or 4; a3: value.
    PortOut = 50;
    /// Moves bytes from a port into a [`crate::ring::ByteRing`] while a status port says that there are some. a0: IoPorts (`READ`);
    /// a1: Memory (`WRITE`); a2: offset of the ring in it; a3: [`crate::ports::Gate`] word. r0: bytes moved (at most [`crate::ports::BURST`]);
    /// r1: the status read last. Error: `BadState` (the ring's indices make no sense).
    PortsDrain = 51;
    /// Moves bytes from a [`crate::ring::ByteRing`] to a port, at most a3's count, while the gate allows. a0: IoPorts (`WRITE`);
    /// a1: Memory (`READ` and `WRITE`); a2: offset of the ring; a3: gate word. Results as `PortsDrain`.
    PortsFill = 52;
    /// Makes a device's view of memory. a0: Resource of DMA (`MANAGE`); a1: requester number (bus, device, function); a2: Account; a3: Channel
    /// (`SIGNAL`) told when a process that attached Memory died, or none; a4: bits. r0: DmaDomain. Error: `Busy`.
    DmaDomainCreate = 53;
    /// Attaches Memory: it stays pinned until it is released. a0: DmaDomain (`INSPECT`); a1: Memory (`READ`, `WRITE`). Payload:
    /// [`crate::memory`] segments as (device address, bytes) pairs; r0: their number; r1: number of the attachment.
    DmaAttach = 54;
    /// Releases attached Memory: to be done by the domain's owner once the device cannot reach it. a0: DmaDomain (`MANAGE`); a1: attachment, or 0 for
    /// all, of which some are released. r0: how many are left, of all.
    DmaRelease = 55;
    /// Makes a Resource for a part of another's range. a0: Resource (`MANAGE`); a1: start; a2: length; a3: Account. r0: Resource.
    ResourceSplit = 56;

    // The system ------------------------------------------------------------------------------
    /// Reads the clocks. r0: nanoseconds since boot (monotonic); r1: time-stamp counter; r2: its frequency in hertz.
    ClockRead = 57;
    /// Reads the state of the system. a0: Resource of inspection (`INSPECT`); a1: [`crate::inspect::Subject`]; a2: cursor, 0 at first; a3: subject's argument.
    /// r0: number of records in the payload; r1: next cursor, 0 at the end.
    SystemInspect = 58;
    /// Powers off or restarts the machine. a0: Resource of power (`MANAGE`); a1: [`crate::boot::Power`]; a2: exit status for an emulator.
    SystemPower = 59;
    /// Reads a process's or thread's own identity. r0: number of the process; r1: of the thread; r2: incarnation; r3: CPU.
    Identify = 60;
    /// Lists attached Memory. a0: DmaDomain (`MANAGE`); a1: the number to begin at, 0 at first. Payload: [`crate::memory::AttachmentRecord`]s; r0: their
    /// number; r1: the number to go on at, 0 at the end.
    DmaList = 61;
}

/// What `Receive` delivers, in `r0`'s low byte: the upper 56 bits are zero unless noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Delivery {
    /// A call. r0: the badge, in place of this number, and `rax` is [`Delivery::CALL_STATUS`]; r1: header; r2–r9: words;
    /// serve page: payload, handles, client, and for `once` lane and sequence. It is now the thread's current call.
    Call = 1,
    /// Signals. r2: the bits, which are now cleared.
    Signals = 2,
    /// A session was closed by one process, or by all. r2: badge; r3: the client process; r4: 1 when no process has it any more.
    /// It is delivered again, to this or the next incarnation, until acknowledged.
    Close = 3,
    /// A kept call's caller is gone. r2: the Call handle, which still has to be answered, abandoned or closed.
    Withdrawn = 4,
}

impl Delivery {
    /// `rax` after a receive that delivered a call: it makes room for a badge of 64 bits in r0.
    pub const CALL_STATUS: u64 = 0x100;

    /// The delivery with this number.
    pub const fn from_number(number: u64) -> Option<Delivery> {
        match number {
            1 => Some(Delivery::Call),
            2 => Some(Delivery::Signals),
            3 => Some(Delivery::Close),
            4 => Some(Delivery::Withdrawn),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_round_trip() {
        for (index, call) in Syscall::ALL.iter().enumerate() {
            assert_eq!(*call as usize, index);
            assert_eq!(Syscall::from_number(index as u64), Some(*call));
        }
        assert_eq!(Syscall::from_number(Syscall::ALL.len() as u64), None);
    }
}
