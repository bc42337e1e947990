//! `tail`: the ends of files.

use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Read, Write};
use tools::options::{Spec, with_number_first};
use tools::tail::{self, Amount};
use tools::{About, Arguments, Failure, Input, Output, input, number};

const HELP: &str = "usage: tail [-n LINES | -c BYTES] [-qv] [FILE]…
Writes the last 10 lines of files, or of the standard input.
  -n  so many lines (-5 is the same as -n 5); +N: from line N on
  -c  so many bytes; +N: from byte N on
  -q  without names  -v  with names; by default with them for several files
";

const SPEC: Spec<'_> =
    Spec { letters: "n:c:qv", long: &[("lines", 'n'), ("bytes", 'c'), ("quiet", 'q'), ("verbose", 'v')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let arguments = with_number_first(arguments);
        let options = SPEC.parse(&arguments)?;
        let text = options.value('c').or(options.value('n')).unwrap_or("10");
        let (from_start, digits) =
            text.strip_prefix('+').map_or((false, text.trim_start_matches('-')), |rest| (true, rest));
        let count = number::parse(digits).ok_or_else(|| Failure::Usage(alloc::format!("`{text}` is not a number")))?;
        let amount = if options.has('c') { Amount::Bytes(count) } else { Amount::Lines(count) };
        let named = options.last("qv").map_or(options.operands.len() > 1, |last| last == 'v');
        let mut gap = "";
        out.each_input(&options.operands, |out, name, input| {
            if named {
                writeln!(out, "{gap}==> {} <==", if name == "-" { "standard input" } else { name })?;
                gap = "\n";
            }
            if from_start { without_start(out, name, input, amount) } else { end(out, name, input, amount) }
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn end(out: &mut Output, name: &str, input: &mut Input, amount: Amount) -> Result<(), Failure> {
    let length = input.file().map(|file| file.metadata()).transpose().about(name)?.map(|metadata| metadata.len());
    let (Some(file), Some(bytes @ 1..)) = (input.file(), length) else {
        let held = tail::of_stream(input, amount).about(name)?;
        let (first, second) = held.as_slices();
        return Ok(out.write_all(first).and_then(|()| out.write_all(second))?);
    };
    let start = match amount {
        Amount::Bytes(count) => bytes.saturating_sub(count),
        Amount::Lines(count) => {
            tail::start_of_lines(|into, offset| file.read_at(into, offset), bytes, count).about(name)?
        }
    };
    input.skip(start).about(name)?;
    rest(out, name, input)
}

/// All but what is before a line or byte, counted from 1.
fn without_start(out: &mut Output, name: &str, input: &mut Input, amount: Amount) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(input::PART, input);
    let (mut lines, mut bytes) = match amount {
        Amount::Lines(number) => (number.saturating_sub(1), 0),
        Amount::Bytes(number) => (0, number.saturating_sub(1)),
    };
    while lines > 0 && reader.read_until(b'\n', &mut vec![]).about(name)? > 0 {
        lines -= 1;
    }
    while bytes > 0 {
        let count = (reader.fill().about(name)?.len() as u64).min(bytes);
        if count == 0 {
            break;
        }
        reader.consume(count as usize);
        bytes -= count;
    }
    rest(out, name, &mut reader)
}

fn rest(out: &mut Output, name: &str, input: &mut impl Read) -> Result<(), Failure> {
    let mut part = vec![0; input::PART];
    loop {
        match input.read(&mut part).about(name)? {
            0 => return Ok(()),
            count => out.write_all(&part[..count])?,
        }
    }
}
