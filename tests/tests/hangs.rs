//! What does not get on is replaced, and nothing else: loops with and without requests, servers that wait for each other; parked calls and a machine that stood still.

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use images::Machine;
use tempfile::TempDir;
use tests::{
    DiskImage, Layout, PROMPT, Shell, archive_with_manifest, archive_with_services, exec, machine, machine_with_archive,
};

const SERVICES: &str = "
service slow                    # may take little time for a call
    binary trouble
    arguments serve
    hang 1s
service below                   # calls upwards, which it should not
    binary trouble
    arguments serve
    connect above
    hang 1s
service above
    binary trouble
    arguments serve
    session below
    connect below
    hang 1s
service crash-loop              # dies at each start, for ever
    binary trouble
    arguments serve
    parameter start exit
    restart always limit 16 in 1s backoff 100ms to 100ms
    optional
service above-loop              # waits for that one, and is told when it is given up
    binary trouble
    arguments serve
    session dies
    optional
service dies                    # cannot even start
    binary trouble
    arguments serve
    parameter start exit
    restart always limit 2 in 10m backoff 10ms to 10ms
    optional
";

fn system() -> Result<(Machine, TempDir)> {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| archive_with_services(SERVICES).expect("an archive"));
    machine_with_archive(&ARCHIVE)
}

/// Which incarnation a service is in.
fn incarnation(shell: &mut Shell, service: &str) -> Result<u64> {
    let text = shell.check(&format!("service info {service}"), 0, &["incarnation"])?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("incarnation")).context("no such line")?;
    Ok(line.trim().parse()?)
}

/// Waits for an incarnation of a service, in the guest.
fn wait_for(shell: &mut Shell, service: &str, wanted: u64) -> Result<()> {
    for _ in 0..60 {
        if incarnation(shell, service)? >= wanted {
            return Ok(());
        }
        shell.run("sleep 0.25")?;
    }
    let log = shell.run("dmesg init; sys calls; sys channels")?;
    anyhow::bail!("{service} is not replaced\n{log}")
}

#[test]
fn a_loop_is_found_with_and_without_requests() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    shell.check("trouble ask slow lapse", 0, &[])?;
    wait_for(&mut shell, "slow", 2)?;
    // The same while somebody calls.
    shell.check("trouble ask slow lapse; trouble ask slow count", 0, &["1\n"])?;
    ensure!(incarnation(&mut shell, "slow")? == 3, "it is replaced");
    for other in ["below", "above", "console", "vfs", "log", "uart", "sys"] {
        ensure!(incarnation(&mut shell, other)? == 1, "{other} is not to blame");
    }
    shell.check("crashes show slow", 0, &["killed for hanging", "none: it was killed from outside"])?;
    Ok(())
}

#[test]
fn of_servers_that_wait_for_each_other_the_one_that_calls_upwards_is_replaced() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine.smp(2))?;
    shell.check("trouble ask below embrace above", 0, &[])?;
    wait_for(&mut shell, "below", 2)?;
    shell.check("trouble ask above count; trouble ask below count", 0, &[])?;
    ensure!(incarnation(&mut shell, "above")? == 1, "it is not to blame");
    ensure!(incarnation(&mut shell, "below")? == 2, "it is replaced once");
    Ok(())
}

#[test]
fn a_crash_loop_takes_no_time_from_others_and_who_depends_on_the_given_up_is_told() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    // It dies ten times a second at most, for ever; what others do in that time is theirs.
    let before = incarnation(&mut shell, "crash-loop")?;
    shell.check("sleep 2", 0, &[])?;
    let after = incarnation(&mut shell, "crash-loop")?;
    ensure!(after > before && after - before <= 40, "from {before} to {after}");
    shell.check("trouble ask slow count", 0, &["1\n"])?;
    // Who is started after it goes on without it, and who calls it hears so.
    shell.check("trouble until above-loop ready", 0, &["ready"])?;
    shell.check(
        "trouble until dies given-up; trouble ask dies count",
        1,
        &["given-up", "connect: the service died too often"],
    )?;
    Ok(())
}

/// The clock counts instructions, and jumps to the next deadline where everybody waits for the host's disk: so a server that writes much before it ends takes long.
#[test]
fn who_waits_for_the_end_of_a_server_does_not_hang() -> Result<()> {
    for round in 0..2 {
        let image = DiskImage::ext(128, Layout::Whole, &["-t", "ext4"], None)?;
        let commands = "mount /dev/vda /mnt; cp -r /bin /mnt/bin; umount /mnt; service info vfs";
        let text = exec(&machine().icount(true).disk(image.disk()), commands)?;
        let mut words = text.split_whitespace();
        ensure!(words.any(|word| word == "incarnation") && words.next() == Some("1"), "round {round}: {text}");
        image.check()?;
    }
    Ok(())
}

#[test]
fn what_waits_and_a_machine_that_stood_still_do_not_hang() -> Result<()> {
    let (machine, _folder) = system()?;
    let mut shell = Shell::boot(&machine)?;
    shell.check("trouble ask slow wait &", 0, &["[1] "])?;
    for _ in 0..3 {
        shell.session().qmp().execute("stop", serde_json::json!({}))?;
        thread::sleep(Duration::from_secs(2));
        shell.session().qmp().execute("cont", serde_json::json!({}))?;
        shell.check("sleep 0.7", 0, &[])?;
    }
    shell.check("trouble ask slow wake; wait", 0, &["1\n", "done"])?;
    let services = shell.check("service list", 0, &["slow"])?;
    let log = shell.run("dmesg init")?;
    ensure!(!log.contains("does not get on"), "{services}\n{log}");
    ensure!(incarnation(&mut shell, "slow")? == 1, "{services}");
    Ok(())
}

/// A shell takes init's signal between two commands, so one that is stuck can be told from one that runs a loop.
#[test]
fn a_shell_that_runs_a_loop_without_end_does_not_hang() -> Result<()> {
    let archive = archive_with_manifest(|manifest| {
        let (before, shell) = manifest.split_once("service shell").expect("a shell");
        assert!(shell.contains("hang 10s"));
        format!("{before}service shell{}", shell.replace("hang 10s", "hang 500ms"))
    })?;
    let (machine, _folder) = machine_with_archive(&archive)?;
    let mut shell = Shell::boot(&machine)?;
    shell.session().type_line("n=0; while :; do n=$((n + 1)); done");
    thread::sleep(Duration::from_secs(4));
    shell.session().send(b"\x03");
    shell.session().expect("^C", Duration::from_secs(20))?;
    shell.session().expect(PROMPT, Duration::from_secs(20))?;
    shell.check("test $n -gt 100 && echo it ran", 0, &["it ran"])?;
    ensure!(incarnation(&mut shell, "shell")? == 1, "it is not replaced: {}", shell.run("dmesg init")?);
    Ok(())
}
