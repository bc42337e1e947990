//! `cut`: parts of lines.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::io::{BufReader, Write};
use tools::fields::List;
use tools::{About, Arguments, Failure, Options, input};

const HELP: &str = "usage: cut -f LIST [-d CHARACTER] [-s] [FILE]… | cut -b LIST [FILE]… | cut -c LIST [FILE]…
Writes parts of lines: fields, bytes or characters. A LIST is 1,3-5,-2,7-.
  -d  what separates fields, instead of a tab
  -s  without lines that have only one field
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("f:b:c:d:s", arguments)?;
        let bad = || Failure::Usage("one of -f, -b and -c, with a list, is missing".into());
        let letter = options.last("fbc").ok_or_else(bad)?;
        let list = options.value(letter).and_then(List::parse).ok_or_else(bad)?;
        let separator = match options.value('d').unwrap_or("\t").as_bytes() {
            [byte] => *byte,
            _ => return Err(Failure::Usage("-d takes one character".into())),
        };
        out.each_input(&options.operands, |out, name, input| {
            let mut reader = BufReader::with_capacity(input::PART, input);
            let mut line = vec![];
            while reader.read_until(b'\n', &mut line).about(name)? > 0 {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                if let Some(part) = part(text, letter, &list, separator, options.has('s')) {
                    out.write_all(&part)?;
                    out.write_all(b"\n")?;
                }
                line.clear();
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// What is kept of a line; `None`: not even the line.
fn part(line: &[u8], letter: char, list: &List, separator: u8, only_separated: bool) -> Option<Vec<u8>> {
    match letter {
        'b' => Some(line.iter().enumerate().filter(|(index, _)| list.has(index + 1)).map(|(_, byte)| *byte).collect()),
        'c' => {
            let text = String::from_utf8_lossy(line);
            let kept: String =
                text.chars().enumerate().filter(|(index, _)| list.has(index + 1)).map(|(_, c)| c).collect();
            Some(kept.into_bytes())
        }
        _ if !line.contains(&separator) => (!only_separated).then(|| line.to_vec()),
        _ => {
            let fields = line.split(|byte| *byte == separator).enumerate();
            let kept: Vec<&[u8]> = fields.filter(|(index, _)| list.has(index + 1)).map(|(_, field)| field).collect();
            Some(kept.join(&separator))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_lines() {
        let list = List::parse("1,3-").expect("a list");
        let cut = |line: &str, letter| part(line.as_bytes(), letter, &list, b':', true);
        assert_eq!(cut("a:b:c:d", 'f').as_deref(), Some(&b"a:c:d"[..]));
        assert_eq!(cut("abc", 'f'), None);
        assert_eq!(cut("äbc", 'c').as_deref(), Some("äc".as_bytes()));
        assert_eq!(cut("abcd", 'b').as_deref(), Some(&b"acd"[..]));
    }
}
