//! What came of a change.

use crate::survive::watch::Seen;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the server lives, and what it did is right.
    NotManifested,
    /// The server died, and nobody noticed.
    Recovered,
    /// The server died, or was replaced, and a command failed, or did not end.
    Visible,
    /// The server lived, and nobody found fault with it, but a command failed, or did not end: it was told an error that was not true, or nothing.
    Undetected,
    /// A command printed something else, as if all were well.
    SilentlyWrong,
    /// The kernel panicked.
    KernelCrash,
}

/// How the last line of a work begins: its status.
const STATUS: &str = "status ";

impl Outcome {
    /// What the end of a line tells, where `expected` is right.
    pub fn judge(seen: &Seen, output: &Result<String, String>, expected: &str) -> Outcome {
        match output {
            Ok(output) if output == expected && seen.deaths == 0 => Outcome::NotManifested,
            Ok(output) if output == expected => Outcome::Recovered,
            Ok(output) if !is_said(output, expected) => Outcome::SilentlyWrong,
            Ok(_) | Err(_) if seen.deaths == 0 => Outcome::Undetected,
            Ok(_) | Err(_) => Outcome::Visible,
        }
    }

    /// Whether no client saw anything.
    pub fn is_unnoticed(self) -> bool {
        matches!(self, Outcome::NotManifested | Outcome::Recovered)
    }
}

/// Whether a command said that it failed: by its status, by a line `COMMAND: …` that is not expected, or as the line did not come to its end.
fn is_said(output: &str, expected: &str) -> bool {
    let status = |text: &str| text.lines().rev().find(|line| line.starts_with(STATUS)).map(str::to_string);
    let complains = |line: &&str| line.contains(": ") && !expected.contains(*line);
    status(output) != status(expected) || output.lines().any(|line| complains(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        let judge = |deaths, output: &str| {
            let seen = Seen { deaths, ..Seen::default() };
            Outcome::judge(&seen, &Ok(output.to_string()), "1\nstatus 0\n")
        };
        assert_eq!(judge(0, "1\nstatus 0\n"), Outcome::NotManifested);
        assert_eq!(judge(2, "1\nstatus 0\n"), Outcome::Recovered);
        assert_eq!(judge(0, "2\nstatus 0\n"), Outcome::SilentlyWrong);
        assert_eq!(judge(1, "1\nstatus 1\n"), Outcome::Visible);
        assert_eq!(judge(1, "cat: no room\n1\nstatus 0\n"), Outcome::Visible);
        assert_eq!(judge(0, "cat: no such file\nstatus 1\n"), Outcome::Undetected);
        let no_prompt = |deaths| Outcome::judge(&Seen { deaths, ..Seen::default() }, &Err("no prompt".into()), "");
        assert_eq!([0, 1].map(no_prompt), [Outcome::Undetected, Outcome::Visible]);
    }
}
