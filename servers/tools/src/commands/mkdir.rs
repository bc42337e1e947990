//! `mkdir`: makes directories.

use libsys::ExitStatus;
use libsys::fs;
use libsys::io::Write;
use tools::options::Spec;
use tools::{About, Arguments, Options};

const HELP: &str = "usage: mkdir [-pv] DIRECTORY…
Makes directories.
  -p  those above as well; what is there already is no failure
  -v  tells each
";

const SPEC: Spec<'_> = Spec { letters: "pv", long: &[("parents", 'p'), ("verbose", 'v')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options: Options<'_> = SPEC.parse(arguments)?;
        options.expect(1, usize::MAX)?;
        out.each(&options.operands, |out, name| {
            if options.has('p') { fs::create_dir_all(name) } else { fs::create_dir(name) }.about(name)?;
            if options.has('v') {
                writeln!(out, "created directory '{name}'")?;
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
