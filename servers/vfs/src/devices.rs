//! `/dev`: the services of the classes that are streams, under the names that the manifest gives them, and the disks and partitions that `block` knows.
//! What there is is read again when somebody looks after a change.

use crate::kept::{DEVICE, STARTED};
use alloc::string::String;
use alloc::vec::Vec;
use filesystem::{
    Clock, Destination, FileError, FileSystemStatistics, Found, Listing, NodeId, NodeKind, Result, Status, Timestamp,
    Volume,
};
use libsys::client::{self, CallError};
use libsys::env::Env;
use libsys::protocol::block::BlockError;
use libsys::protocol::disks;
use libsys::protocol::registry::{Member, RegistryError};
use libsys::protocol::{DisksClient, list};
use libsys::state::{RecordKey, Records};
use libsys::{Channel, Session, service};
use serde::{Deserialize, Serialize};

/// Signal bit: services of a class have come or gone.
pub const SERVICES: u64 = 1 << 0;
/// Signal bit: disks have come or gone.
pub const DISKS: u64 = 1 << 1;

/// Classes whose services are devices, and what they speak.
const CLASSES: [(&str, NodeKind); 2] = [("character", NodeKind::Character), ("console", NodeKind::Console)];

/// The root directory; devices have the numbers behind it.
const ROOT: NodeId = 0;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Device {
    name: String,
    kind: NodeKind,
    /// The service.
    service: String,
}

/// All devices.
pub struct Devices {
    env: &'static Env,
    /// What outlives vfs, that of its other parts included.
    records: Records,
    /// By number, less one. Those that are gone stay, so that a number always means the same.
    devices: Vec<Device>,
    names: Listing,
    is_stale: bool,
    /// The services of the disks, by name.
    disks: Vec<(String, DisksClient)>,
    started: Timestamp,
}

impl Devices {
    /// The devices that init knows, under the numbers that they had for the incarnation before.
    pub fn open(env: &'static Env) -> service::Result<Devices> {
        let mut records = Records::open(env)?;
        let started = records.get(STARTED).unwrap_or_else(|| {
            let now = Clock::of(env).now();
            // Without room nothing else would be kept either, and the start fails later.
            let _ = records.put(STARTED, &now);
            now
        });
        let devices = records.all::<Device>(DEVICE).into_iter().map(|(_, device)| device).collect();
        Ok(Devices { env, records, devices, names: Listing::default(), is_stale: true, disks: Vec::new(), started })
    }

    /// The records.
    pub fn kept(&mut self) -> &mut Records {
        &mut self.records
    }

    /// The number of a device, less one.
    fn index_of(&mut self, device: &Device) -> usize {
        let known = self.devices.iter().position(|known| known == device);
        known.unwrap_or_else(|| {
            let index = self.devices.len();
            if self.records.put(RecordKey::new(DEVICE, index as u64), device).is_err() {
                libsys::warn!("{}: no room to keep its number", device.name);
            }
            self.devices.push(device.clone());
            index
        })
    }

    /// Asks to be told of changes: again after a restart of init or of a service of disks, which every look after a change repeats.
    fn watch(&mut self, channel: &Channel) {
        let signaller = |bits| channel.signaller(bits);
        if let Ok(signaller) = signaller(SERVICES) {
            for (class, _) in CLASSES {
                let _ = self.env.registry().watch_class(class, &signaller, SERVICES);
            }
            let _ = self.env.registry().watch_class(disks::CLASS, &signaller, SERVICES);
        }
        for service in self.members(disks::CLASS) {
            if self.disks.iter().all(|(known, _)| *known != service.name)
                && let Ok(session) = self.env.registry().connect(&service.name, false)
            {
                self.disks.push((service.name, client::unchecked(session)));
            }
        }
        if let Ok(signaller) = signaller(DISKS) {
            for (_, disks) in &self.disks {
                let _ = disks.watch(&signaller, DISKS);
            }
        }
    }

    /// The services of a class.
    fn members(&self, class: &str) -> Vec<Member> {
        list::all(|first| self.env.registry().members(class, first)).unwrap_or_default()
    }

    /// Reads what there is, if something may have changed.
    fn look(&mut self) {
        if !core::mem::take(&mut self.is_stale) {
            return;
        }
        self.watch(self.env.channel());
        let mut found = Vec::new();
        for (class, kind) in CLASSES {
            let nodes = self.members(class).into_iter().filter_map(|member| Some((member.node?, member.name)));
            found.extend(nodes.map(|(name, service)| Device { name, kind, service }));
        }
        for (service, disks) in &self.disks {
            let device = |name| Device { name, kind: NodeKind::Block, service: service.clone() };
            let disks = list::all(|first| disks.list(first)).unwrap_or_default();
            found.extend(disks.into_iter().map(|disk| device(disk.name)));
        }
        let mut names = Listing::default();
        for device in found {
            let index = self.index_of(&device);
            names.insert(&device.name, Found { node: index as NodeId + 1, kind: device.kind });
        }
        self.names = names;
    }

    fn device(&self, node: NodeId) -> Result<&Device> {
        let index = node.checked_sub(1).ok_or(FileError::IsDirectory)?;
        self.devices.get(index as usize).ok_or(FileError::Corrupt)
    }

    /// A session of a disk, by its name in /dev, and the service that it leads to. `exclusive`: nobody else writes it; for mounts.
    pub fn disk(&mut self, name: &str, write: bool, exclusive: bool) -> Result<(Session, String)> {
        self.look();
        let services = self.disks.iter();
        let mut opened = services.map(|(service, disks)| (disks.open(name, write, exclusive), service));
        let is_there = |(result, _): &(_, _)| !matches!(result, Err(CallError::Failed(BlockError::NoSuchDisk)));
        let (result, service) = opened.find(is_there).ok_or(FileError::NotFound)?;
        let session = result.map_err(|error| match error {
            CallError::Failed(BlockError::Busy) => FileError::Busy,
            CallError::Failed(BlockError::ReadOnly) => FileError::ReadOnly,
            CallError::Failed(BlockError::Denied) => FileError::Denied,
            CallError::Failed(BlockError::Exhausted) => FileError::Exhausted,
            _ => FileError::Device,
        })?;
        Ok((session, service.clone()))
    }
}

impl Volume for Devices {
    fn start(_: &Env) -> service::Result<Devices> {
        Devices::open(libsys::env::get())
    }

    fn root(&self) -> NodeId {
        ROOT
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn records(&mut self) -> Option<&mut Records> {
        Some(&mut self.records)
    }

    fn status(&mut self, node: NodeId) -> Result<Status> {
        let (kind, mode) = match node {
            ROOT => (NodeKind::Directory, 0o555),
            node => (self.device(node)?.kind, 0o666),
        };
        let time = self.started;
        Ok(Status {
            kind,
            id: node,
            size: 0,
            allocated: 0,
            links: 1,
            mode,
            accessed: time,
            modified: time,
            changed: time,
            created: time,
        })
    }

    fn lookup(&mut self, directory: NodeId, name: &str) -> Result<Option<Found>> {
        if directory != ROOT {
            return Err(FileError::NotDirectory);
        }
        self.look();
        Ok(self.names.get(name))
    }

    fn read_directory(
        &mut self,
        directory: NodeId,
        cursor: u64,
        add: &mut dyn FnMut(&str, Found, u64) -> bool,
    ) -> Result<()> {
        if directory != ROOT {
            return Err(FileError::NotDirectory);
        }
        if cursor == 0 {
            self.look();
        }
        self.names.read(cursor, add)
    }

    fn read_link(&mut self, _: NodeId) -> Result<String> {
        Err(FileError::OutOfRange)
    }

    fn read(&mut self, _: NodeId, _: u64, _: &mut Destination<'_>) -> Result<()> {
        Err(FileError::Unsupported)
    }

    fn statistics(&mut self) -> Result<FileSystemStatistics> {
        Ok(FileSystemStatistics {
            bytes: 0,
            free_bytes: 0,
            files: self.names.len() as u64,
            free_files: 0,
            block_bytes: 1,
            read_only: true,
            in_use: 0,
        })
    }

    fn connect(&mut self, node: NodeId, write: bool) -> Result<Session> {
        let Device { name, kind, service } = self.device(node)?.clone();
        if kind == NodeKind::Block {
            return self.disk(&name, write, false).map(|(session, _)| session);
        }
        self.env.registry().connect(&service, false).map_err(|error| match error {
            CallError::Failed(RegistryError::NoSuchName) => FileError::NotFound,
            CallError::Failed(RegistryError::Denied) => FileError::Denied,
            CallError::Failed(RegistryError::Exhausted) => FileError::Exhausted,
            _ => FileError::Device,
        })
    }

    fn signal(&mut self, bits: u64) -> bool {
        self.is_stale |= bits & (SERVICES | DISKS) != 0;
        false
    }
}
