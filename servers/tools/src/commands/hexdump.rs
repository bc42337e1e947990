//! `hexdump`: bytes in hexadecimal.

use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{Read, Write};
use tools::hexdump::{Dump, LINE, Style};
use tools::{About, Arguments, Failure, Input, Options, input};

const HELP: &str = "usage: hexdump [-Cv] [-n BYTES] [-s BYTES] [FILE]…
Shows what is in files, one behind the other, or in the standard input, in hexadecimal; of equal lines, one `*` is left.
  -C  bytes, and characters beside them
  -n  so many bytes at most
  -s  without so many bytes at the beginning
  -v  with equal lines
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("Cvn:s:", arguments)?;
        let (skip, mut left) = (options.number('s')?.unwrap_or(0), options.number('n')?.unwrap_or(u64::MAX));
        let style = if options.has('C') { Style::Canonical } else { Style::Words };
        let mut dump = Dump::new(style, skip, options.has('v'));
        let (mut part, mut filled, mut to_skip) = (vec![0; input::PART], 0, skip);
        out.each_input(&options.operands, |out, name, input| {
            skip_bytes(name, input, &mut to_skip)?;
            while left > 0 {
                let most = part.len().min(filled + usize::try_from(left).unwrap_or(usize::MAX - LINE));
                let count = input.read(&mut part[filled..most]).about(name)?;
                if count == 0 {
                    break;
                }
                left -= count as u64;
                filled += count;
                let whole = filled - filled % LINE;
                part[..whole].chunks(LINE).try_for_each(|line| out.write_all(dump.line(line).as_bytes()))?;
                part.copy_within(whole..filled, 0);
                filled -= whole;
            }
            Ok(())
        })?;
        if filled > 0 {
            out.write_all(dump.line(&part[..filled]).as_bytes())?;
        }
        out.write_all(dump.end().as_bytes())?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// Leaves out what is still to be left out; a file that is shorter is left out as a whole.
fn skip_bytes(name: &str, input: &mut Input, left: &mut u64) -> Result<(), Failure> {
    if let Some(bytes) =
        input.file().map(|file| file.metadata()).transpose().about(name)?.map(|metadata| metadata.len())
    {
        let count = bytes.min(*left);
        input.skip(count).about(name)?;
        *left -= count;
    }
    let mut part = vec![0; 4096];
    while *left > 0 {
        let most = part.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        match input.read(&mut part[..most]).about(name)? {
            0 => break,
            count => *left -= count as u64,
        }
    }
    Ok(())
}
