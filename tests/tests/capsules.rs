//! Crash capsules: what is left of services that died, in the machine and on the host.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use images::Machine;
use images::capsules::CrashFolder;
use images::workspace::Workspace;
use tempfile::TempDir;
use tests::{Shell, archive_with_services, image, machine_with_archive};

const SERVICES: &str = "
service faller                  # dies when it is asked to
    binary trouble
    arguments serve
    hang 300ms
    restart always limit 16 in 10m backoff 10ms to 10ms
service chaos                   # kills others
    binary trouble
    arguments serve
    hang never
    control
";

fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(SERVICES).expect("an archive"));
    machine_with_archive(&ARCHIVE)
}

/// The lines of a capsule from one title to the next.
fn section<'a>(text: &'a str, title: &str) -> Result<Vec<&'a str>> {
    let lines = text.lines().skip_while(|line| *line != title).skip(1);
    let section: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
    ensure!(!section.is_empty(), "nothing under {title:?}:\n{text}");
    Ok(section)
}

/// What stands behind a title.
fn value<'a>(text: &'a str, title: &str) -> Result<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(title)).with_context(|| format!("no {title:?}:\n{text}"));
    Ok(line?.trim())
}

#[test]
fn each_death_leaves_a_capsule() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("crashes", 0, &["NUMBER"])?;
    shell.check("crashes show", 1, &["nothing has crashed"])?;
    shell.check("crashes show uart", 1, &["there is no crash `uart`"])?;
    // A panic, in a call.
    shell.check("trouble ask faller fall", 1, &["the server died"])?;
    shell.check("trouble ask faller count", 0, &["1\n"])?;
    let text = shell.check("crashes show", 0, &["crash 1: faller panicked\n", "asked to fall"])?;
    ensure!(value(&text, "incarnation")? == "1" && value(&text, "binary")? == "trouble", "{text}");
    ensure!(value(&text, "ready after")?.ends_with(" s") && value(&text, "first answer")?.ends_with(" s"), "{text}");
    ensure!(section(&text, "stack")?.iter().any(|line| line.contains("trouble::") && line.contains(" + 0x")), "{text}");
    ensure!(section(&text, "calls")?.iter().any(|line| line.contains("current  method 0x")), "{text}");
    ensure!(section(&text, "log")?.iter().any(|line| line.contains("asked to fall")), "{text}");
    ensure!(section(&text, "registers")?.len() == 6 && !text.contains("rip    0x0000000000000000"), "{text}");
    // Hung, and killed from outside.
    shell.check("trouble ask faller spin", 1, &["killed its server"])?;
    shell.check("service kill rtc; date; crashes", 0, &["faller", "killed for hanging", "rtc"])?;
    let text = shell.check("crashes show rtc", 0, &["rtc killed\n", "none: it was killed from outside"])?;
    section(&text, "registers")?;
    section(&text, "stack")?;
    // They are files, and outlive init.
    let names = shell.check("ls /sys/crashes", 0, &["1-faller"])?;
    shell.check("kill init", 0, &[])?;
    let (before, after) = (names.split_whitespace().count(), shell.check("ls /sys/crashes", 0, &["-init"])?);
    ensure!(names.split_whitespace().all(|name| after.contains(name)), "init forgot some: {names}{after}");
    ensure!(after.split_whitespace().count() == before + 1, "{names}{after}");
    shell.check("cat /sys/crashes/1-faller", 0, &["asked to fall", "first answer"])?;
    let text = shell.check("crashes show init", 0, &["init killed\n", "incarnation  1\n"])?;
    ensure!(section(&text, "stack")?.len() == 1 && value(&text, "ready after")?.ends_with(" s"), "{text}");
    ensure!(section(&text, "log")?.iter().all(|line| !line.contains("init goes on")), "{text}");
    // A stop that was asked for is none.
    shell.check("service stop faller; crashes show faller", 0, &["killed for hanging"])?;
    Ok(())
}

#[test]
fn there_is_a_bounded_number_and_faults_are_not_lost_among_kills() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("trouble ask faller fall", 1, &[])?;
    shell.check("trouble ask chaos storm 40 1 rtc", 0, &[])?;
    let text = shell.check("crashes", 0, &["1  faller"])?;
    let kills = text.lines().filter(|line| line.contains(" rtc ")).count();
    ensure!((10..40).contains(&kills), "{text}");
    ensure!(text.lines().any(|line| line.trim().starts_with("41  rtc")), "{text}");
    Ok(())
}

#[test]
fn the_host_gets_them_as_files_with_lines() -> Result<()> {
    let (machine, folder) = system()?;
    let crashes = CrashFolder::new(&Workspace::locate()?, Some(&folder.path().join("crashes")))?;
    let machine = crashes.of(machine);
    let result = machine.run_exec("trouble ask faller fall; trouble ask faller count; service kill rtc; date")?;
    ensure!(result.status() == 0, "{}\n{}", result.text(), result.log);
    let files = crashes.collect(image())?;
    ensure!(files.len() == 2, "{files:?}");
    let text = std::fs::read_to_string(&files[0])?;
    ensure!(files[0].ends_with("crashes/1-faller.txt"), "{files:?}");
    let stack = section(&text, "stack")?;
    ensure!(stack.iter().any(|line| line.contains("tests/guest/src/bin/trouble.rs:")), "{text}");
    Ok(())
}
