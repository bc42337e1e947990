//! `deaths`: a service that kills others and measures how they come back, and its client.
//!
//! | arguments | is |
//! |---|---|
//! | `serve` | the service |
//! | `recover SERVICE PROBE TIMES [DIRECTORY]` | kills it so often, and prints of each death what it took until a request was answered: `death BUSY ELAPSED`, nanoseconds at work and of the clock. Files are written in the directory before each |
//! | `restart SERVICE PROBE WARM TIMES` | kills it so often, after some kills that do not count, as fast as it goes, and prints what is otherwise afterwards: lines that begin with `residue`, and whose memory it is |
//! | `begin NANOSECONDS SEED SERVICE…`, `end` | kills one of them every so many nanoseconds; `killed COUNT` and `passed COUNT` are printed at the end |
//! | `work KIND ON UNTIL SECONDS` | works for so long, or until the moment in the file UNTIL if it is there ([`work`]): `work KIND OPERATIONS` |
//! | `clock` | prints `clock ELAPSED IDLE`: nanoseconds since boot, and those of them in which processors were idle |
//! | `write FILE MIB EVERY` | writes a pattern, with `fsync` after every so many MiB and at the end |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod census;
mod probe;
mod protocol;
mod work;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use census::Census;
use core::fmt::Display;
use guest::random::Random;
use guest::say;
use libsys::client::{self, CallError};
use libsys::fs::{self, File};
use libsys::protocol::registry::{Action, RegistryError};
use libsys::service::{self, Server};
use libsys::time::{self, Duration, TimerId, Timers};
use libsys::{Error, ExitStatus, Resource, env, inspect, path};
use probe::Probe;
use protocol::{Cost, Deaths, DeathsClient};

/// The name of the service, and of the program.
const NAME: &str = "deaths";

/// The name of its right to inspect, in the manifest.
const INSPECT: &str = "inspect";

/// Between two attempts to kill a service that is not back yet, and between two kills as fast as it goes.
const POLL: Duration = Duration::from_micros(200);

/// What follows a start is over by then; and as much again at most, drawn by lot, until the next kill.
const CALM: Duration = Duration::from_millis(5);

/// Kills that one call asks for: their costs fit in its reply.
const BATCH: u32 = 100;

/// Files that are written before each death where that is asked for, how many of them there are in all, and their bytes.
const FILES: u32 = 8;
const ALL_FILES: u32 = 256;
const FILE_BYTES: usize = 16 << 10;

/// Bytes that are written at once.
const PIECE: usize = 128 << 10;

/// Each word of a pattern is its number times this.
const PATTERN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Services that die from time to time.
struct Storm {
    names: Vec<String>,
    period: u64,
    next: u64,
    random: Random,
    timer: TimerId,
}

struct Service {
    inspect: Resource,
    random: Random,
    written: u32,
    census: Census,
    storm: Option<Storm>,
    killed: u32,
    passed: u32,
    timers: Timers,
}

fn told<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}

fn try_to_kill(name: &str) -> Result<(), CallError<RegistryError>> {
    env::get().registry().control(name, Action::Kill)
}

/// Kills a service, as soon as it is one that can be killed.
fn kill(name: &str) -> Result<(), String> {
    loop {
        match try_to_kill(name) {
            Err(CallError::Failed(RegistryError::NotPossible)) => time::sleep(POLL),
            other => return other.map_err(told(name)),
        }
    }
}

impl Server for Service {
    fn start(env: &env::Env) -> service::Result<Service> {
        Ok(Service {
            inspect: env.take(INSPECT)?,
            random: Random::new(1),
            written: 0,
            census: Census::default(),
            storm: None,
            killed: 0,
            passed: 0,
            timers: Timers::new(),
        })
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, timer: TimerId) {
        let Some(storm) = self.storm.as_mut().filter(|storm| storm.timer == timer) else { return };
        let mut left: Vec<&String> = storm.names.iter().collect();
        let mut is_done = false;
        while !is_done && !left.is_empty() {
            let name = left.swap_remove(storm.random.below(left.len() as u64) as usize);
            is_done = try_to_kill(name).is_ok();
        }
        if is_done {
            self.killed += 1;
        } else {
            self.passed += 1;
        }
        while storm.next <= time::now() {
            storm.next += storm.period;
        }
        storm.timer = self.timers.at(storm.next);
    }
}

impl Service {
    fn read_clock(&self) -> Result<(u64, u64), Error> {
        let mut idle = 0;
        for cpu in inspect::cpus(&self.inspect) {
            idle += cpu?.idle;
        }
        Ok((time::now(), idle))
    }

    /// Leaves work behind that is not on the disk.
    fn write_files(&mut self, directory: &str) -> Result<(), String> {
        for _ in 0..FILES {
            let name = path::join(directory, &(self.written % ALL_FILES).to_string());
            fs::write(&name, vec![self.written as u8; FILE_BYTES]).map_err(told(&name))?;
            self.written += 1;
        }
        Ok(())
    }

    fn recover_once(&mut self, name: &str, probe: &mut Probe, busy: &str) -> Result<Cost, String> {
        time::sleep(CALM + Duration::from_nanos(self.random.below(CALM.as_nanos() as u64)));
        if !busy.is_empty() {
            self.write_files(busy)?;
        }
        let (begun, idle) = self.read_clock().map_err(told("the clock"))?;
        kill(name)?;
        probe.ask()?;
        let (ended, idle_then) = self.read_clock().map_err(told("the clock"))?;
        let elapsed = ended - begun;
        Ok(Cost { busy: elapsed.saturating_sub(idle_then - idle), elapsed })
    }
}

impl Deaths for Service {
    fn recover(&mut self, name: &str, probe: &str, busy: &str, times: u32) -> Result<Vec<Cost>, String> {
        let mut probe = Probe::open(name, probe)?;
        probe.ask()?;
        (0..times).map(|_| self.recover_once(name, &mut probe, busy)).collect()
    }

    fn restart(&mut self, name: &str, probe: &str, times: u32) -> Result<(), String> {
        let mut probe = Probe::open(name, probe)?;
        for _ in 0..times {
            kill(name)?;
            probe.ask()?;
            // All others are at rest then: who has a lower priority does what there is to do, and it does not pile up.
            time::sleep(POLL);
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        self.census = Census::settled(&self.inspect).map_err(told("a count"))?;
        Ok(())
    }

    fn residue(&mut self) -> Result<Vec<String>, String> {
        self.census.changes(&self.inspect).map_err(told("a count"))
    }

    fn begin(&mut self, names: Vec<String>, period: u64, seed: u64) {
        (self.killed, self.passed) = (0, 0);
        let next = time::now() + period;
        let timer = self.timers.at(next);
        self.storm = Some(Storm { names, period: period.max(1), next, random: Random::new(seed), timer });
    }

    fn end(&mut self) -> (u32, u32) {
        self.storm = None;
        (self.killed, self.passed)
    }

    fn clock(&mut self) -> Result<(u64, u64), String> {
        self.read_clock().map_err(told("the clock"))
    }
}

libsys::serves!(Service: Deaths);

/// How a client fails: what it says, and its status is 1.
type Outcome = Result<(), String>;

fn connect() -> Result<DeathsClient, String> {
    Ok(client::unchecked(env::get().registry().connect(NAME, true).map_err(told(NAME))?))
}

fn said(error: CallError<String>) -> String {
    match error {
        CallError::Failed(text) => text,
        other => format!("{NAME}: {other:?}"),
    }
}

fn number<T: core::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number"))
}

/// `times` in parts of [`BATCH`].
fn batches(times: u32) -> impl Iterator<Item = u32> {
    (0..times).step_by(BATCH as usize).map(move |done| BATCH.min(times - done))
}

fn recover(name: &str, probe: &str, times: &str, busy: &str) -> Outcome {
    let service = connect()?;
    for times in batches(number(times)?) {
        for Cost { busy, elapsed } in service.recover(name, probe, busy, times).map_err(said)? {
            say!("death {busy} {elapsed}");
        }
    }
    Ok(())
}

fn restart(name: &str, probe: &str, warm: &str, times: &str) -> Outcome {
    let service = connect()?;
    let restart = |times: &str| -> Outcome {
        batches(number(times)?).try_for_each(|times| service.restart(name, probe, times).map_err(said))
    };
    restart(warm)?;
    service.count().map_err(said)?;
    restart(times)?;
    for line in service.residue().map_err(said)? {
        say!("{line}");
    }
    Ok(())
}

fn write(file: &str, mebibytes: &str, every: &str) -> Outcome {
    let (mebibytes, every): (usize, usize) = (number(mebibytes)?, number(every)?);
    let open = File::create(file).map_err(told(file))?;
    let mut bytes = vec![0; PIECE];
    let pieces = (1 << 20) / PIECE;
    for piece in 0..mebibytes * pieces {
        for (word, bytes) in bytes.chunks_mut(8).enumerate() {
            let number = (piece * PIECE / 8 + word) as u64;
            bytes.copy_from_slice(&number.wrapping_mul(PATTERN).to_le_bytes());
        }
        let mut left = &bytes[..];
        while !left.is_empty() {
            let count = open.write(left).map_err(told(file))?;
            left = left.get(count..).filter(|_| count > 0).ok_or_else(|| format!("{file}: nothing is written"))?;
        }
        if (piece + 1).is_multiple_of(every.max(1) * pieces) {
            open.sync_all().map_err(told(file))?;
        }
    }
    open.sync_all().map_err(told(file))
}

fn run() -> ExitStatus {
    let words: Vec<&str> = env::arguments().iter().skip(1).map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve"] => service::main::<Service>().map_err(|error| format!("{error}")),
        ["recover", name, probe, times] => recover(name, probe, times, ""),
        ["recover", name, probe, times, busy] => recover(name, probe, times, busy),
        ["restart", name, probe, warm, times] => restart(name, probe, warm, times),
        ["begin", period, seed, ..] => {
            let names = words[3..].iter().map(|name| name.to_string()).collect();
            let begin = |period, seed| connect()?.begin(names, period, seed).map_err(told(NAME));
            number(period).and_then(|period| begin(period, number(seed)?))
        }
        ["end"] => connect().and_then(|service| service.end().map_err(told(NAME))).map(|(killed, passed)| {
            say!("killed {killed}");
            say!("passed {passed}");
        }),
        ["clock"] => connect()
            .and_then(|service| service.clock().map_err(said))
            .map(|(elapsed, idle)| say!("clock {elapsed} {idle}")),
        ["work", kind, on, until, seconds] => number(seconds)
            .and_then(|seconds| work::common_end(until, seconds))
            .and_then(|end| work::until(kind, on, end))
            .map(|operations| say!("work {kind} {operations}")),
        ["write", file, mebibytes, every] => write(file, mebibytes, every),
        _ => Err("serve, recover, restart, begin, end, work, clock or write".to_string()),
    };
    match outcome {
        Ok(()) => ExitStatus::SUCCESS,
        Err(error) => {
            say!("deaths: {error}");
            ExitStatus::FAILURE
        }
    }
}

libsys::main!(run);
