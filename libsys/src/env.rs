//! What a process was started with: arguments, environment, parameters, and handles under names.
//!
//! The parent, or the manifest, gives handles names. Some mean the same everywhere:
//!
//! | name | object |
//! |---|---|
//! | `account` | Account that the process may charge |
//! | `process` | the Process itself, with `MANAGE` |
//! | `channel` | Channel that a service serves |
//! | `registry` | Session to init |
//! | `log` | Memory: the process's log ring |
//! | `namespace` | Session to vfs: the file systems that the process sees |
//! | `stdin`, `stdout`, `stderr` | Session to a stream, whose kind [`Env::stream`] says; of a pipe to read, its Channel. With a pipe come `stdin.memory`, and `stdout.signal` |
//!
//! The others are the manifest's: ports, interrupts, sessions to other services.

use crate::client;
use crate::protocol::RegistryClient;
use crate::sync::Mutex;
use crate::{Account, Channel, Object, Process, Session};
use abi::{Error, Handle};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::mem::ManuallyDrop;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Names that mean the same in every process.
pub mod names {
    #![allow(missing_docs)]
    pub const ACCOUNT: &str = "account";
    pub const PROCESS: &str = "process";
    pub const CHANNEL: &str = "channel";
    pub const REGISTRY: &str = "registry";
    pub const LOG: &str = "log";
    pub const STDIN: &str = "stdin";
    pub const STDOUT: &str = "stdout";
    pub const STDERR: &str = "stderr";
    pub const NAMESPACE: &str = "namespace";
}

/// What a parent tells a process, in its startup block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Startup {
    /// Arguments; the first is the program's name.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// Parameters of the manifest and the command line.
    pub parameters: Vec<(String, String)>,
    /// Handles that it was granted, by name: numbers in its own table.
    pub handles: Vec<(String, u64)>,
    /// What the streams among the handles are, by name; those of no mention are consoles.
    pub streams: Vec<(String, StreamKind)>,
}

/// What a stream is, and so what its session speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamKind {
    /// A terminal: [`Console`](crate::protocol::Console).
    #[default]
    Console,
    /// A device: [`Character`](crate::protocol::Character).
    Character,
    /// A file: [`File`](crate::protocol::File).
    File,
    /// A [`pipe`](crate::pipe).
    Pipe,
}

/// Why something was not to be had from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvError {
    /// No handle has this name, or it was taken before.
    MissingHandle(String),
    /// No parameter has this name.
    MissingParameter(String),
    /// The parameter's value does not read as what it should be.
    BadParameter {
        /// The parameter.
        name: String,
        /// Its value.
        value: String,
    },
    /// The handle is not of the kind that was asked for, or is gone.
    BadHandle(String, Error),
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvError::MissingHandle(name) => write!(f, "no handle `{name}` was given"),
            EnvError::MissingParameter(name) => write!(f, "no parameter `{name}` was given"),
            EnvError::BadParameter { name, value } => write!(f, "parameter {name}={value} does not read"),
            EnvError::BadHandle(name, error) => write!(f, "handle `{name}`: {error}"),
        }
    }
}

impl core::error::Error for EnvError {}

/// The environment of a process.
#[derive(Debug)]
pub struct Env {
    startup: Startup,
    /// Handles that were not taken.
    handles: Mutex<Vec<(String, Handle)>>,
    account: ManuallyDrop<Account>,
    process: ManuallyDrop<Process>,
    channel: ManuallyDrop<Channel>,
    registry: ManuallyDrop<RegistryClient>,
    pub(crate) files: crate::fs::Files,
    pub(crate) streams: crate::io::Streams,
}

impl Env {
    /// The environment that a startup block describes.
    pub fn new(mut startup: Startup) -> Env {
        let mut handles: Vec<(String, Handle)> =
            core::mem::take(&mut startup.handles).into_iter().map(|(name, number)| (name, Handle(number))).collect();
        let mut known = |name: &str| {
            let index = handles.iter().position(|(known, _)| known == name);
            index.map_or(Handle::NONE, |index| handles.swap_remove(index).1)
        };
        // What was not given has the handle that names nothing: operations on it answer `BadHandle`.
        let account = ManuallyDrop::new(Account::from_handle(known(names::ACCOUNT)));
        let process = ManuallyDrop::new(Process::from_handle(known(names::PROCESS)));
        let channel = ManuallyDrop::new(Channel::from_handle(known(names::CHANNEL)));
        let registry = ManuallyDrop::new(client::unchecked(Session::from_handle(known(names::REGISTRY))));
        let handles = Mutex::new(handles);
        Env {
            startup,
            handles,
            account,
            process,
            channel,
            registry,
            files: Default::default(),
            streams: Default::default(),
        }
    }

    /// The arguments; the first is the program's name.
    pub fn arguments(&self) -> &[String] {
        &self.startup.arguments
    }

    /// All variables.
    pub fn variables(&self) -> &[(String, String)] {
        &self.startup.environment
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        find(&self.startup.environment, name)
    }

    /// A parameter of the manifest or the command line.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.startup.parameters, name)
    }

    /// A parameter as a value; `None` when it was not given. Error: `BadParameter`.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, EnvError> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let bad = || EnvError::BadParameter { name: name.to_string(), value: text.to_string() };
        text.parse().map(Some).map_err(|_| bad())
    }

    /// A parameter as a value. Errors: `MissingParameter`, `BadParameter`.
    pub fn require<T: FromStr>(&self, name: &str) -> Result<T, EnvError> {
        self.parse(name)?.ok_or_else(|| EnvError::MissingParameter(name.to_string()))
    }

    /// Takes an object that the process was given. It can be taken once. Errors: `MissingHandle`, `BadHandle` (of another kind).
    pub fn take<O: Object>(&self, name: &str) -> Result<O, EnvError> {
        let mut handles = self.handles.lock();
        let index = handles.iter().position(|(known, _)| known == name);
        let index = index.ok_or_else(|| EnvError::MissingHandle(name.to_string()))?;
        let bad = |error| EnvError::BadHandle(name.to_string(), error);
        let info = crate::sys::handle_inspect(handles[index].1).map_err(bad)?;
        if info.kind != O::KIND {
            return Err(bad(Error::WrongKind));
        }
        Ok(O::from_handle(handles.swap_remove(index).1))
    }

    /// What the stream of a name is.
    pub fn stream(&self, name: &str) -> StreamKind {
        let known = self.startup.streams.iter().find(|(known, _)| known == name);
        known.map_or(StreamKind::Console, |(_, kind)| *kind)
    }

    /// Takes a session: see [`Env::take`].
    pub fn take_session(&self, name: &str) -> Result<Session, EnvError> {
        self.take(name)
    }

    /// The names of the handles that were not taken.
    pub fn handle_names(&self) -> Vec<String> {
        self.handles.lock().iter().map(|(name, _)| name.clone()).collect()
    }

    /// The account that the process may charge.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The process itself, with `MANAGE`.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// init. Without a session to it, calls answer `BadHandle`.
    pub fn registry(&self) -> &RegistryClient {
        &self.registry
    }

    /// The channel that the service serves. Without one, operations on it answer `BadHandle`.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The environment of this process.
#[cfg(target_os = "none")]
#[inline]
pub fn get() -> &'static Env {
    crate::start::environment()
}

/// The environment of the calling thread's fake process: see [`crate::fake::FakeProcess::set_startup`].
#[cfg(not(target_os = "none"))]
pub fn get() -> &'static Env {
    crate::fake::environment()
}

/// The account that this process may charge.
pub fn account() -> &'static Account {
    get().account()
}

/// This process, with `MANAGE`.
pub fn process() -> &'static Process {
    get().process()
}

/// The channel that this service serves.
pub fn channel() -> &'static Channel {
    get().channel()
}

/// The arguments; the first is the program's name.
pub fn arguments() -> &'static [String] {
    get().arguments()
}

/// A variable of the environment.
pub fn variable(name: &str) -> Option<&'static str> {
    get().variable(name)
}

/// A parameter of the manifest or the command line.
pub fn parameter(name: &str) -> Option<&'static str> {
    get().parameter(name)
}

/// Takes a session that the process was given: see [`Env::take`].
pub fn take_session(name: &str) -> Result<Session, EnvError> {
    get().take(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    fn example() -> Env {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        let memory = Memory::create(&crate::fake::account(), 1).expect("memory").into_handle();
        let account = crate::fake::account().into_handle();
        Env::new(Startup {
            arguments: alloc::vec!["echo".to_string(), "a".to_string()],
            environment: alloc::vec![pair("TERM", "ansi")],
            parameters: alloc::vec![pair("baud", "115200"), pair("parity", "perhaps")],
            handles: alloc::vec![("buffer".to_string(), memory.0), ("account".to_string(), account.0)],
            streams: Vec::new(),
        })
    }

    #[test]
    fn parameters_are_parsed_with_clear_errors() {
        let env = example();
        assert_eq!(env.require::<u32>("baud"), Ok(115_200));
        assert_eq!(env.parse::<u32>("rate"), Ok(None));
        assert_eq!(env.require::<u32>("rate").expect_err("missing").to_string(), "no parameter `rate` was given");
        assert_eq!(env.parse::<bool>("parity").expect_err("bad").to_string(), "parameter parity=perhaps does not read");
        assert_eq!((env.variable("TERM"), env.variable("HOME")), (Some("ansi"), None));
    }

    #[test]
    fn handles_are_taken_once_and_of_their_kind() {
        let env = example();
        assert!(env.account().usage().is_ok());
        let wrong = env.take_session("buffer").expect_err("memory");
        assert_eq!(wrong, EnvError::BadHandle("buffer".to_string(), Error::WrongKind));
        assert_eq!(env.take::<Memory>("buffer").expect("there").info().expect("memory").bytes, 4096);
        assert_eq!(env.take::<Memory>("buffer").expect_err("taken"), EnvError::MissingHandle("buffer".to_string()));
        assert_eq!(env.channel().signal(1), Err(Error::BadHandle));
    }
}
