//! `tr`: bytes become others, or go.

use alloc::vec;
use libsys::ExitStatus;
use libsys::io::{self, Read, Write};
use tools::{About, Arguments, Failure, Options, input, sets};

const HELP: &str = "usage: tr [-c] SET TO | tr -d [-c] SET | tr -s [-c] SET [TO] | tr -ds SET SQUEEZED
Copies the standard input to the standard output; bytes of SET become those of TO.
A set is bytes, ranges as a-z, classes as [:upper:], and \\n, \\t, \\\\, \\ooo.
  -d  bytes of SET are left out
  -s  of equal bytes that follow each other, and are in the last set, one stays
  -c  what is not in SET is meant
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("+cCds", arguments)?;
        let (delete, squeeze) = (options.has('d'), options.has('s'));
        let (least, most) = match (delete, squeeze) {
            (true, true) => (2, 2),
            (true, false) => (1, 1),
            (false, true) => (1, 2),
            (false, false) => (2, 2),
        };
        options.expect(least, most)?;
        let set = |text: &str| sets::parse(text).map_err(Failure::Usage);
        let mut first = set(options.operands[0])?;
        if options.last("cC").is_some() {
            first = sets::complement(&first);
        }
        let second = options.operands.get(1).map(|text| set(text)).transpose()?;
        if !delete && second.as_ref().is_some_and(|to| to.is_empty()) {
            return Err(Failure::Usage("the second set is empty".into()));
        }
        let map = sets::mapping(&first, second.as_deref().filter(|_| !delete).unwrap_or(&[]));
        let deleted: [bool; 256] = core::array::from_fn(|byte| delete && first.contains(&(byte as u8)));
        let squeezed = second.as_ref().unwrap_or(&first);
        let squeezed: [bool; 256] = core::array::from_fn(|byte| squeeze && squeezed.contains(&(byte as u8)));
        let (mut part, mut last) = (vec![0; input::PART], None);
        loop {
            let count = io::stdin().read(&mut part).about("standard input")?;
            if count == 0 {
                return Ok(ExitStatus::SUCCESS);
            }
            let mut kept = 0;
            for index in 0..count {
                let byte = map[usize::from(part[index])];
                let goes = deleted[usize::from(part[index])] || (squeezed[usize::from(byte)] && last == Some(byte));
                if !goes {
                    part[kept] = byte;
                    kept += 1;
                    last = Some(byte);
                }
            }
            out.write_all(&part[..kept])?;
            out.flush()?;
        }
    })
}
