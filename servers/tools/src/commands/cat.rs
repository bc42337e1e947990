//! `cat`: writes files, one after the other.

use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Read, Write};
use tools::{About, Arguments, Failure, Input, Options, Output, input};

const HELP: &str = "usage: cat [-n] [FILE]…
Writes files to the standard output; without any, and for `-`, what comes from the standard input.
  -n  with numbers of lines
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("n", arguments)?;
        let mut number = 0;
        out.each_input(&options.operands, |out, name, input| {
            if options.has('n') { numbered(out, name, input, &mut number) } else { plain(out, name, input) }
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn plain(out: &mut Output, name: &str, input: &mut Input) -> Result<(), Failure> {
    let mut part = vec![0; input::PART];
    loop {
        match input.read(&mut part).about(name)? {
            0 => return Ok(()),
            count => out.write_all(&part[..count])?,
        }
        // What is typed is seen at once.
        if input.file().is_none() {
            out.flush()?;
        }
    }
}

fn numbered(out: &mut Output, name: &str, input: &mut Input, number: &mut u64) -> Result<(), Failure> {
    let mut reader = BufReader::with_capacity(input::PART, input);
    let mut line = vec![];
    while reader.read_until(b'\n', &mut line).about(name)? > 0 {
        *number += 1;
        write!(out, "{number:>6}\t")?;
        out.write_all(&line)?;
        line.clear();
    }
    Ok(())
}
