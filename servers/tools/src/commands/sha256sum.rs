//! `sha256sum`: SHA-256 of files.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Read, Write};
use sha2::{Digest, Sha256};
use tools::options::Spec;
use tools::{About, Arguments, Failure, Input, Options, Output, failed, input};

const HELP: &str = "usage: sha256sum [FILE]… | sha256sum -c [--quiet] [--status] [LIST]…
Shows the SHA-256 of files, or of the standard input.
  -c  compares with what lists say that it showed before
  --quiet   nothing is said of files that are right
  --status  nothing is said at all
";

const SPEC: Spec<'_> =
    Spec { letters: "cqSbt", long: &[("check", 'c'), ("quiet", 'q'), ("status", 'S'), ("binary", 'b'), ("text", 't')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = SPEC.parse(arguments)?;
        out.each_input(&options.operands, |out, name, input| {
            if options.has('c') {
                check(out, name, input, &options)
            } else {
                Ok(writeln!(out, "{}  {name}", hash(name, input)?)?)
            }
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn hash(name: &str, input: &mut Input) -> Result<String, Failure> {
    let (mut hash, mut part) = (Sha256::new(), vec![0; input::PART]);
    loop {
        match input.read(&mut part).about(name)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(&part[..count]),
        }
    }
}

/// The hash and the name of a line: 64 digits, a blank, a blank or `*`, the name.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (hash, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix("  ").or(rest.strip_prefix(" *"))?;
    (!name.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((hash, name))
}

fn check(out: &mut Output, list: &str, input: &mut Input, options: &Options<'_>) -> Result<(), Failure> {
    let (mut good, mut bad, mut unread, mut malformed) = (0, 0, 0, 0);
    for line in BufReader::new(input).lines() {
        let line = line.about(list)?;
        let Some((expected, name)) = parse(&line) else {
            malformed += 1;
            continue;
        };
        let verdict = match Input::open(name).and_then(|mut input| hash(name, &mut input)) {
            Ok(found) if found.eq_ignore_ascii_case(expected) => {
                good += 1;
                if options.has('q') { "" } else { "OK" }
            }
            Ok(_) => {
                bad += 1;
                "FAILED"
            }
            Err(Failure::Error(text)) => {
                unread += 1;
                out.complain(text);
                "FAILED open or read"
            }
            Err(other) => return Err(other),
        };
        if !verdict.is_empty() && !options.has('S') {
            writeln!(out, "{name}: {verdict}")?;
        }
    }
    if good + bad + unread == 0 {
        return Err(failed(list, "no properly formatted checksum lines found"));
    }
    let said = !options.has('S');
    for (count, text) in [(malformed, "lines are improperly formatted"), (unread, "listed files could not be read")] {
        if count > 0 && said {
            out.warn(format!("WARNING: {count} {text}"));
        }
    }
    match (bad, said) {
        (0, _) => Ok(()),
        (_, false) => Err(Failure::Output(libsys::io::Error::BrokenPipe)),
        _ => Err(Failure::Error(format!("WARNING: {bad} computed checksums did NOT match"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lists() {
        let hash = "0123456789abcdefABCDEF0123456789".repeat(2);
        for (line, name) in [("  a b", Some("a b")), (" *x", Some("x")), (" x", None), ("  ", None), ("", None)] {
            assert_eq!(parse(&format!("{hash}{line}")), name.map(|name| (hash.as_str(), name)));
        }
        assert_eq!(parse("é"), None);
        assert_eq!(parse(&"g".repeat(70)), None);
    }
}
