//! `entropy`: random bytes of a service, in hexadecimal.

use alloc::format;
use alloc::vec;
use libsys::io::Write;
use libsys::protocol::RandomClient;
use libsys::{ExitStatus, client, env};
use tools::{Arguments, Failure};

const HELP: &str = "usage: entropy [SERVICE [BYTES]]
Asks a service for random bytes, and writes them in hexadecimal. Without arguments: 16 bytes of `random`.
";

/// Bytes in a line.
const LINE: usize = 32;
/// Bytes of one request.
const AT_ONCE: usize = 1024;

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let (service, count) = match arguments {
            [] => ("random", Ok(16)),
            [service] => (service.as_str(), Ok(16)),
            [service, count] => (service.as_str(), count.parse::<usize>()),
            [_, _, word, ..] => return Err(Failure::Usage(format!("unexpected `{word}`"))),
        };
        let count = count.map_err(|_| Failure::Usage("BYTES is a number".into()))?;
        let connected = env::get().registry().connect(service, true);
        let session = connected.map_err(|error| Failure::Error(format!("no connection to {service}: {error}")))?;
        let random: RandomClient =
            client::open(session).map_err(|error| Failure::Error(format!("{service}: {error}")))?;
        let mut left = count;
        while left > 0 {
            let mut bytes = vec![0; left.min(AT_ONCE)];
            let filled = random.fill(&mut bytes).map_err(|error| Failure::Error(format!("{service}: {error}")))?;
            for line in bytes[..filled.min(left)].chunks(LINE) {
                line.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
                writeln!(out)?;
            }
            left -= filled.min(left);
        }
        Ok(ExitStatus::SUCCESS)
    })
}
