//! `head`: the beginnings of files.

use alloc::collections::VecDeque;
use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Error, Read, Write};
use tools::options::{Spec, with_number_first};
use tools::{About, Arguments, Failure, Input, Output, failed, input, number};

const HELP: &str = "usage: head [-n LINES | -c BYTES] [-qv] [FILE]…
Writes the first 10 lines of files, or of the standard input.
  -n  so many lines (-5 is the same as -n 5); -N: all but the last N
  -c  so many bytes
  -q  without names  -v  with names; by default with them for several files
";

const SPEC: Spec<'_> =
    Spec { letters: "n:c:qv", long: &[("lines", 'n'), ("bytes", 'c'), ("quiet", 'q'), ("verbose", 'v')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let arguments = with_number_first(arguments);
        let options = SPEC.parse(&arguments)?;
        let bytes = options.number('c')?;
        let text = options.value('n').unwrap_or("10");
        let (without_last, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let lines = number::parse(digits).ok_or_else(|| Failure::Usage(alloc::format!("`{text}` is not a number")))?;
        let named = options.last("qv").map_or(options.operands.len() > 1, |last| last == 'v');
        let mut gap = "";
        out.each_input(&options.operands, |out, name, input| {
            if named {
                writeln!(out, "{gap}==> {} <==", if name == "-" { "standard input" } else { name })?;
                gap = "\n";
            }
            match bytes {
                Some(bytes) => first_bytes(out, name, input, bytes),
                None if without_last => all_but_last_lines(out, name, input, lines),
                None => first_lines(out, name, input, lines),
            }
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn first_lines(out: &mut Output, name: &str, input: &mut Input, lines: u64) -> Result<(), Failure> {
    let mut reader = BufReader::new(input);
    let mut line = vec![];
    for _ in 0..lines {
        line.clear();
        if reader.read_until(b'\n', &mut line).about(name)? == 0 {
            break;
        }
        out.write_all(&line)?;
    }
    Ok(())
}

fn all_but_last_lines(out: &mut Output, name: &str, input: &mut Input, lines: u64) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(input::PART, input);
    // Lines that may be the last.
    let mut held = VecDeque::new();
    loop {
        let mut line = vec![];
        if reader.read_until(b'\n', &mut line).about(name)? == 0 {
            return Ok(());
        }
        held.try_reserve(1).map_err(|_| failed(name, Error::NoMemory))?;
        held.push_back(line);
        if held.len() as u64 > lines
            && let Some(line) = held.pop_front()
        {
            out.write_all(&line)?;
        }
    }
}

fn first_bytes(out: &mut Output, name: &str, input: &mut Input, bytes: u64) -> Result<(), Failure> {
    let mut part = vec![0; 4096];
    let mut left = bytes;
    while left > 0 {
        let most = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = input.read(&mut part[..most]).about(name)?;
        if count == 0 {
            break;
        }
        out.write_all(&part[..count])?;
        left -= count as u64;
    }
    Ok(())
}
