//! The disks, for programs that show or control them.

use crate::{Failure, failed};
use alloc::vec::Vec;
use libsys::client::{self, CallError};
use libsys::env;
use libsys::protocol::DisksClient;
use libsys::protocol::block::BlockError;
use libsys::protocol::disks::DiskInfo;

/// The service that knows them.
const SERVICE: &str = "block";

/// A session to the service.
pub fn connect() -> Result<DisksClient, Failure> {
    let session = env::get().registry().connect(SERVICE, true).map_err(|error| failed(SERVICE, error))?;
    client::open(session).map_err(|error| failed(SERVICE, error))
}

/// All disks, each followed by its partitions.
pub fn list(disks: &DisksClient) -> Result<Vec<DiskInfo>, Failure> {
    let mut all = Vec::new();
    loop {
        let part = disks.list(all.len() as u32).map_err(|error| failed(SERVICE, error))?;
        if part.is_empty() {
            return Ok(all);
        }
        all.extend(part);
    }
}

/// A call about a disk that failed.
pub fn refused(name: &str, error: CallError<BlockError>) -> Failure {
    match error {
        CallError::Failed(error) => failed(name, error),
        other => failed(name, other),
    }
}
