//! `mount`: mounts file systems, and shows which are mounted.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::client::CallError;
use libsys::io::Write;
use libsys::protocol::namespace::{MountOptions, NamespaceError};
use libsys::{ExitStatus, fs};
use tools::{About, Arguments, Failure, Options, failed, mounts};

const HELP: &str = "usage: mount [-t TYPE] [-r] [-o OPTION[=VALUE],…] SOURCE TARGET | mount [-t TYPE]
Mounts a file system (ext4, also as ext2 and ext3; fat, also as vfat; tmpfs, a new one in memory; or bind for a directory; without a type, what is found on the disk) at a directory; without operands, shows what is mounted.
  -o  ro: nothing can be changed; rw: it can; cache=MIB, overlay=MIB: memory for ext4 and fat; percent=N: how much of its memory a tmpfs gives to files
  -r  the same as -o ro
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("t:o:r", arguments)?;
        let kind = options.value('t');
        match options.operands[..] {
            [] => {
                for mount in mounts::list()?.into_iter().filter(|mount| kind.is_none_or(|kind| mount.kind == kind)) {
                    let mode = if mount.read_only { "ro" } else { "rw" };
                    writeln!(out, "{} on {} type {} ({mode})", mount.source, mount.path, mount.kind)?;
                }
            }
            [source, target] => {
                let how = mount_options(&options);
                let kind = kind.unwrap_or("auto");
                let place = fs::canonicalize(target).about(target)?;
                let source = if fs::exists(source) { fs::canonicalize(source).about(source)? } else { source.into() };
                let namespace = fs::namespace().about("namespace")?;
                let options: Vec<&str> = how.parameters.iter().map(|(name, _)| name.as_str()).collect();
                let options = options.join(", ");
                namespace.mount(&source, &place, kind, how).map_err(|error| {
                    let what = match error {
                        CallError::Failed(NamespaceError::UnknownOption) => format!("-t {kind} -o {options}"),
                        _ => format!("{source} on {target}"),
                    };
                    failed(&what, error)
                })?;
            }
            _ => return Err(Failure::Usage("SOURCE and TARGET, or neither".into())),
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn mount_options(options: &Options<'_>) -> MountOptions {
    let mut how = MountOptions { read_only: options.has('r'), ..MountOptions::default() };
    for word in options.values('o').flat_map(|words| words.split(',')).filter(|word| !word.is_empty()) {
        match word {
            "ro" => how.read_only = true,
            "rw" => how.read_only = false,
            other => {
                let (name, value) = other.split_once('=').unwrap_or((other, "yes"));
                how.parameters.push((String::from(name), String::from(value)));
            }
        }
    }
    how
}
