//! The command line of the tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use images::bench::recovery::Part;
use images::bench::recovery::victim::names;
use images::bench::storage::{COUNTED, FIGURES};
use images::survive::{Fault, SERVERS, Server, Workload};
use images::{Disk, MachineKind};

const EXAMPLES: &str = "\
Examples:
  cargo run                                      build, and boot to the shell
  cargo run -- run --smp 4 --memory 1024         the same, on a larger machine
  cargo run -- run --exec 'ps; free'             print what the commands print, and end
  cargo run -- run --disk disk.img,nvme          with a disk
  cargo run -- run --gdb                         wait for a debugger
  cargo run -- build                             build only
  cargo run -- bench --json                      measure
  cargo run -- bench recovery restart            what it takes servers to come back
  cargo run -- fuzz --calls 1000000 --seed 7     random system calls
  cargo run -- survive --quick                   servers that fail, and who notices
  cargo run -- inject --server tmpfs --count 500 servers whose machine code is changed

In the terminal, Ctrl-A X ends QEMU.

Exit status with --exec: the last command's; 101 after a kernel panic, 102 if Skink cannot
boot, 103 if QEMU ended by itself, 124 if nothing ended in time. 100: the tool itself failed.";

/// Builds Skink and boots it in QEMU.
#[derive(Debug, Parser)]
#[command(name = "skink", bin_name = "cargo run --", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, and boot to the shell (the default)
    Run(Run),
    /// Build the kernel, the programs and the boot archive
    Build,
    /// Measure, in instructions and wall time, and print each figure beside other systems'
    Bench(Bench),
    /// Make random system calls
    Fuzz(Fuzz),
    /// Strike servers with faults while they work, and look whether anybody notices
    Survive(Survive),
    /// Change the machine code of servers while they work, and look what comes of it
    Inject(Inject),
}

/// Options of `run`.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  cargo run -- run --exec 'echo hello; false'    prints hello and ends with status 1
  cargo run -- run --machine microvm --smp 2
  cargo run -- run --append 'log=serial'         the kernel's log on the terminal, too
  cargo run -- run --append 'log.show=debug'     everybody's log there
  cargo run -- run --tests --append 'init=bin/suite guest.arguments=handle'
  cargo run -- run --disk root.img --disk data.img,nvme,ro

Words for --append: log=serial, log=LEVEL, init=PROGRAM, SERVICE.PARAMETER=VALUE;
docs/command-line.md has them all.")]
pub struct Run {
    /// Run these shell commands, print only what they print, and end with the last's status
    #[arg(long, value_name = "COMMANDS")]
    pub exec: Option<String>,
    #[command(flatten)]
    pub machine: MachineOptions,
    /// Have the programs of the tests in /bin, too
    #[arg(long)]
    pub tests: bool,
    /// Wait for a debugger before the first instruction
    #[arg(long)]
    pub gdb: bool,
    /// Count virtual time in instructions: every run takes the same (but with disks, which are waited for)
    #[arg(long)]
    pub icount: bool,
    /// End the machine after so many seconds [default: 60 with --exec, else none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Where what is left of services that died is written [default: a folder of the run in target/crashes]
    #[arg(long, value_name = "FOLDER")]
    pub crashes: Option<PathBuf>,
}

/// Options that make the machine.
#[derive(Debug, Args)]
pub struct MachineOptions {
    /// Processors
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = images::machine::DEFAULT_MEMORY_MIB, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub memory: u32,
    /// The board: q35, pc or microvm
    #[arg(long, default_value = "q35", value_name = "KIND")]
    pub machine: MachineKind,
    /// Add to the kernel's command line
    #[arg(long, value_name = "TEXT")]
    pub append: Vec<String>,
    /// Add a disk: FILE[,virtio|nvme|namespace][,ro][,PROPERTY=VALUE…]
    #[arg(long, value_name = "DISK")]
    pub disk: Vec<Disk>,
    /// Add a device, as QEMU names them: virtio-rng-pci
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
}

/// What `bench` measures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// Calls, signals, faults, processes, the boot
    #[default]
    Kernel,
    /// Files and disks, in MB/s and operations per second
    Storage,
    /// What deaths of servers cost
    Recovery,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured
    #[arg(value_enum, default_value_t)]
    pub what: Subject,
    /// Only these parts of it (recovery)
    #[arg(value_enum)]
    pub part: Vec<Part>,
    /// Only this server; can be given more than once (recovery)
    #[arg(long, value_name = "NAME", value_parser = victim)]
    pub server: Vec<String>,
    /// Kills of each server [default: as many as the bars are said of] (recovery)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub kills: Option<u32>,
    /// Seconds of the guest's clock that a storm lasts at each rate of deaths [default: 300] (recovery)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
    /// Processors of the storm's machine [default: 4] (recovery)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: Option<u32>,
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
    /// Measure Linux too, in turn, and say how many times its figure each is (storage)
    #[arg(long)]
    pub vs_linux: bool,
    /// Measure this figure only, by its name without that of the disk: create_unlink_ext4 (storage)
    #[arg(long, value_name = "FIGURE", value_parser = clap::builder::PossibleValuesParser::new(FIGURES.iter().chain([&COUNTED])))]
    pub only: Option<String>,
    /// End each of the machines after so many seconds [default: 300; recovery: 7200]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Options of `fuzz`.
#[derive(Debug, Args)]
pub struct Fuzz {
    /// System calls to make
    #[arg(long, value_name = "N")]
    pub calls: u64,
    /// Where the random numbers begin: the same seed makes the same calls
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// Processors
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: u32,
    /// End the machine after so many seconds [default: 300, and a second for every 1,000 calls]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Options of `survive`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo run -- survive --quick                       each server and fault against one workload, in minutes
  cargo run -- survive --server tmpfs --fault kill --runs 30
  cargo run -- survive --runs 30                     the whole matrix, in hours; Ctrl-C ends it
  cargo run -- survive --runs 30 --resume            and this goes on
  cargo run -- survive --quick --json > rows.json

Columns: RUNS, PASS (nobody noticed), ALIVE (the server did not die of it), MEDIAN and P99 of the instructions from its death to its
first answer, LOST bytes, runs with client ERRORS, RESIDUE (what is left behind of handles, threads, objects, mappings).
The exit status is 1 where a cell is not clean. docs/survivability.md tells how faults strike.")]
pub struct Survive {
    /// Each server against one workload only
    #[arg(long)]
    pub quick: bool,
    /// Runs of each cell [default: 1]
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub runs: u64,
    /// Only this server; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = server)]
    pub server: Vec<Server>,
    /// Only this fault; can be given more than once
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Only this workload; can be given more than once
    #[arg(long, value_name = "WORK")]
    pub workload: Vec<Workload>,
    /// Machines that run at once
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = machines)]
    pub machines: usize,
    /// Where the random numbers begin: the same seed strikes at the same moments
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Go on where the last campaign with the same seed and runs ended
    #[arg(long)]
    pub resume: bool,
    /// The file that keeps what is finished [default: target/survive/checkpoint.json]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options of `inject`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo run -- inject --server vfs --count 200 --seed 7
  cargo run -- inject --count 1000                   that many of each server; Ctrl-C ends it
  cargo run -- inject --count 1000 --resume          and this goes on
  cargo run -- inject --server uart --count 1 --seed 7 --first 41    the 42nd of that seed again

Columns: MANIFESTED, of these: detected and RECOVERED, detected and VISIBLE to a client, UNDETECTED and visible, silently WRONG, kernel CRASHES.
The exit status is 1 after a kernel crash, and where the work of a server fails although nothing is changed.")]
pub struct Inject {
    /// Only this server; can be given more than once
    #[arg(long, value_name = "NAME", value_parser = server)]
    pub server: Vec<Server>,
    /// Mutations of each server
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub count: u64,
    /// Machines that run at once
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = machines)]
    pub machines: usize,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// The number of the first mutation; nothing is kept for --resume then
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub first: Option<u64>,
    /// Go on where the last campaign with the same seed ended
    #[arg(long)]
    pub resume: bool,
    /// The file that keeps what is counted [default: target/inject/checkpoint.json]
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
}

/// As many machines as may run at once.
fn machines(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| (1..=64).contains(number)).ok_or_else(|| "it has to be from 1 to 64".to_string())
}

fn server(name: &str) -> Result<Server, String> {
    Server::find(name).ok_or_else(|| {
        let names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
        format!("there are {}", names.join(", "))
    })
}

fn victim(text: &str) -> Result<String, String> {
    let names = names();
    names.contains(&text).then(|| text.to_string()).ok_or_else(|| format!("there are {}", names.join(", ")))
}

impl Cli {
    /// What to do; without a command, boot to the shell.
    pub fn command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Run(Run::default()))
    }
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            smp: 1,
            memory: images::machine::DEFAULT_MEMORY_MIB,
            machine: MachineKind::default(),
            append: Vec::new(),
            disk: Vec::new(),
            device: Vec::new(),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number of seconds above 0".to_string()),
        Ok(number) => Ok(Duration::from_secs(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn is_consistent() {
        Cli::command_for_test().debug_assert();
    }

    impl Cli {
        fn command_for_test() -> clap::Command {
            <Self as CommandFactory>::command()
        }
    }

    #[test]
    fn nothing_means_run_with_the_defaults() {
        let nothing = format!("{:?}", Cli::parse_from(["x"]).command());
        let run = format!("{:?}", Cli::parse_from(["x", "run"]).command());
        assert_eq!(nothing, run);
    }

    #[test]
    fn disks_and_numbers() {
        let arguments = ["x", "run", "--disk", "a,ro", "--disk", "b,nvme", "--smp", "4"];
        let Command::Run(run) = Cli::parse_from(arguments).command() else { panic!("not run") };
        assert_eq!((run.machine.disk.len(), run.machine.smp), (2, 4));
        assert!(Cli::try_parse_from(["x", "run", "--smp", "0"]).is_err());
        assert!(Cli::try_parse_from(["x", "run", "--machine", "vax"]).is_err());
        assert!(Cli::try_parse_from(["x", "run", "--timeout", "0"]).is_err());
    }
}
