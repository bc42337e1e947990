//! DmaDomain: a device's view of memory. Attaching Memory gives device addresses and pins it until the domain's owner says
//! that the device cannot reach it any more, whatever becomes of the process that attached it.
//!
//! The owner keeps its handle across incarnations: with the last handle the domain ends, and all is released.
//!
//! There is no IOMMU yet: device addresses are physical ones, and a device is trusted.

use super::{Account, Channel, Memory, New, Object, ObjectType, Process, Ref, Slot, Type, slab};
use crate::{Kernel, Link, Node, Tree, ipc};
use abi::boot::ResourceKind;
use abi::memory::{AttachmentRecord, MemoryKind};
use abi::{Error, PAGE_BYTES, PAYLOAD_BYTES};

const PAGE: u64 = PAGE_BYTES as u64;

/// Runs of frames that one attachment can have: as many as a payload tells.
pub const MOST_SEGMENTS: usize = PAYLOAD_BYTES / 16;

/// Pages of anonymous Memory that can be attached at once: for more there is DMA Memory, which is one run.
pub const MOST_PAGES: u64 = 1024;

/// Attachments released in one step.
pub const RELEASE_BATCH: usize = 32;

/// Attachments of a dead process that are looked at in one step.
const DEATH_BATCH: usize = 16;

/// A device's view of memory.
pub struct DmaDomain {
    requester: u64,
    channel: Slot<Channel>,
    bits: u64,
    attachments: Tree<Attachment, InDomain>,
}

/// Memory that a device may reach. Charged to the process that attached it.
pub struct Attachment {
    memory: Ref<Memory>,
    /// Who attached it, until he dies.
    process: Slot<Process>,
    /// The domain's channel, to tell of that with its bits.
    channel: Slot<Channel>,
    bits: u64,
    in_domain: Node<Attachment>,
    of_process: Link<Attachment>,
}

impl DmaDomain {
    /// Makes the view of a device, for a process. `channel` is told with `bits` when a process that attached Memory died.
    ///
    /// # Errors
    /// `Busy`, `AccountExhausted`.
    pub fn create(
        kernel: &Kernel,
        account: &Object<Account>,
        requester: u64,
        channel: Option<&Object<Channel>>,
        bits: u64,
        process: u64,
    ) -> New<DmaDomain> {
        kernel.ranges.claim(kernel, account, ResourceKind::Dma, requester, 1, process)?;
        let value = DmaDomain {
            requester,
            channel: channel.map_or(Slot::empty(), |channel| Slot::with(channel.to_ref())),
            bits,
            attachments: Tree::new(),
        };
        slab::create(kernel, account, value)
            .inspect_err(|_| kernel.ranges.release(kernel, ResourceKind::Dma, requester))
    }

    /// Releases the attachment with a number.
    ///
    /// # Errors
    /// `BadArgument` where there is none.
    pub fn release(&self, kernel: &Kernel, number: u64) -> Result<(), Error> {
        let first = self.attachments.first_from(kernel, number);
        let attachment = first.filter(|attachment| attachment.number() == number).ok_or(Error::BadArgument)?;
        self.detach(kernel, attachment);
        Ok(())
    }

    /// Releases some attachments. Gives how many are left.
    pub fn release_some(&self, kernel: &Kernel) -> u32 {
        for _ in 0..RELEASE_BATCH {
            let Some(attachment) = self.attachments.first(kernel) else { break };
            self.detach(kernel, attachment);
        }
        self.attachments.len()
    }

    /// What there is to say about attachments from a number on, with their numbers.
    pub fn records<'k>(&'k self, kernel: &'k Kernel, first: u64) -> impl Iterator<Item = (u64, AttachmentRecord)> {
        self.attachments.from(kernel, first).map(|attachment| {
            let process = attachment.process.get(kernel).map_or(0, Object::number);
            (attachment.number(), AttachmentRecord { attachment: attachment.number(), process })
        })
    }

    fn detach(&self, kernel: &Kernel, attachment: &Object<Attachment>) {
        if let Some(process) = attachment.process.take() {
            process.get(kernel).attached.remove(attachment);
        }
        self.attachments.remove(attachment);
    }

    /// Attaches Memory for a process: its pages stay where they are, and it cannot be sealed, until it is released. Gives
    /// the attachment's number; `segment` is told each run of device addresses by its index, with its bytes, as often as it grows.
    ///
    /// Anonymous Memory has to be placed already, that is, touched: so no page is zeroed here; and be of at most
    /// [`MOST_PAGES`] pages.
    ///
    /// # Errors
    /// `BadArgument` (device Memory, too large), `BadState` (not placed), `NoContiguousMemory` (more than [`MOST_SEGMENTS`]
    /// runs), `Sealed`, `AccountExhausted`.
    pub fn attach(
        &self,
        kernel: &Kernel,
        process: &Object<Process>,
        memory: &Object<Memory>,
        mut segment: impl FnMut(usize, u64, u64),
    ) -> Result<(u64, usize), Error> {
        if memory.kind == MemoryKind::Device || !memory.is_run() && memory.pages > MOST_PAGES {
            return Err(Error::BadArgument);
        }
        if !memory.is_prepared() || memory.resident.get() < memory.pages {
            return Err(Error::BadState);
        }
        if memory.sealing.get() {
            return Err(Error::Sealed);
        }
        let (steps, bytes) = if memory.is_run() { (1, memory.bytes()) } else { (memory.pages, PAGE) };
        let (mut count, mut run) = (0, 0..0);
        for page in 0..steps {
            let frame = memory.frame(page).ok_or(Error::BadState)?.as_u64();
            if count == 0 || frame != run.end {
                if count == MOST_SEGMENTS {
                    return Err(Error::NoContiguousMemory);
                }
                count += 1;
                run = frame..frame;
            }
            run.end += bytes;
            segment(count - 1, run.start, run.end - run.start);
        }
        let number = self.record(kernel, process, memory)?;
        Ok((number, count))
    }

    fn record(&self, kernel: &Kernel, process: &Object<Process>, memory: &Object<Memory>) -> Result<u64, Error> {
        memory.add_device_writer()?;
        let attachment = Attachment {
            memory: memory.to_ref(),
            process: Slot::with(process.to_ref()),
            channel: self.channel.get(kernel).map_or(Slot::empty(), |channel| Slot::with(channel.to_ref())),
            bits: self.bits,
            in_domain: Node::new(),
            of_process: Link::new(),
        };
        let attachment =
            slab::create(kernel, &process.account, attachment).inspect_err(|_| memory.remove_device_writer())?;
        process.attached.push_back(attachment.clone());
        let number = attachment.number();
        self.attachments.insert(attachment, number);
        Ok(number)
    }
}

/// A process died: tells the domains in which it attached Memory, which stays pinned. One step: returns whether there
/// is more to do.
pub fn process_died(kernel: &Kernel, process: &Object<Process>) -> bool {
    for _ in 0..DEATH_BATCH {
        let Some(attachment) = process.attached.pop_front() else { return false };
        attachment.process.set(None);
        if let Some(channel) = attachment.channel.take() {
            let _ = ipc::signal(kernel, channel.get(kernel), attachment.bits);
        }
    }
    !process.attached.is_empty()
}

impl Type for DmaDomain {
    const TYPE: ObjectType = ObjectType::DmaDomain;

    fn dismantle(&self, kernel: &Kernel) -> bool {
        self.release_some(kernel) == 0
    }

    fn finalize(&self, kernel: &Kernel) {
        kernel.ranges.release(kernel, ResourceKind::Dma, self.requester);
    }
}

impl Type for Attachment {
    const TYPE: ObjectType = ObjectType::Attachment;

    fn finalize(&self, _kernel: &Kernel) {
        self.memory.remove_device_writer();
    }
}

crate::nodes! {
    /// Nodes of attachments in their domain, by number.
    InDomain: Attachment, in_domain;
}

crate::links! {
    /// Links of attachments among those of their process.
    OfProcess: Attachment, of_process;
}
