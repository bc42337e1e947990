//! Disks by name, for programs that read and write them directly.

use alloc::format;
use alloc::string::String;
use libsys::block::Disk;
use libsys::client::CallError;
use libsys::protocol::DisksClient;
use libsys::{client, env};

/// Opens a disk by the name that `block` knows, to be written or only read, or with `@SERVICE` a driver itself. Error: why not, for people.
pub fn open(name: &str, write: bool) -> Result<Disk, String> {
    let registry = env::get().registry();
    let service = name.strip_prefix('@').unwrap_or("block");
    let session = registry.connect(service, true).map_err(|error| format!("{service}: {error}"))?;
    let session = match name.starts_with('@') {
        true => session,
        false => {
            let disks: DisksClient = client::open(session).map_err(|error| format!("{error}"))?;
            disks.open(name, write, false).map_err(|error| match error {
                CallError::Failed(error) => format!("{name}: {error}"),
                other => format!("{name}: {other}"),
            })?
        }
    };
    Disk::open(session, service, env::account()).map_err(|error| format!("{name}: {error}"))
}
