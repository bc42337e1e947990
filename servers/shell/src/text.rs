//! Text for people: tables, sizes, times.

use crate::line::buffer::text_width;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display, Write};

/// Rows under titles. Columns whose title begins with `>` are flush right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these titles.
    pub fn new(titles: &[&'static str]) -> Table {
        Table { titles: titles.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; each value as it displays.
    pub fn row(&mut self, values: &[&dyn Display]) {
        self.rows.push(values.iter().map(|value| value.to_string()).collect());
    }

    /// Writes titles and rows.
    pub fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let titles = self.titles.iter().map(|title| title.trim_start_matches('>'));
        let widths: Vec<usize> = titles
            .clone()
            .enumerate()
            .map(|(index, title)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                cells.map(|cell| text_width(cell)).chain([text_width(title)]).max().unwrap_or(0)
            })
            .collect();
        self.line(titles, &widths, out)?;
        for row in &self.rows {
            self.line(row.iter().map(String::as_str), &widths, out)?;
        }
        Ok(())
    }

    fn line<'a>(&self, cells: impl Iterator<Item = &'a str>, widths: &[usize], out: &mut dyn Write) -> fmt::Result {
        // Blanks are written only before something that follows them.
        let mut blanks = 0;
        for ((cell, width), title) in cells.zip(widths).zip(&self.titles) {
            let rest = width.saturating_sub(text_width(cell));
            let (before, after) = if title.starts_with('>') { (rest, 0) } else { (0, rest) };
            if !cell.is_empty() {
                write!(out, "{:1$}{cell}", "", blanks + before)?;
                blanks = 0;
            } else {
                blanks += before;
            }
            blanks += after + 2;
        }
        out.write_char('\n')
    }
}

/// Bytes, with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// That many frames.
    pub fn of_frames(frames: u64) -> Size {
        Size(frames.saturating_mul(libsys::abi::PAGE_BYTES as u64))
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // The largest unit of which there is at least one.
        let unit = (self.0.ilog2() / 10 - 1).min(4);
        let shift = 10 * (unit + 1);
        let tenths = (u128::from(self.0) * 10) >> shift;
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit as usize])
    }
}

/// Nanoseconds that something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub u64);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000;
        if seconds >= 60 {
            return Uptime(self.0).fmt(f);
        }
        write!(f, "{seconds}.{:03} s", self.0 / 1_000_000 % 1000)
    }
}

/// Nanoseconds, written in seconds: `2`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl core::str::FromStr for Seconds {
    type Err = ();

    fn from_str(text: &str) -> Result<Seconds, ()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number =
            text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() > text.matches('.').count();
        if !is_number || fraction.len() > 9 {
            return Err(());
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(drop)? };
        let fraction: u64 = alloc::format!("{fraction:0<9}").parse().map_err(drop)?;
        whole.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(fraction)).map(Seconds).ok_or(())
    }
}

/// Nanoseconds, short and exact enough for latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency(pub u64);

impl Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{} ns", self.0),
            1_000..1_000_000 => write!(f, "{}.{} us", self.0 / 1_000, self.0 / 100 % 10),
            1_000_000..1_000_000_000 => {
                write!(f, "{}.{} ms", self.0 / 1_000_000, self.0 / 100_000 % 10)
            }
            _ => Time(self.0).fmt(f),
        }
    }
}

/// Nanoseconds, in days, hours, minutes and seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uptime(pub u64);

impl Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000_000_000;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days} d ")?;
        }
        write!(f, "{hours}:{minutes:02}:{:02}", seconds % 60)
    }
}

/// A name that the kernel keeps in so many bytes, padded with zeros.
pub fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    // Names are the programs' own choice: none of them gets to steer the terminal.
    text.replace(char::is_control, "?")
}

/// A bit set of CPUs, as `0,2-3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus(pub u64);

impl Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == u64::MAX {
            return f.write_str("all");
        }
        let mut separator = "";
        let mut cpu = 0;
        while cpu < 64 {
            let run = (self.0 >> cpu).trailing_ones();
            if run > 0 {
                write!(f, "{separator}{cpu}")?;
                separator = ",";
            }
            if run > 1 {
                write!(f, "-{}", cpu + run - 1)?;
            }
            cpu += run.max(1);
        }
        Ok(())
    }
}

impl core::str::FromStr for Cpus {
    type Err = ();

    /// Reads `0,2-3`, `0x…` (the bit set) or `all`.
    fn from_str(text: &str) -> Result<Cpus, ()> {
        if text == "all" {
            return Ok(Cpus(u64::MAX));
        }
        if let Some(digits) = text.strip_prefix("0x") {
            let bits = u64::from_str_radix(digits, 16).map_err(drop)?;
            return if bits == 0 { Err(()) } else { Ok(Cpus(bits)) };
        }
        let mut bits = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.parse().map_err(drop)?;
            let last: u32 = last.parse().map_err(drop)?;
            if first > last || last > 63 {
                return Err(());
            }
            bits |= (u64::MAX >> (63 - (last - first))) << first;
        }
        Ok(Cpus(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_are_aligned() {
        let mut table = Table::new(&[">PID", "NAME", ">MEMORY", "STATE"]);
        table.row(&[&7, &"uart", &Size(2048), &"running"]);
        table.row(&[&123, &"é", &Size(1), &""]);
        let mut text = String::new();
        table.write(&mut text).expect("a string");
        assert_eq!(text, "PID  NAME   MEMORY  STATE\n  7  uart  2.0 KiB  running\n123  é         1 B\n");
    }

    #[test]
    fn numbers_have_units() {
        let sizes = [0, 1023, 1024, 1536, 1 << 20].map(|bytes| Size(bytes).to_string());
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB"]);
        assert_eq!(Size(u64::MAX).to_string(), "16383.9 PiB");
        assert_eq!(Time(1_234_567_890).to_string(), "1.234 s");
        assert_eq!(Time(3_723_000_000_000).to_string(), "1:02:03");
        assert_eq!(Uptime(90_061_000_000_000).to_string(), "1 d 1:01:01");
        let latencies = [999, 1_500, 2_340_000].map(|time| Latency(time).to_string());
        assert_eq!(latencies, ["999 ns", "1.5 us", "2.3 ms"]);
    }

    #[test]
    fn seconds_may_have_a_point() {
        let read = |text: &str| text.parse().ok().map(|Seconds(nanoseconds)| nanoseconds);
        assert_eq!([read("2"), read("0.5"), read(".25")], [Some(2_000_000_000), Some(500_000_000), Some(250_000_000)]);
        for wrong in ["", ".", "-1", "+1", "1e3", "1.2.3", "x", "0.1234567890", "99999999999"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cpus_are_lists() {
        assert_eq!("0,2-3".parse(), Ok(Cpus(0b1101)));
        assert_eq!("0x6".parse(), Ok(Cpus(6)));
        assert_eq!("0-63".parse(), Ok(Cpus(u64::MAX)));
        for wrong in ["", "a", "3-1", "64", "0x0", "1,"] {
            assert_eq!(wrong.parse::<Cpus>(), Err(()), "{wrong}");
        }
        assert_eq!(Cpus(0b1101).to_string(), "0,2-3");
        assert_eq!(Cpus(u64::MAX).to_string(), "all");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(name(b"uart\0\0x"), "uart");
        assert_eq!(name(b"a\x1b[2J\n\xff"), "a?[2J?\u{fffd}");
    }

    proptest! {
        #[test]
        fn cpus_come_back(bits in 1u64..) {
            prop_assert_eq!(Cpus(bits).to_string().parse(), Ok(Cpus(bits)));
        }
    }
}
