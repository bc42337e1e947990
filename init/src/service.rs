//! A service as init holds it: its record, and the kernel objects that outlive its incarnations.

use crate::machine::Machine;
use crate::manifest::{Amount, Grant, Granted, Service as Entry};
use crate::record::{Handles, InstanceRecord, Phase, ServiceRecord};
use crate::table::SlotNumber;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::abi::{Limits, PAGE_BYTES, Usage};
use libsys::log::LogWriter;
use libsys::protocol::registry::{RegistryError, State};
use libsys::service::Parked;
use libsys::{Account, Channel, Error, Handle, Memory, Object, Ports, Process, Resource, Rights, Session};

/// Bytes of a service's log ring.
pub const LOG_BYTES: u64 = 3 * PAGE_BYTES as u64;

/// A service.
#[derive(Debug, Default)]
pub struct Service {
    /// What the next incarnation of init finds.
    pub record: ServiceRecord,
    /// Where in the table that is.
    pub slot: Option<SlotNumber>,
    /// Its objects, once they were made.
    pub objects: Option<Objects>,
    /// The kernel has news of its process.
    pub look: bool,
    /// Its process can be loaded and started.
    pub is_new: bool,
    /// When its process died, until that can be started again.
    pub dead_since: Option<u64>,
    /// Calls that wait for it to be ready, with the name that they know it by and the badges for their sessions.
    pub waiting: Parked<Result<Session, RegistryError>, (String, u64)>,
    /// What it was made from, if it is an instance, and where in the table that is noted.
    pub instance: Option<(InstanceRecord, SlotNumber)>,
    /// Number of the channel that the session `device` leads to, where the maker of the instance gave that.
    pub below: Option<u64>,
}

/// The objects of a service.
#[derive(Debug)]
pub struct Objects {
    /// What all its doings are charged to.
    pub account: Account,
    /// Its process.
    pub process: Process,
    /// The channel that it serves.
    pub channel: Channel,
    /// Its log ring.
    pub log: Memory,
    /// What the manifest grants, in that order.
    pub grants: Vec<GrantedObject>,
    /// Number of the process.
    pub number: u64,
    /// Number of the channel.
    pub channel_number: u64,
}

/// An object that the manifest grants.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum GrantedObject {
    Ports(Ports),
    Resource(Resource),
    Memory(Memory),
}

impl Service {
    /// A service of the manifest that is not to run yet.
    pub fn new(index: usize, entry: &Entry) -> Service {
        let record = ServiceRecord { index, name: entry.name.clone(), ..ServiceRecord::default() };
        Service { record, ..Service::default() }
    }

    /// Whether it can be loaded and started now.
    pub fn can_start(&self) -> bool {
        self.objects.is_none() || self.is_new
    }

    /// Number of the channel that it serves, once that was made.
    pub fn channel_number(&self) -> Option<u64> {
        self.objects.as_ref().map(|objects| objects.channel_number)
    }

    /// Its state, as the registry tells it.
    pub fn state(&self) -> State {
        match self.record.phase {
            Phase::Stopped => State::Stopped,
            Phase::Waiting => State::Waiting,
            Phase::Starting => State::Starting,
            Phase::Ready => State::Ready,
            Phase::Restarting(at) => State::Restarting(at),
            Phase::Stopping { .. } => State::Stopping,
            Phase::GivenUp => State::GivenUp,
        }
    }
}

impl Objects {
    /// Makes the objects, all kept; the service's own account pays.
    pub fn create(machine: &Machine, entry: &Entry) -> Result<Objects, Error> {
        let account = machine.account.split(limits(machine, entry)?)?;
        let process = Process::create(&account, &entry.name)?;
        let channel = Channel::create_for(&account, &process)?;
        let log = Memory::create(&account, LOG_BYTES)?;
        // Whoever reads it finds a ring, before the service has written anything.
        LogWriter::open(log.map_writable_part(0, LOG_BYTES)?);
        let mut grants = Vec::new();
        for grant in &entry.grants {
            grants.push(GrantedObject::create(machine, &account, grant)?);
        }
        let objects = Objects::with(account, process, channel, log, grants)?;
        objects.account.set_kept(true)?;
        objects.process.set_kept(true)?;
        objects.channel.set_kept(true)?;
        objects.log.set_kept(true)?;
        for grant in &objects.grants {
            grant.keep()?;
        }
        Ok(objects)
    }

    /// Takes over the objects that an earlier init made.
    pub fn recover(entry: &Entry, handles: &Handles) -> Result<Objects, Error> {
        let grants = entry.grants.iter().zip(&handles.grants);
        let grants = grants.map(|(grant, handle)| GrantedObject::of(grant, Handle(*handle))).collect();
        Objects::with(
            Account::from_handle(Handle(handles.account)),
            Process::from_handle(Handle(handles.process)),
            Channel::from_handle(Handle(handles.channel)),
            Memory::from_handle(Handle(handles.log)),
            grants,
        )
    }

    fn with(
        account: Account,
        process: Process,
        channel: Channel,
        log: Memory,
        grants: Vec<GrantedObject>,
    ) -> Result<Objects, Error> {
        let number = process.inspect_handle()?.object;
        let channel_number = channel.inspect_handle()?.object;
        Ok(Objects { account, process, channel, log, grants, number, channel_number })
    }

    /// Their handles, to be recorded.
    pub fn handles(&self, sessions: Vec<u64>) -> Handles {
        Handles {
            account: self.account.handle().0,
            process: self.process.handle().0,
            channel: self.channel.handle().0,
            log: self.log.handle().0,
            grants: self.grants.iter().map(|grant| grant.handle().0).collect(),
            sessions,
        }
    }
}

impl GrantedObject {
    fn create(machine: &Machine, account: &Account, grant: &Grant) -> Result<GrantedObject, Error> {
        use libsys::resource::ResourceKind;
        let whole = |kind| machine.resource(kind);
        Ok(match grant.what {
            Granted::Ports { first, count } => {
                GrantedObject::Ports(Ports::create(whole(ResourceKind::Ports), first, count, account)?)
            }
            Granted::Interrupt { line, .. } => {
                GrantedObject::Resource(whole(ResourceKind::Interrupts).split(line.into(), 1, account)?)
            }
            Granted::Memory { address, bytes, caching } => GrantedObject::Memory(Memory::of_device(
                whole(ResourceKind::Physical),
                address,
                bytes,
                caching,
                account,
            )?),
            Granted::Resource { kind, part: Some((start, length)) } => {
                GrantedObject::Resource(whole(kind).split(start, length, account)?)
            }
            Granted::Resource { kind, part: None } => GrantedObject::Resource(whole(kind).duplicate(Rights::all())?),
            Granted::Archive => GrantedObject::Memory(machine.archive.duplicate(Rights::all())?),
            Granted::State { bytes } => GrantedObject::Memory(Memory::create(account, bytes)?),
        })
    }

    fn of(grant: &Grant, handle: Handle) -> GrantedObject {
        match grant.what {
            Granted::Ports { .. } => GrantedObject::Ports(Ports::from_handle(handle)),
            Granted::Interrupt { .. } | Granted::Resource { .. } => {
                GrantedObject::Resource(Resource::from_handle(handle))
            }
            Granted::Memory { .. } | Granted::Archive | Granted::State { .. } => {
                GrantedObject::Memory(Memory::from_handle(handle))
            }
        }
    }

    fn handle(&self) -> Handle {
        match self {
            GrantedObject::Ports(ports) => ports.handle(),
            GrantedObject::Resource(resource) => resource.handle(),
            GrantedObject::Memory(memory) => memory.handle(),
        }
    }

    fn keep(&self) -> Result<(), Error> {
        libsys::sys::handle_keep(self.handle(), true)
    }

    /// Gives the process its handle.
    pub fn grant_to(&self, process: &Process) -> Result<Handle, Error> {
        match self {
            GrantedObject::Ports(ports) => process.grant(ports, Rights::all(), false),
            GrantedObject::Resource(resource) => process.grant(resource, Rights::all(), false),
            GrantedObject::Memory(memory) => process.grant(memory, !Rights::MANAGE, false),
        }
    }
}

/// Frames that a share in hundredths leaves to init.
const RESERVE: u64 = 128;

/// What the manifest lets a service use, in frames and numbers.
fn limits(machine: &Machine, entry: &Entry) -> Result<Limits, Error> {
    let share = &entry.account;
    let frames = match share.memory {
        Amount::Bytes(bytes) => bytes.div_ceil(PAGE_BYTES as u64),
        Amount::Percent(percent) => {
            let Usage { limits, used, .. } = machine.account.usage()?;
            // In a small machine it is content with what the others have left.
            (limits.frames / 100 * percent).min((limits.frames - used.frames).saturating_sub(RESERVE))
        }
    };
    Ok(Limits {
        frames,
        handles: share.handles,
        threads: share.threads,
        sessions: share.sessions,
        processes: share.processes,
    })
}
