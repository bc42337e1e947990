//! Random numbers: ChaCha20 (RFC 8439), seeded from the processor. Serves `random`.
//!
//! The key is replaced by the first bytes of what it makes before anything is given away, so that who sees the state
//! learns nothing about earlier numbers (D. J. Bernstein, «Fast-key-erasure random-number generators»). Every 1,024 requests, and
//! whenever a client wants it, fresh bits of the processor are stirred in.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod generator;

use generator::Generator;
use libsys::driver::{Context, Env, Result};
use libsys::protocol::random::{Random, RandomError};
use libsys::random::{rdrand, rdseed, time_stamp};
use libsys::service::Server;

/// Requests after which the processor is asked again.
const REQUESTS_PER_SEED: u32 = 1024;

struct Pool {
    generator: Generator,
    is_seeded: bool,
    requests: u32,
}

impl Server for Pool {
    fn start(_: &Env) -> Result<Pool> {
        let mut pool = Pool { generator: Generator::new([0; 32]), is_seeded: false, requests: 0 };
        if pool.seed(processor_seed()).is_err() {
            // It serves all the same: who asks is told, and whoever waits for it is not held up.
            libsys::critical!("this processor has no random numbers to give: nobody gets any");
        }
        Ok(pool)
    }
}

impl Pool {
    fn seed(&mut self, seed: Option<[u8; 32]>) -> core::result::Result<(), RandomError> {
        self.generator.stir(&time_stamp().to_le_bytes());
        let seed = seed.ok_or(RandomError::NotSeeded)?;
        self.generator.stir(&seed);
        (self.is_seeded, self.requests) = (true, 0);
        Ok(())
    }
}

impl Random for Pool {
    fn fill(&mut self, buffer: &mut [u8]) -> core::result::Result<usize, RandomError> {
        self.requests += 1;
        if !self.is_seeded || self.requests >= REQUESTS_PER_SEED {
            // A seed is not lost because there is no fresh one right now.
            self.seed(processor_seed()).or_else(|error| if self.is_seeded { Ok(()) } else { Err(error) })?;
        }
        self.generator.fill(buffer);
        Ok(buffer.len())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.generator.stir(bytes);
    }

    fn reseed(&mut self, cx: &Context) -> core::result::Result<(), RandomError> {
        if !cx.may_control() {
            return Err(RandomError::Denied);
        }
        self.seed(processor_seed())
    }
}

/// 256 bits of the processor's entropy source; of its generator, several times as many, where it has no more.
fn processor_seed() -> Option<[u8; 32]> {
    let mut seed = Generator::new([0; 32]);
    for _ in 0..4 {
        match rdseed() {
            Some(bits) => seed.stir(&bits.to_le_bytes()),
            // Its generator is seeded anew after at most 511 128-bit numbers; several are mixed in place of one.
            None => (0..8).try_for_each(|_| rdrand().map(|bits| seed.stir(&bits.to_le_bytes())))?,
        }
    }
    let mut bytes = [0; 32];
    seed.fill(&mut bytes);
    Some(bytes)
}

libsys::serve!(Pool: Random);

#[cfg(test)]
mod tests;
