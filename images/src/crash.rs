//! The last words of a kernel, as it prints them on the serial line:
//!
//! ```text
//! KERNEL PANIC: what happened, on one line or more
//! registers: rip=0xffffffff80001234 rsp=…
//! backtrace:
//!   #0 0xffffffff80001234
//! END PANIC
//! ```
//!
//! or one line `BOOT ERROR: reason` where the machine cannot be booted at all.

use std::fmt;
use std::path::Path;

use crate::symbols::{Place, Symbols};

const PANIC: &str = "KERNEL PANIC:";
const REGISTERS: &str = "registers:";
const BACKTRACE: &str = "backtrace:";
const END: &str = "END PANIC";
const BOOT_ERROR: &str = "BOOT ERROR:";

/// A kernel's panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelPanic {
    /// What happened.
    pub message: String,
    /// Lines of registers.
    pub registers: Vec<String>,
    /// The calls that led there, the innermost first.
    pub backtrace: Vec<Call>,
}

/// A line of a back trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where the call returns to, or where the processor was.
    pub address: u64,
    /// Which code that is; empty before [`KernelPanic::symbolise`] or where it is not known.
    pub places: Vec<Place>,
}

impl KernelPanic {
    /// Finds the first panic in `text`; also one that was cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, words) = text.split_once(PANIC)?;
        let mut panic = Self { message: String::new(), registers: Vec::new(), backtrace: Vec::new() };
        let mut section = Section::Message;
        for line in words.lines().map(str::trim_end) {
            let mut rest = line.trim_start();
            if rest.starts_with(END) {
                break;
            }
            if let Some(after) = rest.strip_prefix(REGISTERS) {
                (section, rest) = (Section::Registers, after.trim_start());
            } else if let Some(after) = rest.strip_prefix(BACKTRACE) {
                (section, rest) = (Section::Backtrace, after.trim_start());
            }
            match section {
                Section::Message if panic.message.is_empty() => panic.message.push_str(rest),
                Section::Message => panic.message.extend(["\n", rest]),
                Section::Registers if rest.is_empty() => {}
                Section::Registers => panic.registers.push(rest.to_string()),
                Section::Backtrace => panic.backtrace.extend(addresses(rest).map(Call::at)),
            }
        }
        Some(panic)
    }

    /// Looks up every line of the back trace in the kernel's ELF file.
    pub fn symbolise(&mut self, kernel: &Path) {
        let Ok(symbols) = Symbols::open(kernel) else {
            return;
        };
        let at_fault = self.instruction_pointer();
        for call in &mut self.backtrace {
            let faulted = Some(call.address) == at_fault;
            call.places = match faulted {
                true => symbols.places(call.address),
                false => symbols.caller(call.address),
            };
        }
    }

    /// Where the processor was, if the registers say so.
    fn instruction_pointer(&self) -> Option<u64> {
        let words = self.registers.iter().flat_map(|line| line.split_whitespace());
        words.filter_map(|word| word.strip_prefix("rip=")).find_map(parse_address)
    }
}

/// The reason of the first boot error in `text`.
pub fn boot_error(text: &str) -> Option<String> {
    let (_, reason) = text.split_once(BOOT_ERROR)?;
    Some(reason.lines().next().unwrap_or("").trim().to_string())
}

enum Section {
    Message,
    Registers,
    Backtrace,
}

impl Call {
    fn at(address: u64) -> Self {
        Self { address, places: Vec::new() }
    }
}

/// The hexadecimal addresses in `line`, which may have `#N` before each.
fn addresses(line: &str) -> impl Iterator<Item = u64> {
    line.split_whitespace().filter_map(parse_address)
}

fn parse_address(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

impl fmt::Display for KernelPanic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the kernel panicked: {}", self.message)?;
        for line in &self.registers {
            write!(formatter, "\n  {line}")?;
        }
        for (number, call) in self.backtrace.iter().enumerate() {
            write!(formatter, "\n  #{number} {:#018x}", call.address)?;
            for (depth, place) in call.places.iter().enumerate() {
                let lead = if depth == 0 { " in" } else { "\n       inlined into" };
                write!(formatter, "{lead} {place}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "[0.1] starting\r\nKERNEL PANIC: index out of bounds\r\n  at heap\r\n\
        registers: rip=0xffffffff80001234 rsp=0xffffffff80100000\r\nregisters: rax=0x0\r\n\
        backtrace:\r\n  #0 0xffffffff80001234\r\n  #1 0xffffffff80004321\r\nEND PANIC\r\nlater 0x1\r\n";

    #[test]
    fn a_whole_panic() {
        let panic = KernelPanic::parse(SAMPLE).unwrap();
        assert_eq!(panic.message, "index out of bounds\nat heap");
        assert_eq!(panic.registers.len(), 2);
        let addresses: Vec<u64> = panic.backtrace.iter().map(|call| call.address).collect();
        assert_eq!(addresses, [0xffff_ffff_8000_1234, 0xffff_ffff_8000_4321]);
        assert_eq!(panic.instruction_pointer(), Some(0xffff_ffff_8000_1234));
        let shown = panic.to_string();
        assert!(shown.starts_with("the kernel panicked: index out of bounds"), "{shown}");
        assert!(shown.contains("#1 0xffffffff80004321"), "{shown}");
    }

    #[test]
    fn a_panic_cut_off_anywhere() {
        let start = SAMPLE.find(PANIC).unwrap() + PANIC.len();
        for end in start..SAMPLE.len() {
            assert!(KernelPanic::parse(&SAMPLE[..end]).is_some());
        }
        assert_eq!(KernelPanic::parse("all is well"), None);
    }

    #[test]
    fn addresses_on_the_same_line() {
        let panic = KernelPanic::parse("KERNEL PANIC: x\nbacktrace: 0x10 0x20\n").unwrap();
        assert_eq!(panic.backtrace.len(), 2);
    }

    #[test]
    fn boot_errors() {
        let text = "x\r\nBOOT ERROR: needs 32 MiB of memory\r\ny";
        assert_eq!(boot_error(text).as_deref(), Some("needs 32 MiB of memory"));
        assert_eq!(boot_error("x"), None);
    }
}
