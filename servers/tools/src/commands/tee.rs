//! `tee`: writes what it reads to the standard output, and to files.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs::OpenOptions;
use libsys::io::{self, Read, Write};
use tools::sink::Sink;
use tools::{About, Arguments, Options, input};

const HELP: &str = "usage: tee [-a] [FILE]…
Writes the standard input to the standard output, and to files.
  -a  at their ends
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("a", arguments)?;
        let how = OpenOptions::new().write(true).create(true);
        let how = if options.has('a') { how.append(true) } else { how.truncate(true) };
        let mut sinks: Vec<(String, Sink)> = Vec::new();
        out.each(&options.operands, |_, name| {
            sinks.push((name.into(), Sink::open(name, how).about(name)?));
            Ok(())
        })?;
        let mut part = vec![0; input::PART];
        loop {
            let count = io::stdin().read(&mut part).about("standard input")?;
            if count == 0 {
                return Ok(ExitStatus::SUCCESS);
            }
            out.write_all(&part[..count])?;
            out.flush()?;
            // A file that takes no more is left; the others go on.
            sinks.retain_mut(|(name, sink)| {
                let written = sink.write_all(&part[..count]);
                let _ = written.inspect_err(|error| out.complain(format_args!("{name}: {error}")));
                written.is_ok()
            });
        }
    })
}
