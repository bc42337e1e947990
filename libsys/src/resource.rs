//! Resources: the right to make device objects for a range, to inspect the system, to switch the power.

use crate::object::{Object, object};
use crate::{Account, sys};
use abi::{Error, Handle};

pub use abi::boot::{Power, ResourceKind};

/// A resource.
pub struct Resource(Handle);

object!(Resource, Resource);

impl Resource {
    /// The part of its range that starts at `start`. Needs `MANAGE`. Error: `BadArgument` (outside of the range).
    pub fn split(&self, start: u64, length: u64, account: &Account) -> Result<Resource, Error> {
        sys::resource_split(self.0, start, length, account.handle()).map(Resource::from_handle)
    }

    /// Switches the power, for a resource of power; `status` is what an emulator exits with. Needs `MANAGE`. Returns only when refused.
    pub fn power(&self, action: Power, status: u64) -> Error {
        sys::system_power(self.0, action, status).err().unwrap_or(Error::Unsupported)
    }
}
