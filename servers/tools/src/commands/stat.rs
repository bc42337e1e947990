//! `stat`: what is known about files, or about file systems.

use alloc::format;
use libsys::ExitStatus;
use libsys::fs::{self, FileSystemStatistics};
use libsys::io::Write;
use tools::{About, Arguments, Failure, Options, Output, format as shown};

const HELP: &str = "usage: stat [-Lf] FILE…
Tells what is known about files.
  -L  about what links point to
  -f  about the file systems that they are on
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let options = Options::parse("Lf", arguments)?;
        options.expect(1, usize::MAX)?;
        out.each(&options.operands, |out, name| {
            if options.has('f') { file_system(out, name) } else { file(out, name, options.has('L')) }
        })?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn file(out: &mut Output, name: &str, follow: bool) -> Result<(), Failure> {
    let metadata = if follow { fs::metadata(name) } else { fs::symlink_metadata(name) }.about(name)?;
    let status = metadata.status();
    let shown_name = match metadata.is_symlink() {
        true => format!("{name} -> {}", fs::read_link(name).about(name)?),
        false => name.into(),
    };
    let (kind, bits) = (shown::kind_name(status.kind), shown::mode(status.kind, status.mode));
    let blocks = status.allocated.div_ceil(512);
    writeln!(out, "  File: {shown_name}")?;
    writeln!(out, "  Size: {:<10}\tBlocks: {blocks:<10} {kind}", status.size)?;
    writeln!(out, " Inode: {:<10}\tLinks: {}", status.id, status.links)?;
    writeln!(out, "Access: ({:04o}/{bits})", status.mode)?;
    writeln!(out, "Access: {}", shown::long_time(status.accessed))?;
    writeln!(out, "Modify: {}", shown::long_time(status.modified))?;
    writeln!(out, "Change: {}", shown::long_time(status.changed))?;
    writeln!(out, " Birth: {}", shown::long_time(status.created))?;
    Ok(())
}

fn file_system(out: &mut Output, name: &str) -> Result<(), Failure> {
    let FileSystemStatistics { bytes, free_bytes, files, free_files, block_bytes, read_only, in_use } =
        fs::statistics(name).about(name)?;
    let block = u64::from(block_bytes.max(1));
    let number = |count: u64| if count == u64::MAX { "unlimited".into() } else { format!("{count}") };
    writeln!(out, "  File: {name}")?;
    writeln!(out, "Block size: {block_bytes:<10} {}", if read_only { "read-only" } else { "writable" })?;
    writeln!(out, "Blocks: Total: {:<10} Free: {}", bytes / block, free_bytes / block)?;
    writeln!(out, "Inodes: Total: {:<10} Free: {}", number(files), number(free_files))?;
    writeln!(out, "In use: {in_use}")?;
    Ok(())
}
