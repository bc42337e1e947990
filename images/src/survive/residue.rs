//! What deaths leave behind: what every process and the kernel have, before and after.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::server::Server;
use super::system::System;

/// Counts by what is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residue(BTreeMap<String, u64>);

/// Whose heap is allowed for: it grows with the history, by a line for each that is typed here.
const SHELL: &str = "shell";

/// Mappings by which that heap may grow in a machine, a Memory each. Each piece is twice as large as the last: the first two (64 KiB and 128 KiB) hold
/// many times the lines of a campaign. Whatever the shell has more than that is residue.
const MOST_PIECES: u64 = 2;

/// Counts that are made until two in a row are the same: what the dead had goes bit by bit.
const COUNTS: u32 = 6;

/// Counts in one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Mappings of the shell at the first count.
    shell: Option<u64>,
}

impl Census {
    /// Counts until nothing changes any more: as [`Census::count`], whose errors there are.
    ///
    /// # Errors
    /// A view of the system is not there.
    pub fn settled(&mut self, system: &mut System, server: &Server) -> Result<Residue> {
        let mut last = self.count(system, server)?;
        for _ in 1..COUNTS {
            let next = self.count(system, server)?;
            if next == last {
                break;
            }
            last = next;
        }
        Ok(last)
    }

    /// Counts: objects of each kind, handles and threads of each process, mappings of the server. The machine is at its prompt.
    ///
    /// # Errors
    /// A view of the system is not there.
    pub fn count(&mut self, system: &mut System, server: &Server) -> Result<Residue> {
        let mut counts = BTreeMap::new();
        let objects = system.command("sys objects")?;
        for (name, words) in rows(&objects, "OBJECT") {
            counts.insert(name, word(&words, 1)?);
        }
        let processes = system.command("ps")?;
        let titles: Vec<&str> = processes.lines().next().unwrap_or_default().split_whitespace().collect();
        let column =
            |title: &str| titles.iter().position(|word| *word == title).with_context(|| format!("ps has no {title}"));
        let (name, handles, threads) = (column("NAME")?, column("HANDLES")?, column("THREADS")?);
        let (mut mapped, mut shell) = (None, None);
        for (_, words) in rows(&processes, "PID") {
            let process = words.get(name).cloned().unwrap_or_default();
            counts.insert(format!("handles of {process}"), word(&words, handles)?);
            counts.insert(format!("threads of {process}"), word(&words, threads)?);
            if server.is_service(&process) {
                mapped = words.first().cloned();
            }
            if process == SHELL {
                shell = words.first().cloned();
            }
        }
        if let Some(process) = mapped {
            counts.insert(format!("mappings of {}", server.name), mappings(system, &process)?);
        }
        if let Some(process) = shell {
            let now = mappings(system, &process)?;
            let first = *self.shell.get_or_insert(now);
            if let Some(memories) = counts.get_mut("memories") {
                *memories = without_pieces(*memories, first, now);
            }
        }
        Ok(Residue(counts))
    }
}

impl Residue {
    /// What is more, or less, than before: in all, and each.
    pub fn since(&self, before: &Residue) -> (u64, Vec<String>) {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        let mut sum = 0;
        let mut texts = Vec::new();
        for name in names {
            let [was, is] = [before, self].map(|counts| counts.0.get(name).copied().unwrap_or(0));
            if was != is {
                sum += was.abs_diff(is);
                texts.push(format!("{name}: {was} → {is}"));
            }
        }
        (sum, texts)
    }
}

/// So many Memory objects without those by which the shell's heap has grown, or shrunk, where it had `first` mappings and has `now`.
fn without_pieces(memories: u64, first: u64, now: u64) -> u64 {
    let [more, fewer] = [now.saturating_sub(first), first.saturating_sub(now)].map(|pieces| pieces.min(MOST_PIECES));
    memories.saturating_sub(more) + fewer
}

/// How many mappings a process has.
fn mappings(system: &mut System, process: &str) -> Result<u64> {
    let maps = system.command(&format!("maps {process} | wc -l"))?;
    maps.trim().parse().context("maps are not counted")
}

/// The lines of a table below its title, with their words.
fn rows(text: &str, title: &str) -> Vec<(String, Vec<String>)> {
    // Numbers stand at the right: the title of a column of long ones does so, too.
    let lines = text.lines().skip_while(|line| !line.trim_start().starts_with(title)).skip(1);
    lines
        .filter_map(|line| {
            let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
            Some((words.first()?.clone(), words))
        })
        .collect()
}

fn word(words: &[String], index: usize) -> Result<u64> {
    let word = words.get(index).with_context(|| format!("{words:?} is too short"))?;
    word.parse().with_context(|| format!("{word} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_heap_grows_is_allowed_for() {
        assert_eq!([10, 11, 12, 13, 20].map(|now| without_pieces(100 + now, 10, now)), [110, 110, 110, 111, 118]);
        assert_eq!([9, 8, 7].map(|now| without_pieces(100 + now, 10, now)), [110, 110, 109]);
    }

    #[test]
    fn tables_are_read_and_compared() {
        let text = "  OBJECT  COUNT\nhandles    12\ncalls       0\n";
        let count = |text: &str| {
            Residue(rows(text, "OBJECT").into_iter().map(|(name, words)| (name, word(&words, 1).unwrap())).collect())
        };
        let before = count(text);
        assert_eq!(before.since(&before), (0, vec![]));
        let after = count("OBJECT  COUNT\nhandles    10\ncalls       1\n");
        assert_eq!(after.since(&before), (3, vec!["calls: 0 → 1".to_string(), "handles: 12 → 10".to_string()]));
    }
}
