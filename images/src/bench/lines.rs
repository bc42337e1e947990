//! What machines print of their figures.
//!
//! The guest's program `bench` prints, between whatever else there is on the serial line,
//! `bench NAME VALUE UNIT`, or `bench failed: REASON`. The shell's `sys boot` prints lines of a
//! name and a number.

use anyhow::{Context, Result, bail};

/// Begins the line of a guest that gave up.
const FAILED: &str = "bench failed:";

/// A figure as it was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: u64,
    /// Of what.
    pub unit: String,
}

impl Line {
    /// A figure.
    pub fn new(name: &str, value: u64, unit: &str) -> Self {
        Self { name: name.to_string(), value, unit: unit.to_string() }
    }
}

/// Why the guest gave up, if it did.
pub fn failure(log: &str) -> Option<String> {
    let reason = log.lines().find_map(|line| line.strip_prefix(FAILED))?;
    Some(reason.trim().to_string())
}

/// The figures in the output of the guest's program.
///
/// # Errors
/// A line that begins as a figure's and is none, or two of the same name.
pub fn parse(log: &str) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for text in log.lines() {
        let Some(rest) = text.strip_prefix("bench ") else {
            continue;
        };
        let words: Vec<_> = rest.split_whitespace().collect();
        let line = match words.as_slice() {
            [name, value, unit] => value.parse().ok().map(|value| Line::new(name, value, unit)),
            _ => None,
        };
        let line = line.with_context(|| format!("this line is no figure: {text}"))?;
        if lines.iter().any(|other| other.name == line.name) {
            bail!("the figure {} was printed twice", line.name);
        }
        lines.push(line);
    }
    Ok(lines)
}

/// What the shell says about the boot behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Nanoseconds from the kernel's first instruction to the shell's being ready.
    pub prompt: u64,
    /// Bytes of memory in use.
    pub memory: u64,
    /// The frequency of the time-stamp counter, in hertz.
    pub tsc_hertz: u64,
}

impl Boot {
    /// Takes it from the output of `sys boot`.
    ///
    /// # Errors
    /// A number is missing.
    pub fn parse(output: &str) -> Result<Self> {
        let number = |name: &str| {
            let words = output.lines().filter_map(|line| line.split_once(' '));
            let mut values = words.filter(|(known, _)| *known == name);
            let value = values.next().and_then(|(_, value)| value.parse().ok());
            value.with_context(|| format!("the shell's `sys boot` says no `{name} NUMBER`: {output:?}"))
        };
        Ok(Self { prompt: number("prompt")?, memory: number("memory")?, tsc_hertz: number("tsc")? })
    }

    /// The figures in it, as under icount: a nanosecond is an instruction.
    pub fn lines(&self) -> [Line; 2] {
        [Line::new("boot_to_prompt", self.prompt, "instructions"), Line::new("memory_at_prompt", self.memory, "bytes")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_between_other_lines() {
        let log = "booting\nbench call_0w 420 instructions\nbench: x\n bench no 1 x\n\
                   bench calls_per_second_1 99 /s\n";
        assert_eq!(
            parse(log).unwrap(),
            [Line::new("call_0w", 420, "instructions"), Line::new("calls_per_second_1", 99, "/s")]
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn broken_figures_are_errors() {
        for log in [
            "bench call_0w",
            "bench call_0w 4x instructions",
            "bench call_0w -1 instructions",
            "bench call_0w 4 in structions",
            "bench a 1 x\nbench a 1 x",
        ] {
            assert!(parse(log).is_err(), "{log}");
        }
    }

    #[test]
    fn a_guest_says_why_it_gave_up() {
        let log = "bench call_0w 420 instructions\nbench failed: no memory\n";
        assert_eq!(failure(log).as_deref(), Some("no memory"));
        assert_eq!(failure("bench call_0w 420 instructions\n"), None);
    }

    #[test]
    fn the_shell_tells_of_the_boot() {
        let boot = Boot::parse("prompt 4000000\nmemory 4571136\ntsc 1000000000\n").unwrap();
        assert_eq!((boot.prompt, boot.memory, boot.tsc_hertz), (4_000_000, 4_571_136, 1_000_000_000));
        let error = Boot::parse("prompt 4000000\nmemory x\n").unwrap_err();
        assert!(error.to_string().contains("`memory NUMBER`"), "{error}");
    }
}
