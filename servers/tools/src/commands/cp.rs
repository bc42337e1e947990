//! `cp`: copies files and directories.

use libsys::ExitStatus;
use tools::Arguments;
use tools::options::Spec;
use tools::transfer::{self, Manner};

const HELP: &str = "usage: cp [-ripv] FILE… TARGET
Copies a file to another name, or files into a directory; DIRECTORY/. is what is in a directory.
  -r  directories with all that is in them; links as links
  -i  asks before something is replaced (-f after it: does not)
  -p  permission bits and times as well, and names of one file as names of one file
  -v  tells each
";

const SPEC: Spec<'_> = Spec { letters: "rRapvfi", long: &[("recursive", 'r'), ("verbose", 'v'), ("archive", 'a')] };

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = SPEC.parse(arguments)?;
        let manner = Manner {
            recursive: options.last("rRa").is_some(),
            preserve: options.last("pa").is_some(),
            verbose: options.has('v'),
            ask: options.last("if") == Some('i'),
        };
        let (originals, target) = transfer::operands(&options.operands)?;
        out.each(originals, |out, from| transfer::copy(out, from, &transfer::into_directory(from, target), manner))?;
        Ok(ExitStatus::SUCCESS)
    })
}
