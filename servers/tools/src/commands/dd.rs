//! `dd`: copies blocks.

use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs::OpenOptions;
use libsys::io::{self, Read, Write};
use libsys::time::Instant;
use tools::dd::{Figures, Task, report};
use tools::sink::Sink;
use tools::{About, Arguments, Failure, Input, failed};

const HELP: &str = "usage: dd [if=FILE] [of=FILE] [bs=BYTES] [count=N] [skip=N] [seek=N] [conv=notrunc,fsync] [iflag=fullblock] [status=none]
Copies blocks from a file or device to another, and says how many: whole ones and, behind the `+`, shorter ones.
  bs     bytes of a block, 512 without it       count  so many blocks at most
  skip   without so many blocks of the input    seek   behind so many blocks of the output
  conv   notrunc: the output is not shortened   fsync: it ends when all is on the medium
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, _| {
        let task = Task::parse(arguments)?;
        // Where nothing was opened there are no figures.
        let (input, output) = open(&task)?;
        let start = Instant::now();
        let (mut read, mut written) = (Figures::default(), Figures::default());
        let result = copy(&task, input, output, &mut read, &mut written);
        if !task.quiet {
            let text = report(read, written, start.elapsed());
            // Nobody hears it: the data is where it should be.
            let _ = io::stderr().write_all(text.as_bytes());
        }
        result.map(|()| ExitStatus::SUCCESS)
    })
}

fn open(task: &Task) -> Result<(Input, Sink), Failure> {
    let (_, to) = names(task);
    let input = match &task.input {
        Some(path) => Input::of_path(path).about(path)?,
        None => Input::Standard(io::stdin()),
    };
    Ok((input, output(task, to)?))
}

/// What the input and the output are called.
fn names(task: &Task) -> (&str, &str) {
    (task.input.as_deref().unwrap_or("standard input"), task.output.as_deref().unwrap_or("standard output"))
}

fn copy(
    task: &Task,
    mut input: Input,
    mut output: Sink,
    read: &mut Figures,
    written: &mut Figures,
) -> Result<(), Failure> {
    let (from, to) = names(task);
    let mut block: Vec<u8> = Vec::new();
    block.try_reserve_exact(task.block).map_err(|_| failed("bs", io::Error::NoMemory))?;
    block.resize(task.block, 0);
    let skip = task.skip.saturating_mul(task.block as u64);
    if skip > 0 && !input.skip(skip).about(from)? {
        for _ in 0..task.skip {
            fill(&mut input, &mut block, true).about(from)?;
        }
    }
    for _ in 0..task.count.unwrap_or(u64::MAX) {
        let count = fill(&mut input, &mut block, task.full_blocks).about(from)?;
        if count == 0 {
            break;
        }
        read.add(count, task.block);
        output.write_all(&block[..count]).about(to)?;
        written.add(count, task.block);
    }
    output.flush().about(to)?;
    if task.sync { output.sync().about(to) } else { Ok(()) }
}

/// Reads a block; to its end where that is asked for.
fn fill(input: &mut Input, block: &mut [u8], whole: bool) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..])? {
            0 => break,
            count => filled += count,
        }
        // What is there is taken, however few bytes one call moves.
        if !whole && !input.is_ready() {
            break;
        }
    }
    Ok(filled)
}

fn output(task: &Task, to: &str) -> Result<Sink, Failure> {
    let Some(path) = &task.output else { return Ok(Sink::Standard(io::stdout())) };
    let seek = task.seek.saturating_mul(task.block as u64);
    let mut sink = Sink::open(path, OpenOptions::new().write(true).create(true)).about(to)?;
    if let Some(file) = sink.file() {
        if !task.keep_length {
            file.set_len(seek).about(to)?;
        }
        file.seek(io::Whence::Start, seek as i64).about(to)?;
    } else if let Sink::Disk(disk) = &mut sink {
        disk.seek(seek).about(to)?;
    } else if seek > 0 {
        return Err(failed(to, "there is no seeking in it"));
    }
    Ok(sink)
}
