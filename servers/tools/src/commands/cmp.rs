//! `cmp`: compares two files.

use libsys::ExitStatus;
use libsys::io::{BufReader, Write};
use tools::{About, Arguments, Failure, Input, Options, Output, input};

const HELP: &str = "usage: cmp [-ls] [-n BYTES] FILE [FILE]
Compares two files byte by byte; the second may be the standard input. The status is 0 where they are equal, 1 where not, 2 after a failure.
  -l  shows every byte that differs: its number, and both values in octal
  -s  shows nothing
  -n  compares so many bytes at most
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("lsn:", arguments)?;
        options.expect(1, 2)?;
        match compare(out, &options) {
            Ok(true) => Ok(ExitStatus::SUCCESS),
            Ok(false) => Ok(ExitStatus::FAILURE),
            Err(Failure::Error(text)) => {
                out.complain(text);
                Ok(tools::USAGE)
            }
            Err(other) => Err(other),
        }
    })
}

fn compare(out: &mut Output, options: &Options<'_>) -> Result<bool, Failure> {
    let names = [options.operands[0], options.operands.get(1).copied().unwrap_or("-")];
    let mut one = BufReader::with_capacity(input::PART, Input::open(names[0])?);
    let mut other = BufReader::with_capacity(input::PART, Input::open(names[1])?);
    let (silent, all) = (options.has('s'), options.has('l'));
    let (mut at, mut line, mut equal) = (0u64, 1u64, true);
    let mut left = options.number('n')?.unwrap_or(u64::MAX);
    while left > 0 {
        let (a, b) = (one.fill().about(names[0])?, other.fill().about(names[1])?);
        let count = a.len().min(b.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        if count == 0 {
            if a.is_empty() && b.is_empty() {
                break;
            }
            if !silent {
                out.warn(format_args!("EOF on {} after byte {at}", names[usize::from(!a.is_empty())]));
            }
            return Ok(false);
        }
        for (index, (a, b)) in a[..count].iter().zip(&b[..count]).enumerate() {
            if a != b {
                equal = false;
                let number = at + index as u64 + 1;
                match (silent, all) {
                    (true, _) => return Ok(false),
                    (_, true) => writeln!(out, "{number} {a:3o} {b:3o}")?,
                    _ => {
                        writeln!(out, "{} {} differ: byte {number}, line {line}", names[0], names[1])?;
                        return Ok(false);
                    }
                }
            }
            line += u64::from(*a == b'\n');
        }
        one.consume(count);
        other.consume(count);
        at += count as u64;
        left -= count as u64;
    }
    Ok(equal)
}
