//! A cell of the matrix: a server under a fault and a workload, and what became of its runs.

use std::fmt::Write;

use serde_json::{Value, json};

/// Failures of a cell that are told of.
const TOLD: usize = 3;

/// A cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Who was struck.
    pub server: String,
    /// By what.
    pub fault: String,
    /// During what.
    pub workload: String,
    /// How often.
    pub runs: u64,
    /// Runs that nobody noticed.
    pub pass: u64,
    /// Runs in which the server did not die.
    pub alive: u64,
    /// Nanoseconds of virtual time from each death to the first answer.
    pub recoveries: Vec<u64>,
    /// Bytes of files that were not what was written.
    pub bytes_lost: u64,
    /// Runs in which a command printed something else, or failed.
    pub client_errors: u64,
    /// What was left behind, in all.
    pub residue: u64,
    /// What went wrong, with the seeds.
    pub failures: Vec<String>,
}

impl Row {
    /// A cell without runs.
    pub fn new(server: &str, fault: &str, workload: &str) -> Row {
        Row { server: server.into(), fault: fault.into(), workload: workload.into(), ..Row::default() }
    }

    /// What names the cell.
    pub fn key(&self) -> [&str; 3] {
        [&self.server, &self.fault, &self.workload]
    }

    /// Notes a failure.
    pub fn fail(&mut self, text: String) {
        if self.failures.len() < TOLD {
            self.failures.push(text);
        }
    }

    /// The recovery that `percent` of all did not exceed; `None` where there was none.
    pub fn recovery(&self, percent: usize) -> Option<u64> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }

    /// Whether all runs passed, and nothing was left behind.
    pub fn is_clean(&self) -> bool {
        self.pass == self.runs && self.residue == 0 && self.bytes_lost == 0
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "server": self.server, "fault": self.fault, "workload": self.workload,
            "runs": self.runs, "pass": self.pass, "alive": self.alive,
            "recovery_median": self.recovery(50), "recovery_p99": self.recovery(99), "recoveries": self.recoveries,
            "bytes_lost": self.bytes_lost, "client_errors": self.client_errors, "residue": self.residue,
            "failures": self.failures,
        })
    }

    /// What [`Row::json`] made.
    pub fn from_json(value: &Value) -> Option<Row> {
        let text = |name: &str| value[name].as_str().map(str::to_string);
        let number = |name: &str| value[name].as_u64();
        Some(Row {
            server: text("server")?,
            fault: text("fault")?,
            workload: text("workload")?,
            runs: number("runs")?,
            pass: number("pass")?,
            alive: number("alive")?,
            recoveries: value["recoveries"].as_array()?.iter().filter_map(Value::as_u64).collect(),
            bytes_lost: number("bytes_lost")?,
            client_errors: number("client_errors")?,
            residue: number("residue")?,
            failures: value["failures"]
                .as_array()?
                .iter()
                .filter_map(|text| Some(text.as_str()?.to_string()))
                .collect(),
        })
    }

    /// The titles of [`Row::line`].
    pub fn title() -> String {
        format!(
            "{:<11} {:<18} {:<15} {:>5} {:>5} {:>6} {:>12} {:>12} {:>6} {:>7} {:>8}",
            "SERVER", "FAULT", "WORKLOAD", "RUNS", "PASS", "ALIVE", "MEDIAN", "P99", "LOST", "ERRORS", "RESIDUE"
        )
    }

    /// A line of the table.
    pub fn line(&self) -> String {
        let time = |value: Option<u64>| value.map_or("-".to_string(), |value| value.to_string());
        let mut line = String::new();
        let _ = write!(
            line,
            "{:<11} {:<18} {:<15} {:>5} {:>5} {:>6} {:>12} {:>12} {:>6} {:>7} {:>8}",
            self.server,
            self.fault,
            self.workload,
            self.runs,
            self.pass,
            self.alive,
            time(self.recovery(50)),
            time(self.recovery(99)),
            self.bytes_lost,
            self.client_errors,
            self.residue
        );
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let row = Row { recoveries: (1..=200).rev().collect(), ..Row::new("a", "b", "c") };
        assert_eq!((row.recovery(50), row.recovery(99)), (Some(100), Some(198)));
        assert_eq!(Row::new("a", "b", "c").recovery(50), None);
        assert_eq!(Row { recoveries: vec![7], ..row }.recovery(99), Some(7));
    }

    #[test]
    fn json_goes_and_comes() {
        let mut row = Row { runs: 3, pass: 2, recoveries: vec![5], residue: 1, ..Row::new("a", "b", "c") };
        row.fail("seed 1: what".to_string());
        assert_eq!(Row::from_json(&row.json()), Some(row));
        assert_eq!(Row::from_json(&json!({"server": "a"})), None);
    }
}
