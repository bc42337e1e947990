//! `df`: how full file systems are.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs;
use libsys::io::Write;
use libsys::protocol::namespace::Mount;
use tools::{About, Arguments, Failure, Options, format as shown, mounts};

const HELP: &str = "usage: df [-ahT] [FILE]…
Shows how full file systems are: all, or those that files are on.
  -h  sizes for people
  -T  with the kind of the file system
  -a  also those that hold nothing of their own
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("ahTk", arguments)?;
        let all = mounts::list()?;
        let mut chosen: Vec<&Mount> = Vec::new();
        out.each(&options.operands, |_, name| {
            let path = fs::canonicalize(name).about(name)?;
            chosen.extend(mounts::covering(&all, &path));
            Ok(())
        })?;
        if options.operands.is_empty() {
            chosen.extend(&all);
        }
        let size = if options.has('h') { "Size" } else { "1K-blocks" };
        let mut rows = Vec::from([[
            "Filesystem",
            "Type",
            size,
            "Used",
            if options.has('h') { "Avail" } else { "Available" },
            "Use%",
            "Mounted on",
        ]
        .map(String::from)]);
        for mount in chosen {
            out.attempt(|_| {
                let row = row(mount, options.has('h'))?;
                let is_empty = row[2] == "0" && options.operands.is_empty();
                rows.extend((!is_empty || options.has('a')).then_some(row));
                Ok(())
            })?;
        }
        if rows.len() == 1 && !options.operands.is_empty() {
            // What was asked for is not there.
            return Ok(ExitStatus::FAILURE);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let [name, kind, size, used, free, percent] = core::array::from_fn(width);
        for [a, b, c, d, e, f, path] in &rows {
            let kind = if options.has('T') { format!(" {b:<kind$}") } else { String::new() };
            writeln!(out, "{a:<name$}{kind} {c:>size$} {d:>used$} {e:>free$} {f:>percent$} {path}")?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn row(mount: &Mount, human: bool) -> Result<[String; 7], Failure> {
    let statistics = fs::statistics(&mount.path).about(&mount.path)?;
    let used = statistics.bytes.saturating_sub(statistics.free_bytes);
    let size = |bytes: u64| if human { shown::human(bytes) } else { format!("{}", bytes.div_ceil(1024)) };
    let percent = match statistics.bytes {
        0 => "-".into(),
        bytes => format!("{}%", (u128::from(used) * 100).div_ceil(u128::from(bytes))),
    };
    let (kind, path) = (mount.kind.clone(), mount.path.clone());
    Ok([mount.source.clone(), kind, size(statistics.bytes), size(used), size(statistics.free_bytes), percent, path])
}
