//! Services go on with other programs: the same one under load, one with another form of state, and back from those that do not hold.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use images::Machine;
use images::strip::strip;
use tempfile::TempDir;
use tests::{Shell, image, machine_with_archive, system_archive};

const SERVICES: &str = "
service keeper                  # counts
    binary trouble
    arguments keep
    state 48K
    hang 2s
    quiesce 100ms
";

/// What stands in `trouble` before the digit that says which program it is to be.
const PROGRAM: &[u8] = b"keeper program ";

/// The archive, with two other programs for the service: `keeper-next` has another form of state, `keeper-falls` too, and dies after a second.
fn archive() -> Result<Vec<u8>> {
    let mut archive = system_archive(|manifest| manifest + SERVICES)?;
    for (name, digit) in [("keeper-next", b'1'), ("keeper-falls", b'2')] {
        let mut elf = strip(&std::fs::read(&image().programs["trouble"])?)?;
        let at = elf.windows(PROGRAM.len()).position(|bytes| bytes == PROGRAM).context("no keeper in it")?;
        elf[at + PROGRAM.len()] = digit;
        archive.program(name, elf)?;
    }
    archive.bytes()
}

fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive().expect("an archive"));
    machine_with_archive(&ARCHIVE)
}

/// As [`Shell::check`]; a failure brings the log.
fn check(shell: &mut Shell, command: &str, status: u8, texts: &[&str]) -> Result<String> {
    let checked = shell.check(command, status, texts);
    checked.map_err(|error| match shell.run("dmesg; crashes") {
        Ok(log) => error.context(log),
        Err(_) => error,
    })
}

#[test]
fn state_goes_to_another_form_and_back_with_all_that_was_answered() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    check(&mut shell, "trouble keeper keeper add 100; trouble keeper keeper form", 0, &["count 100\n", "form 0\n"])?;
    // It serves, changes what is kept in its form, and dies: the first form is back, with that.
    let text = check(
        &mut shell,
        "trouble keeper keeper add 20000 & sleep 0.1; service upgrade keeper /bin/keeper-falls; echo said $?; wait",
        0,
        &[],
    )?;
    ensure!(text.contains("`keeper` is back at the program before") && text.contains("said 1"), "{text}");
    ensure!(text.contains("count 20100\n"), "each call counts once: {text}");
    check(&mut shell, "trouble keeper keeper form; trouble keeper keeper add 1", 0, &["form 0\n", "count 20101\n"])?;
    check(&mut shell, "crashes show keeper", 0, &["this program does not hold", "(upgraded)"])?;
    // One that holds.
    check(&mut shell, "service upgrade keeper /bin/keeper-next; trouble keeper keeper form", 0, &["form 1\n"])?;
    check(&mut shell, "service kill keeper; kill init; trouble keeper keeper add 1", 0, &["count 20102\n"])?;
    check(&mut shell, "trouble keeper keeper form", 0, &["form 1\n"])?;
    // From there a program of the first form is refused, as it knows no way.
    check(&mut shell, "service upgrade keeper /bin/trouble", 1, &["`keeper` is back at the program before"])?;
    check(&mut shell, "trouble keeper keeper form; trouble keeper keeper add 1", 0, &["form 1\n", "count 20103\n"])?;
    check(&mut shell, "dmesg keeper", 0, &["newer form than this program knows"])?;
    Ok(())
}

#[test]
fn what_is_no_program_and_what_does_not_start_changes_nothing() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    check(&mut shell, "trouble keeper keeper add 5", 0, &["count 5\n"])?;
    check(
        &mut shell,
        "echo no program > /tmp/text; service upgrade keeper /tmp/text",
        1,
        &["is no program that can be loaded"],
    )?;
    check(&mut shell, "service upgrade keeper /tmp/none", 1, &["/tmp/none"])?;
    check(&mut shell, "service info keeper", 0, &["incarnation  1"])?;
    check(&mut shell, "service upgrade keeper /bin/false", 1, &["`keeper` is back at the program before"])?;
    check(&mut shell, "trouble keeper keeper add 1", 0, &["count 6\n"])?;
    check(&mut shell, "service upgrade init /bin/false", 1, &[])?;
    check(&mut shell, "service upgrade nobody /bin/false", 1, &["there is no service `nobody`"])?;
    Ok(())
}

#[test]
fn the_system_is_upgraded_while_it_works() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    check(&mut shell, "busy /tmp/w prepare", 0, &[])?;
    let upgrades =
        "service upgrade tmpfs /bin/tmpfs; service upgrade console /bin/console; service upgrade log /bin/log";
    let text =
        check(&mut shell, &format!("busy /tmp/w work one & {upgrades}; echo said $?; busy /tmp/w stop; wait"), 0, &[])?;
    ensure!(!text.contains("FAIL") && text.contains("said 0") && text.contains(" rounds"), "{text}");
    for service in ["tmpfs", "console", "log"] {
        check(&mut shell, &format!("service info {service}"), 0, &["incarnation  2", "faults       0"])?;
    }
    Ok(())
}
