//! Which of the requests that wait goes next.

use libsys::protocol::block::Operation;
use libsys::protocol::disks::Scheduler;

/// Nanoseconds after which a read goes before everything that is in better order.
pub const READ_DEADLINE: u64 = 500_000_000;

/// The same for writes.
pub const WRITE_DEADLINE: u64 = 5_000_000_000;

/// Requests of one class that go in order of their sectors before the classes are looked at again.
pub const RUN: u32 = 16;

/// Runs of reads that writes wait for, at most.
pub const RUNS_OF_READS: u32 = 2;

/// What a scheduler tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody most likely waits for it.
    Read,
    /// Writes, discards, fills with zeros.
    Write,
}

impl Class {
    /// Of an operation.
    pub fn of(operation: Operation) -> Class {
        if operation.is_write() { Class::Write } else { Class::Read }
    }

    fn deadline(self) -> u64 {
        match self {
            Class::Read => READ_DEADLINE,
            Class::Write => WRITE_DEADLINE,
        }
    }
}

/// A scheduler and what it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    scheduler: Scheduler,
    class: Class,
    /// Behind the request that went last.
    position: u64,
    /// Requests of this run.
    run: u32,
    /// Runs of reads since writes wait.
    starved: u32,
}

/// The best request of a class so far.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    /// The first one not before the position, and its sector.
    ahead: Option<(u64, usize)>,
    /// The first one of all.
    lowest: Option<(u64, usize)>,
    /// The oldest one, and when it came.
    oldest: Option<(u64, usize)>,
}

fn improve(best: &mut Option<(u64, usize)>, value: u64, place: usize) {
    if best.is_none_or(|(known, _)| value < known) {
        *best = Some((value, place));
    }
}

impl Schedule {
    /// A scheduler that remembers nothing.
    pub fn new(scheduler: Scheduler) -> Schedule {
        Schedule { scheduler, class: Class::Read, position: 0, run: 0, starved: 0 }
    }

    /// Picks one of the candidates, which come in order of arrival: place, class, sector, and when it came.
    pub fn choose(
        &mut self,
        mut candidates: impl Iterator<Item = (usize, Class, u64, u64)>,
        now: u64,
    ) -> Option<usize> {
        if self.scheduler == Scheduler::None {
            return candidates.next().map(|(place, ..)| place);
        }
        let (mut reads, mut writes) = (Best::default(), Best::default());
        for (place, class, sector, arrival) in candidates {
            let best = if class == Class::Read { &mut reads } else { &mut writes };
            improve(&mut best.lowest, sector, place);
            improve(&mut best.oldest, arrival, place);
            if sector >= self.position {
                improve(&mut best.ahead, sector, place);
            }
        }
        let (has_reads, has_writes) = (reads.oldest.is_some(), writes.oldest.is_some());
        let of = |class| if class == Class::Read { &reads } else { &writes };
        // A run goes on while it has requests ahead.
        if self.run > 0
            && self.run < RUN
            && let Some((_, place)) = of(self.class).ahead
        {
            return Some(place);
        }
        self.run = 0;
        self.class =
            if has_reads && !(has_writes && self.starved >= RUNS_OF_READS) { Class::Read } else { Class::Write };
        self.starved = if has_writes && self.class == Class::Read { self.starved + 1 } else { 0 };
        let best = of(self.class);
        let is_late = |(arrival, _): &(u64, usize)| now.saturating_sub(*arrival) >= self.class.deadline();
        best.oldest.filter(is_late).or(best.ahead).or(best.lowest).map(|(_, place)| place)
    }

    /// A request of a class went to the driver; it and what travels with it ends before `end`.
    pub fn went(&mut self, class: Class, end: u64) {
        self.run = if class == self.class { self.run + 1 } else { 1 };
        self.class = class;
        self.position = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Runs a schedule over requests that all wait from the start: the order in which they go, as (class, sector).
    fn order(scheduler: Scheduler, requests: &[(Class, u64, u64)], now: u64) -> Vec<(Class, u64)> {
        let mut schedule = Schedule::new(scheduler);
        let mut waiting = requests.to_vec();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let candidates = waiting.iter().enumerate().map(|(place, one)| (place, one.0, one.1, one.2));
            let place = schedule.choose(candidates, now).expect("one of them");
            let (class, sector, _) = waiting.remove(place);
            schedule.went(class, sector + 1);
            order.push((class, sector));
        }
        order
    }

    #[test]
    fn none_is_first_come_first_served() {
        let requests = [(Class::Write, 9, 0), (Class::Read, 5, 0), (Class::Read, 7, 0)];
        assert_eq!(order(Scheduler::None, &requests, 0), requests.map(|(class, sector, _)| (class, sector)));
    }

    #[test]
    fn deadline_reads_in_order_of_sectors_before_writes() {
        let requests = [(Class::Write, 9, 0), (Class::Read, 7, 1), (Class::Read, 5, 2), (Class::Write, 1, 3)];
        let expected = [(Class::Read, 5), (Class::Read, 7), (Class::Write, 9), (Class::Write, 1)];
        assert_eq!(order(Scheduler::Deadline, &requests, 10), expected);
    }

    #[test]
    fn what_is_late_goes_first() {
        let late = READ_DEADLINE + 100;
        let requests = [(Class::Read, 70, 100), (Class::Read, 5, late), (Class::Read, 80, late)];
        assert_eq!(order(Scheduler::Deadline, &requests, late)[0], (Class::Read, 70));
        assert_eq!(order(Scheduler::Deadline, &requests, late - 1)[0], (Class::Read, 5));
    }

    #[test]
    fn writes_are_not_passed_over_for_ever() {
        let mut requests: Vec<_> = (0..200).map(|sector| (Class::Read, sector, 0)).collect();
        requests.push((Class::Write, 3, 0));
        let order = order(Scheduler::Deadline, &requests, 1);
        let place = order.iter().position(|(class, _)| *class == Class::Write).expect("it goes");
        assert_eq!(place as u32, RUN * RUNS_OF_READS);
    }
}
