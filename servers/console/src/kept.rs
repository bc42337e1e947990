//! What outlives a console: everything that was promised, as records.
//!
//! | record | holds |
//! |---|---|
//! | `RINGS` | the rings that are shared with the device |
//! | `STATE` | [`State`] |
//! | `LINE`, `READY`, `ECHO` | input that nobody has read, and echo that waits for room |
//! | `MODE`, by badge | modes of a session |
//! | `HELD` | input that a reader got, and has not noted yet |
//! | `INTERRUPTS` | whom Ctrl-C is told |
//! | `SUBSCRIBERS`, by badge | who is signalled |

use crate::device::Positions;
use crate::discipline::Discipline;
use alloc::vec::Vec;
use libsys::protocol::console::Mode;
use libsys::service::Sessions;
use libsys::state::{Full, Keepsake, RecordKey, Records, Retained};
use libsys::{Channel, Error};
use serde::{Deserialize, Serialize};

pub const RINGS: RecordKey = RecordKey::new(1, 0);
const STATE: RecordKey = RecordKey::new(2, 0);
const LINE: RecordKey = RecordKey::new(3, 0);
const READY: RecordKey = RecordKey::new(4, 0);
const ECHO: RecordKey = RecordKey::new(5, 0);
const MODE: u16 = 6;
const INTERRUPTS: RecordKey = RecordKey::new(7, 0);
pub const SUBSCRIBERS: u16 = 8;
const HELD: RecordKey = RecordKey::new(9, 0);

/// What is small, and changes with every key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub positions: Positions,
    /// The session that reads, or that read last.
    pub reader: Option<u64>,
    /// How the unread input was treated, and how much of the line.
    pub mode: Mode,
    pub shown: usize,
    pub size: (u16, u16),
    /// Ctrl-C was typed, and nobody was told yet.
    pub is_interrupting: bool,
}

/// Input that a reader got, and has not noted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The reader's session.
    pub badge: u64,
    /// How many bytes it had noted before.
    pub noted: u64,
    pub bytes: Vec<u8>,
}

/// Whom Ctrl-C is told.
#[derive(Debug)]
pub struct Interrupted {
    /// Of the session that asked.
    pub badge: u64,
    pub channel: Retained<Channel>,
    pub bits: u64,
}

/// The records, and what was staged last.
#[derive(Debug)]
pub struct Kept {
    pub records: Records,
    state: State,
    line: Vec<u8>,
    ready: Vec<u8>,
    echo: Vec<u8>,
    /// Something had no room: said once.
    is_short: bool,
}

impl Kept {
    /// What the incarnation before has left.
    pub fn new(records: Records) -> Kept {
        let bytes = |key| records.bytes_of(key).unwrap_or_default();
        let (line, ready, echo) = (bytes(LINE), bytes(READY), bytes(ECHO));
        let state = records.get(STATE).unwrap_or_default();
        Kept { records, state, line, ready, echo, is_short: false }
    }

    /// The last state that was staged.
    pub fn state(&self) -> State {
        self.state
    }

    /// The unread input, as it was.
    pub fn discipline(&self) -> Discipline {
        Discipline::restore(self.state.mode, self.line.clone(), self.state.shown, &self.ready)
    }

    /// The echo that waits.
    pub fn echo(&self) -> &[u8] {
        &self.echo
    }

    /// What a reader has not noted.
    pub fn held(&self) -> Option<Held> {
        self.records.get(HELD)
    }

    /// Stages that.
    pub fn hold(&mut self, held: Option<&Held>) {
        match held {
            Some(held) => {
                let fits = self.records.put(HELD, held).is_ok();
                self.note_room(fits);
            }
            None => self.records.remove(HELD),
        }
    }

    /// The modes of all sessions.
    pub fn modes(&self) -> Sessions<Mode> {
        let mut modes = Sessions::new();
        for (key, mode) in self.records.all(MODE) {
            modes.insert(key.first, mode);
        }
        modes
    }

    /// Whom Ctrl-C is told.
    pub fn interrupts(&self) -> Option<Interrupted> {
        let (badge, channel, bits) = self.records.get::<(u64, Keepsake, u64)>(INTERRUPTS)?;
        Some(Interrupted { badge, channel: Retained::recover(channel).ok()?, bits })
    }

    /// Stages what has changed since the last time. What has no room is lost if the console dies now: better than a terminal that stands still.
    pub fn stage(&mut self, state: State, discipline: &Discipline, echo: &[u8]) {
        let mut fits = true;
        if self.state != state {
            self.state = state;
            fits &= self.records.put(STATE, &state).is_ok();
        }
        let has_ready = !self.ready.is_empty() || discipline.has_lines();
        let ready = if has_ready { discipline.lines() } else { Vec::new() };
        let parts =
            [(LINE, &mut self.line, discipline.line()), (READY, &mut self.ready, &ready), (ECHO, &mut self.echo, echo)];
        for (key, before, now) in parts {
            if before != now {
                before.clear();
                before.extend_from_slice(now);
                fits &= self.records.put_bytes(key, now).is_ok();
            }
        }
        self.note_room(fits);
    }

    /// Stages the modes of a session.
    pub fn set_mode(&mut self, badge: u64, mode: Mode) {
        let fits = self.records.put(RecordKey::new(MODE, badge), &mode).is_ok();
        self.note_room(fits);
    }

    /// Forgets a session.
    pub fn close(&mut self, badge: u64) {
        self.records.remove(RecordKey::new(MODE, badge));
    }

    /// Stages whom Ctrl-C is told from now on.
    pub fn set_interrupts(&mut self, badge: u64, channel: Channel, bits: u64) -> Result<Interrupted, Error> {
        let channel = Retained::keep(channel, &mut self.records)?;
        match self.records.put(INTERRUPTS, &(badge, channel.keepsake(), bits)) {
            Ok(()) => Ok(Interrupted { badge, channel, bits }),
            Err(Full) => {
                channel.release(&mut self.records);
                Err(Error::NoSlot)
            }
        }
    }

    /// Stages that Ctrl-C is told nobody.
    pub fn end_interrupts(&mut self, former: Interrupted) {
        self.records.remove(INTERRUPTS);
        former.channel.release(&mut self.records);
    }

    /// Says so when something does not fit.
    pub fn note_room(&mut self, fits: bool) {
        if !fits && !core::mem::replace(&mut self.is_short, true) {
            libsys::critical!("no room for what is typed and set: it would not outlive the console");
        }
    }
}
