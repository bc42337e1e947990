//! `sync`: waits until what was written is on its medium.

use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs::{self, FileError, OpenOptions};
use tools::{About, Arguments, Options, mounts};

const HELP: &str = "usage: sync [-f] [FILE]…
Waits until all that was written to all file systems is on their media; with operands, to those files.
  -f  to the file systems that the files are on
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("f", arguments)?;
        if options.operands.is_empty() {
            let all = mounts::list()?;
            let paths: Vec<&str> = all.iter().map(|mount| mount.path.as_str()).collect();
            out.each(&paths, |_, path| match fs::sync(path) {
                // What has no medium has nothing to wait for.
                Err(error) if error.file() == Some(FileError::Unsupported) => Ok(()),
                result => result.about(path),
            })?;
        }
        out.each(&options.operands, |_, name| {
            if options.has('f') {
                fs::sync(name)
            } else {
                OpenOptions::new().read(true).open(name).and_then(|file| file.sync_all())
            }
            .about(name)
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
