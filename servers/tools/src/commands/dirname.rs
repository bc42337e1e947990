//! `dirname`: paths without their last names.

use libsys::ExitStatus;
use libsys::io::Write;
use tools::{Arguments, Options};

const HELP: &str = "usage: dirname PATH…
Shows paths without their last names; `.` where nothing is left.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("", arguments)?;
        options.expect(1, usize::MAX)?;
        for path in &options.operands {
            let directory = match path.trim_end_matches('/').rsplit_once('/') {
                Some((before, _)) => before.trim_end_matches('/'),
                None if path.starts_with('/') => "",
                None => ".",
            };
            writeln!(out, "{}", if directory.is_empty() { "/" } else { directory })?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}
