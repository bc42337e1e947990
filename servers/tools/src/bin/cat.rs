//! `cat`: writes what is typed.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::{ExitStatus, env};
use tools::Stream;

const HELP: &str = "usage: cat
Writes every line that is typed; Ctrl-D ends it.
";

/// What is read at once.
const PART: u32 = 2048;

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, out| {
        if !arguments.is_empty() {
            return Err(tools::Failure::Usage("there are no files yet".into()));
        }
        let mut input = Stream::open(env::names::STDIN)?;
        loop {
            let bytes = input.read(PART)?;
            if bytes.is_empty() {
                return Ok(ExitStatus::SUCCESS);
            }
            out.write_bytes(&bytes)?;
        }
    })
}

libsys::main!(run);
