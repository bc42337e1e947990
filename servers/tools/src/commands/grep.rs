//! `grep`: lines in which a pattern is found.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::ExitStatus;
use libsys::fs::{self, NodeKind};
use libsys::io::{BufReader, Write};
use tools::options::Spec;
use tools::pattern::{Choices, Pattern, Syntax};
use tools::walk::{Stage, Walk};
use tools::{About, Arguments, Failure, Input, Options, Output, failed, input};

const HELP: &str = "usage: grep [-EFinvcrlLqowxhHs] PATTERN [FILE]… | grep [OPTION]… -e PATTERN… [FILE]…
Shows the lines of files, or of the standard input, in which a pattern is found: a basic regular expression.
  -E  extended regular expressions     -F  text as it is
  -i  without regard to case           -w  whole words          -x  whole lines
  -v  lines without it                 -o  only what was found  -n  numbers of lines
  -c  how many lines                   -l  names of files with  -L  and without such a line
  -r  all files in directories         -h  without  -H  with names of files
  -q  nothing is shown                 -s  files that are not there are no matter
The status is 0 where a line was found, 1 where none was, 2 after a failure.
";

const SPEC: Spec<'_> = Spec {
    letters: "EFGinvcrRlLqowxhHse:",
    long: &[
        ("ignore-case", 'i'),
        ("invert-match", 'v'),
        ("count", 'c'),
        ("recursive", 'r'),
        ("line-number", 'n'),
        ("quiet", 'q'),
    ],
};

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let mut options = SPEC.parse(arguments)?;
        let pattern = pattern(&mut options)?;
        let recursive = options.last("rR").is_some();
        let names = match (options.last("hH"), &options.operands[..]) {
            (Some(last), _) => last == 'H',
            (None, operands) => recursive || operands.len() > 1,
        };
        let operands = match (recursive, &options.operands[..]) {
            (true, []) => &["."][..],
            (false, []) => &["-"][..],
            (_, some) => some,
        };
        let mut any = false;
        let is_quiet = options.has('q');
        for operand in operands {
            let mut one = |out: &mut Output, name: &str| {
                // The answer is known with the first line that is found.
                if !(any && is_quiet) {
                    any |= search(out, name, &pattern, &options, names)?;
                }
                Ok(())
            };
            let done = if recursive && *operand != "-" {
                below(out, operand, &mut one)
            } else {
                out.attempt(|out| one(out, operand))
            };
            done?;
            if any && is_quiet {
                // What was refused before is no matter now.
                out.forgive();
                break;
            }
        }
        Ok(match (any, out.complaints()) {
            (true, 0) => ExitStatus::SUCCESS,
            (false, 0) => ExitStatus::FAILURE,
            _ => tools::USAGE,
        })
    })
}

fn pattern(options: &mut Options<'_>) -> Result<Pattern, Failure> {
    let syntax = match options.last("EFG") {
        Some('E') => Syntax::Extended,
        Some('F') => Syntax::Fixed,
        _ => Syntax::Basic,
    };
    let choices = Choices { ignore_case: options.has('i'), word: options.has('w'), line: options.has('x') };
    let bad = |why| Failure::Usage(format!("bad pattern: {why}"));
    if options.has('e') {
        return Pattern::new(options.values('e'), syntax, choices).map_err(bad);
    }
    if options.operands.is_empty() {
        return Err(Failure::Usage("a pattern is missing".into()));
    }
    let text = options.operands.remove(0);
    Pattern::new([text].into_iter(), syntax, choices).map_err(bad)
}

fn below(
    out: &mut Output,
    root: &str,
    one: &mut impl FnMut(&mut Output, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    out.attempt(|out| {
        for visit in Walk::new(root, fs::metadata(root).about(root)?.kind()) {
            out.attempt(|out| match (visit.stage, visit.kind) {
                (Stage::Failed(error), _) => Err(failed(&visit.path, error)),
                (_, NodeKind::File) => one(out, &visit.path),
                _ => Ok(()),
            })?;
        }
        Ok(())
    })
}

/// Whether a line was found in a file.
fn search(
    out: &mut Output,
    name: &str,
    pattern: &Pattern,
    options: &Options<'_>,
    named: bool,
) -> Result<bool, Failure> {
    let input = match Input::open(name) {
        Err(Failure::Error(_)) if options.has('s') => return Ok(false),
        input => input?,
    };
    let mut reader = BufReader::with_capacity(input::PART, input);
    let shown = if name == "-" { "(standard input)" } else { name };
    let prefix = if named { format!("{shown}:") } else { String::new() };
    let quiet = options.last("clLq").is_some();
    let (mut line, mut number, mut found) = (vec![], 0u64, 0u64);
    while reader.read_until(b'\n', &mut line).about(name)? > 0 {
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if pattern.is_in(text) != options.has('v') {
            found += 1;
            if !options.has('c') && options.last("lLq").is_some() {
                break;
            }
            let label = if options.has('n') { format!("{prefix}{number}:") } else { prefix.clone() };
            if !quiet && options.has('o') {
                for place in pattern.places(text).take_while(|_| !options.has('v')) {
                    show(out, &label, &text[place])?;
                }
            } else if !quiet {
                show(out, &label, text)?;
            }
        }
        line.clear();
    }
    match options.last("clLq") {
        Some('c') => writeln!(out, "{prefix}{found}")?,
        Some('l') if found > 0 => writeln!(out, "{shown}")?,
        Some('L') if found == 0 => writeln!(out, "{shown}")?,
        _ => {}
    }
    Ok(found > 0)
}

fn show(out: &mut Output, label: &str, text: &[u8]) -> Result<(), Failure> {
    out.write_all(label.as_bytes())?;
    out.write_all(text)?;
    Ok(out.write_all(b"\n")?)
}
