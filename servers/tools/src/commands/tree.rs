//! `tree`: directories and what is in them, as a tree.

use alloc::string::String;
use alloc::vec;
use libsys::ExitStatus;
use libsys::fs::{self, NodeKind};
use libsys::io::Write;
use libsys::path;
use tools::names::Names;
use tools::{About, Arguments, Failure, Options, Output};

const HELP: &str = "usage: tree [-ad] [-L DEPTH] [DIRECTORY]…
Shows directories and what is in them.
  -a  with names that begin with a dot
  -d  directories only
  -L  so many levels
";

/// A directory whose names are being shown, and what is in front of their lines.
struct Level {
    path: String,
    indent: String,
    names: Names,
    /// Which of the names comes next.
    next: usize,
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
    let mut levels = vec![level(root.into(), String::new(), options)?];
    writeln!(out, "{root}")?;
    while let Some(Level { path, indent, names, next }) = levels.last_mut() {
        let Some((name, kind)) = names.get(*next) else {
            levels.pop();
            continue;
        };
        *next += 1;
        let (branch, below) = if *next == names.count() { ("└── ", "    ") } else { ("├── ", "│   ") };
        let path = path::join(path, name);
        let arrow = match kind {
            NodeKind::Link => fs::read_link(&path).map(|target| alloc::format!(" -> {target}")).unwrap_or_default(),
            _ => String::new(),
        };
        writeln!(out, "{indent}{branch}{name}{arrow}")?;
        let is_directory = kind == NodeKind::Directory;
        counts[usize::from(!is_directory)] += 1;
        let indent = alloc::format!("{indent}{below}");
        if is_directory && (levels.len() as u64) < most {
            out.attempt(|_| level(path, indent, options).map(|below| levels.push(below)))?;
        }
    }
    Ok(())
}

/// What is in a directory.
fn level(path: String, indent: String, options: &Options<'_>) -> Result<Level, Failure> {
    let is_shown = |name: &str, kind| {
        (options.has('a') || !name.starts_with('.')) && (!options.has('d') || kind == NodeKind::Directory)
    };
    let names = Names::read(&path, is_shown).about(&path)?;
    Ok(Level { path, indent, names, next: 0 })
}
