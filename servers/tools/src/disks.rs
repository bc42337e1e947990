//! The disks, for programs that show or control them. Several services may know disks: one knows those of devices, one those that are files.

use crate::{Failure, failed};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::client::{self, CallError};
use libsys::env;
use libsys::protocol::block::BlockError;
use libsys::protocol::disks::{CLASS, DiskInfo};
use libsys::protocol::registry::State;
use libsys::protocol::{DisksClient, list};

/// A service that knows disks.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The session.
    pub disks: DisksClient,
}

/// All services, those that restart as well. One that nobody has asked for yet knows no disks.
pub fn services() -> Result<Vec<Service>, Failure> {
    let registry = env::get().registry();
    let mut all = Vec::new();
    for member in list::all(|first| registry.members(CLASS, first)).map_err(|error| failed("the services", error))? {
        let info = registry.info(&member.name).map_err(|error| failed(&member.name, error))?;
        if !matches!(info.state, State::Stopped | State::GivenUp) {
            all.push(connect(&member.name)?);
        }
    }
    Ok(all)
}

/// A session to one of them, which is started if need be.
pub fn connect(name: &str) -> Result<Service, Failure> {
    let session = env::get().registry().connect(name, true).map_err(|error| failed(name, error))?;
    let disks = client::open(session).map_err(|error| failed(name, error))?;
    Ok(Service { name: name.into(), disks })
}

/// The service that knows a disk or partition.
pub fn service_of(name: &str) -> Result<Service, Failure> {
    for service in services()? {
        if service.list()?.iter().any(|disk| disk.name == name) {
            return Ok(service);
        }
    }
    Err(failed(name, BlockError::NoSuchDisk))
}

/// All disks, each followed by its partitions.
pub fn list() -> Result<Vec<DiskInfo>, Failure> {
    let mut all = Vec::new();
    for service in services()? {
        all.extend(service.list()?);
    }
    Ok(all)
}

impl Service {
    /// Its disks, each followed by its partitions.
    pub fn list(&self) -> Result<Vec<DiskInfo>, Failure> {
        list::all(|first| self.disks.list(first)).map_err(|error| failed(&self.name, error))
    }
}

/// A call about a disk that failed.
pub fn refused(name: &str, error: CallError<BlockError>) -> Failure {
    match error {
        CallError::Failed(error) => failed(name, error),
        other => failed(name, other),
    }
}
