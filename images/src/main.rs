//! `cargo run`: builds Skink and boots it in QEMU.

mod cli;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};
use clap::Parser;

use cli::{Bench, Cli, Command, Fuzz, Inject, MachineOptions, Run, Subject, Survive};
use images::bench::{measure, recovery, storage};
use images::capsules::CrashFolder;
use images::exec::Interruption;
use images::fuzz::Fuzzing;
use images::image::build_with;
use images::inject::{Injection, Record, Tally, record_path};
use images::machine::GDB_ADDRESS;
use images::progress::Progress;
use images::qmp::Value;
use images::survive::matrix::checkpoint_path;
use images::survive::{Matrix, Row, SERVERS, Selection, Server};
use images::workspace::Workspace;
use images::{End, Image, Machine, command_line, disk, manifest, qemu};

/// The exit status of an option that means nothing: the same as the parser's.
const USAGE: u8 = 2;

/// How long a machine may take that is measured, and one in which servers die.
const BENCH_TIMEOUT: Duration = Duration::from_secs(300);
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(7200);
/// Changes of a server after which what was counted is written down.
const CHANGES_KEPT: u64 = 200;

/// The exit status when the tool itself fails.
const FAILED: u8 = 100;

fn main() -> ExitCode {
    let done = match Cli::parse().command() {
        Command::Run(options) => run(&options),
        Command::Build => build(),
        Command::Bench(options) => bench(&options),
        Command::Fuzz(options) => fuzz(&options),
        Command::Survive(options) => survive(&options),
        Command::Inject(options) => inject(&options),
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
    let append = options.machine.append.join(" ");
    let commands = options.exec.as_deref().map_or(Ok(()), |commands| command_line::check_commands(&append, commands));
    if let Err(error) = command_line::check(&append, &services).and(commands) {
        eprintln!("skink: {error}");
        return Ok(USAGE);
    }
    disk::arguments(&options.machine.disk, options.machine.machine.has_pci())?;
    let image = prepare()?;
    let image = if options.tests { image.with_tests() } else { image };
    let mut machine = machine(&image, &options.machine).gdb(options.gdb);
    if options.icount {
        // Where disks of the host are waited for, deadlines would pass at once.
        let has_disks = !options.machine.disk.is_empty();
        machine = if has_disks { machine.icount_with_waits() } else { machine.icount(true) };
    }
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
        let times = if files.len() == 1 { "once".to_string() } else { format!("{} times", files.len()) };
        eprintln!("skink: services died, {times}: see {}", crashes.path().display());
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
    if options.only.is_some() && options.what != Subject::Storage {
        eprintln!("skink: --only goes with storage");
        return Ok(USAGE);
    }
    let is_of_recovery = !options.part.is_empty()
        || !options.server.is_empty()
        || options.kills.is_some()
        || options.seconds.is_some()
        || options.smp.is_some();
    if is_of_recovery && options.what != Subject::Recovery {
        eprintln!("skink: parts, --server and --kills go with recovery");
        return Ok(USAGE);
    }
    let image = prepare()?;
    let progress = Progress::for_stderr();
    if options.what == Subject::Recovery {
        return bench_recovery(&image, options, &progress);
    }
    let timeout = options.timeout.unwrap_or(BENCH_TIMEOUT);
    if options.what == Subject::Storage {
        let only = options.only.as_deref();
        let throughput = storage::measure(&image, timeout, options.vs_linux, only, &progress)?;
        progress.finish();
        print!("{}", if options.json { throughput.json() + "\n" } else { throughput.table() });
        return Ok(0);
    }
    let measurements = measure(&image, timeout, &progress)?;
    progress.finish();
    if options.json {
        println!("{}", measurements.json());
    } else {
        print!("{}", measurements.tables());
    }
    Ok(0)
}

fn bench_recovery(image: &Image, options: &Bench, progress: &Progress) -> Result<u8> {
    let plan = recovery::Plan {
        parts: options.part.clone(),
        victims: options.server.clone(),
        kills: options.kills,
        seconds: options.seconds,
        cpus: options.smp,
        timeout: options.timeout.unwrap_or(RECOVERY_TIMEOUT),
    };
    let mut figures = Vec::new();
    let measured = recovery::measure(&image.clone().with_tests(), &plan, progress, |figure| {
        if !options.json {
            progress.line(&figure.text());
        }
        figures.push(figure);
    });
    progress.finish();
    measured?;
    if options.json {
        println!("{:#}", Value::from(figures.iter().map(recovery::report::Figure::json).collect::<Vec<_>>()));
    }
    Ok(u8::from(!figures.iter().all(recovery::report::Figure::is_within)))
}

fn fuzz(options: &Fuzz) -> Result<u8> {
    let fuzzing = Fuzzing { calls: options.calls, seed: options.seed, cpus: options.smp };
    let machine = fuzzing.machine(&prepare()?.with_tests(), options.timeout);
    Ok(tell(machine.stream(&mut io::stdout().lock(), Interruption::Ends)?))
}

fn survive(options: &Survive) -> Result<u8> {
    let selection = Selection {
        servers: options.server.clone(),
        faults: options.fault.clone(),
        workloads: options.workload.clone(),
        is_quick: options.quick,
        runs: options.runs,
        machines: options.machines,
        seed: options.seed,
        checkpoint: Some(options.checkpoint.clone().map_or_else(checkpoint_path, Ok)?),
        resume: options.resume,
    };
    let image = prepare()?.with_tests();
    let matrix = Matrix::new(&image, &selection)?;
    let progress = Progress::for_stderr();
    if !options.json {
        println!("{}", Row::title());
    }
    let mut is_clean = true;
    let mut rows = Vec::new();
    matrix.run(&progress, |row| {
        is_clean &= row.is_clean();
        rows.push(row.json());
        if !options.json {
            progress.line(&row.line());
            row.failures.iter().for_each(|failure| progress.line(&format!("    {failure}")));
        }
    })?;
    progress.finish();
    if options.json {
        println!("{}", Value::from(rows));
    }
    Ok(u8::from(!is_clean))
}

fn inject(options: &Inject) -> Result<u8> {
    let servers = if options.server.is_empty() { SERVERS.to_vec() } else { options.server.clone() };
    let path = options.checkpoint.clone().map_or_else(record_path, Ok)?;
    let mut record =
        if options.resume { Record::resume(&path, options.seed)? } else { Record::begin(&path, options.seed) };
    let image = prepare()?.with_tests();
    let injection = Injection::new(&image, options.seed, options.machines)?;
    let progress = Progress::for_stderr();
    if !options.json {
        println!("{}", Tally::title());
    }
    let mut tallies = Vec::new();
    let mut crashes = 0;
    let mut are_all_tried = true;
    for server in servers {
        let tally = match changes_of(&server, options, &injection, &mut record, &progress) {
            Ok(tally) => tally,
            Err(error) => {
                // The others are worth a look all the same.
                eprintln!("skink: {}: {error:#}", server.name);
                are_all_tried = false;
                continue;
            }
        };
        crashes += tally.crashes;
        tallies.push(tally.json());
        if !options.json {
            progress.line(&tally.line());
            tally.told.iter().for_each(|text| progress.line(&format!("    {text}")));
        }
    }
    progress.finish();
    if options.json {
        println!("{}", Value::from(tallies));
    }
    Ok(u8::from(crashes > 0 || !are_all_tried))
}

/// All changes of a server: in pieces that are kept, if they begin with the first.
fn changes_of(
    server: &Server,
    options: &Inject,
    injection: &Injection,
    record: &mut Record,
    progress: &Progress,
) -> Result<Tally> {
    if let Some(first) = options.first {
        return injection.run(server, first..first.saturating_add(options.count), progress);
    }
    loop {
        let known = record.find(server.name).cloned().unwrap_or_else(|| Tally::new(server.name, options.seed));
        if known.changes >= options.count {
            return Ok(known);
        }
        let end = options.count.min(known.changes + CHANGES_KEPT);
        record.add(injection.run(server, known.changes..end, progress)?)?;
    }
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
