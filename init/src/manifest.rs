//! The manifest: which services there are, what each is given, and what becomes of it when it dies.
//!
//! A text of lines. `#` starts a comment; words with blanks in them stand in double quotes. `service NAME` starts an
//! entry, the lines up to the next one describe it:
//!
//! | line | meaning | without it |
//! |---|---|---|
//! | `binary NAME` | program of the boot archive | the service's name |
//! | `arguments WORD…` | arguments behind the program's name | none |
//! | `parameter NAME VALUE` | a parameter; the command line's `SERVICE.NAME=VALUE` goes over it; the value `$rsdp` is the physical address of the firmware's tables, or 0 | |
//! | `session SERVICE [as NAME…] [control]` | a session to another service, minted at the start, under these names or the service's; it is started after that one | |
//! | `connect SERVICE…` or `connect any` | may ask the registry for sessions to these, or to all | to none |
//! | `after SERVICE…` | is started after these | |
//! | `ports NAME FIRST COUNT` | I/O ports | |
//! | `interrupt NAME LINE [edge-high\|level-high\|level-low]` | the Resource of a line; its number is the parameter NAME, the trigger NAME`.trigger` | |
//! | `memory NAME ADDRESS BYTES [uncached\|write-combining\|write-back]` | device memory | |
//! | `resource NAME KIND [START LENGTH]` | a Resource or a part of it; KIND: `physical ports interrupts dma inspect power realtime` | |
//! | `archive NAME` | the Memory of the boot archive, read-only | |
//! | `state SIZE` | zeroed Memory with the name `state`, that stays through its restarts | |
//! | `device pci\|acpi\|virtio VENDOR:DEVICE…` or `device BUS class CCSSPP…` | devices that it drives: the entry is a template, of which the bus's server has instances made | |
//! | `template` | no process runs from the entry itself; who may, makes instances | |
//! | `instances TEMPLATE…` | may make instances of these | to none |
//! | `bus` | may say which devices there are: it is the server of the bus with its name | |
//! | `class WORD` | what it provides: `block`, `loop`, `disks`, `character`, `network`, `filesystem` | |
//! | `node NAME` | its name in /dev; an instance's number is appended | |
//! | `priority fair WEIGHT` or `priority fifo\|round-robin PRIORITY` | of its first thread | `fair 1024` |
//! | `account memory SIZE\|N% handles N threads N sessions N processes N` | what it may use | see [`Share::DEFAULT`] |
//! | `restart always\|on-failure\|never [limit N in TIME] [backoff TIME to TIME]` | when it ends | `always limit 5 in 1m backoff 50ms to 5s` |
//! | `hang TIME` or `hang never` | how long a call may take it | `5s` |
//! | `quiesce TIME` | how long it gets to end by itself | it is killed at once |
//! | `on-demand` | started when somebody connects to it and waits | started with the machine |
//! | `collects-logs` | gets the log rings of all | |
//! | `control` | may stop, start and shut down through the registry | |
//! | `optional` | the boot goes on without its binary | the boot ends |
//!
//! Numbers are decimal or `0x…`; sizes have `K`, `M` or `G`, times `ms`, `s` or `m`.

mod check;
mod entry;
mod order;
mod parse;
mod template;
#[cfg(test)]
mod tests;
mod words;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use libsys::interrupt::Trigger;
use libsys::memory::Caching;
use libsys::resource::ResourceKind;
use libsys::thread_object::Parameters;

pub(crate) use check::DEVICE;
pub use template::{Device, Fit};

/// A parameter with this value gets the physical address of the firmware's tables.
pub const FIRMWARE_TABLES: &str = "$rsdp";

/// Most services of a manifest.
pub const MOST_SERVICES: usize = 60;

/// Most services that there can be at a time, instances among them.
pub const MOST_WITH_INSTANCES: usize = 120;

/// Most sessions, and most other handles, that one service is given.
pub const MOST_HANDLES: usize = 24;

/// All services, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The entries.
    pub services: Vec<Service>,
    /// Their indices, each behind those that it depends on.
    pub order: Vec<usize>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Service {
    pub name: String,
    pub kind: Kind,
    /// Where the entry starts, from 1.
    pub line: usize,
    pub binary: String,
    pub arguments: Vec<String>,
    pub parameters: Vec<(String, String)>,
    pub sessions: Vec<SessionGrant>,
    pub connect: Reach,
    pub after: Vec<String>,
    pub grants: Vec<Grant>,
    pub devices: Vec<Device>,
    /// Templates that it may make instances of.
    pub instances: Vec<String>,
    pub bus: bool,
    pub class: Option<String>,
    pub node: Option<String>,
    pub priority: Parameters,
    pub account: Share,
    pub restart: Restart,
    /// Nanoseconds.
    pub hang: Option<u64>,
    /// Nanoseconds.
    pub quiesce: Option<u64>,
    pub collects_logs: bool,
    /// It is started when somebody connects to it.
    pub on_demand: bool,
    pub control: bool,
    pub optional: bool,
}

/// What an entry stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A service.
    #[default]
    Service,
    /// What instances are made from.
    Template,
    /// A service made from a template.
    Instance {
        /// Name of the template.
        of: String,
    },
    /// Nothing: an instance was here, and another one can be.
    Vacant,
}

/// A session that a service starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionGrant {
    /// To which service.
    pub service: String,
    /// Its names in the environment.
    pub names: Vec<String>,
    /// Whether its badge allows control.
    pub control: bool,
}

/// Whom a service may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// These.
    Named(Vec<String>),
    /// All.
    Any,
}

/// A handle that a service starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its name in the environment.
    pub name: String,
    /// To what.
    pub what: Granted,
}

/// What a handle of the manifest leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Granted {
    Ports { first: u16, count: u16 },
    Interrupt { line: u32, trigger: Option<Trigger> },
    Memory { address: u64, bytes: u64, caching: Caching },
    Resource { kind: ResourceKind, part: Option<(u64, u64)> },
    Archive,
    State { bytes: u64 },
}

/// What a service may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Share {
    pub memory: Amount,
    pub handles: u64,
    pub threads: u64,
    pub sessions: u64,
    pub processes: u64,
}

impl Share {
    /// What a service gets that asks for nothing.
    pub const DEFAULT: Share =
        Share { memory: Amount::Bytes(512 << 10), handles: 256, threads: 8, sessions: 64, processes: 1 };
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what is free at boot.
    Percent(u64),
}

/// When a service that ended starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Restart {
    pub when: When,
    /// So many deaths of its own fault…
    pub limit: u32,
    /// …in this time, in nanoseconds, are borne.
    pub window: u64,
    /// Nanoseconds that it waits at the second death in the window; doubled with each further one…
    pub backoff: u64,
    /// …up to this.
    pub most_backoff: u64,
}

impl Restart {
    /// What a service gets that asks for nothing.
    pub const DEFAULT: Restart = Restart {
        when: When::Always,
        limit: 5,
        window: 60_000_000_000,
        backoff: 50_000_000,
        most_backoff: 5_000_000_000,
    };
}

/// After which ends a service starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// All but an exit with status 0.
    OnFailure,
    /// None.
    Never,
}

/// How long a call may take, unless the manifest says otherwise.
pub const DEFAULT_HANG: u64 = 5_000_000_000;

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest, line {}: ", self.line)?;
        // A broken manifest may hold anything; the line stays a line.
        self.reason.chars().try_for_each(|c| f.write_char(if c.is_control() { '?' } else { c }))
    }
}

impl core::error::Error for ManifestError {}

impl Manifest {
    /// Reads and checks a manifest.
    pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
        let services = parse::services(text)?;
        check::check(&services)?;
        let order = order::order(&services)?;
        Ok(Manifest { services, order })
    }

    /// The index of a service, or of an instance.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| service.runs() && service.name == name)
    }
}

impl Service {
    /// The services that it is started after, and stopped before.
    pub fn dependencies(&self) -> impl Iterator<Item = &str> {
        let sessions = self.sessions.iter().map(|session| session.service.as_str());
        sessions.chain(self.after.iter().map(String::as_str))
    }

    /// Whether a process runs from it.
    pub fn runs(&self) -> bool {
        matches!(self.kind, Kind::Service | Kind::Instance { .. })
    }

    /// Whether it is meant by a name: its own, or that of the template that it was made from.
    pub fn is_meant_by(&self, name: &str) -> bool {
        let is_of = matches!(&self.kind, Kind::Instance { of } if of == name);
        self.runs() && (self.name == name || is_of)
    }

    /// Whether it may connect to a service.
    pub fn may_connect(&self, other: &Service) -> bool {
        match &self.connect {
            Reach::Any => true,
            Reach::Named(names) => names.iter().any(|name| other.is_meant_by(name)),
        }
    }
}

/// Whether a text is a name: 1 to 16 of `a`–`z`, `0`–`9` and `-`.
pub fn is_name(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=16).contains(&text.len()) && text.bytes().all(is_known)
}
