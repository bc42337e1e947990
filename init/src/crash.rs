//! What is kept of a service's death: a line in the log, and a capsule with everything that the corpse and the kernel say.

use crate::record::Phase;
use crate::registry::INIT;
use crate::supervisor::Supervisor;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use libsys::abi::inspect::CallRecord;
use libsys::abi::process::Registers;
use libsys::abi::{ExitReason, ExitRecord};
use libsys::crash::{Crash, HeldCall, LogLine};
use libsys::log::{Entry, Level, LogReader};
use libsys::panic::message_of;
use libsys::{Memory, Process, inspect, time};

/// Most return addresses.
const DEPTH: usize = 16;

/// Most lines of the log in a capsule.
const LINES: usize = 16;

/// Most waiting calls in a capsule.
const CALLS: usize = 8;

/// Stands in a panic's message before the backtrace.
const TRACE: &str = "\nbacktrace:";

/// Programs are linked below this.
const CODE_END: u64 = 1 << 31;

impl Supervisor {
    /// Logs how a service ended.
    pub(crate) fn report_crash(&mut self, index: usize, record: &ExitRecord) {
        let reason = ExitReason::from_number(record.reason);
        let is_wanted = matches!(self.services[index].record.phase, Phase::Stopping { .. });
        let service = &self.services[index];
        // Who made an instance that refuses to start, such as a file system of another type, hears of it.
        let is_refusal =
            reason == ExitReason::Exit && service.record.phase == Phase::Starting && service.instance.is_some();
        let is_orderly = is_refusal || reason == ExitReason::Exit && record.code == 0;
        if reason.is_fault() || !is_wanted && !is_orderly {
            let capsule = self.capsule(index, record);
            self.capsules.add(capsule);
        }
        let name = &self.manifest.services[index].name;
        if !reason.is_fault() {
            let level = if is_wanted || is_orderly { Level::Info } else { Level::Warning };
            let text = format!("{name}: {} (code {:#x})", reason.text(), record.code);
            return self.journal.write(level, &text);
        }
        let Some(objects) = &self.services[index].objects else { return };
        let message = (reason == ExitReason::Panic).then(|| message_of(&objects.process, record.code)).flatten();
        let text = report(name, record, message.as_deref(), |address| word(&objects.process, address));
        self.journal.write(Level::Error, &text);
    }
}

impl Supervisor {
    /// All that is known of a service's death.
    fn capsule(&mut self, index: usize, record: &ExitRecord) -> Crash {
        let (entry, service) = (&self.manifest.services[index], &self.services[index]);
        let binary = if service.record.upgrade.is_none() { entry.binary.clone() } else { String::new() };
        let mut crash = of_record(entry.name.clone(), binary, record);
        if let Some(before) = self.capsules.last_of(&crash.service) {
            let number = before.number;
            self.note_answer(number);
        }
        let Some(objects) = &self.services[index].objects else { return crash };
        if ExitReason::from_number(record.reason) == ExitReason::Panic {
            let message = message_of(&objects.process, record.code);
            let (said, trace) = message.as_deref().map_or((None, ""), |message| match message.split_once(TRACE) {
                Some((said, trace)) => (Some(said), trace),
                None => (Some(message), ""),
            });
            crash.message = said.map(String::from);
            crash.stack = trace.split_whitespace().filter_map(address).take(DEPTH).collect();
        } else if record.registers.rip != 0 {
            let callers = callers(record.registers.rbp, |address| word(&objects.process, address));
            crash.stack = core::iter::once(record.registers.rip).chain(callers).collect();
        }
        crash.calls = self.calls_of(record.process);
        crash.log = last_lines(&objects.log);
        crash
    }

    /// Calls that wait for a process.
    fn calls_of(&self, process: u64) -> Vec<HeldCall> {
        let calls = inspect::calls(&self.machine.inspect).filter_map(Result::ok);
        let held = |call: CallRecord| HeldCall {
            age: call.age,
            faults: call.faults,
            ..HeldCall::of(call.client, call.header)
        };
        calls.filter(|call| call.server == process).take(CALLS).map(held).collect()
    }

    /// Leaves a capsule of the death of the init before this one, which has taken over by now. Its memory is gone: of its stack there is only where it was, and
    /// what it said in a panic stands in its log.
    pub(crate) fn report_own_death(&mut self, log: Vec<LogLine>) {
        let Ok(record) = self.machine.process.exit_record() else { return };
        if ExitReason::from_number(record.reason) == ExitReason::None {
            return;
        }
        let mut crash = of_record(INIT.into(), INIT.into(), &record);
        // The record's own is that of who lives now.
        crash.incarnation = self.machine.incarnation - 1;
        if ExitReason::from_number(record.reason) == ExitReason::Panic {
            let said = log.iter().rev().take_while(|line| line.level == Level::Critical as u8);
            let lines: Vec<&str> = said.map(|line| line.text.as_str()).collect();
            crash.message = Some(lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        if record.registers.rip != 0 {
            crash.stack = alloc::vec![record.registers.rip];
        }
        crash.calls = self.calls_of(record.process);
        crash.log = log;
        crash.ready = Some(time::now());
        self.capsules.add(crash);
    }
}

/// What an exit record says.
fn of_record(service: String, binary: String, record: &ExitRecord) -> Crash {
    Crash {
        service,
        binary,
        process: record.process,
        incarnation: record.incarnation,
        reason: record.reason,
        code: record.code,
        address: record.address,
        time: record.time,
        thread: record.thread,
        registers: registers(&record.registers),
        current: (record.call != 0).then(|| HeldCall::of(record.client, record.call)),
        ..Crash::default()
    }
}

/// The last lines of a log.
pub(crate) fn last_lines(ring: &Memory) -> Vec<LogLine> {
    let Some(mut reader) = ring.map().ok().and_then(LogReader::open) else { return Vec::new() };
    reader.skip_to_last(LINES);
    let line = |entry: Entry| LogLine { time: entry.time, level: entry.level as u8, text: entry.text };
    // Whose ring it is may be writing.
    reader.take(LINES).map(line).collect()
}

/// In the order of [`libsys::crash::REGISTERS`].
fn registers(all: &Registers) -> [u64; 18] {
    let Registers { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags } = *all;
    [rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags]
}

/// An address of a backtrace.
fn address(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

fn word(process: &Process, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (process.read(address, &mut bytes) == Ok(bytes.len())).then(|| u64::from_le_bytes(bytes))
}

/// `crash NAME: REASON …`, with addresses that the host tool knows how to read.
fn report(name: &str, record: &ExitRecord, message: Option<&str>, word: impl Fn(u64) -> Option<u64>) -> String {
    let reason = ExitReason::from_number(record.reason);
    // A panic's message brings the place, and the backtrace that matters.
    let (said, trace) = message.map_or((None, None), |message| match message.split_once(TRACE) {
        Some((said, trace)) => (Some(said), Some(trace)),
        None => (Some(message), None),
    });
    let mut text = match (reason, said) {
        (ExitReason::Panic, Some(said)) => format!("crash {name}: {}", said.replace('\n', " ")),
        (ExitReason::Panic, None) => format!("crash {name}: {}", reason.text()),
        (ExitReason::Hung, _) => format!("crash {name}: {} code {:#x}", reason.text(), record.code),
        _ => format!("crash {name}: {} code {:#x} address {:#x}", reason.text(), record.code, record.address),
    };
    // Writing to a String cannot fail.
    if record.call != 0 {
        let _ = write!(text, " in a call {:#x} of process {}", record.call >> 32, record.client);
    }
    if let Some(trace) = trace {
        let _ = write!(text, " backtrace:{trace}");
    } else if record.registers.rip != 0 {
        let _ = write!(text, " rip {:#x} backtrace:", record.registers.rip);
        for address in callers(record.registers.rbp, word) {
            let _ = write!(text, " {address:#x}");
        }
    }
    text
}

/// The return addresses that frame pointers lead to, as long as they lead upwards and to code.
fn callers(mut frame: u64, word: impl Fn(u64) -> Option<u64>) -> impl Iterator<Item = u64> {
    let next = move || {
        if frame == 0 || !frame.is_multiple_of(8) {
            return None;
        }
        let (above, address) = (word(frame)?, word(frame.checked_add(8)?)?);
        frame = if above > frame { above } else { 0 };
        (address != 0 && address < CODE_END).then_some(address)
    };
    core::iter::from_fn(next).take(DEPTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_one_line() {
        let mut record =
            ExitRecord { reason: ExitReason::PageFault as u32, code: 6, address: 0x10, ..ExitRecord::default() };
        record.registers.rip = 0x401000;
        record.registers.rbp = 0x1000;
        let stack = [0x1010, 0x40aaaa, 0x1000, 0x40bbbb];
        let word = |address: u64| stack.get((address.checked_sub(0x1000)? / 8) as usize).copied();
        let text = report("uart", &record, None, word);
        let expected = "crash uart: page fault code 0x6 address 0x10 rip 0x401000 backtrace: 0x40aaaa 0x40bbbb";
        assert_eq!(text, expected);
        record.reason = ExitReason::Panic as u32;
        (record.call, record.client) = (0xabcd << 32, 7);
        let text = report("uart", &record, Some("panicked at x:\nno way\nbacktrace: 0x40aaaa"), word);
        assert_eq!(text, "crash uart: panicked at x: no way in a call 0xabcd of process 7 backtrace: 0x40aaaa");
    }

    #[test]
    fn a_broken_stack_ends_the_backtrace() {
        let count = |frame, value: u64| callers(frame, |_| Some(value)).count();
        assert_eq!(callers(0x1000, |_| None).count(), 0);
        assert_eq!((count(0x1001, 5), count(u64::MAX - 7, 5), count(0x1000, u64::MAX)), (0, 0, 0));
        assert_eq!(callers(8, |address| Some(address + 8)).count(), DEPTH);
    }
}
