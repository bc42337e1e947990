//! `tail`: the ends of files.

use alloc::vec;
use libsys::ExitStatus;
use libsys::env::{self, StreamKind};
use libsys::io::{self, BufReader, Read, Whence, Write};
use tools::follow::{Follow, Headings};
use tools::options::{Spec, with_number_first};
use tools::tail::{self, Amount};
use tools::{About, Arguments, Failure, Input, Output, input, number};

const HELP: &str = "usage: tail [-n LINES | -c BYTES] [-fqv] [FILE]…
Writes the last 10 lines of files, or of the standard input.
  -n  so many lines (-5 is the same as -n 5); +N: from line N on
  -c  so many bytes; +N: from byte N on
  -f  then what is appended to the files, until Ctrl-C; pipes and devices are read to their end
  -q  without names  -v  with names; by default with them for several files
";

const SPEC: Spec<'_> = Spec {
    letters: "n:c:fqv",
    long: &[("lines", 'n'), ("bytes", 'c'), ("follow", 'f'), ("quiet", 'q'), ("verbose", 'v')],
};

/// What is shown of each input at first.
#[derive(Clone, Copy)]
struct Part {
    amount: Amount,
    /// It is what the amount leaves over at the start.
    from_start: bool,
}

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let arguments = with_number_first(arguments);
        let options = SPEC.parse(&arguments)?;
        let text = options.value('c').or(options.value('n')).unwrap_or("10");
        let (from_start, digits) =
            text.strip_prefix('+').map_or((false, text.trim_start_matches('-')), |rest| (true, rest));
        let count = number::parse(digits).ok_or_else(|| Failure::Usage(alloc::format!("`{text}` is not a number")))?;
        let amount = if options.has('c') { Amount::Bytes(count) } else { Amount::Lines(count) };
        let part = Part { amount, from_start };
        let wanted = options.last("qv").map_or(options.operands.len() > 1, |last| last == 'v');
        let mut headings = Headings::new(wanted);
        let names = if options.operands.is_empty() { &["-"] } else { &options.operands[..] };
        let mut follow = if options.has('f') { Some(Follow::new().about("a channel")?) } else { None };
        for (index, name) in names.iter().enumerate() {
            out.attempt(|out| first(out, (index, name), part, &mut headings, follow.as_mut()))?;
        }
        // What is not a file was read to its end.
        if let Some(mut follow) = follow.filter(|follow| !follow.is_empty() || out.complaints() > 0) {
            follow.run(out, &mut headings)?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// Shows the end of an input, and has a file followed from there.
fn first(
    out: &mut Output,
    (index, name): (usize, &str),
    part: Part,
    headings: &mut Headings,
    follow: Option<&mut Follow>,
) -> Result<(), Failure> {
    let mut input = if follow.is_some() { open(name)? } else { Input::open(name)? };
    if let (Some(follow), Some(file)) = (&follow, input.file()) {
        follow.listen(index, file).about(name)?;
    }
    headings.write(out, index, name)?;
    match part.from_start {
        true => without_start(out, name, &mut input, part.amount)?,
        false => end(out, name, &mut input, part.amount)?,
    }
    if let (Some(follow), Input::Stream(io::Input::File(file))) = (follow, input) {
        let shown = file.seek(Whence::Current, 0).about(name)?;
        follow.add(index, name, file, shown);
    }
    Ok(())
}

/// As [`Input::open`], but that a file as the standard input is one.
fn open(name: &str) -> Result<Input, Failure> {
    if name == "-" && env::get().stream(env::names::STDIN) == StreamKind::File {
        return Ok(Input::Stream(io::Input::take(env::get(), env::names::STDIN).about("standard input")?));
    }
    Input::open(name)
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
