//! The stream device below: rings that it shares with the console, and signals.

use alloc::sync::Arc;
use libsys::client::CallError;
use libsys::protocol::CharacterClient;
use libsys::protocol::character::CharacterError;
use libsys::ring::{self, Consumer, Producer};
use libsys::service::Result;
use libsys::state::{Keepsake, State};
use libsys::wire::Shared;
use libsys::{Account, Channel, Memory, Object};
use serde::{Deserialize, Serialize};

/// Bytes of each ring.
const CAPACITY: u64 = 64 << 10;

/// A device whose rings are attached.
#[derive(Debug)]
pub struct Device {
    client: CharacterClient,
    channel: Channel,
    bits: u64,
    rings: [Shared; 2],
    input: Consumer,
    output: Producer,
    /// To signal the device by.
    wake: (Channel, u64),
}

/// The rings, for the next incarnation: what was typed and not read, and what was written and not shown, outlives a console.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct KeptRings([Keepsake; 2]);

impl KeptRings {
    /// The rings, if they make sense: a device that has gone mad may have written anything.
    fn take(self) -> Option<[Memory; 2]> {
        let memory = [self.0[0].take::<Memory>().ok()?, self.0[1].take::<Memory>().ok()?];
        let is_sound = |memory: &Memory| {
            let mapping = Arc::new(memory.map_writable().ok()?);
            Consumer::attach(mapping, 0).ok()
        };
        if memory.iter().all(|memory| is_sound(memory).is_some()) {
            return Some(memory);
        }
        for memory in &memory {
            let _ = memory.set_kept(false);
        }
        None
    }
}

impl Device {
    /// Attaches the rings of the incarnation before, or new ones; `bits` of `channel` are signalled when they change.
    pub fn attach(
        client: CharacterClient,
        account: &Account,
        state: &mut State<KeptRings>,
        before: Option<KeptRings>,
        (channel, bits): (Channel, u64),
    ) -> Result<Device> {
        let memory = match before.and_then(KeptRings::take) {
            Some(memory) => memory,
            None => {
                let memory = [ring::create(account, CAPACITY)?, ring::create(account, CAPACITY)?];
                state.update(&KeptRings([Keepsake::of(&memory[0])?, Keepsake::of(&memory[1])?]))?;
                memory
            }
        };
        let bad = |ring::BadRing| libsys::Error::BadState;
        let input = Consumer::attach(Arc::new(memory[0].map_writable()?), 0).map_err(bad)?;
        let output = Producer::attach(Arc::new(memory[1].map_writable()?), 0).map_err(bad)?;
        let rings = memory.map(|memory| Shared::whole(memory, ring::memory_bytes(CAPACITY)));
        let wake = client.attach(&rings[0], &rings[1], &channel, bits)?;
        Ok(Device { client, channel, bits, rings, input, output, wake })
    }

    /// Attaches the same rings again, as the device's server has restarted.
    pub fn attach_again(&mut self) -> core::result::Result<(), CallError<CharacterError>> {
        self.wake = self.client.attach(&self.rings[0], &self.rings[1], &self.channel, self.bits)?;
        Ok(())
    }

    /// Takes input: how many bytes.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        // A ring that makes no sense holds nothing: the device has gone mad, and its next incarnation may heal it.
        self.input.read(into).map_or(0, |moved| moved.signal(&self.wake.0, self.wake.1).bytes)
    }

    /// Looks at input, from `skip` bytes on, without taking it.
    pub fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        self.input.peek(skip, into).unwrap_or(0)
    }

    /// Drops input.
    pub fn skip(&mut self, bytes: usize) {
        if let Ok(moved) = self.input.consume(bytes) {
            moved.signal(&self.wake.0, self.wake.1);
        }
    }

    /// Puts output on its way: how many bytes.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.output.write(bytes).map_or(0, |moved| moved.signal(&self.wake.0, self.wake.1).bytes)
    }

    /// Bytes of output for which there is room.
    pub fn room(&self) -> usize {
        self.output.room().unwrap_or(0)
    }

    /// Waits until the last bytes that the device took have left it: a FIFO's worth.
    pub fn flush(&self) {
        // What a device that died had in its FIFO has left it or never will.
        let _ = self.client.flush();
    }

    /// Whether the device has taken all output.
    pub fn is_drained(&self) -> bool {
        self.room() as u64 == CAPACITY
    }
}
