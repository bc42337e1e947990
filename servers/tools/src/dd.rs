//! The operands and the figures of `dd`.

use crate::{Failure, number};
use alloc::format;
use alloc::string::String;
use libsys::time::Duration;

/// What `dd` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// `if`: what is read; `None`: the standard input.
    pub input: Option<String>,
    /// `of`: what is written; `None`: the standard output.
    pub output: Option<String>,
    /// `bs`: bytes of a block.
    pub block: usize,
    /// `count`: blocks at most.
    pub count: Option<u64>,
    /// `skip`: blocks of the input that are left out.
    pub skip: u64,
    /// `seek`: blocks of the output that are left as they are.
    pub seek: u64,
    /// `conv=notrunc`: what is behind in the output stays.
    pub keep_length: bool,
    /// `conv=fsync`: it ends when all is on the medium.
    pub sync: bool,
    /// `iflag=fullblock`: blocks are filled, however the input comes.
    pub full_blocks: bool,
    /// `status=none`: no figures.
    pub quiet: bool,
}

/// Most bytes of a block.
const MOST: u64 = 64 << 20;

impl Task {
    /// Reads operands `NAME=VALUE`.
    pub fn parse(operands: &[String]) -> Result<Task, Failure> {
        let mut task = Task {
            input: None,
            output: None,
            block: 512,
            count: None,
            skip: 0,
            seek: 0,
            keep_length: false,
            sync: false,
            full_blocks: false,
            quiet: false,
        };
        for word in operands {
            let (name, value) = word.split_once('=').ok_or_else(|| Failure::Usage(format!("unexpected `{word}`")))?;
            let bad = || Failure::Usage(format!("`{value}` is nothing for {name}"));
            let number = || number::parse(value).ok_or_else(bad);
            match name {
                "if" => task.input = Some(value.into()),
                "of" => task.output = Some(value.into()),
                "bs" => match number()? {
                    0 => return Err(bad()),
                    bytes @ 1..=MOST => task.block = bytes as usize,
                    _ => return Err(Failure::Usage(format!("`{value}` is too much for bs: 64M is the most"))),
                },
                "count" => task.count = Some(number()?),
                "skip" => task.skip = number()?,
                "seek" => task.seek = number()?,
                "conv" | "iflag" => {
                    for word in value.split(',') {
                        match (name, word) {
                            ("conv", "notrunc") => task.keep_length = true,
                            ("conv", "fsync" | "fdatasync") => task.sync = true,
                            ("iflag", "fullblock") => task.full_blocks = true,
                            _ => return Err(bad()),
                        }
                    }
                }
                "status" if value == "none" => task.quiet = true,
                _ => return Err(Failure::Usage(format!("unexpected `{word}`"))),
            }
        }
        let fits = |blocks: u64| blocks.checked_mul(task.block as u64).is_some_and(|bytes| bytes <= i64::MAX as u64);
        if fits(task.skip) && fits(task.seek) {
            return Ok(task);
        }
        Err(Failure::Usage("so many blocks are behind the end of every file".into()))
    }
}

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Whole blocks.
    pub whole: u64,
    /// Blocks that were shorter.
    pub partial: u64,
    /// All bytes.
    pub bytes: u64,
}

impl Figures {
    /// A block was moved.
    pub fn add(&mut self, bytes: usize, block: usize) {
        if bytes == block {
            self.whole += 1
        } else {
            self.partial += 1
        }
        self.bytes += bytes as u64;
    }
}

/// The three lines that `dd` ends with.
pub fn report(read: Figures, written: Figures, time: Duration) -> String {
    let mut text =
        format!("{}+{} records in\n{}+{} records out\n", read.whole, read.partial, written.whole, written.partial);
    let bytes = written.bytes;
    let noun = if bytes == 1 { "byte" } else { "bytes" };
    text += &format!("{bytes} {noun}");
    match (decimal(bytes), crate::format::human(bytes)) {
        _ if bytes < 1000 => {}
        (decimal, _) if bytes < 1024 => text += &format!(" ({decimal}B)"),
        (decimal, mut binary) => {
            if let Some(unit) = binary.pop() {
                text += &format!(" ({decimal}B, {binary} {unit}iB)");
            }
        }
    }
    let nanoseconds = time.as_nanos().max(1);
    let rate = u64::try_from(u128::from(bytes) * 1_000_000_000 / nanoseconds).unwrap_or(u64::MAX);
    text + &format!(" copied, {}.{:06} s, {}B/s\n", time.as_secs(), time.subsec_micros(), decimal(rate))
}

/// A number with a unit of powers of 1000 behind it.
fn decimal(number: u64) -> String {
    let (mut unit, mut power) = (' ', 1u64);
    for (letter, value) in [('k', 1000), ('M', 1_000_000), ('G', 1_000_000_000), ('T', 1_000_000_000_000)] {
        if number >= value {
            (unit, power) = (letter, value);
        }
    }
    let tenths = (number % power) * 10 / power;
    let whole = number / power;
    match unit {
        ' ' => format!("{whole} "),
        _ if whole < 10 => format!("{whole}.{tenths} {unit}"),
        _ => format!("{whole} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn parse(text: &str) -> Result<Task, Failure> {
        Task::parse(&text.split(' ').map(String::from).collect::<Vec<String>>())
    }

    #[test]
    fn operands() {
        let task = parse("if=a of=b=c bs=4k count=3 skip=1 seek=2 conv=notrunc,fsync status=none").expect("good");
        assert_eq!((task.input.as_deref(), task.output.as_deref()), (Some("a"), Some("b=c")));
        assert_eq!((task.block, task.count, task.skip, task.seek), (4096, Some(3), 1, 2));
        assert!(task.keep_length && task.sync && task.quiet && !task.full_blocks);
        for wrong in [
            "a",
            "bs=0",
            "bs=x",
            "bs=1T",
            "conv=ascii",
            "iflag=notrunc",
            "status=all",
            "to=x",
            "bs=1M seek=9999999999999",
        ] {
            assert!(matches!(parse(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_block_that_is_too_large_is_told_the_most() {
        assert_eq!(parse("bs=64M").map(|task| task.block), Ok(64 << 20));
        assert_eq!(parse("bs=1G"), Err(Failure::Usage("`1G` is too much for bs: 64M is the most".into())));
    }

    #[test]
    fn figures() {
        let mut figures = Figures::default();
        figures.add(512, 512);
        figures.add(488, 512);
        assert_eq!(
            report(figures, figures, Duration::from_millis(500)),
            "1+1 records in\n1+1 records out\n1000 bytes (1.0 kB) copied, 0.500000 s, 2.0 kB/s\n"
        );
        figures.add(1 << 20, 1 << 20);
        assert!(report(figures, figures, Duration::ZERO).contains("1049576 bytes (1.0 MB, 1.1 MiB) copied"));
        assert!(
            report(Figures::default(), Figures::default(), Duration::ZERO).contains("\n0 bytes copied, 0.000000 s")
        );
    }
}
