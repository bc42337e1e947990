//! What the system has in use: what was given up comes back, though not always at once.

use crate::process::PATIENCE;
use crate::system::system;
use crate::test::{Failure, Outcome};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;
use libsys::Error;
use libsys::inspect::{self, SystemRecord};
use libsys::thread;
use libsys::time::Instant;

/// How long nothing changes before nothing will.
const QUIET: Duration = Duration::from_millis(5);

/// Frames and objects in use. All the same to a program that may not inspect the system: it compares nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts(SystemRecord);

impl Counts {
    /// As they are now.
    pub fn now() -> Result<Counts, Failure> {
        // The kernel remembers the channel that a thread received on last, as long as it does: one that stays.
        thread::park_timeout(Duration::ZERO);
        let Some(resource) = &system().inspect else { return Ok(Counts(SystemRecord::default())) };
        let mut record = inspect::system(resource)?;
        // What has nothing to do with what is in use.
        record.uptime = 0;
        Ok(Counts(record))
    }

    /// As they are once nothing changes any more: what was given up before is back.
    pub fn settled() -> Result<Counts, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut counts = Counts::now()?;
        let mut since = Instant::now();
        while since.elapsed() < QUIET && Instant::now() < deadline {
            thread::yield_now();
            let now = Counts::now()?;
            if now != counts {
                (counts, since) = (now, Instant::now());
            }
        }
        Ok(counts)
    }

    /// Waits until everything that was taken since is given back. Error: what is not.
    pub fn wait_until_back(self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Counts::now()?;
            // Less than before is what was given up before, and came back late.
            if now.is_within(&self) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!(
                    "not given back:{}; there are{}",
                    self.differences(&now),
                    processes()
                )));
            }
            thread::yield_now();
        }
    }

    /// Whether no more is in use than in `other`.
    fn is_within(&self, other: &Counts) -> bool {
        self.0.free_frames >= other.0.free_frames
            && self.fields()[1..].iter().zip(&other.fields()[1..]).all(|((_, here), (_, there))| here <= there)
    }

    fn differences(&self, now: &Counts) -> String {
        let mut text = String::new();
        for ((name, before), (_, after)) in self.fields().into_iter().zip(now.fields()) {
            if before != after {
                let _ = write!(text, " {name} {before} -> {after}");
            }
        }
        text
    }

    fn fields(&self) -> [(&'static str, u64); 14] {
        let SystemRecord {
            free_frames,
            processes,
            threads,
            channels,
            sessions,
            calls,
            memories,
            handles,
            accounts,
            interrupts,
            io_ports,
            dma_domains,
            resources,
            cpus,
            ..
        } = self.0;
        [
            ("free frames", free_frames),
            ("processes", processes),
            ("threads", threads),
            ("channels", channels),
            ("sessions", sessions),
            ("calls", calls),
            ("memories", memories),
            ("handles", handles),
            ("accounts", accounts),
            ("interrupts", interrupts),
            ("ports", io_ports),
            ("DMA domains", dma_domains),
            ("resources", resources),
            ("CPUs", cpus),
        ]
    }
}

/// CPUs.
pub fn cpus() -> u64 {
    let count = (0..63).take_while(|cpu| thread::set_affinity(1 << cpu).is_ok()).count();
    let _ = thread::set_affinity(u64::MAX);
    count as u64
}

/// All processes, for people.
pub fn processes() -> String {
    let Some(resource) = &system().inspect else { return String::new() };
    let processes = inspect::processes(resource).filter_map(Result::ok);
    let described = processes.map(|record| {
        let states = inspect::threads(resource, Some(record.process)).filter_map(Result::ok);
        let states: String = states
            .map(|thread| {
                let inspect::ThreadRecord { thread, state, cpu, waits_on, run_time, depth, call_age, .. } = thread;
                let state = inspect::ThreadState::text(state);
                format!(" {thread}: {state} on {waits_on}, CPU {cpu}, depth {depth}, ran {run_time}, age {call_age},")
            })
            .collect();
        let name = inspect::name(&record);
        format!(
            " {} {name:?} of {} in state {} with {} handles, threads{states};",
            record.process, record.parent, record.state, record.handles
        )
    });
    described.collect()
}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Failure {
        Failure::new(format!("{error:?}"))
    }
}
