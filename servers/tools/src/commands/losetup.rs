//! `losetup`: files as disks.

use libsys::fs::{FileError, NodeKind, OpenOptions};
use libsys::io::Write;
use libsys::protocol::block::BlockError;
use libsys::protocol::disks::DiskKind;
use libsys::{ExitStatus, fs};
use tools::disks::{self, Service};
use tools::{About, Arguments, Failure, Options, Output, failed};

const HELP: &str = "usage: losetup [-r] FILE | losetup -d DISK… | losetup [-a]
Makes a disk of a file, whose partitions are disks as well, and prints its name; without operands, shows which disks are files.
  -a  shows all
  -d  takes disks away
  -r  the disk can only be read, as that of a file that cannot be written
";

/// The service that makes disks of files.
const SERVICE: &str = "loops";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("adr", arguments)?;
        let given = [options.has('a'), options.has('d'), options.has('r')];
        match (given, &options.operands[..]) {
            ([_, false, false], []) => show(out)?,
            ([false, false, read_only], [file]) => add(out, file, read_only)?,
            ([false, true, false], [_, ..]) => out.each(&options.operands, |_, name| remove(name))?,
            _ => return Err(Failure::Usage("a file, or -d and disks, or -a".into())),
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// The service, if it runs: where it does not, no file is a disk.
fn running() -> Result<Option<Service>, Failure> {
    Ok(disks::services()?.into_iter().find(|service| service.name == SERVICE))
}

/// Shows the disks that are files.
fn show(out: &mut Output) -> Result<(), Failure> {
    let Some(service) = running()? else { return Ok(()) };
    for disk in service.list()? {
        if let DiskKind::Disk { model, .. } = &disk.kind {
            let mode = if disk.read_only { " (ro)" } else { "" };
            writeln!(out, "{}: {model}{mode}", disk.name)?;
        }
    }
    Ok(())
}

/// Makes a disk of a file.
fn add(out: &mut Output, file: &str, read_only: bool) -> Result<(), Failure> {
    let path = fs::canonicalize(file).about(file)?;
    let to_read = OpenOptions::new().read(true);
    let (opened, read_only) = match to_read.write(!read_only).open_any(&path) {
        Err(error) if !read_only && matches!(error.file(), Some(FileError::ReadOnly | FileError::Denied)) => {
            (to_read.open_any(&path), true)
        }
        opened => (opened, read_only),
    };
    let (opened, session) = opened.about(file)?;
    if opened.kind != NodeKind::File {
        return Err(failed(file, "not a regular file"));
    }
    let Service { disks, .. } = disks::connect(SERVICE)?;
    let name = disks.add_file(&session, &path, read_only).map_err(|error| disks::refused(file, error))?;
    writeln!(out, "{name}")?;
    Ok(())
}

/// Takes a disk away.
fn remove(name: &str) -> Result<(), Failure> {
    let short = name.strip_prefix("/dev/").unwrap_or(name);
    let service = running()?.ok_or_else(|| failed(name, BlockError::NoSuchDisk))?;
    service.disks.remove_file(short).map_err(|error| disks::refused(name, error))
}
