//! `rmdir`: removes empty directories.

use libsys::{ExitStatus, fs, path};
use tools::{About, Arguments, Options, failed};

const HELP: &str = "usage: rmdir [-p] DIRECTORY…
Removes empty directories.
  -p  those above in the path as well
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("p", arguments)?;
        options.expect(1, usize::MAX)?;
        out.each(&options.operands, |_, name| {
            // As POSIX has it: these say where something is, not what is to go.
            if matches!(path::last(name), "." | "..") {
                return Err(failed(name, "it is not removed"));
            }
            fs::remove_dir(name).about(name)?;
            let mut above = path::parent(name);
            while let Some(directory) = above.filter(|path| options.has('p') && !matches!(*path, "" | "/")) {
                fs::remove_dir(directory).about(directory)?;
                above = path::parent(directory);
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
