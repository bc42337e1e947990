//! Resource: the right to make objects for a part of the machine, and to do what only the system's owner may.

use super::{Account, New, Object, ObjectType, Type, slab};
use crate::Kernel;
use abi::Error;
use abi::boot::ResourceKind;

pub use super::ranges::Ranges;

/// A right over a range.
#[derive(Debug)]
pub struct Resource {
    /// To what.
    pub kind: ResourceKind,
    start: u64,
    length: u64,
}

/// All that there is of a kind. Interrupt lines go on to the end of the numbers: who has that end may make
/// message-signalled interrupts, which have no line.
const fn whole(kind: ResourceKind) -> u64 {
    match kind {
        ResourceKind::Physical => 1 << 52,
        ResourceKind::Ports | ResourceKind::Dma => 1 << 16,
        ResourceKind::Interrupts => u64::MAX,
        ResourceKind::Inspect | ResourceKind::Power | ResourceKind::RealTime => 1,
    }
}

impl Resource {
    /// Makes the right to everything of a kind: at boot, for init.
    ///
    /// # Errors
    /// `AccountExhausted`.
    pub fn create(kernel: &Kernel, account: &Object<Account>, kind: ResourceKind) -> New<Resource> {
        slab::create(kernel, account, Resource { kind, start: 0, length: whole(kind) })
    }

    /// Makes a Resource for a part of this one's range.
    ///
    /// # Errors
    /// `BadArgument` for nothing, `Denied` outside of the range, `AccountExhausted`.
    pub fn split(&self, kernel: &Kernel, account: &Object<Account>, start: u64, length: u64) -> New<Resource> {
        self.covers(self.kind, start, length)?;
        slab::create(kernel, account, Resource { kind: self.kind, start, length })
    }

    /// Checks that this is the right to a range of a kind.
    ///
    /// # Errors
    /// `WrongKind`, `BadArgument` for nothing, `Denied` outside of the range.
    pub fn covers(&self, kind: ResourceKind, start: u64, length: u64) -> Result<(), Error> {
        self.must_be(kind)?;
        if length == 0 {
            return Err(Error::BadArgument);
        }
        let is_within = start
            .checked_sub(self.start)
            .and_then(|offset| offset.checked_add(length))
            .is_some_and(|end| end <= self.length);
        if is_within { Ok(()) } else { Err(Error::Denied) }
    }

    /// Checks that this allows message-signalled interrupts.
    ///
    /// # Errors
    /// `WrongKind`, `Denied`.
    pub fn covers_messages(&self) -> Result<(), Error> {
        self.must_be(ResourceKind::Interrupts)?;
        if self.start + self.length == whole(ResourceKind::Interrupts) { Ok(()) } else { Err(Error::Denied) }
    }

    /// Checks the kind.
    ///
    /// # Errors
    /// `WrongKind`.
    pub fn must_be(&self, kind: ResourceKind) -> Result<(), Error> {
        if self.kind == kind { Ok(()) } else { Err(Error::WrongKind) }
    }
}

impl Type for Resource {
    const TYPE: ObjectType = ObjectType::Resource;
}
