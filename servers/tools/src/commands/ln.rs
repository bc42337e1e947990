//! `ln`: gives files more names, and makes symbolic links.

use libsys::fs::{self, FileError};
use libsys::io::Write;
use libsys::{ExitStatus, path};
use tools::transfer;
use tools::{About, Arguments, Options, failed};

const HELP: &str = "usage: ln [-sfv] TARGET… [NAME|DIRECTORY]
Gives a file one more name; without a name, the same in the current directory.
  -s  makes a symbolic link, whose target need not be there
  -f  in place of what has that name
  -v  tells each
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("sfv", arguments)?;
        options.expect(1, usize::MAX)?;
        let (targets, place) = match options.operands[..] {
            [_] => (&options.operands[..], "."),
            _ => transfer::operands(&options.operands)?,
        };
        out.each(targets, |out, target| {
            let link = transfer::into_directory(target, place);
            let is_there = fs::symlink_metadata(&link).is_ok_and(|metadata| !metadata.is_dir());
            if options.has('f') && is_there {
                let same = |path| fs::canonicalize(path).ok();
                if path::file_name(target) == path::file_name(&link)
                    && same(target).is_some_and(|path| Some(path) == same(&link))
                {
                    return Err(failed(target, "it is the same file"));
                }
                fs::remove_file(&link).about(&link)?;
            }
            if options.has('s') {
                fs::symlink(target, &link).about(&link)?;
            } else if fs::metadata(target).about(target)?.is_dir() {
                return Err(failed(target, FileError::IsDirectory));
            } else {
                fs::hard_link(target, &link).about(&link)?;
            }
            if options.has('v') {
                writeln!(out, "'{link}' {} '{target}'", if options.has('s') { "->" } else { "=>" })?;
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
