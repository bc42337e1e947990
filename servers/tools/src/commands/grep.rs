//! `grep`: lines in which a pattern is found.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::ExitStatus;
use libsys::fs::{self, NodeKind};
use libsys::io::{BufReader, Write};
use tools::context::Context;
use tools::options::Spec;
use tools::pattern::{Choices, Pattern, Syntax};
use tools::walk::{Stage, Walk};
use tools::{About, Arguments, Failure, Input, Options, Output, failed, input};

const HELP: &str =
    "usage: grep [-EFinvcrlLqowxhHs] [-A N] [-B N] [-C N] PATTERN [FILE]… | grep [OPTION]… -e PATTERN… [FILE]…
Shows the lines of files, or of the standard input, in which a pattern is found: a basic regular expression.
  -E  extended regular expressions     -F  text as it is
  -i  without regard to case           -w  whole words          -x  whole lines
  -v  lines without it                 -o  only what was found  -n  numbers of lines
  -c  how many lines                   -l  names of files with  -L  and without such a line
  -r  all files in directories         -h  without  -H  with names of files
  -A  with so many lines behind, -B  in front of, -C  around each
  -q  nothing is shown                 -s  files that are not there are no matter
The status is 0 where a line was found, 1 where none was, 2 after a failure.
";

const SPEC: Spec<'_> = Spec {
    letters: "EFGinvcrRlLqowxhHse:A:B:C:",
    long: &[
        ("ignore-case", 'i'),
        ("invert-match", 'v'),
        ("count", 'c'),
        ("recursive", 'r'),
        ("line-number", 'n'),
        ("quiet", 'q'),
        ("after-context", 'A'),
        ("before-context", 'B'),
        ("context", 'C'),
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
    let label = |number: u64, mark: char| {
        let name = if named { format!("{shown}{mark}") } else { String::new() };
        if options.has('n') { format!("{name}{number}{mark}") } else { name }
    };
    let quiet = options.last("clLq").is_some();
    let around = |letter| options.number(letter).map(|lines| lines.filter(|_| !quiet && !options.has('o')));
    let both = around('C')?.unwrap_or(0);
    let mut context = Context::new(around('B')?.unwrap_or(both), around('A')?.unwrap_or(both));
    let (mut line, mut number, mut found) = (vec![], 0u64, 0u64);
    while reader.read_until(b'\n', &mut line).about(name)? > 0 {
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if pattern.is_in(text) != options.has('v') {
            found += 1;
            if !options.has('c') && options.last("lLq").is_some() {
                break;
            }
            if !quiet && options.has('o') {
                for place in pattern.places(text).take_while(|_| !options.has('v')) {
                    show(out, &label(number, ':'), &text[place])?;
                }
            } else if !quiet {
                let (has_gap, before) = context.found(number);
                if has_gap {
                    out.write_all(b"--\n")?;
                }
                for (number, line) in before {
                    show(out, &label(number, '-'), &line)?;
                }
                show(out, &label(number, ':'), text)?;
            }
        } else if context.passed(number, text).about(name)? {
            show(out, &label(number, '-'), text)?;
        }
        line.clear();
    }
    match options.last("clLq") {
        Some('c') if named => writeln!(out, "{shown}:{found}")?,
        Some('c') => writeln!(out, "{found}")?,
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
