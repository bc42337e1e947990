//! Crash capsules: what is left of services that died, in the machine and on the host.

use std::sync::LazyLock;
use std::time::Duration;

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
    // A panic, in a call.
    shell.check("trouble wear faller &", 0, &["[1] "])?;
    shell.check("trouble until faller ready; trouble ask faller fall", 1, &["PeerDied"])?;
    Ok(())
}
