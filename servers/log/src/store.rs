//! The records that are kept: a bounded queue, numbered from the first that was ever taken in. Pure.

use alloc::collections::VecDeque;
use libsys::protocol::log::{Cursor, Level, Record, Records};

/// Bytes that a record takes besides its texts.
const AROUND: usize = size_of::<Record>();

/// What is kept.
#[derive(Debug)]
pub struct Store {
    records: VecDeque<Record>,
    /// Number of the first of them.
    first: u64,
    bytes: usize,
    most_bytes: usize,
}

fn bytes(record: &Record) -> usize {
    AROUND + record.text.len() + record.source.len()
}

impl Store {
    /// An empty store for so many bytes.
    pub fn new(most_bytes: usize) -> Store {
        Store { records: VecDeque::new(), first: 0, bytes: 0, most_bytes }
    }

    /// Adds a record; the oldest go where there is no room for it.
    pub fn push(&mut self, record: Record) {
        self.bytes += bytes(&record);
        self.records.push_back(record);
        while self.bytes > self.most_bytes && self.records.len() > 1 {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= bytes(&oldest);
            self.first += 1;
        }
    }

    /// After the newest record.
    pub fn end(&self) -> Cursor {
        Cursor(self.first + self.records.len() as u64)
    }

    /// Records after a cursor, of a level or more urgent ones, as many as a message holds.
    pub fn read(&self, after: Cursor, least: Level) -> Records {
        // A cursor from before the server restarted may be beyond the end.
        let start = after.0.min(self.end().0).max(self.first);
        let lost = self.first.saturating_sub(after.0);
        let (mut answer, mut encoded) = (Records { next: Cursor(start), lost, ..Records::default() }, 0);
        for record in self.records.range((start - self.first) as usize..) {
            if record.level <= least && !answer.push(record.clone(), &mut encoded) {
                break;
            }
            answer.next.0 += 1;
        }
        answer
    }

    /// The most urgent level after a cursor.
    pub fn most_urgent(&self, after: Cursor) -> Option<Level> {
        let start = after.0.clamp(self.first, self.end().0);
        self.records.range((start - self.first) as usize..).map(|record| record.level).min()
    }
}
