//! `basename`: the last names of paths.

use libsys::ExitStatus;
use libsys::io::Write;
use tools::{Arguments, Options};

const HELP: &str = "usage: basename PATH [SUFFIX] | basename -a [-s SUFFIX] PATH…
Shows the last name of a path, without a suffix.
  -a  of several paths
  -s  the suffix; for several paths
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("+as:", arguments)?;
        let several = options.last("as").is_some();
        options.expect(1, if several { usize::MAX } else { 2 })?;
        let (paths, suffix) = match options.operands[..] {
            [ref paths @ .., suffix] if !several && !paths.is_empty() => (paths, suffix),
            ref paths => (paths, options.value('s').unwrap_or("")),
        };
        for path in paths {
            let trimmed = path.trim_end_matches('/');
            let name = trimmed.rsplit('/').next().unwrap_or("");
            let name = if name.is_empty() && path.starts_with('/') { "/" } else { name };
            let short = name.strip_suffix(suffix).filter(|short| !short.is_empty()).unwrap_or(name);
            writeln!(out, "{short}")?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}
