//! `wc`: counts lines, words and bytes.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::io::{Read, Write};
use libsys::{ExitStatus, fs};
use tools::{About, Arguments, Failure, Input, Options, Output, input};

const HELP: &str = "usage: wc [-lwmc] [FILE]…
Counts what is in files, or in the standard input: lines, words, bytes.
  -l  lines          -w  words
  -m  characters     -c  bytes
";

/// Lines, words, characters, bytes.
type Counts = [u64; 4];

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("lwmc", arguments)?;
        let usual = options.last("lwmc").is_none();
        let shown: Vec<usize> = "lwmc"
            .chars()
            .enumerate()
            .filter(|(_, letter)| options.has(*letter) || usual && *letter != 'm')
            .map(|(index, _)| index)
            .collect();
        let width = width(&options.operands, shown.len());
        let mut total: Counts = [0; 4];
        out.each_input(&options.operands, |out, name, input| {
            let counts = count(name, input)?;
            total.iter_mut().zip(counts).for_each(|(all, one)| *all += one);
            line(out, &counts, &shown, width, if options.operands.is_empty() { "" } else { name })
        })?;
        if options.operands.len() > 1 {
            line(out, &total, &shown, width, "total")?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// As wide as the largest number can be: that of the bytes of all files. Where that is not known before, 7.
fn width(operands: &[&str], columns: usize) -> usize {
    if operands.len() <= 1 && columns == 1 {
        return 1;
    }
    let sizes = operands.iter().map(|name| fs::metadata(name).ok().filter(|metadata| metadata.is_file()));
    match sizes.map(|metadata| metadata.map(|metadata| metadata.len())).sum::<Option<u64>>() {
        Some(bytes) if !operands.is_empty() => bytes.checked_ilog10().unwrap_or(0) as usize + 1,
        _ => 7,
    }
}

fn count(name: &str, input: &mut Input) -> Result<Counts, Failure> {
    let [mut lines, mut words, mut characters, mut bytes] = [0; 4];
    let (mut part, mut in_word) = (vec![0; input::PART], false);
    loop {
        let count = input.read(&mut part).about(name)?;
        if count == 0 {
            return Ok([lines, words, characters, bytes]);
        }
        bytes += count as u64;
        for byte in &part[..count] {
            let is_space = byte.is_ascii_whitespace() || *byte == 0x0b;
            lines += u64::from(*byte == b'\n');
            words += u64::from(!is_space && !in_word);
            // Bytes that go on with a character of UTF-8 begin none.
            characters += u64::from(*byte & 0xc0 != 0x80);
            in_word = !is_space;
        }
    }
}

fn line(out: &mut Output, counts: &Counts, shown: &[usize], width: usize, name: &str) -> Result<(), Failure> {
    let mut blank = "";
    for index in shown {
        write!(out, "{blank}{:>width$}", counts[*index])?;
        blank = " ";
    }
    let name: String = if name.is_empty() { String::new() } else { alloc::format!(" {name}") };
    Ok(writeln!(out, "{name}")?)
}
