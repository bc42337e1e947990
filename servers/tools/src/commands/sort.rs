//! `sort`: lines in order.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use libsys::ExitStatus;
use libsys::io::{Read, Write};
use tools::fields::Key;
use tools::sink::Sink;
use tools::{About, Arguments, Failure, Options};

const HELP: &str = "usage: sort [-nrufbs] [-k FIRST[,LAST]] [-t CHARACTER] [-o FILE] [FILE]…
Writes the lines of all files, or of the standard input, in order.
  -n  by the numbers that they begin with   -f  without regard to case   -b  without regard to blanks in front
  -k  by these fields; letters behind a number are options for this key  -t  what separates fields, instead of blanks
  -r  the other way round                   -u  equal ones once          -s  equal ones stay as they come
  -o  to a file, which may be one of those that are read
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("nrufbsk:t:o:", arguments)?;
        let usual = Key {
            separator: separator(&options)?,
            numeric: options.has('n'),
            ignore_case: options.has('f'),
            ignore_blanks: options.has('b'),
            ..Key::default()
        };
        let mut keys: Vec<(Key, bool)> = Vec::new();
        for text in options.values('k') {
            let key = key(text, usual, options.has('r'));
            keys.push(key.ok_or_else(|| Failure::Usage(format!("`{text}` is not a key")))?);
        }
        if keys.is_empty() {
            keys.push((usual, options.has('r')));
        }
        let mut text = vec![];
        out.each_input(&options.operands, |_, name, input| {
            input.read_to_end(&mut text).about(name)?;
            if text.last().is_some_and(|byte| *byte != b'\n') {
                text.push(b'\n');
            }
            Ok(())
        })?;
        let mut lines: Vec<&[u8]> =
            text.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]).collect();
        let compare = |a: &[u8], b: &[u8]| {
            keys.iter().fold(Ordering::Equal, |order, (key, reverse)| {
                order.then_with(|| if *reverse { key.compare(b, a) } else { key.compare(a, b) })
            })
        };
        let last = |a: &[u8], b: &[u8]| match (options.last("us").is_some(), options.has('r')) {
            (true, _) => Ordering::Equal,
            (_, true) => b.cmp(a),
            _ => a.cmp(b),
        };
        lines.sort_by(|a, b| compare(a, b).then_with(|| last(a, b)));
        if options.has('u') {
            lines.dedup_by(|a, b| compare(a, b) == Ordering::Equal);
        }
        let mut sorted: Vec<u8> = Vec::with_capacity(text.len());
        lines.iter().for_each(|line| {
            sorted.extend_from_slice(line);
            sorted.push(b'\n');
        });
        match options.value('o') {
            Some(path) => Sink::create(path).and_then(|mut sink| sink.write_all(&sorted)).about(path)?,
            None => out.write_all(&sorted)?,
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn separator(options: &Options<'_>) -> Result<Option<u8>, Failure> {
    match options.value('t').map(str::as_bytes) {
        None => Ok(None),
        Some([byte]) => Ok(Some(*byte)),
        Some(b"\\0") => Ok(Some(0)),
        Some(_) => Err(Failure::Usage("-t takes one character".into())),
    }
}

/// `FIRST[,LAST]` with letters, and whether it is the other way round.
fn key(text: &str, usual: Key, reverse: bool) -> Option<(Key, bool)> {
    let (first, last) = text.split_once(',').map_or((text, None), |(first, last)| (first, Some(last)));
    let letters = |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let field = |text: &str| text[..text.len() - letters(text)].parse::<usize>().ok()?.checked_sub(1);
    let all = || text.chars().filter(|letter| letter.is_ascii_alphabetic());
    let given = all().next().is_some();
    let has = |letter, usual| if given { all().any(|given| given == letter) } else { usual };
    let suffixes = [first, last.unwrap_or("")].map(|text| &text[text.len() - letters(text)..]);
    let known = suffixes.iter().all(|suffix| suffix.chars().all(|letter| "nrfb".contains(letter)));
    let key = Key {
        first: field(first)?,
        last: last.map_or(Some(None), |last| field(last).map(Some))?,
        separator: usual.separator,
        numeric: has('n', usual.numeric),
        ignore_case: has('f', usual.ignore_case),
        ignore_blanks: has('b', usual.ignore_blanks),
    };
    known.then(|| (key, has('r', reverse)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_fields_and_letters() {
        let usual = Key { numeric: true, ..Key::default() };
        assert_eq!(key("2", usual, false), Some((Key { first: 1, ..usual }, false)));
        assert_eq!(key("2,3", usual, true), Some((Key { first: 1, last: Some(2), ..usual }, true)));
        let letters = Key { first: 0, last: Some(0), ignore_case: true, ..Key::default() };
        assert_eq!(key("1f,1r", usual, false), Some((letters, true)));
        for wrong in ["", "0", "x", "1,0", "1,", "1x", "1.2", "1,2,3"] {
            assert_eq!(key(wrong, usual, false), None, "{wrong}");
        }
    }
}
