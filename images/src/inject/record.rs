//! Tallies on disk: a campaign of changes that is ended goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::tally::Tally;

/// A file with what was counted so far: of each server, its first so many changes.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    seed: u64,
    tallies: Vec<Tally>,
}

impl Record {
    /// Begins a campaign in the place of whatever the file has.
    pub fn begin(path: &Path, seed: u64) -> Record {
        Record { path: path.to_path_buf(), seed, tallies: Vec::new() }
    }

    /// Goes on with the campaign in the file; begins one if there is none.
    ///
    /// # Errors
    /// The file is of a campaign with another seed, or is no record.
    pub fn resume(path: &Path, seed: u64) -> Result<Record> {
        let mut record = Record::begin(path, seed);
        let Ok(text) = fs::read_to_string(path) else { return Ok(record) };
        let context = || format!("{} is no record of changes: remove it, or leave --resume out", path.display());
        let value: Value = serde_json::from_str(&text).with_context(context)?;
        let tallies = value["tallies"].as_array().with_context(context)?;
        ensure!(value["seed"] == seed, "{} is of a campaign with --seed {}", path.display(), value["seed"]);
        record.tallies = tallies.iter().map(Tally::from_json).collect::<Option<_>>().with_context(context)?;
        Ok(record)
    }

    /// What was counted of a server.
    pub fn find(&self, server: &str) -> Option<&Tally> {
        self.tallies.iter().find(|tally| tally.server() == server)
    }

    /// Adds what was counted. The file has all of it or what it had, whenever the tool is ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, tally: Tally) -> Result<()> {
        match self.tallies.iter_mut().find(|known| known.server() == tally.server()) {
            Some(known) => known.merge(tally),
            None => self.tallies.push(tally),
        }
        let tallies: Vec<Value> = self.tallies.iter().map(Tally::json).collect();
        let text = json!({"seed": self.seed, "tallies": tallies}).to_string();
        let new = self.path.with_extension("new");
        let context = || format!("cannot write {}", self.path.display());
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).with_context(context)?;
        }
        fs::write(&new, text).with_context(context)?;
        fs::rename(&new, &self.path).with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_over_campaigns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/record.json");
        let count = |changes, visible| {
            let mut tally = Tally::new("a", 7);
            (tally.changes, tally.visible) = (changes, visible);
            tally
        };
        Record::resume(&path, 7).unwrap().add(count(5, 1)).unwrap();
        Record::resume(&path, 7).unwrap().add(count(3, 2)).unwrap();
        let again = Record::resume(&path, 7).unwrap();
        assert_eq!(again.find("a"), Some(&count(8, 3)));
        assert_eq!(again.find("b"), None);
        assert!(Record::resume(&path, 8).unwrap_err().to_string().contains("--seed 7"));
        assert_eq!(Record::begin(&path, 8).find("a"), None);
    }
}
