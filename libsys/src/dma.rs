//! DMA domains: a device's view of memory.

use crate::object::{Object, object};
use crate::{Account, Channel, Memory, Resource, sys};
use abi::{Error, Handle};
use alloc::vec::Vec;

pub use abi::memory::AttachmentRecord;
pub use sys::DmaSegment;

/// A device's view of memory, owned by the bus server.
pub struct DmaDomain(Handle);

object!(DmaDomain, DmaDomain);

/// Memory that a device can reach. It stays pinned until the domain's owner releases it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its number in the domain.
    pub number: u64,
    /// Where the device sees it, in order.
    pub segments: Vec<DmaSegment>,
}

/// Segments that a payload holds.
const SEGMENTS: usize = abi::PAYLOAD_BYTES / size_of::<DmaSegment>();

impl DmaDomain {
    /// The domain of the device with this requester number (bus, device, function); `signal` tells of the death of
    /// a process that attached Memory. Needs `MANAGE` of the resource. Error: `Busy`.
    pub fn create(
        resource: &Resource,
        requester: u16,
        account: &Account,
        signal: Option<(&Channel, u64)>,
    ) -> Result<DmaDomain, Error> {
        let (channel, bits) = signal.map_or((Handle::NONE, 0), |(channel, bits)| (channel.handle(), bits));
        sys::dma_domain_create(resource.handle(), requester, account.handle(), channel, bits)
            .map(DmaDomain::from_handle)
    }

    /// Lets the device reach Memory. Needs `INSPECT`, and `READ` and `WRITE` of the Memory. Error: `Unsupported`
    /// (more pieces than one message lists: use contiguous Memory).
    pub fn attach(&self, memory: &Memory) -> Result<Attachment, Error> {
        let mut segments = alloc::vec![DmaSegment::default(); SEGMENTS];
        let (count, number) = sys::dma_attach(self.0, memory.handle(), &mut segments)?;
        if count > SEGMENTS {
            return Err(Error::Unsupported);
        }
        segments.truncate(count);
        Ok(Attachment { number, segments })
    }

    /// All attachments. Needs `MANAGE`.
    pub fn attachments(&self) -> Result<Vec<AttachmentRecord>, Error> {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let mut part = [AttachmentRecord::default(); 64];
            let (count, next) = sys::dma_list(self.0, from, &mut part)?;
            all.extend_from_slice(&part[..count.min(part.len())]);
            // What did not fit here is asked for again.
            from = if count > part.len() { part[part.len() - 1].attachment + 1 } else { next };
            if from == 0 {
                return Ok(all);
            }
        }
    }

    /// Releases one attachment, or all: once the device cannot reach it. Needs `MANAGE`. Error: `BadArgument` (there is none with this number).
    pub fn release(&self, attachment: Option<u64>) -> Result<(), Error> {
        match attachment {
            Some(number) => sys::dma_release(self.0, number).map(|_| ()),
            // The kernel releases a bounded number at once.
            None => {
                while sys::dma_release(self.0, 0)? != 0 {}
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Error, Memory, fake};

    #[test]
    fn all_attachments_are_released() {
        let domain = fake::dma_domain();
        let memory = Memory::create(&fake::account(), 4096).expect("memory");
        for count in [0, 1, 32, 33, 100] {
            let numbers: std::vec::Vec<u64> =
                (0..count).map(|_| domain.attach(&memory).expect("attached").number).collect();
            domain.release(None).expect("released");
            for number in numbers {
                assert_eq!(domain.release(Some(number)), Err(Error::BadArgument));
            }
        }
        let (first, second) =
            (domain.attach(&memory).expect("one").number, domain.attach(&memory).expect("two").number);
        assert_eq!(domain.release(Some(first)), Ok(()));
        assert_eq!((domain.release(Some(first)), domain.release(Some(second))), (Err(Error::BadArgument), Ok(())));
    }
}
