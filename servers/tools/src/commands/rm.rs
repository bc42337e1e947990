//! `rm`: removes files and directories.

use alloc::collections::BTreeSet;
use libsys::ExitStatus;
use libsys::fs::{self, FileError, NodeKind};
use libsys::io::Write;
use libsys::path;
use tools::options::Spec;
use tools::walk::{Stage, Visit, Walk};
use tools::{About, Arguments, Failure, Options, Output, failed};

const HELP: &str = "usage: rm [-rfiv] FILE…
Removes files and links.
  -r  directories with all that is in them
  -f  what is not there is no failure, and nothing is asked
  -i  asks before each, and before what is in a directory: only an answer that begins with y removes it (-f after it: does not)
  -v  tells each
";

const SPEC: Spec<'_> =
    Spec { letters: "rRfiv", long: &[("recursive", 'r'), ("force", 'f'), ("interactive", 'i'), ("verbose", 'v')] };

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
        Err(error) if options.last("fi") == Some('f') && error.file() == Some(FileError::NotFound) => return Ok(()),
        metadata => metadata.about(root)?,
    };
    if metadata.is_dir() && options.last("rR").is_none() {
        return Err(failed(root, FileError::IsDirectory));
    }
    let mut walk = Walk::new(root, metadata.kind());
    let mut asking = (options.last("fi") == Some('i')).then(Asking::default);
    while let Some(visit) = walk.next() {
        out.attempt(|out| {
            if let Some(asking) = &mut asking
                && !asking.is_to_go(&visit, |question| out.confirm(question))
            {
                walk.leave();
                return Ok(());
            }
            step(out, &visit, options.has('v'))
        })?;
    }
    Ok(())
}

fn step(out: &mut Output, visit: &Visit, verbose: bool) -> Result<(), Failure> {
    let name = visit.path.as_str();
    let is_directory = visit.kind == NodeKind::Directory;
    match visit.stage {
        Stage::First if is_directory => return Ok(()),
        Stage::First => fs::remove_file(name).about(name)?,
        Stage::After => fs::remove_dir(name).about(name)?,
        Stage::Failed(error) => return Err(failed(name, error)),
    }
    if verbose {
        let noun = if is_directory { "directory " } else { "" };
        writeln!(out, "removed {noun}'{name}'")?;
    }
    Ok(())
}

/// What the user was asked in a tree.
#[derive(Default)]
struct Asking {
    /// Depths of the directories on the way in which something stays: they stay as well, and nobody is asked.
    staying: BTreeSet<usize>,
}

impl Asking {
    /// Whether what was come to is to go, or to be entered.
    fn is_to_go(&mut self, visit: &Visit, confirm: impl FnOnce(&str) -> bool) -> bool {
        let name = &visit.path;
        let goes = match visit.stage {
            Stage::Failed(_) => return true,
            Stage::First if visit.kind == NodeKind::Directory => confirm(&alloc::format!("descend into {name}")),
            Stage::First => confirm(&alloc::format!("remove {name}")),
            Stage::After => !self.staying.remove(&visit.depth) && confirm(&alloc::format!("remove directory {name}")),
        };
        if !goes && let Some(above) = visit.depth.checked_sub(1) {
            self.staying.insert(above);
        }
        goes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// What is asked of a tree, in order: stages with a depth, and the answers.
    fn questions(visits: &[(&str, usize, NodeKind, Stage)], no: &[&str]) -> Vec<String> {
        let (mut asking, mut asked) = (Asking::default(), Vec::new());
        for (path, depth, kind, stage) in visits {
            let visit = Visit { path: (*path).into(), depth: *depth, kind: *kind, stage: *stage };
            asking.is_to_go(&visit, |question| {
                asked.push(question.into());
                !no.contains(&question)
            });
        }
        asked
    }

    #[test]
    fn directories_in_which_something_stays_are_not_asked_about() {
        const DIRECTORY: NodeKind = NodeKind::Directory;
        let tree = [
            ("d", 0, DIRECTORY, Stage::First),
            ("d/a", 1, DIRECTORY, Stage::First),
            ("d/a/x", 2, NodeKind::File, Stage::First),
            ("d/a", 1, DIRECTORY, Stage::After),
            ("d/b", 1, DIRECTORY, Stage::First),
            ("d/b", 1, DIRECTORY, Stage::After),
            ("d", 0, DIRECTORY, Stage::After),
        ];
        let all = questions(&tree, &[]);
        assert_eq!(all.len(), tree.len());
        assert_eq!(all.last().map(String::as_str), Some("remove directory d"));
        let asked = questions(&tree, &["remove d/a/x"]);
        assert_eq!(
            asked,
            ["descend into d", "descend into d/a", "remove d/a/x", "descend into d/b", "remove directory d/b"]
        );
    }
}
