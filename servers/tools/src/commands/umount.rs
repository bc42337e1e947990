//! `umount`: takes mounts away.

use libsys::protocol::namespace::UnmountOptions;
use libsys::{ExitStatus, fs};
use tools::{About, Arguments, Options, mounts};

const HELP: &str = "usage: umount [-f] TARGET|SOURCE…
Takes mounts away, after everything that was written is on the medium.
  -f  also where files are open
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("f", arguments)?;
        options.expect(1, usize::MAX)?;
        out.each(&options.operands, |_, name| {
            // A source is as good as its target, the last one that was mounted.
            let source = mounts::list()?.into_iter().rfind(|mount| mount.source == *name).map(|mount| mount.path);
            let target = match source {
                Some(target) => target,
                None => fs::canonicalize(name).about(name)?,
            };
            let namespace = fs::namespace().about("namespace")?;
            namespace.unmount(&target, UnmountOptions { force: options.has('f') }).about(name)
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}
