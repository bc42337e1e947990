//! A sample of the quick matrix: servers that recover fully are struck while they work, and nobody notices; and the fault that has to be seen is.

use anyhow::{Context, Result, ensure};
use images::progress::Progress;
use images::survive::{Fault, Matrix, Row, Selection, Server, Workload};
use tests::image;

const SEED: u64 = 11;

fn selection(servers: &[&str], faults: &[Fault]) -> Result<Selection> {
    let servers = servers.iter().map(|name| Server::find(name).with_context(|| format!("no server {name}")));
    Ok(Selection {
        servers: servers.collect::<Result<_>>()?,
        faults: faults.to_vec(),
        workloads: Vec::new(),
        is_quick: true,
        runs: 1,
        machines: 2,
        seed: SEED,
        checkpoint: None,
        resume: false,
    })
}

fn rows(selection: &Selection) -> Result<Vec<Row>> {
    Matrix::new(image(), selection)?.run(&Progress::Silent, |_| {})
}

/// Each row is clean, and the server died of each fault.
fn nobody_notices(servers: &[&str], faults: &[Fault]) -> Result<()> {
    let rows = rows(&selection(servers, faults)?)?;
    ensure!(rows.len() == servers.len() * faults.len(), "{rows:?}");
    for row in &rows {
        ensure!(row.pass == row.runs && row.client_errors == 0 && row.bytes_lost == 0, "{row:?}");
        ensure!(row.alive == 0, "it did not die: {row:?}");
    }
    Ok(())
}

#[test]
fn nobody_notices_that_servers_of_the_terminal_fail() -> Result<()> {
    nobody_notices(&["uart", "console", "log"], &[Fault::Kill, Fault::Panic])
}

#[test]
fn nobody_notices_that_servers_of_files_fail() -> Result<()> {
    nobody_notices(&["tmpfs", "bootfs", "sys"], &[Fault::Kill, Fault::Exit])
}

#[test]
fn who_sent_a_deadly_request_is_told_and_nobody_else() -> Result<()> {
    let rows = rows(&selection(&["rtc"], &[Fault::DeadlyRequest])?)?;
    ensure!(rows.len() == 1 && rows[0].pass == 1 && rows[0].alive == 0, "{rows:?}");
    Ok(())
}

/// A cell that no work reaches is no cell.
#[test]
fn workloads_that_do_not_reach_a_server_are_left_out() -> Result<()> {
    let mut selection = selection(&["rtc"], &[Fault::Kill])?;
    selection.workloads = vec![Workload::Typing];
    ensure!(rows(&selection)?.is_empty());
    Ok(())
}
