//! `ln`: gives files more names, and makes symbolic links.

use alloc::format;
use libsys::fs::{self, FileError};
use libsys::io::{self, Write};
use libsys::{ExitStatus, path};
use tools::transfer;
use tools::{About, Arguments, Failure, Options, failed};

const HELP: &str = "usage: ln [-sfv] TARGET… [NAME|DIRECTORY]
Gives a file one more name; without a name, the same in the current directory.
  -s  makes a symbolic link, whose target need not be there
  -f  in place of what has that name
  -v  tells each
";

/// How many names are tried that a link may have before it replaces another.
const TRIES: u32 = 1000;

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("sfv", arguments)?;
        options.expect(1, usize::MAX)?;
        let (targets, place) = match options.operands[..] {
            [_] => (&options.operands[..], "."),
            _ => transfer::operands(&options.operands)?,
        };
        let is_symbolic = options.has('s');
        out.each(targets, |out, target| {
            let link = transfer::into_directory(target, place);
            if !is_symbolic && fs::metadata(target).about(target)?.is_dir() {
                return Err(failed(target, FileError::IsDirectory));
            }
            match make(target, &link, is_symbolic) {
                Err(error) if options.has('f') && error.file() == Some(FileError::Exists) => {
                    replace(target, &link, is_symbolic)?;
                }
                result => result.about(&link)?,
            }
            if options.has('v') {
                writeln!(out, "'{link}' {} '{target}'", if is_symbolic { "->" } else { "=>" })?;
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn make(target: &str, link: &str, is_symbolic: bool) -> io::Result<()> {
    if is_symbolic { fs::symlink(target, link) } else { fs::hard_link(target, link) }
}

/// In place of what has that name, which stays until the link is made: under another name first.
fn replace(target: &str, link: &str, is_symbolic: bool) -> Result<(), Failure> {
    if fs::symlink_metadata(link).about(link)?.is_dir() {
        return Err(failed(link, FileError::IsDirectory));
    }
    let is_same = fs::symlink_identity(target).ok() == fs::symlink_identity(link).ok();
    let directory = path::parent(link).unwrap_or("");
    if is_same && path::file_name(target) == path::file_name(link) {
        let place = |path: &str| fs::identity(if path.is_empty() { "." } else { path }).ok();
        if path::parent(target).is_some_and(|parent| place(parent) == place(directory)) {
            return Err(failed(target, "it is the same file"));
        }
    }
    if is_same && !is_symbolic {
        return Ok(());
    }
    for number in 0..TRIES {
        let other = path::join(directory, &format!(".ln-{number}"));
        match make(target, &other, is_symbolic) {
            Err(error) if error.file() == Some(FileError::Exists) => continue,
            result => result.about(link)?,
        }
        return fs::rename(&other, link).about(link).inspect_err(|_| {
            // What is told is why it was not renamed.
            let _ = fs::remove_file(&other);
        });
    }
    Err(failed(link, FileError::Exists))
}
