//! Servers drawn by lot die one after another while programs do everything that there is to do: a short sample of `bench recovery storm`.

use std::time::Duration;

use anyhow::{Result, ensure};
use images::bench::recovery::storm::once;
use images::bench::recovery::system::System;
use tests::image;

/// Time for all of it.
const TIMEOUT: Duration = Duration::from_secs(280);

/// Recoveries from death to death, and seconds of the guest's clock.
const INTERVAL: u64 = 8;
const SECONDS: u32 = 1;

#[test]
fn all_work_goes_on_while_any_server_dies() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let system = System::new(image(), folder.path(), TIMEOUT)?;
    let storm = once(&system, 1, Some(INTERVAL), SECONDS)?;
    // One every 4 ms of that second, were it not for moments at which nobody can be killed.
    ensure!(storm.deaths > 100, "{storm:?}");
    ensure!(storm.operations.iter().all(|operations| *operations > 0), "{storm:?}");
    Ok(())
}
