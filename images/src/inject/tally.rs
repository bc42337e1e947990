//! How many changes of a server came to what.

use serde_json::{Value, json};

use super::Made;
use super::outcome::Outcome;

/// Characters of an output that are told.
const TOLD: usize = 400;

/// Counts of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    server: String,
    seed: u64,
    /// All changes.
    pub changes: u64,
    /// Nothing came of them.
    pub silent: u64,
    /// The server died, and nobody noticed.
    pub recovered: u64,
    /// The server died, and a client noticed.
    pub visible: u64,
    /// The server lived, and a client noticed.
    pub undetected: u64,
    /// Wrong results that nobody can notice.
    pub wrong: u64,
    /// The kernel panicked.
    pub crashes: u64,
    /// Those that are worth a look, with number and seed.
    pub told: Vec<String>,
}

impl Tally {
    /// Of a server, with nothing counted yet.
    pub fn new(server: &str, seed: u64) -> Tally {
        Tally { server: server.to_string(), seed, ..Tally::default() }
    }

    /// Adds what was counted elsewhere of the same server.
    pub fn merge(&mut self, other: Tally) {
        self.changes += other.changes;
        self.silent += other.silent;
        self.recovered += other.recovered;
        self.visible += other.visible;
        self.undetected += other.undetected;
        self.wrong += other.wrong;
        self.crashes += other.crashes;
        self.told.extend(other.told);
    }

    /// The server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Counts a change.
    pub fn add(&mut self, number: u64, made: &Made) {
        let Made { mutation, outcome, seen, output } = made;
        self.changes += 1;
        let count = match *outcome {
            Outcome::NotManifested => &mut self.silent,
            Outcome::Recovered => &mut self.recovered,
            Outcome::Visible => &mut self.visible,
            Outcome::Undetected => &mut self.undetected,
            Outcome::SilentlyWrong => &mut self.wrong,
            Outcome::KernelCrash => &mut self.crashes,
        };
        *count += 1;
        if !outcome.is_unnoticed() {
            let text: String = format!("{output:?}").chars().take(TOLD).collect();
            let deaths = seen.deaths;
            self.told
                .push(format!("seed {} number {number}: {outcome:?}, {deaths} deaths: {mutation}: {text}", self.seed));
        }
    }

    /// The titles of [`Tally::line`].
    pub fn title() -> String {
        format!(
            "{:<11} {:>8} {:>11} {:>10} {:>8} {:>11} {:>6} {:>8}",
            "SERVER", "CHANGES", "MANIFESTED", "RECOVERED", "VISIBLE", "UNDETECTED", "WRONG", "CRASHES"
        )
    }

    /// A line of the table.
    pub fn line(&self) -> String {
        format!(
            "{:<11} {:>8} {:>11} {:>10} {:>8} {:>11} {:>6} {:>8}",
            self.server,
            self.changes,
            self.changes - self.silent,
            self.recovered,
            self.visible,
            self.undetected,
            self.wrong,
            self.crashes
        )
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "server": self.server, "seed": self.seed, "changes": self.changes, "not_manifested": self.silent,
            "recovered": self.recovered, "visible": self.visible, "undetected": self.undetected, "silently_wrong": self.wrong,
            "kernel_crash": self.crashes, "told": self.told,
        })
    }

    /// What [`Tally::json`] made.
    pub fn from_json(value: &Value) -> Option<Tally> {
        let number = |name: &str| value[name].as_u64();
        let told = value["told"].as_array()?.iter();
        Some(Tally {
            server: value["server"].as_str()?.to_string(),
            seed: number("seed")?,
            changes: number("changes")?,
            silent: number("not_manifested")?,
            recovered: number("recovered")?,
            visible: number("visible")?,
            undetected: number("undetected")?,
            wrong: number("silently_wrong")?,
            crashes: number("kernel_crash")?,
            told: told.filter_map(|text| Some(text.as_str()?.to_string())).collect(),
        })
    }
}
