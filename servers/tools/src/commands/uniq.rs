//! `uniq`: equal lines that follow each other, once.

use alloc::vec;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Write};
use tools::sink::Sink;
use tools::{About, Arguments, Failure, Input, Options, Output, input};

const HELP: &str = "usage: uniq [-cdui] [INPUT [OUTPUT]]
Writes lines that are equal and follow each other once.
  -c  with how many there are
  -d  only those that there are several of  -u  only those that there is one of
  -i  without regard to case
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("cdui", arguments)?;
        options.expect(0, 2)?;
        let name = options.operands.first().copied().unwrap_or("-");
        let mut reader = BufReader::with_capacity(input::PART, Input::open(name)?);
        let mut sink = match options.operands.get(1) {
            Some(path) if *path != "-" => Some(Sink::create(path).about(path)?),
            _ => None,
        };
        let (mut held, mut count, mut line): (Vec<u8>, u64, Vec<u8>) = (vec![], 0, vec![]);
        loop {
            line.clear();
            let is_end = reader.read_until(b'\n', &mut line).about(name)? == 0;
            line.truncate(line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len));
            let equal = if options.has('i') { line.eq_ignore_ascii_case(&held) } else { line == held };
            if !is_end && count > 0 && equal {
                count += 1;
                continue;
            }
            if count > 0 {
                show(out, sink.as_mut(), &held, count, &options)?;
            }
            if is_end {
                return Ok(ExitStatus::SUCCESS);
            }
            core::mem::swap(&mut held, &mut line);
            count = 1;
        }
    })
}

fn show(
    out: &mut Output,
    sink: Option<&mut Sink>,
    line: &[u8],
    count: u64,
    options: &Options<'_>,
) -> Result<(), Failure> {
    if options.has('d') && count == 1 || options.has('u') && count > 1 {
        return Ok(());
    }
    let mut text = if options.has('c') { alloc::format!("{count:>7} ").into_bytes() } else { vec![] };
    text.extend_from_slice(line);
    text.push(b'\n');
    match sink {
        Some(sink) => sink.write_all(&text).about(options.operands.get(1).unwrap_or(&"")),
        None => Ok(out.write_all(&text)?),
    }
}
