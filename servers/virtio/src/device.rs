//! A device's way from reset to readiness (§3.1), and its configuration.

use crate::feature;
use crate::queue::Queue;
use crate::transport::Transport;
use libsys::driver::{Result, StartError};
use libsys::time::{self, Duration};

/// Bits of the status (§2.1).
mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const NEEDS_RESET: u8 = 64;
}

/// How long a device may take to reset.
const RESET: Duration = Duration::from_secs(2);
/// How often it is asked.
const RESET_POLL: Duration = Duration::from_millis(1);
/// How often a configuration is read that changes all the time.
const CONFIG_TRIES: usize = 16;

/// A virtio device.
#[derive(Debug)]
pub struct Device<T> {
    transport: T,
    features: u64,
}

impl<T: Transport> Device<T> {
    /// Resets the device, and agrees on the features that it has of `wanted`. Indirect descriptors and event indices are wanted always.
    pub fn open(mut transport: T, wanted: u64) -> Result<Device<T>> {
        transport.set_status(0);
        let deadline = time::deadline_after(RESET);
        while transport.status() != 0 {
            if time::now() >= deadline {
                return Err(StartError::Device("it does not reset"));
            }
            time::sleep(RESET_POLL);
        }
        transport.reset_complete()?;
        transport.set_status(status::ACKNOWLEDGE);
        transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
        let offered = transport.features();
        if offered & feature::VERSION_1 == 0 {
            return Err(StartError::Device("it is older than virtio 1"));
        }
        let features = offered & (wanted | feature::VERSION_1 | feature::INDIRECT | feature::EVENT_INDEX);
        transport.set_features(features);
        let agreed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        transport.set_status(agreed);
        if transport.status() & status::FEATURES_OK == 0 {
            return Err(StartError::Device("it does not accept the features that it offered"));
        }
        Ok(Device { transport, features })
    }

    /// Whether a feature was agreed on.
    pub fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// Sets a queue up, with at most `most` entries, for chains of at most `segments`; it interrupts with `bits` of the service's channel.
    pub fn queue(&mut self, number: u16, most: u16, segments: u16, bits: u64) -> Result<Queue> {
        let size = self.transport.most_entries(number).min(most);
        // The largest power of two.
        let size = size.checked_ilog2().map_or(0, |log| 1 << log);
        if size < 2 {
            return Err(StartError::Device("it lacks a queue"));
        }
        let table = if self.has(feature::INDIRECT) { segments } else { 0 };
        let memory = self.transport.allocate(Queue::bytes(size, table))?;
        let queue = Queue::new(number, size, table, self.has(feature::EVENT_INDEX), memory);
        self.transport.enable_queue(number, queue.place(), bits)?;
        Ok(queue)
    }

    /// The driver is ready: the device may use its queues.
    pub fn start(&mut self) -> Result<()> {
        let agreed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        self.transport.set_status(agreed | status::DRIVER_OK);
        if self.needs_reset() { Err(StartError::Device("it failed when it was started")) } else { Ok(()) }
    }

    /// Whether the device says that it is of no use any more.
    pub fn needs_reset(&mut self) -> bool {
        self.transport.status() & status::NEEDS_RESET != 0
    }

    /// Shows the device what was put into a queue.
    pub fn publish(&mut self, queue: &mut Queue) {
        if queue.publish() {
            self.transport.notify(queue.number());
        }
    }

    /// Acknowledges interrupts: before queues are looked at.
    pub fn acknowledge(&mut self) {
        self.transport.acknowledge();
    }

    /// The transport.
    pub fn transport(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Reads a field of the device's configuration, `N` bytes, all of one time; zeros where it has none.
    pub fn config<const N: usize>(&mut self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        if offset + N > self.transport.config_bytes() {
            return bytes;
        }
        for _ in 0..CONFIG_TRIES {
            let before = self.transport.config_generation();
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = self.transport.config(offset + at);
            }
            if self.transport.config_generation() == before {
                break;
            }
        }
        bytes
    }
}
