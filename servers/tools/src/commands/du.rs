//! `du`: how much storage files take.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::fs::{self, Identity, NodeKind};
use libsys::io::Write;
use tools::walk::{Stage, Walk};
use tools::{About, Arguments, Failure, Options, Output, failed, format};

const HELP: &str = "usage: du [-ahsc] [-b] [-d DEPTH] [FILE]…
Shows how much storage directories and what is in them take, in units of 1024 bytes.
  -s  only of the operands     -d  of directories up to so deep
  -a  of files as well         -c  of all together at last
  -h  sizes for people         -b  the sizes of files, in bytes
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("ahskcbd:", arguments)?;
        let depth = if options.has('s') { 0 } else { options.number('d')?.unwrap_or(u64::MAX) };
        let operands: &[&str] = if options.operands.is_empty() { &["."] } else { &options.operands };
        let (mut total, mut seen) = (0, BTreeSet::new());
        out.each(operands, |out, root| {
            total += measure(out, root, &options, depth, &mut seen)?;
            Ok(())
        })?;
        if options.has('c') {
            show(out, total, "total", &options)?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// The storage of all below a root. A file with several names counts once.
fn measure(
    out: &mut Output,
    root: &str,
    options: &Options<'_>,
    depth: u64,
    seen: &mut BTreeSet<Identity>,
) -> Result<u64, Failure> {
    let kind = fs::symlink_metadata(root).about(root)?.kind();
    // Of the directories on the way, what was found so far; the root's own is the first.
    let mut sums: Vec<u64> = Vec::from([0]);
    for visit in Walk::new(root, kind) {
        let name = visit.path.as_str();
        if let Stage::Failed(error) = visit.stage {
            out.attempt(|_| Err(failed(name, error)))?;
            continue;
        }
        let is_shown = visit.depth as u64 <= depth;
        if visit.stage == Stage::After {
            let sum = sums.pop().unwrap_or(0);
            if is_shown {
                show(out, sum, name, options)?;
            }
            sums.last_mut().map(|above| *above += sum).unwrap_or(());
            continue;
        }
        let mut bytes = 0;
        out.attempt(|_| {
            let status = *fs::symlink_metadata(name).about(name)?.status();
            let has_one_name = status.links < 2 || kind_is_directory(visit.kind);
            let counts = has_one_name || seen.insert(fs::symlink_identity(name).about(name)?);
            bytes = if !counts {
                0
            } else if options.has('b') {
                status.size
            } else {
                status.allocated
            };
            Ok(())
        })?;
        if kind_is_directory(visit.kind) {
            sums.push(bytes);
        } else {
            sums.last_mut().map(|above| *above += bytes).unwrap_or(());
            if visit.depth == 0 || is_shown && options.has('a') {
                show(out, bytes, name, options)?;
            }
        }
    }
    Ok(sums.first().copied().unwrap_or(0))
}

fn kind_is_directory(kind: NodeKind) -> bool {
    kind == NodeKind::Directory
}

fn show(out: &mut Output, bytes: u64, name: &str, options: &Options<'_>) -> Result<(), Failure> {
    let size = match (options.has('h'), options.has('b')) {
        (true, _) => format::human(bytes),
        (_, true) => bytes.to_string(),
        _ => bytes.div_ceil(1024).to_string(),
    };
    Ok(writeln!(out, "{size}\t{name}")?)
}
