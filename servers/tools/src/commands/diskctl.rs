//! `diskctl`: controls disks.

use alloc::format;
use alloc::string::String;
use libsys::ExitStatus;
use libsys::io::{self, Write};
use libsys::protocol::disks::{OperationStatistics, Scheduler};
use tools::{Arguments, Failure, Output, disks};

const HELP: &str = "usage: diskctl NAME [scheduler none|deadline | rescan | statistics]
Controls a disk; lsblk shows which there are.
  scheduler   says in which order requests go to its driver: as they come, or by sector with deadlines
  rescan      reads its partition table again
  statistics  what was counted for it, or for a partition (the same without a word)
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        let words: alloc::vec::Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words[..] {
            [name] | [name, "statistics"] => statistics(name, out)?,
            [name, "rescan"] => {
                disks::service_of(name)?.disks.rescan(name).map_err(|error| disks::refused(name, error))?
            }
            [name, "scheduler", word] => {
                let scheduler: Scheduler =
                    word.parse().map_err(|()| Failure::Usage(format!("`{word}` is no scheduler")))?;
                disks::service_of(name)?
                    .disks
                    .set_scheduler(name, scheduler)
                    .map_err(|error| disks::refused(name, error))?;
            }
            _ => return Err(Failure::Usage("a disk, and what to do with it".into())),
        }
        Ok(ExitStatus::SUCCESS)
    })
}

fn statistics(name: &str, out: &mut Output) -> Result<(), Failure> {
    let counts = disks::service_of(name)?.disks.statistics(name).map_err(|error| disks::refused(name, error))?;
    writeln!(out, "{:<8} {:>10} {:>12} {:>8} {:>8} {:>10}", "", "REQUESTS", "SECTORS", "MERGED", "FAILED", "MEAN us")?;
    line(out, "reads", counts.reads)?;
    line(out, "writes", counts.writes)?;
    line(out, "flushes", counts.flushes)?;
    writeln!(out, "in flight {}, busy for {} ms", counts.in_flight, counts.busy / 1_000_000)?;
    writeln!(out, "submitted again after deaths of the driver: {}", counts.resubmitted)?;
    Ok(())
}

fn line(out: &mut Output, name: &str, counts: OperationStatistics) -> io::Result<()> {
    let OperationStatistics { requests, sectors, merged, failed, nanoseconds } = counts;
    let mean = nanoseconds / requests.max(1) / 1000;
    writeln!(out, "{name:<8} {requests:>10} {sectors:>12} {merged:>8} {failed:>8} {mean:>10}")
}
