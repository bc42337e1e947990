//! Virtio entropy device (virtio 1.2 §5.4). Serves `random`: what the device gave ahead is given away, each byte once.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::driver::pci::Function;
use libsys::driver::{Context, DmaBuffer, Driver, Env, Result};
use libsys::protocol::random::{Random, RandomError};
use libsys::time::{self, Duration};
use virtio::{Device, PciTransport, Queue, QueueError, Segment};

/// Bit of the channel: the device has filled the buffer.
const INTERRUPT: u64 = 1 << 0;
/// Bytes asked for at once: more than a message holds.
const BUFFER_BYTES: u32 = 4096;
/// How long a request waits for a device that was emptied.
const PATIENCE: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_micros(200);

struct Entropy {
    device: Device<PciTransport>,
    queue: Queue,
    buffer: DmaBuffer,
    pool: Vec<u8>,
}

impl Driver for Entropy {
    fn start(env: &Env) -> Result<Entropy> {
        let mut device = Device::open(PciTransport::new(Function::open(env)?)?, 0)?;
        let queue = device.queue(0, 2, 1, INTERRUPT)?;
        let buffer = device.transport().function().dma_buffer(BUFFER_BYTES.into())?;
        device.start()?;
        let mut entropy = Entropy { device, queue, buffer, pool: Vec::new() };
        entropy.collect();
        Ok(entropy)
    }

    fn signal(&mut self, _: u64) {
        self.device.acknowledge();
        self.collect();
    }
}

impl Entropy {
    /// Takes in what the device gave, and asks it for more once that is used up.
    fn collect(&mut self) {
        let Entropy { device, queue, buffer, pool } = self;
        loop {
            while let Some(done) = queue.next_completed().unwrap_or_else(|error| give_up(error)) {
                let mut bytes = vec![0; done.bytes as usize];
                buffer.copy_out(0, &mut bytes);
                pool.append(&mut bytes);
            }
            if !queue.arm() {
                break;
            }
        }
        if pool.is_empty() && queue.in_flight() == 0 {
            let segment = Segment { address: buffer.device_address(), bytes: BUFFER_BYTES };
            queue.submit([].into_iter(), [segment].into_iter()).unwrap_or_else(|error| give_up(error));
            device.publish(queue);
        }
    }
}

/// The device says what cannot be: the next incarnation resets it.
fn give_up(error: QueueError) -> ! {
    libsys::error!("the device's queue: {error:?}");
    libsys::exit(ExitStatus::FAILURE)
}

impl Random for Entropy {
    fn fill(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, RandomError> {
        let deadline = time::deadline_after(PATIENCE);
        while self.pool.is_empty() {
            if time::now() >= deadline {
                return Err(RandomError::NotSeeded);
            }
            time::sleep(POLL);
            self.collect();
        }
        let bytes = self.pool.split_off(self.pool.len().saturating_sub(buffer.len()));
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.collect();
        Ok(bytes.len())
    }

    fn add(&mut self, _: &[u8]) {}

    fn reseed(&mut self, cx: &Context) -> core::result::Result<(), RandomError> {
        if !cx.may_control() {
            return Err(RandomError::Denied);
        }
        self.pool.clear();
        self.collect();
        Ok(())
    }
}

libsys::serve!(Entropy: Random);
