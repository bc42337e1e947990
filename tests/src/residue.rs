//! What servers have in use, to be compared before and after.

use anyhow::{Context, Result, bail};

use crate::Shell;

/// Looks until what a program left when it ended has come back from each server.
const LOOKS: u32 = 20;

/// Checks that as much is in use as before. What is on its way back, as its owner has just ended, comes while this looks; what is left over stays.
///
/// # Errors
/// Something else is in use; or those of [`in_use`].
pub fn is_back(shell: &mut Shell, servers: &[&str], before: &[(String, u64)]) -> Result<()> {
    let mut after = Vec::new();
    for _ in 0..LOOKS {
        after = in_use(shell, servers)?;
        if after == before {
            return Ok(());
        }
    }
    bail!("before {before:?}, after {after:?}")
}

/// What these servers have, handles and mappings, and what there is of sessions, channels, processes and accounts in all.
///
/// # Errors
/// A server is not there, or the shell does not answer.
pub fn in_use(shell: &mut Shell, servers: &[&str]) -> Result<Vec<(String, u64)>> {
    let column = |text: &str, title: &str, line: &str| -> Option<u64> {
        let index = text.lines().next()?.split_whitespace().position(|word| word == title)?;
        line.split_whitespace().nth(index)?.parse().ok()
    };
    let processes = shell.run("ps")?;
    let mut found = Vec::new();
    for server in servers {
        let line = processes.lines().find(|line| line.split_whitespace().nth(2) == Some(server));
        let handles = column(&processes, "HANDLES", line.context("no such process")?).context("no count")?;
        found.push((format!("handles of {server}"), handles));
        let maps = shell.run(&format!("maps {server}"))?;
        found.push((format!("mappings of {server}"), maps.lines().count() as u64));
    }
    let objects = shell.run("sys objects")?;
    for kind in ["sessions", "channels", "processes", "accounts"] {
        let line = objects.lines().find(|line| line.split_whitespace().next() == Some(kind)).context(kind)?;
        let count = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).context("a count")?;
        found.push((kind.to_string(), count));
    }
    Ok(found)
}
