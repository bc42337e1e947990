//! A person at the shell, played by a test.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::{Machine, Session};

/// What the shell prints when it is ready for a line.
pub const PROMPT: &str = "skink> ";

/// Time for a boot.
const BOOT: Duration = Duration::from_secs(60);

/// Time for a command.
const COMMAND: Duration = Duration::from_secs(60);

/// A machine at its prompt. Dropping it ends the machine.
#[derive(Debug)]
pub struct Shell {
    session: Session,
}

impl Shell {
    /// Boots `machine` to the prompt.
    ///
    /// # Errors
    /// There is no prompt in time: the message has what was printed instead.
    pub fn boot(machine: &Machine) -> Result<Self> {
        let mut session = machine.session()?;
        session.expect(PROMPT, BOOT).context("the machine does not reach the prompt")?;
        Ok(Self { session })
    }

    /// Types `command`, and returns what is printed from then to the next prompt, without the echo. What a program in
    /// the background prints meanwhile is part of it; editing keys are taken to be used without one.
    ///
    /// # Errors
    /// The prompt does not come back in time.
    pub fn run(&mut self, command: &str) -> Result<String> {
        self.session.type_line(command);
        let mut echo = self.line()?;
        if command.contains(char::is_control) {
            echo.clear();
        }
        // A program in the background may print before the echo, and in the midst of it.
        while !echo.is_empty() && !is_echo(command, &echo) {
            echo += &self.line()?;
        }
        let printed = self.session.expect(PROMPT, COMMAND)?;
        let before = echo.trim_end();
        let output = [
            before.strip_suffix(command.trim_end()).unwrap_or(before),
            printed.strip_suffix(PROMPT).unwrap_or(&printed),
        ];
        Ok(output.concat().replace("\r\n", "\n"))
    }

    /// The next line that is printed.
    fn line(&mut self) -> Result<String> {
        self.session.expect("\n", COMMAND).context("the line is not echoed")
    }

    /// Types `command`, and returns what it prints and its status.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn status(&mut self, command: &str) -> Result<(String, u8)> {
        let output = self.run(command)?;
        let status = self.run("echo $?")?;
        Ok((output, status.trim().parse().with_context(|| format!("`{command}`: a status of {status:?}"))?))
    }

    /// Types `command`, and checks its status and that it prints all of `texts`. Returns what it prints.
    ///
    /// # Errors
    /// As [`Shell::run`], or it is otherwise.
    pub fn check(&mut self, command: &str, status: u8, texts: &[&str]) -> Result<String> {
        let (output, found) = self.status(command)?;
        ensure!(found == status, "`{command}` ends with {found}, not {status}:\n{output}");
        for text in texts {
            ensure!(output.contains(text), "`{command}` says nothing of {text:?}:\n{output}");
        }
        Ok(output)
    }

    /// The session, for keys, other texts, and QEMU's control channel.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

/// Whether all of `command` stands in `printed` in its order, whatever is in between.
fn is_echo(command: &str, printed: &str) -> bool {
    let mut printed = printed.chars();
    command.trim_end().chars().all(|key| printed.any(|printed| printed == key))
}
