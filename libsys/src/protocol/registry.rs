//! `registry`: init, as everybody sees it: services by name, programs, their logs, and the end of it all.
//!
//! Every program that init starts has a session to it: [`crate::env::Env::registry`]. init calls nobody: news goes
//! out as signals. A *service* is an entry of init's manifest; its state outlives its processes.

use super::list::Listed;
use crate::crash::{Crash, CrashSummary};
use crate::service::{Context, Reply};
use crate::{Channel, Memory, Session};
use alloc::string::String;
use alloc::vec::Vec;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// What init does for others.
#[protocol]
pub trait Registry {
    /// Says that the calling service has started and serves: who waits to connect to it is answered.
    ///
    /// Rights: the session of a service. Error: `NotAService`. *replay*: ready twice is ready.
    #[replay]
    fn ready(&mut self, cx: &Context) -> Result<(), RegistryError>;

    /// Gives the calling service another name: `uart` is `com1` as well. With a channel, which needs `MINT`, those who connect to
    /// that name get sessions of it in place of the service's own channel.
    ///
    /// Rights: the session of a service. Errors: `NotAService`, `BadName`, `Taken` (by another service), `Exhausted`. *replay*: named twice by the same
    /// service it is the same; the later channel counts.
    #[replay]
    fn publish(&mut self, cx: &Context, name: &str, channel: Option<Channel>) -> Result<(), RegistryError>;

    /// A session to a service. It is charged to the caller, and stays what it is when the service restarts. `wait`: until the service is ready, as
    /// long as that may take, which starts a service that the manifest wants started on demand; else `NotReady` is an error,
    /// unless the service is about to come back after a death: calls wait for that by themselves.
    ///
    /// Rights: any session whose program the manifest lets connect to that name. Errors: `NoSuchName`, `Denied`, `NotReady`, `GivenUp`, `Exhausted`.
    /// *replay*: a session that was made and never delivered is closed.
    #[replay]
    fn connect(&mut self, cx: &Context, name: &str, wait: bool, reply: Reply<'_, Result<Session, RegistryError>>);

    /// Signals `bits` of `channel` whenever the state of a service changes. It replaces what the session asked for with this name before; `bits`
    /// of 0 end it. Returned is the state now.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. Errors: `NoSuchName`, `Exhausted`. *replay*: asked twice it is the same.
    #[replay]
    fn watch(&mut self, cx: &Context, name: &str, channel: Channel, bits: u64) -> Result<State, RegistryError>;

    /// Services in the order of the manifest, from the place `first` on, as many as a message holds ([`super::list`]); none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn list(&mut self, first: u64) -> Vec<Service>;

    /// One service.
    ///
    /// Rights: any session. Error: `NoSuchName`. *replay*: it only reads.
    #[replay]
    fn info(&mut self, name: &str) -> Result<Service, RegistryError>;

    /// Changes what a service does. It has begun when this returns; [`Registry::watch`] tells when it is done. `init` itself can be
    /// killed or restarted too: all services go on meanwhile.
    ///
    /// Rights: a session with [`Context::may_control`]. Errors: `Denied`, `NoSuchName`, `NotPossible` (in its state; or others depend on it). *once*: a second
    /// restart would be another one.
    #[once]
    fn control(&mut self, cx: &Context, name: &str, action: Action) -> Result<(), RegistryError>;

    /// Moves a service to another program, which goes on with its channels, sessions and state: it is told to end, killed at its deadline, and started
    /// from the ELF file in the first `bytes` of `file`. Answered when the new program has served for some seconds; where it does not come to serve, or dies in these,
    /// the one before goes on with all that was answered, and the error is `RolledBack`. The program is not kept over a boot.
    ///
    /// Rights: a session with [`Context::may_control`]; the Memory with `READ` and `INSPECT`. Errors: `Denied`, `NoSuchName`, `NotPossible` (the service does not
    /// serve, or another upgrade of it is on its way), `BadProgram`, `Exhausted`, `RolledBack`. *replay*: the Memory is the key.
    #[replay]
    fn upgrade(
        &mut self,
        cx: &Context,
        name: &str,
        file: Memory,
        bytes: u64,
        reply: Reply<'_, Result<(), RegistryError>>,
    );

    /// Says that a server's reply did not decode, did not come, or is not to be believed. init counts it against the service, if it is one of the manifest's,
    /// and replaces a server that has more than a few such complaints of different clients, or a second one of the same client, which means that it has asked again in vain; but only where the service
    /// has died less than half as often lately as has it given up. `session` is the one the reply came over.
    ///
    /// Rights: any session. *replay*: at worst the server is replaced once more.
    #[replay]
    fn complain(&mut self, cx: &Context, session: Session, method: u32);

    /// Crash capsules, from the one with the number `first` on, as many as a message holds ([`super::list`]); none at the end. There are a bounded number: the oldest go
    /// first, those of kills before those of faults.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn crashes(&mut self, first: u64) -> Vec<CrashSummary>;

    /// A crash capsule.
    ///
    /// Rights: any session. Error: `NoSuchName` (there is none with this number, or not any more). *replay*: it only reads.
    #[replay]
    fn crash(&mut self, number: u64) -> Result<Crash, RegistryError>;

    /// A program of the boot archive: its sealed ELF file, and how many bytes of the Memory it has.
    ///
    /// Rights: any session. Errors: `NoSuchName`, `Exhausted`. *replay*: it only reads.
    #[replay]
    fn program(&mut self, name: &str) -> Result<(Memory, u64), RegistryError>;

    /// Names of the programs of the boot archive, from the one at `first` on, as many as a message holds; none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn programs(&mut self, first: u32) -> Vec<String>;

    /// The log ring of a process that init started ([`abi::ring::LogRing`], to be read only): the one at `index`, 0 being the kernel's. The
    /// order stays, new ones come at the end, and the ring of a service stays the same when it restarts. Where one was taken away there is an
    /// empty one; [`Registry::watch_log_rings`] closes such gaps, so it is called before the first ring is asked for.
    ///
    /// Rights: the session of the service that the manifest says collects logs. Errors: `Denied`, `NoSuchName` (behind the last). *replay*: it only reads.
    #[replay]
    fn log_ring(&mut self, cx: &Context, index: u32) -> Result<(LogSource, Memory), RegistryError>;

    /// Signals `bits` of `channel` when there is another log ring, when the end of one has come, and whenever a process with one has died. `bits` of 0 end it.
    ///
    /// Rights: as [`Registry::log_ring`]; the channel with `SIGNAL` for the bits. Error: `Denied`. *replay*: asked twice it is the same.
    #[replay]
    fn watch_log_rings(&mut self, cx: &Context, channel: Channel, bits: u64) -> Result<(), RegistryError>;

    /// Adds the ring of a process that the caller started itself to those that are collected, until the caller's session is closed and the
    /// collector has taken what is in it. [`crate::program::Launch::log`] calls it over the session that the process itself gets.
    ///
    /// Rights: any session; the Memory with `READ` and `INSPECT`. Errors: `BadName`, `Exhausted`. *replay*: the same Memory is
    /// added once.
    #[replay]
    fn add_log_ring(&mut self, cx: &Context, source: LogSource, ring: Memory) -> Result<(), RegistryError>;

    /// Places of rings whose end has come: whoever collects reads them for the last time, and releases them.
    ///
    /// Rights: as [`Registry::log_ring`]. Error: `Denied`. *replay*: it only reads.
    #[replay]
    fn ended_log_rings(&mut self, cx: &Context) -> Result<Vec<u32>, RegistryError>;

    /// Gives up a ring of [`Registry::ended_log_rings`]; of another one it does nothing.
    ///
    /// Rights: as [`Registry::log_ring`]. Error: `Denied`. *replay*: released twice it is gone.
    #[replay]
    fn release_log_ring(&mut self, cx: &Context, index: u32) -> Result<(), RegistryError>;

    /// Stops all services in order, then the machine: off, with `status` for an emulator, or to start again. It has begun when this returns.
    ///
    /// Rights: a session with [`Context::may_control`]. Error: `Denied`. *replay*: the machine goes down once.
    #[replay]
    fn shut_down(&mut self, cx: &Context, restart: bool, status: u8) -> Result<(), RegistryError>;

    /// Says that the calling bus server found a device: init picks the template of the manifest whose `device` line fits best, and makes
    /// an instance of it, or finds the one that it made for this place before. The instance's session `device` is minted on the bus server's own channel with `badge`, so
    /// that a restart of either side changes nothing. A device that no template fits is left alone.
    ///
    /// Rights: the session of a service with the manifest line `bus`. Errors: `Denied`, `BadName` (the place is empty or longer than 32 bytes), `Exhausted`.
    /// *replay*: the place is the key.
    #[replay]
    fn device_found(&mut self, cx: &Context, place: &str, ids: DeviceIds, badge: u64) -> Result<(), RegistryError>;

    /// Says that a device is not there any more: its instance is stopped and removed. It has begun when this returns.
    ///
    /// Rights: as [`Registry::device_found`]. Error: `Denied`. *replay*: a device that is not known is gone.
    #[replay]
    fn device_gone(&mut self, cx: &Context, place: &str) -> Result<(), RegistryError>;

    /// Makes a service from a template of the manifest and starts it: with the template's grants and policy, an account of its own, these parameters over the template's,
    /// and the session `device` if there is one. `name` is the service's name; empty: the template's with the first free number. Returned is the name.
    ///
    /// Rights: the session of a service whose manifest line `instances` names the template. Errors: `Denied`, `NoSuchName` (no such
    /// template), `BadName`, `Taken`, `NotPossible` (the session leads back to the caller, perhaps through other instances), `Exhausted` (of services, or the parameters are longer
    /// than 512 bytes). *once*: without a name, a second instance would be another one.
    #[once]
    fn instance(
        &mut self,
        cx: &Context,
        template: &str,
        name: &str,
        parameters: Vec<(String, String)>,
        device: Option<Session>,
    ) -> Result<String, RegistryError>;

    /// Stops and removes an instance that the calling service made. It has begun when this returns; its name is free when [`Registry::info`] does
    /// not know it any more.
    ///
    /// Rights: the session of the service that made it. Errors: `Denied`, `NoSuchName`. *once*: the name could be another instance's by then.
    #[once]
    fn remove_instance(&mut self, cx: &Context, name: &str) -> Result<(), RegistryError>;

    /// The services of a class (`block`, `character`, …), from the place `first` on, as many as a message holds ([`super::list`]); none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn members(&mut self, class: &str, first: u64) -> Vec<Member>;

    /// Signals `bits` of `channel` whenever a service of a class comes, goes, or changes its state. It replaces what the session asked for with this
    /// class before; `bits` of 0 end it.
    ///
    /// Rights: any session; the channel with `SIGNAL` for the bits. Errors: `BadName`, `Exhausted`. *replay*: asked twice it is the same.
    #[replay]
    fn watch_class(&mut self, cx: &Context, class: &str, channel: Channel, bits: u64) -> Result<(), RegistryError>;
}

/// What a device says that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceIds {
    /// Who made it.
    pub vendor: u16,
    /// Which product of theirs it is.
    pub device: u16,
    /// Class, subclass and programming interface, a byte each: `0xccsspp`.
    pub class: u32,
}

/// A service of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The service's name, by which it is watched and connected to.
    pub name: String,
    /// Its name in /dev, where it has one; that of an instance has its number at the end.
    pub node: Option<String>,
    /// It serves.
    pub ready: bool,
    /// Where it is in the list.
    pub place: u32,
}

impl Listed for Member {
    fn place(&self) -> u64 {
        self.place.into()
    }
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is not to run.
    Stopped,
    /// It waits for services that it depends on.
    Waiting,
    /// Its process runs, and has not said that it serves.
    Starting,
    /// It serves.
    Ready,
    /// It has died, and starts again: at once, or at this time of the monotonic clock, in nanoseconds.
    Restarting(u64),
    /// It was told to end.
    Stopping,
    /// It died too often: its channel is closed until somebody starts it.
    GivenUp,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the manifest.
    pub name: String,
    /// Where it is in the list.
    pub place: u32,
    /// Where it stands.
    pub state: State,
    /// Number of its process; 0 before its first start.
    pub process: u64,
    /// Which incarnation that is in, from 1.
    pub incarnation: u64,
    /// Deaths that it caused itself.
    pub faults: u32,
    /// Replies of it that did not decode.
    pub complaints: u32,
    /// How the incarnation before ended: an [`abi::ExitReason`], 0 if there was none.
    pub last_exit: u32,
    /// The code of that exit.
    pub last_code: u64,
    /// When the incarnation started, in nanoseconds of the monotonic clock.
    pub started: u64,
}

impl Listed for Service {
    fn place(&self) -> u64 {
        self.place.into()
    }
}

/// What can be done to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Lets it run, after it was stopped or given up.
    Start,
    /// Ends it, politely and then by force, and leaves it stopped.
    Stop,
    /// Ends it, politely and then by force, and starts it again.
    Restart,
    /// Kills it where it stands; the restart policy of the manifest says what comes next.
    Kill,
}

/// Whose a log ring is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// Name of the program.
    pub name: String,
    /// Number of the process; 0 for the kernel.
    pub process: u64,
}

/// Why init did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistryError {
    /// Nothing has this name, or there is nothing at this index.
    NoSuchName,
    /// A name is 1 to 16 of `a`–`z`, `0`–`9` and `-`.
    BadName,
    /// Another service has the name.
    Taken,
    /// The service is not ready.
    NotReady,
    /// The service died too often and is stopped.
    GivenUp,
    /// The service's state does not allow it, or others depend on it.
    NotPossible,
    /// The session is not that of a service.
    NotAService,
    /// The session may not do this.
    Denied,
    /// An account is exhausted: the caller's, or init's.
    Exhausted,
    /// The file is no program that can be loaded.
    BadProgram,
    /// The new program did not serve, or not for long: the one before is back.
    RolledBack,
}

impl RegistryError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            RegistryError::NoSuchName => "no such service",
            RegistryError::BadName => "no name of a service",
            RegistryError::Taken => "the name is taken",
            RegistryError::NotReady => "the service is not ready",
            RegistryError::GivenUp => "the service died too often and is stopped",
            RegistryError::NotPossible => "not possible in the state of the service, or others depend on it",
            RegistryError::NotAService => "the session is not that of a service",
            RegistryError::Denied => "not permitted",
            RegistryError::Exhausted => "no memory",
            RegistryError::BadProgram => "no program that can be loaded",
            RegistryError::RolledBack => "the new program did not serve: the one before is back",
        }
    }
}

impl core::fmt::Display for RegistryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for RegistryError {}
