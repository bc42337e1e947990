//! `lsblk`: the disks and their partitions.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::ExitStatus;
use libsys::io::Write;
use libsys::protocol::block::SECTOR_BYTES;
use libsys::protocol::disks::{DiskInfo, DiskKind, PartitionTable};
use tools::{Arguments, disks};

const HELP: &str = "usage: lsblk
Shows disks and partitions: name, size, whether they are read-only, the order of requests, type, and what is known besides.
";

pub fn run(arguments: &Arguments) -> ExitStatus {
    tools::run(arguments, HELP, |arguments, out| {
        if !arguments.is_empty() {
            return Err(tools::Failure::Usage("it takes no arguments".into()));
        }
        let all = disks::list()?;
        writeln!(out, "{:<14} {:>8} RO SCHED    TYPE  ABOUT", "NAME", "SIZE")?;
        for (index, one) in all.iter().enumerate() {
            let is_last = all.get(index + 1).is_none_or(|next| next.part_of.is_none());
            let branch = match (&one.part_of, is_last) {
                (None, _) => "",
                (_, false) => "|-",
                (_, true) => "`-",
            };
            let name = format!("{branch}{}", one.name);
            let (kind, about) = describe(one);
            let read_only = u8::from(one.read_only);
            let (size, scheduler) = (size(one.sectors), one.scheduler.name());
            writeln!(out, "{name:<14} {size:>8} {read_only:>2} {scheduler:<8} {kind:<5} {about}")?;
        }
        Ok(ExitStatus::SUCCESS)
    })
}

/// Type, and what else is known.
fn describe(one: &DiskInfo) -> (&'static str, String) {
    match &one.kind {
        DiskKind::Disk { model, serial, table } => {
            let table = match table {
                PartitionTable::None => "",
                PartitionTable::Mbr => "mbr",
                PartitionTable::Gpt => "gpt",
                PartitionTable::GptBackup => "gpt (backup)",
            };
            let state = if one.ready { "" } else { "not ready" };
            let words = [model.as_str(), serial, table, state];
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            ("disk", words.join(", "))
        }
        DiskKind::Mbr(kind) => ("part", format!("type {kind:#04x}")),
        DiskKind::Gpt { label, .. } => ("part", label.clone()),
    }
}

/// A size for people: the largest unit that leaves at least 1, with one digit behind the point.
fn size(sectors: u64) -> String {
    let bytes = u128::from(sectors) * u128::from(SECTOR_BYTES);
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    for (shift, letter) in units {
        if bytes >> shift > 0 {
            let tenths = (bytes * 10) >> shift;
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 { format!("{whole}{letter}") } else { format!("{whole}.{tenth}{letter}") };
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        let sizes = [(0, "0B"), (1, "512B"), (2, "1K"), (3, "1.5K"), (4096, "2M"), (1 << 31, "1T"), (5 << 20, "2.5G")];
        for (sectors, text) in sizes {
            assert_eq!(size(sectors), text);
        }
    }
}
