//! The disks, for programs that show or control them.

use crate::{Failure, failed};
use alloc::vec::Vec;
use libsys::protocol::DisksClient;
use libsys::protocol::disks::DiskInfo;
use libsys::{client, env};

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
