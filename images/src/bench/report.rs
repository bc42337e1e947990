//! Measurements as tables for people, and as JSON for programs.

use std::fmt::{self, Display, Write};

use serde_json::{Value, json};

use super::figure;
use super::lines::Line;
use super::scaling::{self, hundredths};
use super::{Measurements, ROUNDS};
use crate::accelerator::Accelerator;

/// What the time-stamp counter runs at under icount: an instruction a nanosecond.
const COUNTED_HERTZ: u64 = 1_000_000_000;

/// What [`Measurements::boots_in_little_memory`] is about.
const MEMORY_OPTION: &str = "--memory 32";

/// Added to the name of a figure that is wall time, in JSON.
const WALL: &str = "_wall";

impl Measurements {
    /// One array of `{"name", "value", "unit", "baseline", "ratio"}`. Wall times have names that
    /// end in `_wall`.
    pub fn json(&self) -> String {
        let counted = self.counted.iter().map(|line| {
            let baseline = figure::find(&line.name).and_then(|figure| figure.baseline);
            let baseline = baseline.map(|baseline| baseline.value);
            object(&line.name, line.value, &line.unit, baseline)
        });
        let wall = self.wall.iter().map(|line| object(&format!("{}{WALL}", line.name), line.value, "ns", None));
        let rates = self.rates.iter().map(|rate| object(&rate.name(), rate.calls, "/s", None));
        let array: Vec<_> = counted.chain(wall).chain(rates).collect();
        format!("{:#}", Value::Array(array))
    }

    /// What is beyond its bar, by name.
    pub fn beyond_bars(&self) -> Vec<&str> {
        let beyond = self.counted.iter().filter(|line| within(line) == Some(false));
        let boots = (!self.boots_in_little_memory).then_some(MEMORY_OPTION);
        beyond.map(|line| line.name.as_str()).chain(boots).collect()
    }

    /// The tables.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "Instructions, counted (icount, 1 CPU)\n")?;
        out.push_str(&self.counted_table());
        writeln!(
            out,
            "{:<18}{}",
            MEMORY_OPTION,
            match self.boots_in_little_memory {
                true => "boots ✓",
                false => "does not boot ✗",
            }
        )?;
        match self.beyond_bars().as_slice() {
            [] => writeln!(out, "\nAll within their bars.")?,
            names => writeln!(out, "\nBeyond their bars: {}.", names.join(", "))?,
        }
        writeln!(out, "Calibration: {}\n", calibration(self.tsc_hertz))?;

        let how = match self.accelerator {
            Accelerator::Kvm => "KVM",
            _ => "plain TCG",
        };
        writeln!(out, "Wall time ({how}, 1 CPU, least of {ROUNDS} runs)\n")?;
        let mut table = Table::new(&["FIGURE", ">MICROSECONDS"]);
        for line in &self.wall {
            let microseconds = format!("{}.{:03}", grouped(line.value / 1000), line.value % 1000);
            table.row([line.name.clone(), microseconds]);
        }
        out.push_str(&table.text());

        writeln!(out, "\nCalls per second ({how}, a caller and a server on each CPU, most of {ROUNDS} runs)\n")?;
        let mut table = Table::new(&[">CPUS", ">CALLS/S", ">TIMES ONE CPU"]);
        for rate in &self.rates {
            let speedup = scaling::speedup(&self.rates, rate).map_or("-".to_string(), hundredths);
            table.row([rate.cpus.to_string(), grouped(rate.calls), speedup]);
        }
        out.push_str(&table.text());
        writeln!(out, "\n{}", scaling::meaning(&self.rates, self.host))
    }

    fn counted_table(&self) -> String {
        let mut table = Table::new(&["FIGURE", ">VALUE", "UNIT", ">BASELINE", "OF", ">RATIO", ">BAR", ""]);
        for line in &self.counted {
            let figure = figure::find(&line.name);
            let baseline = figure.and_then(|figure| figure.baseline);
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
            let mark = match within(line) {
                Some(true) => "✓",
                Some(false) => "✗",
                None => "",
            };
            table.row([
                line.name.clone(),
                grouped(line.value),
                line.unit.clone(),
                or_dash(baseline.map(|baseline| grouped(baseline.value))),
                baseline.map_or("", |baseline| baseline.system).to_string(),
                or_dash(baseline.map(|baseline| format!("{:.3}", ratio(line.value, baseline.value)))),
                or_dash(figure.map(|figure| grouped(figure.bar))),
                mark.to_string(),
            ]);
        }
        table.text()
    }
}

fn object(name: &str, value: u64, unit: &str, baseline: Option<u64>) -> Value {
    json!({
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline,
        "ratio": baseline.map(|baseline| (ratio(value, baseline) * 1e6).round() / 1e6),
    })
}

fn ratio(value: u64, baseline: u64) -> f64 {
    value as f64 / baseline as f64
}

/// Whether a figure is within its bar, if it has one.
fn within(line: &Line) -> Option<bool> {
    figure::find(&line.name).map(|figure| line.value <= figure.bar)
}

/// How far nanoseconds of the guest are from instructions.
fn calibration(tsc_hertz: u64) -> String {
    let off = tsc_hertz.abs_diff(COUNTED_HERTZ) * 1_000_000 / COUNTED_HERTZ;
    let mut text = format!(
        "the time-stamp counter goes up by 1 with each instruction, {} a second. \
         The kernel measured {}: ",
        grouped(COUNTED_HERTZ),
        grouped(tsc_hertz)
    );
    text.push_str(&match off {
        0 => "a nanosecond is an instruction.".to_string(),
        off => format!("a nanosecond is an instruction, with an error of {} parts in a million.", grouped(off)),
    });
    text
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns, as wide as what stands in them. Headings with `>` are of columns of numbers.
struct Table {
    rows: Vec<Vec<String>>,
    is_right: Vec<bool>,
}

impl Table {
    fn new(headings: &[&str]) -> Self {
        let plain = headings.iter().map(|text| text.trim_start_matches('>'));
        Self {
            is_right: headings.iter().map(|text| text.starts_with('>')).collect(),
            rows: vec![plain.map(str::to_string).collect()],
        }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.is_right.len()).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), is_right) in row.iter().zip(&widths).zip(&self.is_right) {
                let padded: &dyn Display = match is_right {
                    true => &format!("{cell:>width$}"),
                    false => &format!("{cell:<width$}"),
                };
                // Writing to a String cannot fail.
                let _ = write!(line, "{padded}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::scaling::{Host, Rate};
    use super::*;

    fn sample() -> Measurements {
        Measurements {
            counted: vec![
                Line::new("call_0w", 212, "instructions"),
                Line::new("irq_to_thread", 2000, "instructions"),
                Line::new("memory_at_prompt", 4_571_136, "bytes"),
                Line::new("new", 7, "instructions"),
            ],
            tsc_hertz: 1_000_012_345,
            boots_in_little_memory: true,
            accelerator: Accelerator::Tcg,
            host: Host { cpus: 2, load: 0 },
            wall: vec![Line::new("call_0w", 4_250, "instructions")],
            rates: vec![Rate { cpus: 1, calls: 200_000 }, Rate { cpus: 2, calls: 390_000 }],
        }
    }

    #[test]
    fn json_has_the_agreed_keys() {
        let array: Value = serde_json::from_str(&sample().json()).unwrap();
        assert_eq!(
            array[0],
            json!({"name": "call_0w", "value": 212, "unit": "instructions",
                   "baseline": 424, "ratio": 0.5})
        );
        assert_eq!(
            array[1],
            json!({"name": "irq_to_thread", "value": 2000, "unit": "instructions",
                   "baseline": null, "ratio": null})
        );
        assert_eq!(array[2]["ratio"], json!(0.132102));
        assert_eq!(array[3]["baseline"], Value::Null);
        assert_eq!(array[4]["name"], "call_0w_wall");
        assert_eq!(array[4]["unit"], "ns");
        assert_eq!(array[6]["name"], "calls_per_second_2");
        assert_eq!(array.as_array().unwrap().len(), 7);
    }

    #[test]
    fn tables_show_everything() {
        let text = sample().tables();
        let expected = "\
FIGURE                VALUE  UNIT            BASELINE  OF     RATIO         BAR
call_0w                 212  instructions         424  seL4   0.500         424  ✓
irq_to_thread         2,000  instructions           -             -       1,638  ✗
memory_at_prompt  4,571,136  bytes         34,603,008  Linux  0.132  16,777,216  ✓
new                       7  instructions           -             -           -
--memory 32       boots ✓
";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("measured 1,000,012,345: "), "{text}");
        assert!(text.contains("12 parts in a million"), "{text}");
        assert!(text.contains("call_0w         4.250\n"), "{text}");
        assert!(text.contains("   2  390,000           1.95\n"), "{text}");
        assert!(text.contains("no hindrance"), "{text}");
    }

    #[test]
    fn bars_are_upper_bounds() {
        let mut all = sample();
        assert_eq!(all.beyond_bars(), ["irq_to_thread"]);
        all.counted[1].value = 1638;
        assert!(all.beyond_bars().is_empty());
        all.boots_in_little_memory = false;
        assert_eq!(all.beyond_bars(), ["--memory 32"]);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(1_598_000_000), "1,598,000,000");
    }
}
