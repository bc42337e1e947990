//! The system with a service that kills others, and what commands print on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::exec::Interruption;
use crate::image::Image;
use crate::machine::Machine;
use crate::workspace::Workspace;
use crate::{End, manifest, symbol_table};

/// It has a higher priority than all others but init, so that it strikes whatever they are doing.
const SERVICE: &str = "
service deaths
    arguments serve
    hang never
    connect any
    control
    session vfs as namespace
    resource inspect inspect
    account memory 6M
    priority fifo 45
";

/// Lines of the log that an error shows.
const SHOWN_LINES: usize = 40;

/// What is booted.
#[derive(Debug)]
pub struct System {
    image: Image,
    folder: PathBuf,
    timeout: Duration,
}

impl System {
    /// The system of `image`, with the service. Its archive is written into `folder`; machines end after `timeout`.
    ///
    /// # Errors
    /// A program cannot be read, or the archive cannot be written.
    pub fn new(image: &Image, folder: &Path, timeout: Duration) -> Result<System> {
        let path = Workspace::locate()?.root().join(manifest::PATH);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = (text + SERVICE).into_bytes();
        let mut archive = image.programs_archive()?;
        archive.symbols(symbol_table::of_services(&text, &image.programs)?);
        archive.manifest(text);
        let path = folder.join("boot.tar");
        archive.write(&path)?;
        Ok(System { image: Image { archive: path, ..image.clone() }, folder: folder.to_path_buf(), timeout })
    }

    /// Where files of a measurement may be.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A machine with one processor.
    pub fn machine(&self) -> Machine {
        Machine::new(&self.image).timeout(self.timeout)
    }
}

/// What commands print.
///
/// # Errors
/// The last one's status is not 0, or the machine comes to a bad end: the message has what was printed.
pub fn run(machine: &Machine, commands: &str) -> Result<String> {
    let mut output = Vec::new();
    let (end, log) = machine.stream_exec(commands, &mut output, Interruption::Ends)?;
    let text = String::from_utf8_lossy(&output).replace("\r\n", "\n");
    if end != End::Status(0) {
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        return Err(end).with_context(|| format!("`{commands}`\n--- output\n{text}\n--- log\n{last}\n---"));
    }
    Ok(text)
}

/// The numbers in the lines of a kind: those that begin with `word`.
///
/// # Errors
/// A word in such a line is no number, or there are not `N` of them.
pub fn numbers<const N: usize>(text: &str, word: &str) -> Result<Vec<[u64; N]>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    lines
        .map(|line| {
            let numbers: Option<Vec<u64>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
            match numbers.map(<[u64; N]>::try_from) {
                Some(Ok(numbers)) => Ok(numbers),
                _ => bail!("this line is none of numbers: {word} {line}"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_kind_are_found() {
        let text = "death 1 2\nnoise\ndeaths 3 4\ndeath 5 6\n";
        assert_eq!(numbers::<2>(text, "death").unwrap(), [[1, 2], [5, 6]]);
        assert!(numbers::<1>(text, "death").is_err() && numbers::<1>("death x", "death").is_err());
        assert!(numbers::<1>(text, "none").unwrap().is_empty());
    }
}
