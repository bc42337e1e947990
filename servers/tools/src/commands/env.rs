//! `env`: the environment.

use alloc::format;
use alloc::vec::Vec;
use libsys::io::Write;
use libsys::{ExitStatus, env};
use tools::{Arguments, Failure, Options};

const HELP: &str = "usage: env [-i0] [-u NAME]… [NAME=VALUE]…
Shows the variables of the environment, as a program would get them.
  -i  without those that there are
  -u  without the one of that name
  -0  a NUL behind each instead of a newline
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("+i0u:", arguments)?;
        let mut all: Vec<(&str, &str)> = Vec::new();
        if !options.has('i') {
            all.extend(env::get().variables().iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        all.retain(|(name, _)| !options.values('u').any(|gone| gone == *name));
        for word in &options.operands {
            let (name, value) = word.split_once('=').ok_or_else(|| Failure::Usage(format!("unexpected `{word}`")))?;
            all.retain(|(known, _)| *known != name);
            all.push((name, value));
        }
        let end = if options.has('0') { '\0' } else { '\n' };
        for (name, value) in all {
            write!(out, "{name}={value}{end}")?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}
