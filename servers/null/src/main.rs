//! Devices that are nothing: `null` has no input and swallows output, `zero` has zeros without end, `full` never has room. Serves
//! `character`. Parameter: `device`, which of them it is (`null`); the manifest has a service for each.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::str::FromStr;
use libsys::Channel;
use libsys::abi::PAYLOAD_BYTES;
use libsys::driver::{Context, Env, Result};
use libsys::protocol::character::{Character, CharacterError, Control, Line, Readiness};
use libsys::service::{Reply, Server};
use libsys::wire::Shared;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Null,
    Zero,
    Full,
}

type Answer<T> = core::result::Result<T, CharacterError>;

impl FromStr for Device {
    type Err = ();

    fn from_str(name: &str) -> core::result::Result<Device, ()> {
        match name {
            "null" => Ok(Device::Null),
            "zero" => Ok(Device::Zero),
            "full" => Ok(Device::Full),
            _ => Err(()),
        }
    }
}

impl Device {
    /// Bytes that a read of up to `most` gets: all of them zero.
    fn readable(self, most: usize) -> usize {
        if self == Device::Null { 0 } else { most }
    }
}

impl Server for Device {
    fn start(env: &Env) -> Result<Device> {
        Ok(env.parse("device")?.unwrap_or(Device::Null))
    }
}

impl Character for Device {
    fn read(&mut self, _: &Context, buffer: &mut [u8]) -> Answer<usize> {
        let count = self.readable(buffer.len());
        buffer[..count].fill(0);
        Ok(count)
    }

    fn read_wait(&mut self, _: &Context, most: u32, reply: Reply<'_, Answer<Vec<u8>>>) {
        // As much as fits in a message with its length.
        reply.send(Ok(vec![0; self.readable((most as usize).min(PAYLOAD_BYTES - 16))]));
    }

    fn write(&mut self, _: &Context, bytes: &[u8]) -> Answer<u32> {
        if *self == Device::Full && !bytes.is_empty() { Err(CharacterError::Full) } else { Ok(bytes.len() as u32) }
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, Answer<()>>) {
        reply.send(Ok(()));
    }

    fn poll(&mut self, _: &Context) -> Readiness {
        Readiness { readable: u32::MAX, writable: u32::MAX, hung_up: false }
    }

    fn notify(&mut self, _: &Context, channel: Channel, bits: u64) -> Answer<()> {
        // Once is enough: they are always ready. A client that cannot be signalled has itself to blame.
        let _ = channel.signal(bits);
        Ok(())
    }

    fn attach(&mut self, _: &Context, _: Shared, _: Shared, _: Channel, _: u64) -> Answer<(Channel, u64)> {
        Err(CharacterError::Unsupported)
    }

    fn control(&mut self, _: &Context, _: Control) -> Answer<()> {
        Err(CharacterError::Unsupported)
    }

    fn line(&mut self, _: &Context) -> Answer<Line> {
        Err(CharacterError::Unsupported)
    }
}

libsys::serve!(Device: Character);

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::{Header, message::Stamp};

    #[test]
    fn each_is_what_it_is() {
        let cx = Context::new(1, Header(0), Stamp::default());
        for (name, read, written) in [("null", 0, Ok(3)), ("zero", 5, Ok(3)), ("full", 5, Err(CharacterError::Full))] {
            let mut device = name.parse::<Device>().expect("a device");
            let mut buffer = [9; 5];
            assert_eq!(device.read(&cx, &mut buffer), Ok(read));
            assert!(buffer[..read].iter().all(|byte| *byte == 0) && buffer[read..].iter().all(|byte| *byte == 9));
            assert_eq!(device.write(&cx, b"abc"), written);
            assert_eq!(device.write(&cx, b""), Ok(0));
            assert_eq!(device.line(&cx), Err(CharacterError::Unsupported));
        }
        assert_eq!("nul".parse::<Device>(), Err(()));
    }

    #[test]
    fn who_waits_for_them_is_told_at_once() {
        let (channel, cx) = (libsys::fake::channel(), Context::new(1, Header(0), Stamp::default()));
        let signaller = channel.signaller(4).expect("a handle");
        assert_eq!(Device::Zero.notify(&cx, signaller, 4), Ok(()));
        assert_eq!(channel.receive(Some(0)), Ok(libsys::channel::Event::Signals(4)));
    }
}
