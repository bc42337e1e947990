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

    /// Types `command`, and returns what is printed between its echo and the next prompt.
    ///
    /// # Errors
    /// The prompt does not come back in time.
    pub fn run(&mut self, command: &str) -> Result<String> {
        self.session.type_line(command);
        self.session.expect("\n", COMMAND).context("the line is not echoed")?;
        let printed = self.session.expect(PROMPT, COMMAND)?;
        let output = printed.strip_suffix(PROMPT).unwrap_or(&printed);
        Ok(output.replace("\r\n", "\n"))
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
