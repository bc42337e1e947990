//! `rm`: removes files and directories.

use libsys::ExitStatus;
use libsys::fs::{self, FileError, NodeKind};
use libsys::io::Write;
use libsys::path;
use tools::options::Spec;
use tools::walk::{Stage, Walk};
use tools::{About, Arguments, Failure, Options, Output, failed};

const HELP: &str = "usage: rm [-rfv] FILE…
Removes files and links.
  -r  directories with all that is in them
  -f  what is not there is no failure
  -v  tells each
";

const SPEC: Spec<'_> = Spec { letters: "rRfv", long: &[("recursive", 'r'), ("force", 'f'), ("verbose", 'v')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = SPEC.parse(arguments)?;
        options.expect(usize::from(!options.has('f')), usize::MAX)?;
        out.each(&options.operands, |out, name| remove(out, name, &options))?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn remove(out: &mut Output, root: &str, options: &Options<'_>) -> Result<(), Failure> {
    // As POSIX has it: `.` and `..` say where something is, not what is to go.
    let is_nameless = !root.is_empty() && path::file_name(root).is_none();
    if is_nameless || matches!(path::last(root), "." | "..") {
        return Err(failed(root, "it is not removed"));
    }
    let without_slash = root.trim_end_matches('/');
    if without_slash.len() < root.len() && fs::symlink_metadata(without_slash).is_ok_and(|link| link.is_symlink()) {
        // Else what is in the directory that it points to would be gone.
        return Err(failed(root, FileError::NotDirectory));
    }
    let metadata = match fs::symlink_metadata(root) {
        Err(error) if options.has('f') && error.file() == Some(FileError::NotFound) => return Ok(()),
        metadata => metadata.about(root)?,
    };
    if metadata.is_dir() && options.last("rR").is_none() {
        return Err(failed(root, FileError::IsDirectory));
    }
    for visit in Walk::new(root, metadata.kind()) {
        let name = visit.path.as_str();
        out.attempt(|out| {
            let is_directory = visit.kind == NodeKind::Directory;
            match visit.stage {
                Stage::First if is_directory => return Ok(()),
                Stage::First => fs::remove_file(name).about(name)?,
                Stage::After => fs::remove_dir(name).about(name)?,
                Stage::Failed(error) => return Err(failed(name, error)),
            }
            if options.has('v') {
                let noun = if is_directory { "directory " } else { "" };
                writeln!(out, "removed {noun}'{name}'")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
