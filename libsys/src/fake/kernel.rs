//! The fake kernel's state: one lock, one condition that every change notifies.

use super::Who;
use super::table::{Entry, Table};
use abi::{Class, Error, ExitRecord, Header, Limits, WORDS};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// What is behind a handle.
pub(super) enum Object {
    Account(Account),
    /// The number of the process is the object's.
    Process,
    Thread,
    Memory(Arc<super::memory::Pages>),
    Channel(Channel),
    Session(Session),
    /// The number of the call.
    Call(u64),
    Interrupt {
        channel: u64,
        bits: u64,
        masked: bool,
    },
    Ports(Arc<dyn super::PortDevice>),
    /// Numbers of its attachments.
    DmaDomain {
        attached: BTreeSet<u64>,
        next: u64,
    },
    Resource,
}

pub(super) struct Account {
    pub(super) parent: u64,
    pub(super) limits: Limits,
    /// What was charged and is not given back, as tests are short; frames of Memories are not in it.
    pub(super) used: Limits,
    /// Frames of Memories that there are. They are given back when the last handle and mapping goes: tests make many.
    pub(super) frames: Arc<AtomicU64>,
    pub(super) revoked: bool,
}

impl Account {
    pub(super) fn new(parent: u64, limits: Limits) -> Account {
        Account { parent, limits, used: Limits::default(), frames: Arc::default(), revoked: false }
    }

    /// All that is charged to it.
    pub(super) fn used(&self) -> Limits {
        Limits { frames: self.used.frames + self.frames.load(Ordering::Relaxed), ..self.used }
    }
}

pub(super) struct Channel {
    pub(super) server: u64,
    pub(super) queue: VecDeque<u64>,
    pub(super) signals: u64,
    /// Closes that were not acknowledged; the flag says whether this incarnation has seen it.
    pub(super) closes: Vec<(Close, bool)>,
    /// Kept calls whose caller left, not yet told.
    pub(super) withdrawn: VecDeque<u64>,
    pub(super) receivers: usize,
    pub(super) closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) badge: u64,
    pub(super) client: u64,
    pub(super) last: bool,
}

pub(super) struct Session {
    pub(super) channel: u64,
    pub(super) badge: u64,
    /// Handles of each process.
    pub(super) uses: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallState {
    Queued,
    Current(Who),
    Kept,
    Parked,
}

/// What travels.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) words: [u64; WORDS],
    pub(super) payload: Vec<u8>,
    pub(super) handles: Vec<Entry>,
}

pub(super) struct Call {
    pub(super) client: Who,
    pub(super) channel: u64,
    pub(super) badge: u64,
    pub(super) class: Class,
    pub(super) request: Message,
    pub(super) key: (u64, u64),
    pub(super) state: CallState,
    /// An earlier delivery ended without an answer.
    pub(super) replayed: bool,
    pub(super) faults: u32,
    pub(super) hangs: u32,
    /// The client waits no longer.
    pub(super) orphan: bool,
    pub(super) outcome: Option<Result<Message, Error>>,
}

pub(super) struct Process {
    pub(super) account: u64,
    pub(super) table: Table,
    pub(super) exit: ExitRecord,
    pub(super) watcher: Option<(u64, u64)>,
    pub(super) mappings: BTreeMap<u64, Vec<super::memory::Mapped>>,
    pub(super) threads: u64,
    /// Its memory as `ProcessRead` finds it: pieces by address.
    pub(super) readable: BTreeMap<u64, Vec<u8>>,
    /// It is killed at so many system calls from now.
    pub(super) fuse: Option<u64>,
    /// Replies whose status is made a number of no meaning yet.
    pub(super) spoilt: u64,
    /// Replies whose first word is made this number yet.
    pub(super) lies: (u64, u64),
    /// System calls that would charge an account and are refused yet.
    pub(super) refusals: u64,
}

pub(super) struct State {
    next: u64,
    pub(super) objects: HashMap<u64, Object>,
    /// Handles to each object, those in flight included.
    pub(super) references: HashMap<u64, usize>,
    pub(super) processes: HashMap<u64, Process>,
    pub(super) calls: BTreeMap<u64, Call>,
    /// The current call of each thread that serves one.
    pub(super) current: HashMap<u64, u64>,
}

pub(super) struct Kernel {
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
}

static KERNEL: LazyLock<Kernel> = LazyLock::new(|| Kernel {
    state: Mutex::new(State {
        next: 0,
        objects: HashMap::new(),
        references: HashMap::new(),
        processes: HashMap::new(),
        calls: BTreeMap::new(),
        current: HashMap::new(),
    }),
    changed: Condvar::new(),
    started: Instant::now(),
});

/// The locked state. It is always there but while it waits.
pub(super) struct Held(Option<MutexGuard<'static, State>>);

impl Deref for Held {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.as_ref().expect("held")
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut State {
        self.0.as_mut().expect("held")
    }
}

/// Longest wait without looking at the state again: a thread whose process was killed ends by then.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

impl Kernel {
    pub(super) fn lock() -> Held {
        Held(Some(KERNEL.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())))
    }

    pub(super) fn nanoseconds() -> u64 {
        KERNEL.started.elapsed().as_nanos() as u64
    }

    pub(super) fn notify() {
        KERNEL.changed.notify_all();
    }
}

impl Held {
    /// Lets others change the state until something changed or the deadline passed.
    pub(super) fn wait(&mut self, deadline: Option<u64>) {
        let left = deadline.map_or(LONGEST_WAIT, |deadline| {
            Duration::from_nanos(deadline.saturating_sub(Kernel::nanoseconds())).min(LONGEST_WAIT)
        });
        if let Some(guard) = self.0.take() {
            let waited = KERNEL.changed.wait_timeout(guard, left);
            self.0 = Some(waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0);
        }
    }
}

impl State {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn add(&mut self, object: Object) -> u64 {
        let number = self.number();
        self.objects.insert(number, object);
        number
    }

    /// A process that runs; its account is a new root when `account` is 0.
    pub(super) fn new_process(&mut self, parent: u64, account: u64) -> u64 {
        let account = if account != 0 {
            account
        } else {
            let limits =
                Limits { frames: 1 << 20, handles: 1 << 20, threads: 1 << 12, sessions: 1 << 16, processes: 1 << 12 };
            self.add(Object::Account(Account::new(0, limits)))
        };
        let number = self.add(Object::Process);
        let state = if parent == 0 { abi::process::ProcessState::Running } else { abi::process::ProcessState::New };
        let exit = ExitRecord { process: number, incarnation: 1, state: state as u32, ..ExitRecord::default() };
        let process = Process {
            account,
            table: Table::default(),
            exit,
            watcher: None,
            mappings: BTreeMap::new(),
            threads: 0,
            readable: BTreeMap::new(),
            fuse: None,
            refusals: 0,
            spoilt: 0,
            lies: (0, 0),
        };
        self.processes.insert(number, process);
        number
    }

    pub(super) fn new_thread(&mut self, process: u64) -> Who {
        let thread = self.number();
        let incarnation = self.processes[&process].exit.incarnation;
        Who { process, incarnation, thread }
    }

    pub(super) fn lives(&self, who: Who) -> bool {
        self.processes.get(&who.process).is_some_and(|process| {
            process.exit.incarnation == who.incarnation
                && process.exit.state == abi::process::ProcessState::Running as u32
        })
    }

    pub(super) fn exit_record(&self, process: u64) -> ExitRecord {
        self.processes[&process].exit
    }

    pub(super) fn channel(&mut self, number: u64) -> Option<&mut Channel> {
        match self.objects.get_mut(&number) {
            Some(Object::Channel(channel)) => Some(channel),
            _ => None,
        }
    }

    pub(super) fn signal(&mut self, channel: u64, bits: u64) {
        if let Some(channel) = self.channel(channel) {
            channel.signals |= bits;
        }
        Kernel::notify();
    }
}
