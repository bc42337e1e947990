//! The collected logs of the kernel and of all programs. Serves `log`; the manifest says that it `collects-logs`. It may have a session
//! `console`, on which it shows records. Parameters: `keep`, KiB of records (256); `show`, the least urgent level that is
//! shown, or `none` (the default).
//!
//! Nobody says when a program has logged something: the rings are looked through when somebody reads, when a process has died,
//! and now and then; more often when somebody follows.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod sources;
mod store;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;
use libsys::driver::{Context, Env, Result};
use libsys::protocol::ConsoleClient;
use libsys::protocol::log::{Cursor, Level, Log, LogError, Record, Records};
use libsys::service::{Server, Sessions, Subscribers};
use libsys::time::{self, Duration, TimerId, Timers};
use libsys::{Channel, client};
use sources::Sources;
use store::Store;

/// There is another ring, or a process died.
const RINGS: u64 = 1 << 0;

/// Between two looks through the rings: while somebody follows, and otherwise.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(2);

/// Rounds of one look: beyond, it goes on later.
const ROUNDS: usize = 8;

struct Collector {
    sources: Sources,
    /// Index in the registry of the next ring that may come.
    next_ring: u32,
    store: Store,
    subscribers: Subscribers,
    /// What they want, by badge.
    least: Sessions<Level>,
    console: Option<ConsoleClient>,
    show: Option<Level>,
    /// Shown up to here; and what did not fit on the console of the line before.
    shown: Cursor,
    rest: Vec<u8>,
    timers: Timers,
}

impl Server for Collector {
    fn start(env: &Env) -> Result<Collector> {
        let Shown(show) = env.parse("show")?.unwrap_or(Shown(None));
        let keep = env.parse::<usize>("keep")?.unwrap_or(256).clamp(4, 1 << 16) << 10;
        let mut collector = Collector::new(keep, show);
        // Without a console there is nothing to show records on, and nothing else is amiss.
        collector.console = env.take("console").ok().map(client::unchecked);
        env.registry().watch_log_rings(&env.channel().signaller(RINGS)?, RINGS)?;
        collector.find_rings();
        collector.look();
        collector.release_rings();
        collector.arm();
        Ok(collector)
    }

    fn signal(&mut self, _: u64) {
        self.find_rings();
        self.look();
        self.release_rings();
    }

    fn timers(&mut self) -> Option<&mut Timers> {
        Some(&mut self.timers)
    }

    fn timer(&mut self, _: TimerId) {
        self.look();
        self.arm();
    }

    fn close(&mut self, badge: u64, _: u64, last: bool) {
        self.subscribers.close(badge, last);
        self.least.close(badge, last);
    }
}

impl Collector {
    fn new(keep: usize, show: Option<Level>) -> Collector {
        Collector {
            sources: Sources::default(),
            next_ring: 0,
            store: Store::new(keep),
            subscribers: Subscribers::new(),
            least: Sessions::new(),
            console: None,
            show,
            shown: Cursor::START,
            rest: Vec::new(),
            timers: Timers::new(),
        }
    }

    /// Takes up the rings that have come since.
    fn find_rings(&mut self) {
        let registry = libsys::env::get().registry();
        while let Ok((source, memory)) = registry.log_ring(self.next_ring) {
            let place = self.next_ring;
            self.next_ring += 1;
            match memory.map() {
                Ok(ring) => self.sources.add(place, source, ring),
                Err(error) => libsys::warn!("the log ring of {} cannot be read: {error}", source.name),
            }
        }
    }

    /// Gives up the rings of programs that have ended, with all that is in them taken in. For rings that come or end while this goes on
    /// there is another signal.
    fn release_rings(&mut self) {
        let registry = libsys::env::get().registry();
        let mut ended = registry.ended_log_rings().unwrap_or_default();
        ended.retain(|place| *place < self.next_ring);
        if ended.is_empty() {
            return;
        }
        // They may have written between the look and their end.
        self.look();
        for place in ended {
            self.sources.remove(place);
            // Refused, the ring stays with init, and nothing more comes out of it.
            let _ = registry.release_log_ring(place);
        }
    }

    /// Takes in what is new, tells those who follow, and shows it.
    fn look(&mut self) {
        let before = self.store.end();
        for _ in 0..ROUNDS {
            let (records, is_more) = self.sources.collect(time::now());
            for record in records {
                self.store.push(record);
            }
            if !is_more {
                break;
            }
        }
        if let Some(most_urgent) = self.store.most_urgent(before) {
            for (badge, least) in self.least.iter() {
                if most_urgent <= *least {
                    self.subscribers.notify_one(badge);
                }
            }
        }
        self.show_new();
    }

    /// Looks again, soon if somebody follows.
    fn arm(&mut self) {
        let is_followed = !self.subscribers.is_empty() || self.show.is_some();
        let after = if is_followed { OFTEN } else { SELDOM };
        let due = time::deadline_after(after);
        if self.timers.next_deadline().is_none_or(|set| set > due) {
            self.timers.at(due);
        }
    }

    /// Shows what is new on the console, as far as it has room: the rest later.
    fn show_new(&mut self) {
        let (Some(least), Some(console)) = (self.show, &self.console) else {
            self.shown = self.store.end();
            return self.rest.clear();
        };
        loop {
            if self.rest.is_empty() {
                let records = self.store.read(self.shown, least);
                for record in &records.records {
                    self.rest.extend_from_slice(line(record).as_bytes());
                }
                self.shown = records.next;
            }
            if self.rest.is_empty() {
                return;
            }
            let most = self.rest.len().min(1024);
            match console.write(&self.rest[..most]) {
                Ok(count) => drop(self.rest.drain(..(count as usize).min(most))),
                // It is full, or restarts: at the next look.
                Err(_) => return,
            }
        }
    }
}

impl Log for Collector {
    fn read(&mut self, after: Cursor, least: Level) -> Records {
        self.look();
        self.store.read(after, least)
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64, least: Level) {
        self.subscribers.subscribe(cx, channel, bits);
        if bits == 0 {
            self.least.close(cx.badge(), true);
        } else {
            self.least.insert(cx.badge(), least);
        }
        self.arm();
    }

    fn show(&mut self, cx: &Context, least: Option<Level>) -> core::result::Result<(), LogError> {
        if !cx.may_control() {
            return Err(LogError::Denied);
        }
        self.look();
        self.show = least;
        self.arm();
        Ok(())
    }
}

/// The parameter `show`.
struct Shown(Option<Level>);

impl FromStr for Shown {
    type Err = <Level as FromStr>::Err;

    fn from_str(text: &str) -> core::result::Result<Shown, Self::Err> {
        if text == "none" {
            return Ok(Shown(None));
        }
        text.parse().map(|level| Shown(Some(level)))
    }
}

/// A record as a line.
fn line(record: &Record) -> String {
    let (seconds, micros) = (record.time / 1_000_000_000, record.time / 1000 % 1_000_000);
    format!("[{seconds:5}.{micros:06}] {}: {}\n", record.source, record.text)
}

libsys::serve!(Collector: Log);

#[cfg(test)]
mod tests;
