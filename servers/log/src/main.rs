//! The collected logs of the kernel and of all programs. Serves `log`; the manifest says that it `collects-logs`. It may have a session
//! `console`, on which it shows records. Parameters: `keep`, KiB for records (256); `show`, the least urgent level that is
//! shown at first, or `none` (the default).
//!
//! Nobody says when a program has logged something: the rings are looked through when somebody reads, when a process has died,
//! and now and then; more often when somebody follows.
//!
//! Records, and how far each ring was read, outlive the process: they are committed together. On the console a line that was on its way when the server
//! died may be shown again.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod sources;
mod store;

use alloc::format;
use alloc::string::String;
use core::str::FromStr;
use libsys::driver::{Context, Env, Result};
use libsys::protocol::ConsoleClient;
use libsys::protocol::log::{Cursor, Level, Log, LogError, Record, Records};
use libsys::service::{KeptSubscribers, Server, Sessions};
use libsys::state::{self, Keepsake, RecordKey, Retained};
use libsys::time::{self, Duration, TimerId, Timers};
use libsys::{Account, Channel, Memory, Object, client};
use serde::{Deserialize, Serialize};
use sources::{Position, Sources};
use store::{Extent, Store};

// The records of its state: the Memory of the store; what of it counts; how far each ring was read; settings; who follows, and what they want.
const STORE: RecordKey = RecordKey::new(1, 0);
const EXTENT: RecordKey = RecordKey::new(2, 0);
const RING: u16 = 3;
const SHOWING: RecordKey = RecordKey::new(4, 0);
const SUBSCRIBERS: u16 = 5;
const LEAST: u16 = 6;

/// There is another ring, or a process died.
const RINGS: u64 = 1 << 0;

/// Between two looks through the rings: while somebody follows, and otherwise.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(2);

/// Rounds of one look: beyond, it goes on later.
const ROUNDS: usize = 8;

/// Records of one commit, at most: what is staged for it is in memory.
const MOST_STAGED: usize = 64;

struct Collector {
    kept: state::Records,
    sources: Sources,
    /// Index in the registry of the next ring that may come.
    next_ring: u32,
    store: Store,
    subscribers: KeptSubscribers,
    /// What they want, by badge.
    least: Sessions<Level>,
    console: Option<ConsoleClient>,
    showing: Showing,
    timers: Timers,
}

/// What is shown on the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Showing {
    least: Option<Level>,
    /// Shown up to here.
    shown: Cursor,
    /// And so many bytes of the record behind.
    part: usize,
}

impl Server for Collector {
    fn start(env: &Env) -> Result<Collector> {
        let Shown(show) = env.parse("show")?.unwrap_or(Shown(None));
        let keep = env.parse::<usize>("keep")?.unwrap_or(256).clamp(store::SMALLEST >> 10, 1 << 16) << 10;
        let mut collector = Collector::new(state::Records::open(env)?, env.account(), keep, show)?;
        // Without a console there is nothing to show records on, and nothing else is amiss.
        collector.console = env.take("console").ok().map(client::unchecked);
        env.registry().watch_log_rings(&env.channel().signaller(RINGS)?, RINGS)?;
        collector.find_rings();
        collector.forget_rings();
        collector.look();
        collector.release_rings();
        collector.arm();
        Ok(collector)
    }

    fn records(&mut self) -> Option<&mut state::Records> {
        Some(&mut self.kept)
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
        self.subscribers.close(&mut self.kept, badge, last);
        if self.least.close(badge, last).is_some() {
            self.kept.remove(RecordKey::new(LEAST, badge));
        }
    }
}

impl Collector {
    /// A collector that goes on where the one before has died; otherwise with room for `keep` bytes.
    fn new(mut kept: state::Records, account: &Account, keep: usize, show: Option<Level>) -> Result<Collector> {
        let before = kept.get::<Keepsake>(STORE).and_then(|memory| Retained::<Memory>::recover(memory).ok());
        let memory = match before {
            Some(memory) => memory,
            None => {
                let memory = Retained::keep(Memory::create(account, keep as u64)?, &mut kept)?;
                kept.put(STORE, &memory.keepsake()).map_err(|_| libsys::Error::NoSlot)?;
                kept.commit();
                memory
            }
        };
        let store = Store::recover(memory.map_writable()?, kept.get::<Extent>(EXTENT).unwrap_or_default());
        let mut least = Sessions::new();
        for (key, level) in kept.all(LEAST) {
            least.insert(key.first, level);
        }
        let mut subscribers = KeptSubscribers::recover(SUBSCRIBERS, &kept);
        subscribers.notify(&mut kept);
        let showing = kept.get(SHOWING).unwrap_or(Showing { least: show, ..Showing::default() });
        Ok(Collector {
            kept,
            sources: Sources::default(),
            next_ring: 0,
            store,
            subscribers,
            least,
            console: None,
            showing,
            timers: Timers::new(),
        })
    }

    /// Takes up the rings that have come since.
    fn find_rings(&mut self) {
        let registry = libsys::env::get().registry();
        while let Ok((source, memory)) = registry.log_ring(self.next_ring) {
            let place = self.next_ring;
            self.next_ring += 1;
            match memory.map().and_then(|ring| Ok((ring, memory.inspect_handle()?.object))) {
                Ok((ring, number)) => {
                    let position = self.kept.get::<Position>(RecordKey::new(RING, number)).unwrap_or_default();
                    self.sources.add(place, number, source, ring, position);
                }
                Err(error) => libsys::warn!("the log ring of {} cannot be read: {error}", source.name),
            }
        }
    }

    /// Forgets how far rings were read that are not there any more.
    fn forget_rings(&mut self) {
        for (key, _) in self.kept.all::<Position>(RING) {
            if !self.sources.has(key.first) {
                self.kept.remove(key);
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
            if let Some(number) = self.sources.remove(place) {
                self.kept.remove(RecordKey::new(RING, number));
            }
            // Refused, the ring stays with init, and nothing more comes out of it.
            let _ = registry.release_log_ring(place);
        }
    }

    /// Takes in what is new, tells those who follow, and shows it.
    fn look(&mut self) {
        let before = self.store.end();
        for _ in 0..ROUNDS {
            let now = time::now();
            self.sources.begin_round();
            let mut staged = 0;
            while let Some(collected) = self.sources.next(now) {
                if staged == MOST_STAGED || !self.store.push(&collected.record) {
                    self.commit();
                    staged = 0;
                    self.store.push(&collected.record);
                }
                self.keep(RecordKey::new(RING, collected.ring), &collected.position);
                staged += 1;
            }
            self.commit();
            if !self.sources.has_more() {
                break;
            }
        }
        if let Some(most_urgent) = self.store.most_urgent(before) {
            for (badge, least) in self.least.iter() {
                if most_urgent <= *least {
                    self.subscribers.notify_one(&mut self.kept, badge);
                }
            }
        }
        self.show_new();
    }

    /// Makes true what was taken in: the records, and how far the rings were read. Before an answer tells of it, and whatever else comes of the request.
    fn commit(&mut self) {
        if self.kept.get(EXTENT) != Some(self.store.extent()) {
            self.keep(EXTENT, &self.store.extent());
        }
        self.kept.commit();
        self.store.committed();
    }

    fn keep(&mut self, key: RecordKey, value: &impl Serialize) {
        // What has no room is as it was before, after a death: a ring would be read again from there.
        let _ = self.kept.put(key, value);
    }

    fn keep_showing(&mut self) {
        let showing = self.showing;
        self.keep(SHOWING, &showing);
    }

    /// Looks again, soon if somebody follows.
    fn arm(&mut self) {
        let is_followed = !self.subscribers.is_empty() || self.showing.least.is_some();
        let after = if is_followed { OFTEN } else { SELDOM };
        let due = time::deadline_after(after);
        if self.timers.next_deadline().is_none_or(|set| set > due) {
            self.timers.at(due);
        }
    }

    /// Shows what is new on the console, as far as it has room: the rest later.
    fn show_new(&mut self) {
        let before = self.showing;
        match (self.showing.least, &self.console) {
            (Some(least), Some(console)) => self.showing = show(console, &self.store, least, before),
            _ => (self.showing.shown, self.showing.part) = (self.store.end(), 0),
        }
        if self.showing != before {
            self.keep_showing();
            self.kept.commit();
        }
    }
}

/// Shows records from somewhere on, and returns how far it came.
fn show(console: &ConsoleClient, store: &Store, least: Level, mut showing: Showing) -> Showing {
    loop {
        let records = store.read(showing.shown, least);
        if records.records.is_empty() {
            return Showing { shown: records.next, part: 0, ..showing };
        }
        if records.lost > 0 {
            showing.part = 0;
        }
        let text: String = records.records.iter().map(line).collect();
        let rest = text.as_bytes().get(showing.part..).unwrap_or_default();
        if rest.is_empty() {
            (showing.shown, showing.part) = (records.next, 0);
            continue;
        }
        match console.write(&rest[..rest.len().min(1024)]) {
            Ok(count) => showing.part += count as usize,
            // It is full: at the next look.
            Err(_) => return showing,
        }
    }
}

impl Log for Collector {
    fn read(&mut self, after: Cursor, least: Level) -> Records {
        self.look();
        self.store.read(after, least)
    }

    fn notify(&mut self, cx: &Context, channel: Channel, bits: u64, least: Level) {
        let _ = self.subscribers.subscribe(&mut self.kept, cx, channel, bits);
        let key = RecordKey::new(LEAST, cx.badge());
        if bits == 0 {
            self.least.close(cx.badge(), true);
            self.kept.remove(key);
        } else {
            self.least.insert(cx.badge(), least);
            self.keep(key, &least);
        }
        self.arm();
    }

    fn show(&mut self, cx: &Context, least: Option<Level>) -> core::result::Result<(), LogError> {
        if !cx.may_control() {
            return Err(LogError::Denied);
        }
        self.look();
        if self.showing.least != least {
            // What had no room on the console until now is left out.
            self.showing = Showing { least, shown: self.store.end(), part: 0 };
            self.keep_showing();
        }
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
