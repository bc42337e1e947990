//! `rmdir`: removes empty directories.
#![cfg_attr(target_os = "none", no_std, no_main)]

use libsys::{ExitStatus, fs, path};
use tools::{About, Options};

const HELP: &str = "usage: rmdir [-p] DIRECTORY…
Removes empty directories.
  -p  those above in the path as well
";

fn run() -> ExitStatus {
    tools::run(HELP, |arguments, out| {
        let options = Options::parse("p", arguments)?;
        options.expect(1, usize::MAX)?;
        out.each(&options.operands, |_, name| {
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

libsys::main!(run);
