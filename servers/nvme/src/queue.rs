//! A submission queue and its completion queue (§3.3). What the controller says is checked: commands that are not on their way, heads that
//! jump, a queue that is another's are [`Fault`]s.

use crate::command::{COMMAND_BYTES, Command, Status};
use crate::registers::DOORBELLS;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use libsys::driver::{DmaBuffer, Register};

/// Bytes of a completion.
const COMPLETION_BYTES: usize = 16;

/// Where a completion has the head of the submission queue and the queue's number, and the command's number, the phase and the status.
const HEAD_AND_QUEUE: usize = 8;
const NUMBER_AND_STATUS: usize = 12;

/// The bit that tells a new completion from an old one.
const PHASE: u32 = 1 << 16;

/// A controller that must be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It completes a command that is not on its way.
    UnknownCommand,
    /// It completes for another queue.
    WrongQueue,
    /// It says that it took commands which were not given to it.
    WrongHead,
    /// It says that it has failed.
    Fatal,
    /// It is not there any more.
    Gone,
    /// It does not complete a command.
    Overdue,
}

impl Fault {
    /// A few words for people.
    pub const fn text(self) -> &'static str {
        match self {
            Fault::UnknownCommand => "it completes a command that is not on its way",
            Fault::WrongQueue => "it completes for a queue that is another",
            Fault::WrongHead => "it took commands that were not there",
            Fault::Fatal => "it says that it has failed",
            Fault::Gone => "it does not answer any more",
            Fault::Overdue => "it does not complete a command",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A command that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Its number.
    pub number: u16,
    /// How it ended.
    pub status: Status,
}

/// Both queues of a pair.
#[derive(Debug)]
pub struct Queue {
    number: u16,
    entries: u16,
    submissions: DmaBuffer,
    completions: DmaBuffer,
    doorbell: Register<u32>,
    completion_doorbell: Register<u32>,
    /// Where the next command goes, how far the controller was told, and how far it has taken them.
    tail: u16,
    shown: u16,
    head: u16,
    /// Where the next completion comes, its phase, and how far the controller was told.
    next: u16,
    phase: u32,
    acknowledged: u16,
    /// By number: commands on their way.
    on_the_way: Vec<bool>,
}

impl Queue {
    /// Bytes of the submission queue.
    pub fn submission_bytes(entries: u16) -> u64 {
        u64::from(entries) * COMMAND_BYTES as u64
    }

    /// Bytes of the completion queue.
    pub fn completion_bytes(entries: u16) -> u64 {
        u64::from(entries) * COMPLETION_BYTES as u64
    }

    /// The pair `number`, in zeroed memory; doorbells are `stride` bytes apart (PCIe transport §3.1.2).
    pub fn new(number: u16, entries: u16, stride: usize, submissions: DmaBuffer, completions: DmaBuffer) -> Queue {
        let doorbell = Register::at(DOORBELLS + 2 * usize::from(number) * stride);
        Queue {
            number,
            entries,
            submissions,
            completions,
            doorbell,
            completion_doorbell: doorbell.index(1, stride),
            tail: 0,
            shown: 0,
            head: 0,
            next: 0,
            phase: PHASE,
            acknowledged: 0,
            on_the_way: vec![false; entries.into()],
        }
    }

    /// Entries of each.
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Commands that can be on their way: their numbers are smaller.
    pub fn depth(&self) -> u16 {
        self.entries - 1
    }

    /// Where the device sees the submission queue and the completion queue.
    pub fn places(&self) -> (u64, u64) {
        (self.submissions.device_address(), self.completions.device_address())
    }

    /// Puts a command in. Its number is below [`Queue::depth`] and not on its way, so there is room; `false` otherwise.
    #[must_use]
    pub fn submit(&mut self, number: u16, command: &Command) -> bool {
        let is_free = number < self.depth() && !self.on_the_way[usize::from(number)];
        if !is_free {
            return false;
        }
        self.on_the_way[usize::from(number)] = true;
        let at = usize::from(self.tail) * COMMAND_BYTES;
        for (index, word) in command.quadwords(number).into_iter().enumerate() {
            self.submissions.word_u64(at + 8 * index).store(word, Ordering::Relaxed);
        }
        self.tail = self.after(self.tail);
        true
    }

    /// What is to be written to which doorbell for the controller to see what was put in; `None`: it has seen it.
    pub fn publish(&mut self) -> Option<(Register<u32>, u32)> {
        if self.shown == self.tail {
            return None;
        }
        self.shown = self.tail;
        fence(Ordering::SeqCst);
        Some((self.doorbell, self.tail.into()))
    }

    /// Takes the next completion.
    pub fn next_completed(&mut self) -> Result<Option<Completion>, Fault> {
        let at = usize::from(self.next) * COMPLETION_BYTES;
        let word = self.completions.load_u32(at + NUMBER_AND_STATUS, Ordering::Acquire);
        if word & PHASE != self.phase {
            return Ok(None);
        }
        let place = self.completions.load_u32(at + HEAD_AND_QUEUE, Ordering::Relaxed);
        let (head, queue) = (place as u16, (place >> 16) as u16);
        if queue != self.number {
            return Err(Fault::WrongQueue);
        }
        if head >= self.entries || self.distance(self.head, head) > self.distance(self.head, self.shown) {
            return Err(Fault::WrongHead);
        }
        let number = word as u16;
        let on_the_way = self.on_the_way.get_mut(usize::from(number)).filter(|is| **is);
        *on_the_way.ok_or(Fault::UnknownCommand)? = false;
        self.head = head;
        self.next = self.after(self.next);
        if self.next == 0 {
            self.phase ^= PHASE;
        }
        Ok(Some(Completion { number, status: Status::of_field((word >> 17) as u16) }))
    }

    /// What is to be written to which doorbell for the controller to use the places of the completions again; `None`: it knows.
    pub fn acknowledge(&mut self) -> Option<(Register<u32>, u32)> {
        if self.acknowledged == self.next {
            return None;
        }
        self.acknowledged = self.next;
        Some((self.completion_doorbell, self.next.into()))
    }

    fn after(&self, index: u16) -> u16 {
        if index + 1 == self.entries { 0 } else { index + 1 }
    }

    fn distance(&self, from: u16, to: u16) -> u16 {
        if to >= from { to - from } else { to + self.entries - from }
    }
}
