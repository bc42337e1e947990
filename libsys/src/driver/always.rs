//! The class of stream devices that can be read and written at any time, and never make anybody wait: a driver implements
//! [`AlwaysReady`], and is served as `Always<Driver>`. Such a device keeps nothing, so that requests may come again after a death.

use super::{Context, Driver, Env, Result};
use crate::Channel;
use crate::protocol::character::{Character, CharacterError, Control, Line, Readiness};
use crate::service::{Reply, Serve};
use crate::wire::{Answer, Method, Request, Shared};
use alloc::vec;
use alloc::vec::Vec;

/// A device that is always ready.
pub trait AlwaysReady: Sized {
    /// Finds the device and makes it ready.
    fn start(env: &Env) -> Result<Self>;

    /// Puts bytes in `buffer`, and returns how many: 0 at the end of the stream, for ever.
    fn read(&mut self, buffer: &mut [u8]) -> Done<usize>;

    /// Takes bytes, and returns how many.
    fn write(&mut self, bytes: &[u8]) -> Done<usize>;
}

type Done<T> = core::result::Result<T, CharacterError>;

/// Such a device as a server.
#[derive(Debug)]
pub struct Always<D>(pub D);

impl<D: AlwaysReady> Driver for Always<D> {
    fn start(env: &Env) -> Result<Self> {
        Ok(Always(D::start(env)?))
    }

    /// What is written leaves no trace, and what is read is made for it.
    fn is_stateless(&self) -> bool {
        true
    }
}

impl<D: AlwaysReady> Serve for Always<D> {
    const PROTOCOLS: &'static [&'static [Method]] = &[<dyn Character>::METHODS];

    fn dispatch(&mut self, request: &Request) -> Answer {
        <dyn Character>::dispatch(self, request)
    }
}

impl<D: AlwaysReady> Character for Always<D> {
    fn read(&mut self, _: &Context, buffer: &mut [u8]) -> Done<usize> {
        self.0.read(buffer)
    }

    fn read_wait(&mut self, _: &Context, most: u32, reply: Reply<'_, Done<Vec<u8>>>) {
        // As much as fits in a message with its length.
        let mut bytes = vec![0; (most as usize).min(abi::PAYLOAD_BYTES - 16)];
        reply.send(self.0.read(&mut bytes).map(|count| {
            bytes.truncate(count);
            bytes
        }));
    }

    fn write(&mut self, _: &Context, bytes: &[u8]) -> Done<u32> {
        Ok(self.0.write(bytes)? as u32)
    }

    fn flush(&mut self, _: &Context, reply: Reply<'_, Done<()>>) {
        reply.send(Ok(()));
    }

    fn poll(&mut self, _: &Context) -> Readiness {
        Readiness { readable: u32::MAX, writable: u32::MAX, hung_up: false }
    }

    fn notify(&mut self, _: &Context, channel: Channel, bits: u64) -> Done<()> {
        // Once is enough: they are always ready. A client that cannot be signalled has itself to blame.
        let _ = channel.signal(bits);
        Ok(())
    }

    fn attach(&mut self, _: &Context, _: Shared, _: Shared, _: Channel, _: u64) -> Done<(Channel, u64)> {
        Err(CharacterError::Unsupported)
    }

    fn control(&mut self, _: &Context, _: Control) -> Done<()> {
        Err(CharacterError::Unsupported)
    }

    fn line(&mut self, _: &Context) -> Done<Line> {
        Err(CharacterError::Unsupported)
    }
}
