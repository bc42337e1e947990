//! Interrupts: a line or a message of a device, bound to signal bits of a channel.

use crate::object::{Object, object};
use crate::{Account, Channel, Resource, sys};
use abi::{Error, Handle};

pub use abi::ports::Trigger;

/// An interrupt.
pub struct Interrupt(Handle);

object!(Interrupt, Interrupt);

/// What a device writes, and where, to strike a message-signalled interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    /// Physical address.
    pub address: u64,
    /// Data.
    pub data: u32,
}

impl Interrupt {
    /// Binds a line (global system interrupt) to `bits` of `channel`. Needs `MANAGE` of the resource and `SIGNAL` of the channel.
    /// Errors: `Busy`, `AccountExhausted`, `Unsupported` (no vector left).
    pub fn line(
        resource: &Resource,
        line: u32,
        trigger: Trigger,
        channel: &Channel,
        bits: u64,
        account: &Account,
    ) -> Result<Interrupt, Error> {
        let created =
            sys::interrupt_create(resource.handle(), line.into(), channel.handle(), bits, trigger, account.handle())?;
        Ok(Interrupt(created.interrupt))
    }

    /// A message-signalled interrupt on `bits` of `channel`, and what the device must be told. Rights and errors as [`Interrupt::line`].
    pub fn message(
        resource: &Resource,
        channel: &Channel,
        bits: u64,
        account: &Account,
    ) -> Result<(Interrupt, MsiMessage), Error> {
        let (resource, account) = (resource.handle(), account.handle());
        let created =
            sys::interrupt_create(resource, abi::ports::MSI, channel.handle(), bits, Trigger::Firmware, account)?;
        Ok((Interrupt(created.interrupt), MsiMessage { address: created.address, data: created.data as u32 }))
    }

    /// Says that the delivered interrupt was handled. Needs `MANAGE`.
    ///
    /// `was_served`: this driver's device had wanted something. A level line that strikes again and again at once without that is a storm, and is masked; one that several
    /// busy devices share is none.
    #[inline]
    pub fn acknowledge(&self, was_served: bool) -> Result<(), Error> {
        sys::interrupt_acknowledge(self.0, was_served)
    }

    /// Masks or unmasks it. Needs `MANAGE`.
    pub fn set_masked(&self, masked: bool) -> Result<(), Error> {
        sys::interrupt_mask(self.0, masked)
    }
}
