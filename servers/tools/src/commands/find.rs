//! `find`: names in trees of directories, by what they are.

use libsys::io::Write;
use libsys::{ExitStatus, fs};
use tools::search::{Search, Test};
use tools::walk::{Stage, Walk};
use tools::{About, Arguments, Failure, Output, failed};

const HELP: &str = "usage: find [PATH]… [-name GLOB] [-iname GLOB] [-path GLOB] [-type f|d|l|c|b] [-size [+-]N[ckMG]] [-empty] [-newer FILE] [-maxdepth N] [-mindepth N] [-depth] [-print0] [-delete]
Shows all that is below the paths, or the current directory, and passes all tests; `!` in front of a test: does not pass it.
  -size  so many units of storage: blocks of 512 bytes, or of c bytes, k, M, G; +N more, -N less
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let search = Search::parse(arguments)?;
        out.each(&search.roots, |out, root| below(out, root, &search))?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn below(out: &mut Output, root: &str, search: &Search<'_>) -> Result<(), Failure> {
    let mut walk = Walk::new(root, fs::symlink_metadata(root).about(root)?.kind());
    while let Some(visit) = walk.next() {
        if let Stage::Failed(error) = visit.stage {
            out.attempt(|_| Err(failed(&visit.path, error)))?;
            continue;
        }
        let is_directory = visit.kind == fs::NodeKind::Directory;
        // Directories count before what is in them, or after it.
        if (!is_directory || (visit.stage == Stage::After) == search.depth_first) && visit.depth >= search.least_depth {
            out.attempt(|out| {
                if search.tests.iter().try_fold(true, |passes, (negated, test)| {
                    Ok::<bool, Failure>(passes && passes_one(test, &visit)? != *negated)
                })? {
                    if search.delete {
                        return if is_directory { fs::remove_dir(&visit.path) } else { fs::remove_file(&visit.path) }
                            .about(&visit.path);
                    }
                    out.write_all(visit.path.as_bytes())?;
                    out.write_all(search.end)?;
                }
                Ok(())
            })?;
        }
        if visit.depth >= search.most_depth && visit.stage == Stage::First && is_directory {
            walk.shut();
        }
    }
    Ok(())
}

fn passes_one(test: &Test<'_>, visit: &tools::walk::Visit) -> Result<bool, Failure> {
    test.passes(visit, || fs::symlink_metadata(&visit.path).about(&visit.path))
}
