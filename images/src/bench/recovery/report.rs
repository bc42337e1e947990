//! Figures with their bars, as lines for people and as JSON.

use serde_json::{Value, json};

/// What a figure must not exceed, or fall below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// It is at most this.
    Most(u64),
    /// It is at least this.
    Least(u64),
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
    /// What it is held against.
    pub bar: Option<Bar>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

impl Figure {
    /// A figure without a bar.
    pub fn new(name: impl Into<String>, value: u64, unit: &'static str) -> Figure {
        Figure { name: name.into(), value, unit, bar: None, notes: Vec::new() }
    }

    /// The same with a bar, if there is one.
    pub fn bar(self, bar: Option<Bar>) -> Figure {
        Figure { bar, ..self }
    }

    /// Whether it is within its bar; one without is.
    pub fn is_within(&self) -> bool {
        match self.bar {
            None => true,
            Some(Bar::Most(most)) => self.value <= most,
            Some(Bar::Least(least)) => self.value >= least,
        }
    }

    /// A line, and one for each note.
    pub fn text(&self) -> String {
        let mark = if self.is_within() { '✓' } else { '✗' };
        let bar = match self.bar {
            None => String::new(),
            Some(Bar::Most(most)) => format!("≤ {most} {mark}"),
            Some(Bar::Least(least)) => format!("≥ {least} {mark}"),
        };
        let line = format!("{:<32}{:>12} {:<14}{bar}", self.name, self.value, self.unit);
        let notes = self.notes.iter().map(|note| format!("    {note}"));
        std::iter::once(line.trim_end().to_string()).chain(notes).collect::<Vec<_>>().join("\n")
    }

    /// `{"name", "value", "unit", "bar", "within", "notes"}`.
    pub fn json(&self) -> Value {
        let bar = self.bar.map(|bar| match bar {
            Bar::Most(number) | Bar::Least(number) => number,
        });
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "bar": bar,
            "within": self.is_within(),
            "notes": self.notes,
        })
    }
}

/// The number below which so many hundredths of some sorted numbers are; 0 of none.
pub fn percentile(sorted: &[u64], hundredths: usize) -> u64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * hundredths / 100).min(last)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_inclusive() {
        let figure = Figure::new("a", 5, "instructions");
        for (bar, is_within) in
            [(Bar::Most(5), true), (Bar::Most(4), false), (Bar::Least(5), true), (Bar::Least(6), false)]
        {
            assert_eq!(figure.clone().bar(Some(bar)).is_within(), is_within, "{bar:?}");
        }
        assert!(figure.is_within());
        assert_eq!(figure.json()["bar"], Value::Null);
        assert!(figure.bar(Some(Bar::Most(4))).text().ends_with("≤ 4 ✗"));
    }

    #[test]
    fn percentiles_are_of_those_there_are() {
        let numbers: Vec<u64> = (0..1000).collect();
        assert_eq!([50, 99, 100].map(|part| percentile(&numbers, part)), [500, 990, 999]);
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (7, 0));
    }
}
