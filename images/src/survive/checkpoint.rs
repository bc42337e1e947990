//! Rows on disk: a campaign that is ended goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::row::Row;

/// A file with the rows of a campaign that are finished.
#[derive(Debug)]
pub struct Checkpoint {
    /// `None`: nothing is written.
    path: Option<PathBuf>,
    seed: u64,
    runs: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Checkpoint {
    /// Begins a campaign in the place of whatever the file has, if there is to be one.
    pub fn begin(path: Option<&Path>, seed: u64, runs: u64) -> Checkpoint {
        Checkpoint { path: path.map(Path::to_path_buf), seed, runs, rows: Vec::new() }
    }

    /// Goes on with the campaign in the file; begins one if there is none.
    ///
    /// # Errors
    /// The file is of a campaign with another seed or number of runs, or is no checkpoint.
    pub fn resume(path: &Path, seed: u64, runs: u64) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::begin(Some(path), seed, runs);
        let Ok(text) = fs::read_to_string(path) else { return Ok(checkpoint) };
        let context = || format!("{} is no checkpoint: remove it, or leave --resume out", path.display());
        let value: Value = serde_json::from_str(&text).with_context(context)?;
        ensure!(
            value["seed"] == seed && value["runs"] == runs,
            "{} is of a campaign with --seed {} --runs {}: give the same, or leave --resume out",
            path.display(),
            value["seed"],
            value["runs"]
        );
        let rows = value["rows"].as_array().with_context(context)?;
        checkpoint.rows = rows.iter().map(Row::from_json).collect::<Option<_>>().with_context(context)?;
        Ok(checkpoint)
    }

    /// The row of a cell, if it is finished.
    pub fn find(&self, key: [&str; 3]) -> Option<&Row> {
        self.rows.iter().find(|row| row.key() == key)
    }

    /// Adds a finished row. The file has all rows or those before, whenever the tool is ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, row: Row) -> Result<()> {
        self.rows.push(row);
        let Some(path) = &self.path else { return Ok(()) };
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let text = json!({"seed": self.seed, "runs": self.runs, "rows": rows}).to_string();
        let new = path.with_extension("new");
        let context = || format!("cannot write {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(context)?;
        }
        fs::write(&new, text).with_context(context)?;
        fs::rename(&new, path).with_context(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaign_goes_on_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/rows.json");
        let mut checkpoint = Checkpoint::resume(&path, 7, 2).unwrap();
        checkpoint.add(Row::new("a", "b", "c")).unwrap();
        let again = Checkpoint::resume(&path, 7, 2).unwrap();
        assert_eq!(again.find(["a", "b", "c"]), Some(&Row::new("a", "b", "c")));
        assert_eq!(again.find(["a", "b", "d"]), None);
        assert!(Checkpoint::resume(&path, 8, 2).unwrap_err().to_string().contains("--seed 7"));
        fs::write(&path, "{}").unwrap();
        assert!(Checkpoint::resume(&path, 7, 2).is_err());
    }
}
