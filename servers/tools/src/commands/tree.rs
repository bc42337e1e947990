//! `tree`: directories and what is in them, as a tree.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs::{self, NodeKind};
use libsys::io::Write;
use tools::walk::sorted;
use tools::{About, Arguments, Failure, Options, Output};

const HELP: &str = "usage: tree [-ad] [-L DEPTH] [DIRECTORY]…
Shows directories and what is in them.
  -a  with names that begin with a dot
  -d  directories only
  -L  so many levels
";

/// A name that is still to be shown: its path and name, what it is, and what is in front of its lines.
struct Ahead {
    path: String,
    name: String,
    kind: NodeKind,
    indent: String,
    is_last: bool,
    level: u64,
}

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("adL:", arguments)?;
        let operands: &[&str] = if options.operands.is_empty() { &["."] } else { &options.operands };
        let mut counts = [0u64; 2];
        out.each(operands, |out, root| show(out, root, &options, &mut counts))?;
        let [directories, files] = counts;
        let noun = |count, one, many| if count == 1 { one } else { many };
        write!(out, "\n{directories} {}", noun(directories, "directory", "directories"))?;
        if !options.has('d') {
            write!(out, ", {files} {}", noun(files, "file", "files"))?;
        }
        writeln!(out)?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn show(out: &mut Output, root: &str, options: &Options<'_>, counts: &mut [u64; 2]) -> Result<(), Failure> {
    let most = options.number('L')?.unwrap_or(u64::MAX);
    let mut ahead = children(root, "", 1, options)?;
    writeln!(out, "{root}")?;
    while let Some(Ahead { path, name, kind, indent, is_last, level }) = ahead.pop() {
        let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let arrow = match kind {
            NodeKind::Link => fs::read_link(&path).map(|target| alloc::format!(" -> {target}")).unwrap_or_default(),
            _ => String::new(),
        };
        writeln!(out, "{indent}{branch}{name}{arrow}")?;
        let is_directory = kind == NodeKind::Directory;
        counts[usize::from(!is_directory)] += 1;
        if is_directory && level < most {
            out.attempt(|_| children(&path, &(indent + below), level + 1, options).map(|more| ahead.extend(more)))?;
        }
    }
    Ok(())
}

/// What is in a directory, the first last.
fn children(path: &str, indent: &str, level: u64, options: &Options<'_>) -> Result<Vec<Ahead>, Failure> {
    let is_shown = |entry: &fs::DirEntry| {
        (options.has('a') || !entry.file_name().starts_with('.'))
            && (!options.has('d') || entry.kind() == NodeKind::Directory)
    };
    let entries: Vec<fs::DirEntry> = sorted(path).about(path)?.into_iter().filter(is_shown).collect();
    let count = entries.len();
    let one = |(index, entry): (usize, fs::DirEntry)| Ahead {
        path: entry.path().into(),
        name: entry.file_name().into(),
        kind: entry.kind(),
        indent: indent.into(),
        is_last: index + 1 == count,
        level,
    };
    Ok(entries.into_iter().enumerate().rev().map(one).collect())
}
