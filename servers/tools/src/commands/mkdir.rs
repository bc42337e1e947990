//! `mkdir`: makes directories.

use libsys::ExitStatus;
use libsys::fs::{self, StatusChange};
use libsys::io::Write;
use tools::options::Spec;
use tools::{About, Arguments, Failure, Options};

const HELP: &str = "usage: mkdir [-pv] [-m MODE] DIRECTORY…
Makes directories.
  -p  those above as well; what is there already is no failure
  -m  with these permission bits, in octal
  -v  tells each
";

const SPEC: Spec<'_> = Spec { letters: "pvm:", long: &[("parents", 'p'), ("verbose", 'v'), ("mode", 'm')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options: Options<'_> = SPEC.parse(arguments)?;
        options.expect(1, usize::MAX)?;
        let mode = options.value('m').map(bits).transpose()?;
        out.each(&options.operands, |out, name| {
            let was_there = fs::exists(name);
            if options.has('p') { fs::create_dir_all(name) } else { fs::create_dir(name) }.about(name)?;
            if mode.is_some() && !was_there {
                fs::change(name, StatusChange { mode, ..StatusChange::default() }).about(name)?;
            }
            if options.has('v') {
                writeln!(out, "created directory '{name}'")?;
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn bits(text: &str) -> Result<u16, Failure> {
    let bits = u16::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777 && !text.starts_with('+'));
    bits.ok_or_else(|| Failure::Usage(alloc::format!("`{text}` is not a mode")))
}
