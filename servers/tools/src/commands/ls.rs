//! `ls`: what is in directories.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::io::Write;
use libsys::path;
use tools::listing::{Item, Manner};
use tools::walk::{Stage, Walk};
use tools::{Arguments, Failure, Options, Output, clock, failed};

const HELP: &str = "usage: ls [-aAlhidR1FrtS] [FILE]…
Shows the names in directories, and files; without any, the current directory.
  -a  with . and .. and names that begin with a dot; -A  without . and ..
  -l  with permission bits, names, size, time; -h  sizes for people; -i  numbers of files
  -d  directories themselves; -R  all that is below; -1  a name a line; -F  kinds as characters
  -t  by time, the newest first; -S  by size, the largest first; -r  the other way round
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("aAlhidR1FrtSC", arguments)?;
        let width =
            if options.last("1C").map_or(out.is_console(), |last| last == 'C') { tools::listing::width() } else { 0 };
        let now = if options.has('l') { clock::now().ok() } else { None };
        let manner = Manner::new(&options, width, now);
        let operands: &[&str] = if options.operands.is_empty() { &["."] } else { &options.operands };
        // Files come first, together; then directories, one after the other.
        let (mut files, mut directories) = (Vec::new(), Vec::new());
        out.each(operands, |_, name| {
            let item = Item::of_operand(name, options.last("ldF").is_none())?;
            if item.is_directory() && !options.has('d') {
                directories.push(item)
            } else {
                files.push(item)
            }
            Ok(())
        })?;
        manner.sort(&mut files);
        manner.sort(&mut directories);
        manner.show(out, &files, false)?;
        let titled = operands.len() > 1 || options.has('R');
        let mut gap = if files.is_empty() { "" } else { "\n" };
        for directory in directories {
            let title = titled.then_some(directory.name.as_str());
            out.attempt(|out| show_directory(out, &directory.name, title, &manner, &mut gap))?;
            if options.has('R') {
                below(out, &directory, &manner, &mut gap)?;
            }
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn show_directory(
    out: &mut Output,
    name: &str,
    title: Option<&str>,
    manner: &Manner,
    gap: &mut &str,
) -> Result<(), Failure> {
    let mut heading = |out: &mut Output| -> Result<(), Failure> {
        if let Some(title) = title {
            writeln!(out, "{gap}{title}:")?;
        }
        *gap = "\n";
        Ok(())
    };
    if manner.is_plain() {
        let names = manner.names(name)?;
        heading(out)?;
        return manner.show_names(out, &names, name);
    }
    let items = manner.items(out, name)?;
    heading(out)?;
    manner.show(out, &items, true)
}

/// The directories below one.
fn below(out: &mut Output, root: &Item, manner: &Manner, gap: &mut &str) -> Result<(), Failure> {
    let mut walk = Walk::new(&root.name, root.status.kind);
    while let Some(visit) = walk.next() {
        let is_hidden = visit.depth > 0 && !manner.shows(path::file_name(&visit.path).unwrap_or(""));
        match visit.stage {
            Stage::First if is_hidden => walk.leave(),
            Stage::First if visit.depth > 0 && visit.kind == root.status.kind => {
                let title = String::from(visit.path.as_str());
                out.attempt(|out| show_directory(out, &visit.path, Some(&title), manner, gap))?;
            }
            // Those of the root were told when it was shown.
            Stage::Failed(error) if visit.depth > 0 => out.attempt(|_| Err(failed(&visit.path, error)))?,
            _ => {}
        }
    }
    Ok(())
}
