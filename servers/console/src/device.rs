//! The stream device below: rings that it shares with the console, and signals.
//!
//! What the console takes and puts in the device sees when it is published: after the commit that tells of it.

use alloc::sync::Arc;
use libsys::client::{CallError, Client, Complaint, Verdict, ask_again};
use libsys::protocol::CharacterClient;
use libsys::protocol::character::{Character, CharacterError};
use libsys::ring::{self, Consumer, Producer};
use libsys::service::Result;
use libsys::state::{Keepsake, RecordKey, Records};
use libsys::time::Duration;
use libsys::wire::Shared;
use libsys::{Account, Channel, Memory, WritableMapping};
use serde::{Deserialize, Serialize};

/// Bytes of each ring.
const CAPACITY: u64 = 64 << 10;

/// How long the last bytes may take to leave a device: 16 of them at 200 bits a second, and some more.
const FLUSHED: Duration = Duration::from_secs(1);

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

/// How far the rings were used: bytes of input taken, bytes of output put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    pub input: u64,
    pub output: u64,
}

/// The rings, with this end of each: what was typed and not read, and what was written and not shown, outlives a console.
struct Rings {
    memory: [Memory; 2],
    input: Consumer,
    output: Producer,
}

impl Rings {
    /// Those of the incarnation before, if they make sense: a device that has gone mad may have written anything.
    fn recover(kept: [Keepsake; 2], positions: Positions, records: &mut Records) -> Option<Rings> {
        let take = |keepsake: Keepsake| -> Option<(Memory, Arc<WritableMapping>)> {
            let memory: Memory = keepsake.take().ok()?;
            let mapping = memory.map_writable().ok()?;
            Some((memory, Arc::new(mapping)))
        };
        let rings = (|| {
            let [(input, to_input), (output, to_output)] = [take(kept[0])?, take(kept[1])?];
            let (input_end, output_end) =
                (Consumer::resume(to_input, 0, positions.input), Producer::resume(to_output, 0, positions.output));
            Some(Rings { memory: [input, output], input: input_end.ok()?, output: output_end.ok()? })
        })();
        if rings.is_none() {
            kept.into_iter().for_each(|keepsake| records.release(keepsake));
        }
        rings
    }

    fn create(account: &Account, records: &mut Records, key: RecordKey) -> Result<Rings> {
        let memory = [ring::create(account, CAPACITY)?, ring::create(account, CAPACITY)?];
        let bad = |ring::BadRing| libsys::Error::BadState;
        let input = Consumer::attach(Arc::new(memory[0].map_writable()?), 0).map_err(bad)?;
        let output = Producer::attach(Arc::new(memory[1].map_writable()?), 0).map_err(bad)?;
        let kept = [records.keep(&memory[0])?, records.keep(&memory[1])?];
        records.put(key, &kept).map_err(|_| libsys::Error::NoSlot)?;
        Ok(Rings { memory, input, output })
    }
}

impl Device {
    /// Attaches the rings that the record of `key` names, from their positions on, or new ones; `bits` of `channel` are signalled when they change.
    pub fn attach(
        client: CharacterClient,
        account: &Account,
        (records, key): (&mut Records, RecordKey),
        positions: Positions,
        (channel, bits): (Channel, u64),
    ) -> Result<Device> {
        let kept = records.get::<[Keepsake; 2]>(key);
        let rings = match kept.and_then(|kept| Rings::recover(kept, positions, records)) {
            Some(rings) => rings,
            None => {
                let rings = Rings::create(account, records, key)?;
                records.commit();
                rings
            }
        };
        let Rings { memory, mut input, mut output } = rings;
        // The incarnation before may have died between a commit and this.
        input.publish();
        output.publish();
        let rings = memory.map(|memory| Shared::whole(memory, ring::memory_bytes(CAPACITY)));
        let wake = client.attach(&rings[0], &rings[1], &channel, bits)?;
        Ok(Device { client, channel, bits, rings, input, output, wake })
    }

    /// Attaches the same rings again, as the device's server has restarted.
    pub fn attach_again(&mut self) -> core::result::Result<(), CallError<CharacterError>> {
        self.wake = self.client.attach(&self.rings[0], &self.rings[1], &self.channel, self.bits)?;
        Ok(())
    }

    /// How far the rings are used, published or not.
    pub fn positions(&self) -> Positions {
        Positions { input: self.input.position(), output: self.output.position() }
    }

    /// Shows the device what was taken and put in. Whether there is what somebody waits for, input or room: the device signals what it does by what it has been shown,
    /// so of what came between the last look and this it says nothing.
    #[must_use = "nobody signals what came meanwhile"]
    pub fn publish(&mut self, waits_for_input: bool, waits_for_room: bool) -> bool {
        for moved in [self.input.publish(), self.output.publish()] {
            moved.signal(&self.wake.0, self.wake.1);
        }
        let has_input = waits_for_input && self.input.available().is_ok_and(|bytes| bytes > 0);
        has_input || waits_for_room && self.room() > 0
    }

    /// Takes input: how many bytes.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        // A ring that makes no sense holds nothing: the device has gone mad, and its next incarnation may heal it.
        self.input.take(into).unwrap_or(0)
    }

    /// Looks at input, from `skip` bytes on, without taking it.
    pub fn peek(&self, skip: usize, into: &mut [u8]) -> usize {
        self.input.peek(skip, into).unwrap_or(0)
    }

    /// Drops input.
    pub fn skip(&mut self, bytes: usize) {
        let _ = self.input.skip(bytes);
    }

    /// Puts output on its way: how many bytes.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.output.stage(bytes).unwrap_or(0)
    }

    /// Bytes of output for which there is room.
    pub fn room(&self) -> usize {
        self.output.room().unwrap_or(0)
    }

    /// Waits until the last bytes that the device took have left it: a FIFO's worth. A driver that does not say so in [`FLUSHED`] is complained of, and asked again, as one whose reply does not decode: the
    /// call is parked there, so nobody else would notice that it is never answered, and the console serves nobody meanwhile.
    pub fn flush(&mut self) {
        self.client.link_mut().set_timeout(Some(FLUSHED));
        for bad_replies in 1.. {
            // What a device that died had in its FIFO has left it or never will.
            let Err(CallError::NotStarted | CallError::Unknown) = self.client.flush() else { break };
            let Some(method) = <dyn Character>::METHODS.iter().find(|method| method.name == "flush") else { break };
            let complaint = Complaint { session: self.client.link().session(), method, bad_replies };
            if ask_again(&complaint) == Verdict::GiveUp {
                break;
            }
        }
        self.client.link_mut().set_timeout(None);
    }

    /// Whether the device has taken all output.
    pub fn is_drained(&self) -> bool {
        self.room() as u64 == CAPACITY
    }
}
