//! `stream WHAT`: reads and writes its standard streams, for tests of pipelines and redirections.
//!
//! | WHAT | does |
//! |---|---|
//! | `make BYTES` | writes so many bytes |
//! | `yes` | writes lines without end |
//! | `copy` | writes what it reads |
//! | `count` | reads to the end, and writes how many bytes that were |
//! | `say WORD…` | writes a line |
//! | `complain WORD…` | writes a line where errors go, and fails with 3 |
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::string::String;
use alloc::vec;
use libsys::io::{self, Read, Write};
use libsys::{ExitStatus, env};

/// Bytes that are moved at once.
const PART: usize = 16 * 1024;

/// Status when nobody reads what it writes.
const BROKEN_PIPE: ExitStatus = ExitStatus(9);

fn run() -> ExitStatus {
    let Some((what, rest)) = env::arguments().get(1..).and_then(<[String]>::split_first) else {
        return ExitStatus(2);
    };
    match play(what, rest) {
        Ok(status) => status,
        Err(io::Error::BrokenPipe) => BROKEN_PIPE,
        Err(error) => {
            let _ = io::stderr().write_all(alloc::format!("stream: {error}\n").as_bytes());
            ExitStatus::FAILURE
        }
    }
}

fn play(what: &str, rest: &[String]) -> io::Result<ExitStatus> {
    let mut out = io::stdout();
    match what {
        "make" => {
            let mut left: usize = rest.first().and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
            let part = vec![b'x'; PART];
            while left > 0 {
                let count = left.min(part.len());
                out.write_all(&part[..count])?;
                left -= count;
            }
        }
        "yes" => loop {
            out.write_all(b"y\n")?;
        },
        "copy" => drop(io::copy(&mut io::stdin(), &mut out)?),
        "count" => {
            let (mut part, mut total) = (vec![0; PART], 0);
            loop {
                match io::stdin().read(&mut part)? {
                    0 => break,
                    count => total += count,
                }
            }
            out.write_all(alloc::format!("{total}\n").as_bytes())?;
        }
        "say" => out.write_all(alloc::format!("{}\n", rest.join(" ")).as_bytes())?,
        "complain" => {
            io::stderr().write_all(alloc::format!("{}\n", rest.join(" ")).as_bytes())?;
            return Ok(ExitStatus(3));
        }
        _ => return Ok(ExitStatus(2)),
    }
    Ok(ExitStatus::SUCCESS)
}

libsys::main!(run);
