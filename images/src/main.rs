//! `cargo run`: builds Skink and boots it in QEMU.

mod cli;

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context, Result};
use clap::Parser;

use cli::{Bench, Cli, Command, Fuzz, MachineOptions, Run, Subject};
use images::bench::{measure, storage};
use images::capsules::CrashFolder;
use images::exec::Interruption;
use images::fuzz::Fuzzing;
use images::image::build_with;
use images::machine::GDB_ADDRESS;
use images::progress::Progress;
use images::workspace::Workspace;
use images::{End, Image, Machine, command_line, disk, manifest, qemu};

/// The exit status of an option that means nothing: the same as the parser's.
const USAGE: u8 = 2;

/// The exit status when the tool itself fails.
const FAILED: u8 = 100;

fn main() -> ExitCode {
    let done = match Cli::parse().command() {
        Command::Run(options) => run(&options),
        Command::Build => build(),
        Command::Bench(options) => bench(&options),
        Command::Fuzz(options) => fuzz(&options),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("skink: {error:#}");
            let end = error.downcast_ref::<End>();
            ExitCode::from(end.map_or(FAILED, End::exit_code))
        }
    }
}

/// Everything that a boot needs.
fn prepare() -> Result<Image> {
    let progress = Progress::for_stderr();
    qemu::find(&progress)?;
    let image = build_with(&Workspace::locate()?, &progress)?;
    progress.finish();
    Ok(image)
}

fn run(options: &Run) -> Result<u8> {
    // What cannot be is told before anything is built.
    let workspace = Workspace::locate()?;
    let path = workspace.root().join(manifest::PATH);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let services = manifest::services(Path::new(manifest::PATH), &text)?;
    if let Err(error) = command_line::check(&options.machine.append.join(" "), &services) {
        eprintln!("skink: {error}");
        return Ok(USAGE);
    }
    disk::arguments(&options.machine.disk, options.machine.machine.has_pci())?;
    let image = prepare()?;
    let mut machine = machine(&image, &options.machine).icount(options.icount).gdb(options.gdb);
    if let Some(timeout) = options.timeout {
        machine = machine.timeout(timeout);
    }
    if options.gdb {
        eprintln!("skink: waiting for: gdb {} -ex 'target remote {GDB_ADDRESS}'", image.kernel.display());
    }
    let crashes = CrashFolder::new(&workspace, options.crashes.as_deref())?;
    machine = crashes.of(machine);
    let status = match &options.exec {
        Some(commands) => exec(&machine, commands),
        None => on_terminal(&machine),
    };
    let files = crashes.collect(&image)?;
    if !files.is_empty() {
        eprintln!("skink: services died, {} times: see {}", files.len(), crashes.path().display());
    }
    status
}

fn on_terminal(machine: &Machine) -> Result<u8> {
    eprintln!("skink: booting; Ctrl-A X ends QEMU");
    let end = machine.run_on_terminal()?;
    if !end.is_orderly() {
        eprintln!("\nskink: {end}");
    }
    Ok(end.exit_code())
}

fn build() -> Result<u8> {
    let progress = Progress::for_stderr();
    let image = build_with(&Workspace::locate()?, &progress)?;
    progress.finish();
    eprint!("{}", image.warnings);
    println!("kernel  {}", image.kernel.display());
    println!("archive {}", image.archive.display());
    Ok(0)
}

fn bench(options: &Bench) -> Result<u8> {
    if options.vs_linux && options.what != Subject::Storage {
        eprintln!("skink: --vs-linux goes with storage; the figures of the kernel are held against Linux anyway");
        return Ok(USAGE);
    }
    let image = prepare()?;
    let progress = Progress::for_stderr();
    if options.what == Subject::Storage {
        let throughput = storage::measure(&image, options.timeout, options.vs_linux, &progress)?;
        progress.finish();
        print!("{}", if options.json { throughput.json() + "\n" } else { throughput.table() });
        return Ok(0);
    }
    let measurements = measure(&image, options.timeout, &progress)?;
    progress.finish();
    if options.json {
        println!("{}", measurements.json());
    } else {
        print!("{}", measurements.tables());
    }
    Ok(0)
}

fn fuzz(options: &Fuzz) -> Result<u8> {
    let fuzzing = Fuzzing { calls: options.calls, seed: options.seed, cpus: options.smp };
    let machine = fuzzing.machine(&prepare()?, options.timeout);
    Ok(tell(machine.stream(&mut io::stdout().lock(), Interruption::Ends)?))
}

/// Runs `commands` and shows what they print; the exit status.
fn exec(machine: &Machine, commands: &str) -> Result<u8> {
    let ended = machine.stream_exec(commands, &mut io::stdout().lock(), Interruption::Ends)?;
    Ok(tell(ended))
}

/// Says on stderr how a machine came to a bad end, and what it logged; the exit status.
fn tell((end, log): (End, String)) -> u8 {
    if !end.is_orderly() {
        if !log.is_empty() && !matches!(end, End::Signal(_)) {
            eprintln!("{}", log.trim_end());
        }
        eprintln!("skink: {end}");
    }
    end.exit_code()
}

fn machine(image: &Image, options: &MachineOptions) -> Machine {
    let mut machine = Machine::new(image).smp(options.smp).memory(options.memory).kind(options.machine);
    for text in &options.append {
        machine = machine.append(text);
    }
    for device in &options.device {
        machine = machine.device(device);
    }
    for disk in &options.disk {
        machine = machine.disk(disk.clone());
    }
    machine
}
