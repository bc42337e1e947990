//! A counter in memory. Serves `counter`. Parameter: `limit`, the largest count (none: 2⁶⁴ − 1).

use super::counter::{Counter, CounterError};
use libsys::Handle;
use libsys::driver::{Env, Result};
use libsys::service::{Kept, Reply, Server};

pub struct Tally {
    count: u64,
    limit: u64,
    /// Those who wait, and for which count.
    waiting: Vec<(Kept<u64>, u64)>,
}

impl Server for Tally {
    fn start(env: &Env) -> Result<Tally> {
        Ok(Tally { count: 0, limit: env.parse("limit")?.unwrap_or(u64::MAX), waiting: Vec::new() })
    }

    fn withdrawn(&mut self, call: Handle) {
        self.waiting.retain(|(kept, _)| !kept.is(call));
    }
}

impl Counter for Tally {
    fn count(&mut self) -> u64 {
        self.count
    }

    fn add(&mut self, number: u64) -> core::result::Result<u64, CounterError> {
        let sum = self.count.checked_add(number).filter(|sum| *sum <= self.limit);
        self.count = sum.ok_or(CounterError::TooLarge)?;
        self.wake();
        Ok(self.count)
    }

    fn wait_for(&mut self, least: u64, reply: Reply<'_, u64>) {
        if self.count >= least {
            return reply.send(self.count);
        }
        // Where the call cannot be kept it is let go: its caller gets `Abandoned`.
        if let Ok(call) = reply.keep()
            && call.park().is_ok()
        {
            self.waiting.push((call, least));
        }
    }
}

impl Tally {
    /// Answers those who wait for no more than the count.
    fn wake(&mut self) {
        let count = self.count;
        for (call, _) in self.waiting.extract_if(.., |(_, least)| *least <= count) {
            // A caller that is gone misses nothing.
            let _ = call.reply(count);
        }
    }
}

libsys::serve!(Tally: Counter);
