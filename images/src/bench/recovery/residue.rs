//! What many deaths of a server leave behind, of its own and of everybody's: counts of objects, frames, handles, threads and mappings before and after.

use anyhow::Result;

use super::Plan;
use super::report::{Bar, Figure};
use super::restart::around;
use super::system::{System, run};
use super::victim::{FAT, VICTIMS, Victim};
use super::volume::{OtherDisk, Volume};
use crate::progress::Progress;

/// Kills of each.
const KILLS: u32 = 10_000;

/// Kills before the first count: what is bounded, and grows up to that, has grown by then, crash capsules among it.
const WARM: u32 = 500;

/// Each death is told to the log, which gives its records frames as they come: it keeps so few that they have all of them soon.
const LITTLE_LOG: &str = "log.keep=16";

/// MiB of the disks, and of the file on the first.
const DISK: u64 = 64;
const FILE: u64 = 16;

/// Begins a line of what is residue.
const RESIDUE: &str = "residue ";

/// Begins a line that says whose frames these may be.
const PLACED: &str = "placed by ";

/// Measures the victims of a plan, on machines that run as fast as they can.
///
/// # Errors
/// A machine comes to a bad end, or a request failed.
pub fn measure(system: &System, plan: &Plan, progress: &Progress, tell: &mut impl FnMut(Figure)) -> Result<()> {
    let kills = plan.kills.unwrap_or(KILLS);
    for victim in VICTIMS.iter().filter(|victim| plan.wants(victim.name)) {
        let Victim { name, service, probe, .. } = victim;
        progress.step(&format!("killing {name} {kills} times"));
        let volume = Volume::make(system.folder(), "disk", DISK, FILE)?;
        let other = OtherDisk::make(system.folder(), DISK, *name == FAT)?;
        let machine = system.machine().append(LITTLE_LOG).disk(volume.disk()).disk(other.disk());
        let text = run(&machine, &around(victim, &format!("deaths restart {service} {probe} {WARM} {kills}")))?;
        let count = text.lines().filter(|line| line.starts_with(RESIDUE)).count();
        let mut figure = Figure::new(format!("residue_{name}_{kills}"), count as u64, "counts").bar(Some(Bar::Most(0)));
        let notes = text.lines().filter(|line| line.starts_with(RESIDUE) || line.starts_with(PLACED));
        figure.notes.extend(notes.map(str::to_string));
        tell(figure);
        volume.check()?;
        other.check()?;
    }
    Ok(())
}
