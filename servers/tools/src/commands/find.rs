//! `find`: names in trees of directories, by what they are.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::fs::NodeKind;
use libsys::io::Write;
use libsys::{ExitStatus, fs, path};
use tools::launcher::{End, Launcher};
use tools::search::{Action, Batch, Part, Search};
use tools::walk::{Stage, Visit, Walk};
use tools::{About, Arguments, Failure, Output, failed};

const HELP: &str = "usage: find [PATH]… [EXPRESSION]
Goes through all that is below the paths, or the current directory, and writes what the expression is true of, unless it does something else.
Tests:    -name GLOB  -iname GLOB  -path GLOB  -type f|d|l|c|b  -size [+-]N[ckMG]  -empty  -newer FILE
Actions:  -print  -print0  -delete  -prune (what is in it is not looked at)
          -exec COMMAND {} \\;   runs it, with the path in place of {}; true if its status is 0
          -exec COMMAND {} +    runs it with many paths at once; if its status is not 0, that of find is 1
Options:  -maxdepth N  -mindepth N  -depth (what is in directories comes before them)
Joined:   ! A (or -not)   A B (or -a)   A -o B   \\( A \\)   from the tightest to the loosest
  -size  so many units of storage: blocks of 512 bytes, or of c bytes, k, M, G; +N more, -N less
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let search = Search::parse(arguments)?;
        let mut finder = Finder {
            search: &search,
            batches: vec![Batch::default(); search.commands.len()],
            launcher: None,
            status: ExitStatus::SUCCESS,
        };
        out.each(&search.roots, |out, root| finder.below(out, root))?;
        for number in 0..search.commands.len() {
            finder.run_batch(out, number)?;
        }
        Ok(finder.status)
    })
}

/// A search that is under way.
struct Finder<'s, 'a> {
    search: &'s Search<'a>,
    /// The paths for each of the commands.
    batches: Vec<Batch>,
    /// Made when the first command is run.
    launcher: Option<Launcher>,
    status: ExitStatus,
}

impl Finder<'_, '_> {
    fn below(&mut self, out: &mut Output, root: &str) -> Result<(), Failure> {
        let search = self.search;
        let mut walk = Walk::new(root, fs::symlink_metadata(root).about(root)?.kind());
        while let Some(visit) = walk.next() {
            if let Stage::Failed(error) = visit.stage {
                out.attempt(|_| Err(failed(&visit.path, error)))?;
                continue;
            }
            let is_directory = visit.kind == NodeKind::Directory;
            let mut is_shut = visit.depth >= search.most_depth;
            // Directories count before what is in them, or after it.
            let is_due = !is_directory || (visit.stage == Stage::After) == search.depth_first;
            if is_due && visit.depth >= search.least_depth {
                out.attempt(|out| {
                    let decide = &mut |part: Part<'_, '_>| match part {
                        Part::Test(test) => {
                            test.passes(&visit, || fs::symlink_metadata(&visit.path).about(&visit.path))
                        }
                        Part::Action(Action::Prune) => {
                            is_shut = true;
                            Ok(true)
                        }
                        Part::Action(action) => self.act(out, &visit, action),
                    };
                    search.expression.evaluate(decide).map(drop)
                })?;
            }
            if is_shut && visit.stage == Stage::First && is_directory {
                walk.shut();
            }
        }
        Ok(())
    }

    /// Takes an action: whether it is true.
    fn act(&mut self, out: &mut Output, visit: &Visit, action: Action) -> Result<bool, Failure> {
        let name = visit.path.as_str();
        match action {
            Action::Print(end) => write!(out, "{name}{end}")?,
            // As for `rmdir`: it says where something is.
            Action::Delete if path::last(name) == "." => {}
            Action::Delete if visit.kind == NodeKind::Directory => fs::remove_dir(name).about(name)?,
            Action::Delete => fs::remove_file(name).about(name)?,
            Action::Prune => {}
            Action::Execute(number) => {
                let Some(command) = self.search.commands.get(number) else { return Ok(false) };
                if !command.gathers {
                    return self.execute(out, &command.for_path(name));
                }
                if self.batches[number].is_full_for(name) {
                    self.run_batch(out, number)?;
                }
                self.batches[number].add(name)?;
            }
        }
        Ok(true)
    }

    /// Runs a command with the paths that it has gathered, if there are any.
    fn run_batch(&mut self, out: &mut Output, number: usize) -> Result<(), Failure> {
        let command = &self.search.commands[number];
        let batch = &mut self.batches[number];
        if !batch.is_empty() {
            let words = command.for_batch(batch);
            if !self.execute(out, &words)? {
                self.status = ExitStatus::FAILURE;
            }
        }
        Ok(())
    }

    /// Runs a command: whether its status was 0. What else went wrong with it is told.
    fn execute(&mut self, out: &mut Output, words: &[String]) -> Result<bool, Failure> {
        // Behind what it writes.
        out.flush()?;
        let launcher = match &mut self.launcher {
            Some(launcher) => launcher,
            none => none.insert(Launcher::new().about("-exec")?),
        };
        match launcher.run(words) {
            Ok(End::Exit(status)) => Ok(status == 0),
            Ok(End::Died(how)) => {
                out.warn(format_args!("{}: {how}", words[0]));
                Ok(false)
            }
            Err(Failure::Error(text)) => {
                out.warn(text);
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}
