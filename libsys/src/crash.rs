//! Crash capsules: what init keeps of a service's death. `/sys/crashes` and the host tool show them as the same text.

use crate::protocol::list::Listed;
use abi::{ExitReason, Header};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use serde::{Deserialize, Serialize};

/// Names of the general registers, in the order of a capsule.
pub const REGISTERS: [&str; 18] = [
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags",
];

/// Most bytes of a capsule, encoded: one message holds it.
pub const MOST_BYTES: usize = 3584;

/// What is known of a death. Times are nanoseconds of the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Counts deaths since the boot, from 1.
    pub number: u64,
    /// Name of the service.
    pub service: String,
    /// Name of its program in the boot archive; empty: it was another file.
    pub binary: String,
    /// Number of the process.
    pub process: u64,
    /// Which incarnation died, from 1.
    pub incarnation: u64,
    /// An [`ExitReason`].
    pub reason: u32,
    /// See the reason.
    pub code: u64,
    /// See the reason.
    pub address: u64,
    /// When it died.
    pub time: u64,
    /// Number of the thread that died first; 0: the process was killed from outside.
    pub thread: u64,
    /// Registers of that thread, or, if there was none, of the process's first.
    pub registers: [u64; 18],
    /// Return addresses, the innermost first; the first one is where the thread was, unless it panicked.
    pub stack: Vec<u64>,
    /// What it said when it panicked.
    pub message: Option<String>,
    /// The request that the thread worked on.
    pub current: Option<HeldCall>,
    /// Requests that waited for the service when init looked: those that it held first, and those that it had not seen.
    pub calls: Vec<HeldCall>,
    /// Its last log lines, the oldest first.
    pub log: Vec<LogLine>,
    /// When its next incarnation said that it serves.
    pub ready: Option<u64>,
    /// When that one first answered a request.
    pub answered: Option<u64>,
}

/// A request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCall {
    /// Number of the client process.
    pub client: u64,
    /// Identity of the method.
    pub method: u32,
    /// Nanoseconds that it waited in the queue since then.
    pub age: u64,
    /// Faults that struck while it was current.
    pub faults: u32,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub time: u64,
    /// A [`crate::log::Level`].
    pub level: u8,
    /// What.
    pub text: String,
}

/// A capsule in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashSummary {
    /// As in the capsule.
    pub number: u64,
    /// Name of the service.
    pub service: String,
    /// Which incarnation died.
    pub incarnation: u64,
    /// An [`ExitReason`].
    pub reason: u32,
    /// See the reason.
    pub code: u64,
    /// When it died.
    pub time: u64,
    /// When its next incarnation said that it serves.
    pub ready: Option<u64>,
}

impl Listed for CrashSummary {
    fn place(&self) -> u64 {
        self.number
    }
}

impl HeldCall {
    /// The request with a header.
    pub fn of(client: u64, header: u64) -> HeldCall {
        HeldCall { client, method: Header(header).method(), ..HeldCall::default() }
    }
}

impl CrashSummary {
    /// The name of its file in `/sys/crashes`.
    pub fn file_name(&self) -> String {
        alloc::format!("{}-{}", self.number, self.service)
    }
}

impl Crash {
    /// Its line in a list.
    pub fn summary(&self) -> CrashSummary {
        CrashSummary {
            number: self.number,
            service: self.service.clone(),
            incarnation: self.incarnation,
            reason: self.reason,
            code: self.code,
            time: self.time,
            ready: self.ready,
        }
    }

    /// Writes it as text. `places` says what code an address of the stack is in, a line for each function (inlined ones have more than one); of the
    /// return addresses behind the first one it is told the address of the call.
    pub fn write(&self, out: &mut dyn Write, mut places: impl FnMut(u64) -> Vec<String>) -> fmt::Result {
        let reason = ExitReason::from_number(self.reason);
        writeln!(out, "crash {}: {} {}", self.number, self.service, reason.text())?;
        if let Some(message) = &self.message {
            writeln!(out, "message      {}", message.replace('\n', "\n             "))?;
        }
        writeln!(out, "code         {:#x}", self.code)?;
        writeln!(out, "address      {:#x}", self.address)?;
        writeln!(out, "binary       {}", if self.binary.is_empty() { "(upgraded)" } else { &self.binary })?;
        writeln!(out, "process      {}", self.process)?;
        writeln!(out, "incarnation  {}", self.incarnation)?;
        match self.thread {
            0 => writeln!(out, "thread       none: it was killed from outside")?,
            thread => writeln!(out, "thread       {thread}")?,
        }
        writeln!(out, "died         {}", Seconds(self.time))?;
        let after = |time: Option<u64>| time.map(|time| Seconds(time.saturating_sub(self.time)));
        match after(self.ready) {
            Some(time) => writeln!(out, "ready after  {time}")?,
            None => writeln!(out, "ready after  -")?,
        }
        match after(self.answered) {
            Some(time) => writeln!(out, "first answer {time}")?,
            None => writeln!(out, "first answer -")?,
        }
        writeln!(out, "registers")?;
        for (names, values) in REGISTERS.chunks(3).zip(self.registers.chunks(3)) {
            for (name, value) in names.iter().zip(values) {
                write!(out, "  {name:<6} {value:#018x}")?;
            }
            writeln!(out)?;
        }
        writeln!(out, "stack")?;
        // A panic's stack begins with a caller already.
        let mut is_caller = reason == ExitReason::Panic;
        for (number, address) in self.stack.iter().enumerate() {
            write!(out, "  #{number:<2} {address:#010x}")?;
            let names = places(address.saturating_sub(u64::from(is_caller)));
            for (depth, name) in names.iter().enumerate() {
                write!(out, "{}{name}", if depth == 0 { "  " } else { "\n                 in " })?;
            }
            writeln!(out)?;
            is_caller = true;
        }
        writeln!(out, "calls")?;
        if let Some(call) = &self.current {
            writeln!(out, "  current  method {:#010x} of process {}", call.method, call.client)?;
        }
        for call in &self.calls {
            let HeldCall { client, method, age, faults } = call;
            writeln!(out, "  waiting  method {method:#010x} of process {client}, {}, {faults} faults", Seconds(*age))?;
        }
        writeln!(out, "log")?;
        for line in &self.log {
            let level = crate::log::Level::from_number(line.level).map_or("?", crate::log::Level::name);
            writeln!(out, "  [{}] {level} {}", Seconds(line.time), line.text)?;
        }
        Ok(())
    }
}

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// A time in seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / SECOND, self.0 % SECOND / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    #[test]
    fn a_capsule_is_text() {
        let mut crash = Crash {
            number: 3,
            service: "uart".to_string(),
            binary: "uart".to_string(),
            incarnation: 2,
            reason: ExitReason::PageFault as u32,
            code: 6,
            address: 0x10,
            time: 2_500_000_000,
            thread: 9,
            stack: vec![0x1000, 0x2000],
            current: Some(HeldCall { client: 7, method: 0xabc, age: 0, faults: 1 }),
            log: vec![LogLine { time: 1_000_000, level: 3, text: "no way".to_string() }],
            ready: Some(2_501_000_000),
            ..Crash::default()
        };
        crash.registers[16] = 0x1000;
        let mut text = String::new();
        crash.write(&mut text, |address| vec![alloc::format!("f{address:x}"), "g".to_string()]).expect("written");
        for expected in [
            "crash 3: uart page fault\n",
            "ready after  0.001000 s\n",
            "first answer -\n",
            "  #0  0x00001000  f1000\n                 in g\n  #1  0x00002000  f1fff\n",
            "rip    0x0000000000001000",
            "  current  method 0x00000abc of process 7\n",
            "log\n  [0.001000 s] error no way\n",
        ] {
            assert!(text.contains(expected), "{expected:?}\n{text}");
        }
        assert_eq!(crash.summary().file_name(), "3-uart");
    }
}
