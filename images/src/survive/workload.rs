//! What is done while a server is struck.

use std::fmt;

use clap::ValueEnum;

/// A kind of work. [`super::work`] has the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// Reads of a file whose pages are in memory.
    CachedReads,
    /// Reads of a file after its file system was mounted anew, or of a whole disk.
    UncachedReads,
    /// A file is written, made durable and read.
    Writes,
    /// Directories and files are made, renamed and removed.
    Names,
    /// A tree is walked.
    Walk,
    /// Lines are typed and answered.
    Typing,
    /// Services are asked about.
    Services,
    /// The calls of the server's own protocol, by a command.
    Calls,
}

impl Workload {
    /// As it is written on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Workload::CachedReads => "cached-reads",
            Workload::UncachedReads => "uncached-reads",
            Workload::Writes => "writes",
            Workload::Names => "names",
            Workload::Walk => "walk",
            Workload::Typing => "typing",
            Workload::Services => "services",
            Workload::Calls => "calls",
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_the_names() {
        for workload in Workload::value_variants() {
            assert_eq!(Workload::from_str(workload.name(), false), Ok(*workload));
        }
    }
}
