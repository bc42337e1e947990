//! `mv`: gives files and directories other names, or moves them to other file systems.

use libsys::fs::{self, FileError, Identity};
use libsys::io::Write;
use libsys::protocol::filesystem::RenameOptions;
use libsys::{ExitStatus, path};
use tools::transfer::{self, Manner};
use tools::{About, Arguments, Failure, Options, Output, failed};

const HELP: &str = "usage: mv [-finv] FILE… TARGET
Gives something another name, in place of what has that name, or moves things into a directory.
  -i  asks before something is replaced  -n  nothing is replaced  -f  everything; the last of them counts
  -v  tells each
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("finv", arguments)?;
        let (originals, target) = transfer::operands(&options.operands)?;
        let (keep, ask) = (options.last("fin") == Some('n'), options.last("fin") == Some('i'));
        out.each(originals, |out, from| {
            let to = transfer::into_directory(from, target);
            if ask && fs::symlink_metadata(from).is_ok() && !transfer::may_replace(out, &to) {
                return Ok(());
            }
            let is_moved = rename(out, from, &to, keep)?;
            if is_moved && options.has('v') {
                writeln!(out, "renamed '{from}' -> '{to}'")?;
            }
            Ok(())
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// Whether it was moved, or left because something is there.
fn rename(out: &mut Output, from: &str, to: &str, keep: bool) -> Result<bool, Failure> {
    if !keep && is_same_file(from, to)? {
        return fs::remove_file(from).about(from).map(|()| true);
    }
    let options = if keep { RenameOptions::NO_REPLACE } else { RenameOptions::empty() };
    match fs::rename_with(from, to, options) {
        Ok(()) => Ok(true),
        Err(error) if keep && error.file() == Some(FileError::Exists) => Ok(false),
        Err(error) if error.file() == Some(FileError::CrossDevice) => copy(out, from, to, keep),
        Err(error) if error.file() == Some(FileError::OutOfRange) && is_directory(from) => {
            Err(failed(from, format_args!("it cannot be moved into itself, {to}")))
        }
        Err(error) => Err(failed(&alloc::format!("{from} to {to}"), error)),
    }
}

/// Whether both are names of one file, of which the first is to go: to rename it would change nothing. Error: they are one and the same name.
fn is_same_file(from: &str, to: &str) -> Result<bool, Failure> {
    let (Ok(original), Ok(there)) = (fs::symlink_identity(from), fs::symlink_identity(to)) else { return Ok(false) };
    // A path that ends with `/` is for `rename` to judge.
    if original != there || is_directory(from) || from.ends_with('/') || to.ends_with('/') {
        return Ok(false);
    }
    if path::file_name(from) == path::file_name(to) && directory(from)? == directory(to)? {
        return Err(failed(from, format_args!("{to} is the same file")));
    }
    // Where case has no meaning, the one name of a file is found by several, and may be given another case.
    Ok(fs::symlink_metadata(from).about(from)?.status().links > 1)
}

/// The directory that a name is in, be it mounted at several places.
fn directory(path: &str) -> Result<Identity, Failure> {
    let parent = path::parent(path).filter(|parent| !parent.is_empty()).unwrap_or(".");
    fs::identity(parent).about(parent)
}

fn is_directory(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|status| status.is_dir())
}

/// From one file system to another. The original stays where the copy is not whole.
fn copy(out: &mut Output, from: &str, to: &str, keep: bool) -> Result<bool, Failure> {
    let original = fs::symlink_metadata(from).about(from)?;
    if let Ok(there) = fs::symlink_metadata(to) {
        transfer::refuse_same(from, to, false)?;
        match (keep, original.is_dir(), there.is_dir()) {
            (true, ..) => return Ok(false),
            (false, true, true) => fs::remove_dir(to).about(to)?,
            (false, false, false) => fs::remove_file(to).about(to)?,
            (false, true, false) => return Err(failed(to, FileError::NotDirectory)),
            (false, false, true) => return Err(failed(to, FileError::IsDirectory)),
        }
    }
    let manner = Manner { recursive: true, preserve: true, ..Manner::default() };
    let complaints = out.complaints();
    transfer::copy(out, from, to, manner)?;
    if out.complaints() > complaints {
        return Err(failed(from, "it was not copied whole, and stays"));
    }
    if original.is_dir() { fs::remove_dir_all(from) } else { fs::remove_file(from) }.about(from)?;
    Ok(true)
}
