//! The 8254 interval timer (Intel 8254 data sheet), used once: to measure how fast the time-stamp counter and the APIC timer run.
//!
//! Two edges of its 1.19 MHz clock are timed, 1.8 ms apart, each by the best of sixteen tries; so being interrupted by a
//! hypervisor costs no precision, unless it happens in all of them.

use super::apic;
use super::processor::{port_read, port_write, tsc};

const HERTZ: u64 = 1_193_182;
const COUNTER_0: u16 = 0x40;
const CONTROL: u16 = 0x43;
/// Counter 0, both bytes, mode 0: counts down once; its output rises at 0, and it goes on from 0xffff.
const ONE_SHOT: u32 = 0x30;
/// Read-back: latches count and status of counter 0.
const LATCH: u32 = 0xc2;
/// Status: the output; the count that was written is not yet counting.
const OUTPUT: u32 = 1 << 7;
const NULL_COUNT: u32 = 1 << 6;

/// Counts between the two edges.
const SPAN: u64 = 2150;
const EDGES: usize = 16;
/// Readings until a new count counts.
const LOADING: usize = 16;
/// A machine that is busy may be stopped for longer than the counter counts, again and again.
const ATTEMPTS: usize = 500;

#[derive(Clone, Copy)]
struct Reading {
    count: u64,
    tsc: u64,
    timer: u64,
}

/// The frequencies of time-stamp counter and APIC timer.
pub fn measure() -> Result<(u64, u64), &'static str> {
    apic::mask_timer(true);
    let frequencies = (0..ATTEMPTS).find_map(|_| attempt());
    apic::start_timer(0);
    apic::mask_timer(false);
    frequencies.ok_or("there is no interval timer to measure the clocks with")
}

fn attempt() -> Option<(u64, u64)> {
    apic::start_timer(u32::MAX);
    port_write(CONTROL, 1, ONE_SHOT);
    port_write(COUNTER_0, 1, 0xff);
    port_write(COUNTER_0, 1, 0xff);
    let first = edge()?;
    while first.count - read()?.count < SPAN {}
    let last = edge()?;
    let hertz = |counts: u64| counts * HERTZ / (first.count - last.count);
    Some((hertz(last.tsc - first.tsc), hertz(first.timer - last.timer)))
}

/// Between the two successive readings with different counts that are closest to each other.
fn edge() -> Option<Reading> {
    let mut before = read()?;
    let mut best: Option<(u64, Reading)> = None;
    for _ in 0..EDGES {
        let mut after = read()?;
        while after.count == before.count {
            (before, after) = (after, read()?);
        }
        let apart = after.tsc - before.tsc;
        if best.is_none_or(|(closest, _)| apart < closest) {
            let (tsc, timer) = (before.tsc.midpoint(after.tsc), before.timer.midpoint(after.timer));
            best = Some((apart, Reading { count: after.count, tsc, timer }));
        }
        before = after;
    }
    best.map(|(_, reading)| reading)
}

/// Fails when the counter has passed 0, or is not there: then all bits read as 1.
fn read() -> Option<Reading> {
    for _ in 0..LOADING {
        port_write(CONTROL, 1, LATCH);
        let (tsc, timer) = (tsc(), apic::timer_count().into());
        let [status, low, high] = [(); 3].map(|()| port_read(COUNTER_0, 1));
        if status & OUTPUT != 0 {
            return None;
        }
        if status & NULL_COUNT == 0 {
            return Some(Reading { count: u64::from(low | high << 8), tsc, timer });
        }
    }
    None
}
