//! NVMe disks (NVM Express Base Specification 2.0, with the NVM Command Set and PCIe Transport specifications; 1.4 says the same). Serves `block`.
//!
//! | file | holds |
//! |---|---|
//! | `main.rs` | the device as the kit of block drivers sees it: a namespace is a unit |
//! | `requests.rs` | requests, and the commands that they become |
//! | `pages.rs` | data as commands name it |
//! | `queue.rs` | a queue pair |
//! | `controller.rs` | reset, admin queue |
//! | `identify.rs`, `command.rs`, `registers.rs` | the formats |
//! | `bus.rs` | how the controller is reached |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod bus;
mod command;
mod controller;
mod identify;
mod pages;
mod queue;
mod registers;
mod requests;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;
use bus::{Bus, PciBus};
use controller::Controller;
use identify::{ControllerInfo, Namespace};
use libsys::driver::block::{BlockDevice, BlockServer, Completions, DiskName, Request, SECTOR_BYTES, Submitted, Tag};
use libsys::driver::pci::Function;
use libsys::driver::{AttachedMemory, Env, Result, StartError};
use libsys::protocol::block::{BlockError, BlockInfo, BlockStatus, MOST_SEGMENTS};
use libsys::time::{Duration, TimerId, Timers};
use libsys::{ExitStatus, Memory};
use queue::Fault;
use registers::INTERRUPT_MASK_SET;
use requests::{Job, Requests};

/// Bit of the channel: commands have ended.
const INTERRUPT: u64 = 1 << 0;
/// Most entries of the queue.
const ENTRIES: u16 = 128;
/// How often the controller is looked at while it works.
const TICK: Duration = Duration::from_secs(1);

/// How often it is told of an interrupt with nothing there, more than others, each of which outweighs some, until it looks whether its own line is stuck: before the kernel takes it for a storm.
const IN_VAIN: u32 = 1000;
const CALM: u32 = 16;
/// How often a controller whose line is stuck is looked at while it works.
const POLL: Duration = Duration::from_millis(1);

struct Nvme {
    controller: Controller<PciBus>,
    info: ControllerInfo,
    namespaces: Vec<Namespace>,
    requests: Requests,
    timers: Timers,
    is_ticking: bool,
    in_vain: u32,
    /// Its line is stuck, and masked.
    is_polled: bool,
    poll: Option<TimerId>,
}

impl Nvme {
    /// Says what has ended. Whether anything had.
    fn complete(&mut self, completions: &mut Completions) -> bool {
        while let Some((tag, status)) = self.requests.next_ended().unwrap_or_else(|fault| give_up(fault)) {
            completions.end(tag, status);
        }
        let seen = self.requests.acknowledge();
        if let Some((doorbell, value)) = seen {
            self.controller.bus().write(doorbell, value);
        }
        seen.is_some()
    }

    /// A controller that has nothing to say and holds its line all the same would keep all who share it from their work: it is masked, and polled. QEMU's (7.2) does so when it is reset
    /// with completions that nobody has taken, as it counts them for ever.
    fn look_for_stuck_line(&mut self, completions: &mut Completions) {
        // In this order: what ends between the two is seen.
        if !self.is_polled && self.controller.bus().holds_line() && !self.complete(completions) {
            libsys::warn!("the controller does not let go of its interrupt line: it is masked, and polled");
            self.controller.bus().write(INTERRUPT_MASK_SET, u32::MAX);
            self.is_polled = true;
        }
    }
}

impl BlockDevice for Nvme {
    type Buffer = AttachedMemory;

    fn start(env: &Env) -> Result<Nvme> {
        let mut controller = Controller::open(PciBus::new(Function::open(env)?)?)?;
        let (info, namespaces) = controller.describe()?;
        if namespaces.is_empty() {
            return Err(StartError::Device("it has no namespace that can be used"));
        }
        let queue = controller.make_queue(ENTRIES, INTERRUPT)?;
        let lists = controller.bus().allocate(Requests::list_bytes(&queue))?;
        let requests = Requests::new(queue, lists, info.most_bytes.unwrap_or(u64::MAX));
        Ok(Nvme {
            controller,
            info,
            namespaces,
            requests,
            timers: Timers::new(),
            is_ticking: false,
            in_vain: 0,
            is_polled: false,
            poll: None,
        })
    }

    fn info(&self, unit: u32) -> BlockInfo {
        let namespace = self.namespaces[unit as usize];
        let depth = self.requests.depth() as u32;
        BlockInfo {
            name: DiskName::Units(String::from("nvme")),
            model: self.info.model.clone(),
            serial: self.info.serial.clone(),
            sectors: namespace.blocks * (u64::from(namespace.block_bytes) / SECTOR_BYTES),
            logical_block_bytes: namespace.block_bytes,
            physical_block_bytes: namespace.physical_block_bytes,
            read_only: namespace.read_only,
            flush: self.info.has_cache,
            fua: true,
            discard: self.info.can_discard,
            write_zeroes: self.info.can_write_zeroes,
            most_bytes: self.info.most_bytes.unwrap_or(u64::MAX).min(pages::MOST_BYTES.into()) as u32,
            // In the worst case each is a command of its own.
            most_segments: depth.min(MOST_SEGMENTS as u32),
            queue_depth: depth,
            units: self.namespaces.len() as u32,
        }
    }

    fn depth(&self) -> usize {
        self.requests.depth()
    }

    fn lend(&mut self, memory: Memory) -> core::result::Result<AttachedMemory, BlockError> {
        self.controller.bus().function().attach(memory).map_err(|_| BlockError::BadBuffer)
    }

    fn take_back(&mut self, buffer: AttachedMemory) {
        self.controller.bus().function().detach(buffer);
    }

    fn submit(&mut self, tag: Tag, request: &Request<'_, AttachedMemory>) -> Submitted {
        let Some(namespace) = self.namespaces.get(request.unit as usize) else {
            return Submitted::Ended(BlockStatus::Gone);
        };
        let Request { operation, fua, sector, sectors, .. } = *request;
        let pieces = request.segments().flat_map(|(memory, offset, bytes)| memory.pieces(offset, bytes));
        self.requests.submit(tag, namespace, &Job { operation, fua, sector, sectors }, pieces)
    }

    fn commit(&mut self) {
        if let Some((doorbell, value)) = self.requests.publish() {
            self.controller.bus().write(doorbell, value);
        }
        if !self.is_ticking && self.requests.is_busy() {
            self.is_ticking = true;
            self.timers.after(TICK);
        }
        if self.is_polled && self.poll.is_none() && self.requests.is_busy() {
            self.poll = Some(self.timers.after(POLL));
        }
    }

    fn interrupt(&mut self, _: u64, completions: &mut Completions) {
        let was_served = self.complete(completions);
        self.in_vain = if was_served { self.in_vain.saturating_sub(CALM) } else { self.in_vain + 1 };
        if self.in_vain == IN_VAIN {
            self.in_vain = 0;
            self.look_for_stuck_line(completions);
        }
        // A line is let go of only now, when the controller has seen that.
        self.controller.bus().acknowledge(was_served);
        // Requests of several commands may have gone on.
        self.commit();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, timer: TimerId, completions: &mut Completions) {
        if self.poll == Some(timer) {
            self.poll = None;
            self.complete(completions);
            return self.commit();
        }
        self.is_ticking = self.requests.is_busy();
        if self.is_ticking {
            self.controller.check().and_then(|()| self.requests.tick()).unwrap_or_else(|fault| give_up(fault));
            self.timers.after(TICK);
        }
    }
}

/// The controller has to be reset: the next incarnation does so.
fn give_up(fault: Fault) -> ! {
    libsys::error!("the controller: {fault}");
    libsys::exit(ExitStatus::FAILURE)
}

libsys::serve!(BlockServer<Nvme>);
