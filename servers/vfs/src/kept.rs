//! What outlives vfs: the mounts that were made since the boot.

use crate::mounts::{Mounted, Table, Wanted};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::env::Env;
use libsys::protocol::namespace::NamespaceError;
use libsys::service::Result;
use libsys::state::State;
use serde::{Deserialize, Serialize};

/// A mount, for the next incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptMount {
    /// What is mounted, and where.
    pub what: Wanted,
    /// Name of its service.
    pub service: String,
    /// The service was made for the mount.
    pub is_instance: bool,
}

/// The mounts, in Memory that stays.
#[derive(Debug)]
pub struct KeptMounts(State<Vec<KeptMount>>);

impl KeptMounts {
    /// Those of the incarnation before.
    pub fn open(env: &Env) -> Result<(KeptMounts, Vec<KeptMount>)> {
        let (state, before) = State::open(env)?;
        Ok((KeptMounts(state), before.unwrap_or_default()))
    }

    /// Writes down the mounts of a table, without those of the manifest. Error: `Exhausted` (there is no room for so many).
    pub fn update(&mut self, table: &Table) -> core::result::Result<(), NamespaceError> {
        let kept = |mounted: &Mounted| KeptMount {
            what: mounted.what.clone(),
            service: mounted.service.clone(),
            is_instance: mounted.is_instance,
        };
        let mounts: Vec<KeptMount> = table.iter().filter(|mounted| !mounted.is_of_manifest).map(kept).collect();
        self.0.update(&mounts).map_err(|_| NamespaceError::Exhausted)
    }
}
