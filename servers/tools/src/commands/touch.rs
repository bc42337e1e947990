//! `touch`: makes files, and sets their times to now.

use libsys::ExitStatus;
use libsys::fs::{self, FileError, OpenOptions, StatusChange};
use tools::{About, Arguments, Options, clock};

const HELP: &str = "usage: touch [-acm] [-r FILE] FILE…
Sets the times of files to now; what is not there is made, empty.
  -a  only the time of the last read
  -m  only the time of the last change
  -c  nothing is made
  -r  to the times of that file, not to now
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("acmr:", arguments)?;
        options.expect(1, usize::MAX)?;
        let (accessed, modified) = match options.value('r') {
            Some(model) => {
                let status = *fs::metadata(model).about(model)?.status();
                (status.accessed, status.modified)
            }
            None => {
                let now = clock::timestamp()?;
                (now, now)
            }
        };
        let both = !options.has('a') && !options.has('m');
        let change = StatusChange {
            mode: None,
            accessed: (both || options.has('a')).then_some(accessed),
            modified: (both || options.has('m')).then_some(modified),
        };
        out.each(&options.operands, |_, name| {
            match fs::change(name, change) {
                Err(error) if error.file() == Some(FileError::NotFound) && options.has('c') => return Ok(()),
                Err(error) if error.file() == Some(FileError::NotFound) => {}
                result => return result.about(name),
            }
            let file = OpenOptions::new().write(true).create(true).open(name).about(name)?;
            file.change(change).about(name)
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
