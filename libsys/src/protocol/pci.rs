//! `pci`: the functions of a machine's PCI buses, served by the bus server. It has two protocols on one channel:
//! [`PciFunction`] for the driver of a function, whose session init made for it, and [`Pci`] for who wants to see what there is.
//!
//! What is taken and given when a side dies is told in `docs/pci.md`. In short: when a driver dies, its device may not
//! master the bus and its vectors are masked; memory that it attached stays pinned until a later owner says [`PciFunction::reset_complete`].
//! When the bus server dies nothing of a driver is touched: objects that it was given go on working.

use super::list::Listed;
use crate::service::Context;
use crate::{Channel, DmaDomain, Interrupt, Memory, Ports};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use libsys_macros::protocol;
use serde::{Deserialize, Serialize};

/// One function, for its driver. All methods: the session is one that the bus server had made for a function, else `NotAFunction`; `Gone` when the
/// device was taken out.
#[protocol]
pub trait PciFunction {
    /// Begins an ownership: the calling process drives the function from now on. What was left of an earlier owner ends: its vectors are
    /// masked, and the device does not master the bus. A function that offers a function-level reset gets one, which takes 100 ms, unless it is a virtio device or an NVMe controller, which their drivers reset.
    ///
    /// Errors: `Busy` (another process that lives owns it), `Device` (it does not answer after the reset). *replay*: begun twice it is begun.
    #[replay]
    fn acquire(&mut self, cx: &Context) -> Result<(), PciError>;

    /// What the function is.
    ///
    /// *replay*: it only reads.
    #[replay]
    fn info(&mut self, cx: &Context) -> Result<FunctionInfo, PciError>;

    /// Reads 1, 2 or 4 bytes of the configuration space, at a multiple of that. Nobody but the bus server writes it.
    ///
    /// Error: `OutOfRange`. *replay*: it only reads.
    #[replay]
    fn config(&mut self, cx: &Context, offset: u16, bytes: u8) -> Result<u32, PciError>;

    /// Device Memory of the BAR, and its bytes. The pages of the MSI-X table are nobody's: of a BAR that has them in its midst this is
    /// the part before them, and [`PciFunction::bar_rest`] the one behind; where the table comes first there is only the latter.
    ///
    /// Errors: `NoSuchBar`, `NotPlaced`, `Exhausted`. *replay*: it is the same Memory each time.
    #[replay]
    fn bar(&mut self, cx: &Context, index: u8) -> Result<(Memory, u64), PciError>;

    /// Device Memory of what is behind the MSI-X table's pages in a BAR, its offset in the BAR, and its bytes.
    ///
    /// Errors: as [`PciFunction::bar`]; `NoSuchBar` where nothing is behind. *replay*: it is the same Memory each time.
    #[replay]
    fn bar_rest(&mut self, cx: &Context, index: u8) -> Result<(Memory, u64, u64), PciError>;

    /// The ports of an I/O BAR.
    ///
    /// Errors: `NoSuchBar`, `NotPlaced`, `Exhausted`. *replay*: they are the same each time.
    #[replay]
    fn ports(&mut self, cx: &Context, index: u8) -> Result<Ports, PciError>;

    /// An interrupt of the function that signals `bits` of `channel`, in place of what this index had before: the MSI-X vector with this index; for index 0
    /// the MSI of a function without MSI-X, or the line of one with neither. A line may be shared: each of its drivers is told in its
    /// turn, and acknowledges always, when its own device is satisfied: the others wait for that.
    ///
    /// Rights: the channel with `SIGNAL` for the bits. Errors: `NoSuchInterrupt`, `Exhausted`, `NotOwner`. *replay*: the
    /// interrupt that was not delivered is closed.
    #[replay]
    fn interrupt(&mut self, cx: &Context, index: u16, channel: Channel, bits: u64) -> Result<Interrupt, PciError>;

    /// The device's view of memory: Memory can be attached, and is released by the bus server alone. From now on the device may master the bus.
    ///
    /// Errors: `Exhausted`, `NotOwner`. *replay*: it is the same domain each time.
    #[replay]
    fn domain(&mut self, cx: &Context) -> Result<DmaDomain, PciError>;

    /// The device confirmed its reset, as its class says how: nothing that was set up before is in use. Attachments of dead owners
    /// are released; those of the caller stay, and so does bus mastering.
    ///
    /// Error: `NotOwner`. *replay*: released twice is released.
    #[replay]
    fn reset_complete(&mut self, cx: &Context) -> Result<(), PciError>;

    /// Releases an attachment of the caller that the device cannot reach any more: no queue of it names the memory.
    ///
    /// Errors: `NoSuchAttachment`, `NotOwner`. *replay*: numbers are not used twice.
    #[replay]
    fn release(&mut self, cx: &Context, attachment: u64) -> Result<(), PciError>;
}

/// All functions.
#[protocol]
pub trait Pci {
    /// The functions in the order of their addresses, from the place `first` on, as many as a message holds ([`super::list`]); none at the end.
    ///
    /// Rights: any session. *replay*: it only reads.
    #[replay]
    fn functions(&mut self, first: u64) -> Vec<FunctionInfo>;
}

/// Where a function is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Segment group: a host bridge with numbers of its own.
    pub segment: u16,
    /// Bus, 0 to 255.
    pub bus: u8,
    /// Device, 0 to 31.
    pub device: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

impl Address {
    /// The requester number that the device sends: bus, device and function in 16 bits.
    pub const fn requester(self) -> u16 {
        (self.bus as u16) << 8 | (self.device as u16 & 0x1f) << 3 | self.function as u16 & 7
    }

    /// Where it is in a list of functions.
    pub const fn place(self) -> u64 {
        (self.segment as u64) << 16 | self.requester() as u64
    }

    /// From a segment group and a requester number.
    pub const fn of_requester(segment: u16, requester: u16) -> Address {
        let [bus, low] = requester.to_be_bytes();
        Address { segment, bus, device: low >> 3, function: low & 7 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{}", self.segment, self.bus, self.device, self.function)
    }
}

impl FromStr for Address {
    type Err = PciError;

    /// As it is displayed; the segment may be left out. Error: `OutOfRange`.
    fn from_str(text: &str) -> Result<Address, PciError> {
        let read = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, device) = rest.rsplit_once(':')?;
            let (segment, bus) = rest.split_once(':').unwrap_or(("0", rest));
            let number = |digits: &str, most: u16| {
                let is_plain = !digits.starts_with('+');
                u16::from_str_radix(digits, 16).ok().filter(|number| is_plain && *number <= most)
            };
            Some(Address {
                segment: number(segment, u16::MAX)?,
                bus: number(bus, 255)? as u8,
                device: number(device, 31)? as u8,
                function: number(function, 7)? as u8,
            })
        };
        read().ok_or(PciError::OutOfRange)
    }
}

/// What a function is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Where it is.
    pub address: Address,
    /// Who made it.
    pub vendor: u16,
    /// Which product of theirs it is.
    pub device: u16,
    /// Who made the board, and which it is; 0 where it does not say.
    pub subsystem: (u16, u16),
    /// Class, subclass and programming interface, a byte each: `0xccsspp`.
    pub class: u32,
    /// Revision.
    pub revision: u8,
    /// The buses next to and behind a bridge: primary, secondary, subordinate.
    pub bridge: Option<(u8, u8, u8)>,
    /// The command register.
    pub command: u16,
    /// Those of its BARs that there are.
    pub bars: Vec<Bar>,
    /// Its capabilities: id, and where in the configuration space.
    pub capabilities: Vec<(u8, u8)>,
    /// Its extended capabilities: id, and where in the configuration space.
    pub extended: Vec<(u16, u16)>,
    /// MSI-X vectors; 0: it has no MSI-X.
    pub msi_x: u16,
    /// MSI vectors; 0: it has no MSI.
    pub msi: u8,
    /// Its interrupt pin, 1 (A) to 4; 0: it has none.
    pub pin: u8,
    /// The line that the firmware noted for the pin; 255: none.
    pub line: u8,
    /// Number of the process that drives it; 0: none.
    pub owner: u64,
    /// Pieces of Memory that it can reach.
    pub attachments: u32,
}

impl Listed for FunctionInfo {
    fn place(&self) -> u64 {
        self.address.place()
    }
}

impl FunctionInfo {
    /// Where the first capability with an id is.
    pub fn capability(&self, id: u8) -> Option<u8> {
        self.capabilities.iter().find(|(known, _)| *known == id).map(|(_, offset)| *offset)
    }

    /// A BAR.
    pub fn bar(&self, index: u8) -> Option<&Bar> {
        self.bars.iter().find(|bar| bar.index == index)
    }

    /// By what init picks a driver.
    pub fn ids(&self) -> super::registry::DeviceIds {
        super::registry::DeviceIds { vendor: self.vendor, device: self.device, class: self.class }
    }
}

/// A base address register: what of the address space is the function's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// Which register, 0 to 5. One of 64 bits takes the next one too.
    pub index: u8,
    /// Of what.
    pub kind: BarKind,
    /// Where it starts; 0: it has no place.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
}

/// Which address space a BAR is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BarKind {
    /// I/O ports.
    Ports,
    /// Memory.
    Memory {
        /// The register has 64 bits.
        wide: bool,
        /// Reading it changes nothing.
        prefetchable: bool,
    },
}

/// Why the bus server did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PciError {
    /// The session is not that of a function.
    NotAFunction,
    /// The device was taken out.
    Gone,
    /// Another process owns the function.
    Busy,
    /// The caller has not acquired the function.
    NotOwner,
    /// The function has no such BAR, or it is of the other kind.
    NoSuchBar,
    /// There was no room for the BAR in the address space.
    NotPlaced,
    /// The function has no such interrupt.
    NoSuchInterrupt,
    /// The caller has no such attachment.
    NoSuchAttachment,
    /// An offset, a width or an address is none.
    OutOfRange,
    /// An account is exhausted, or there are no vectors left.
    Exhausted,
    /// The device does not do what the specification says.
    Device,
}

impl PciError {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            PciError::NotAFunction => "the session is not that of a function",
            PciError::Gone => "the device was taken out",
            PciError::Busy => "another driver has the device",
            PciError::NotOwner => "the device was not acquired",
            PciError::NoSuchBar => "the device has no such BAR",
            PciError::NotPlaced => "the BAR has no address",
            PciError::NoSuchInterrupt => "the device has no such interrupt",
            PciError::NoSuchAttachment => "nothing is attached there",
            PciError::OutOfRange => "out of range",
            PciError::Exhausted => "no memory, or no vectors left",
            PciError::Device => "the device does not do what its specification says",
        }
    }
}

impl core::fmt::Display for PciError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for PciError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn addresses_read_as_they_are_written() {
        let address = Address { segment: 0x12, bus: 0xfe, device: 0x1f, function: 7 };
        assert_eq!(address.to_string(), "0012:fe:1f.7");
        assert_eq!("0012:fe:1f.7".parse(), Ok(address));
        assert_eq!(Address::of_requester(0x12, address.requester()), address);
        assert_eq!("0:2.1".parse(), Ok(Address { segment: 0, bus: 0, device: 2, function: 1 }));
        for wrong in ["", "1", "0:20.0", "0:0.8", "100:0.0", "+1:0.0", "0:0", "0:0:0:0.0"] {
            assert_eq!(wrong.parse::<Address>(), Err(PciError::OutOfRange), "{wrong}");
        }
    }
}
