//! Handles: a process's names for kernel objects.

use bitflags::bitflags;

/// A process's name for a kernel object: the slot in its handle table (low 32 bits) and the
/// generation of the slot (high 32 bits), which never returns to an earlier value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Handle(pub u64);

impl Handle {
    /// Names nothing; in arguments that take it, «the caller's own» or «none».
    pub const NONE: Handle = Handle(0);

    /// Names nothing: in a reply's page, the session that is to be minted for it.
    pub const PROMISED: Handle = Handle(u64::MAX);

    /// The handle of a slot at a generation.
    pub const fn new(slot: u32, generation: u32) -> Handle {
        Handle(slot as u64 | (generation as u64) << 32)
    }

    /// Index in the handle table.
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// Which use of the slot this is. The first one is 1.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether this is [`Handle::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The kinds of kernel objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Account = 1,
    Process = 2,
    Thread = 3,
    Memory = 4,
    Channel = 5,
    Session = 6,
    Call = 7,
    Interrupt = 8,
    IoPorts = 9,
    DmaDomain = 10,
    Resource = 11,
}

impl Kind {
    /// All kinds, in order of their numbers.
    pub const ALL: [Kind; 11] = [
        Kind::Account,
        Kind::Process,
        Kind::Thread,
        Kind::Memory,
        Kind::Channel,
        Kind::Session,
        Kind::Call,
        Kind::Interrupt,
        Kind::IoPorts,
        Kind::DmaDomain,
        Kind::Resource,
    ];

    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Kind> {
        if number == 0 || number > 11 { None } else { Some(Kind::ALL[number as usize - 1]) }
    }

    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Account => "account",
            Kind::Process => "process",
            Kind::Thread => "thread",
            Kind::Memory => "memory",
            Kind::Channel => "channel",
            Kind::Session => "session",
            Kind::Call => "call",
            Kind::Interrupt => "interrupt",
            Kind::IoPorts => "ioports",
            Kind::DmaDomain => "dmadomain",
            Kind::Resource => "resource",
        }
    }
}

bitflags! {
    /// What a handle allows. A duplicate never has more than its original.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Rights: u32 {
        /// Make further handles to the object, in the same process or by message.
        const DUPLICATE = 1 << 0;
        /// Read state: usage, exit records, sizes, statistics, a corpse's memory.
        const INSPECT = 1 << 1;
        /// Change, end or set up: start, kill, reset, schedule, seal, close, revoke.
        const MANAGE = 1 << 2;
        /// Memory: map for reading. IoPorts: in.
        const READ = 1 << 3;
        /// Memory: map for writing. IoPorts: out.
        const WRITE = 1 << 4;
        /// Memory: map for executing, once it is sealed.
        const EXECUTE = 1 << 5;
        /// Channel: receive. The process must be the channel's server as well.
        const RECEIVE = 1 << 6;
        /// Channel: mint sessions.
        const MINT = 1 << 7;
        /// Channel: set the signal bits of the handle's mask.
        const SIGNAL = 1 << 8;
        /// Session: call.
        const CALL = 1 << 9;
        /// Account: charge objects to it, and split it.
        const CHARGE = 1 << 10;
    }
}

impl Rights {
    /// The rights that mean something for a kind: what its creator gets.
    pub const fn of(kind: Kind) -> Rights {
        let every = Rights::DUPLICATE.union(Rights::INSPECT).union(Rights::MANAGE);
        match kind {
            Kind::Account => every.union(Rights::CHARGE),
            Kind::Process | Kind::Thread | Kind::Interrupt | Kind::DmaDomain | Kind::Resource => every,
            Kind::Memory => every.union(Rights::READ).union(Rights::WRITE).union(Rights::EXECUTE),
            Kind::Channel => every.union(Rights::RECEIVE).union(Rights::MINT).union(Rights::SIGNAL),
            Kind::Session => Rights::DUPLICATE.union(Rights::INSPECT).union(Rights::CALL),
            Kind::Call => Rights::INSPECT.union(Rights::MANAGE),
            Kind::IoPorts => every.union(Rights::READ).union(Rights::WRITE),
        }
    }
}
