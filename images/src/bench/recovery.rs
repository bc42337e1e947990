//! Measuring what deaths of servers cost: machines in which the guest's service `deaths` kills others while somebody needs them.
//!
//! | module | [`Part`] | measures |
//! |---|---|---|
//! | [`transfer`] | `transfer` | bytes per instruction while the driver of a disk dies |
//! | [`restart`] | `restart` | instructions from a kill to the next answer |
//! | [`residue`] | `residue` | what is left behind by many deaths |
//! | [`storm`] | `storm` | what is still done while servers drawn by lot die |
//!
//! [`system`] boots the machines, [`volume`] makes their disks and looks at them, [`victim`] knows the servers, [`report`] prints.
//! `docs/recovery.md` has what was measured.

pub mod report;
pub mod residue;
pub mod restart;
pub mod storm;
pub mod system;
pub mod transfer;
pub mod victim;
pub mod volume;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::image::Image;
use crate::progress::Progress;
use crate::survive::folder::Folder;
use report::Figure;
use system::System;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Bytes per instruction while the driver of a disk dies
    Transfer,
    /// Instructions from a kill to the next answer
    Restart,
    /// What is left behind by many deaths
    Residue,
    /// What is still done while servers drawn by lot die
    Storm,
}

/// What is measured, and how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// All parts if it is empty.
    pub parts: Vec<Part>,
    /// The victims by name; all if it is empty. `transfer` and `storm` have their own.
    pub victims: Vec<String>,
    /// Kills of each victim, where it is not to be as many as the bars want.
    pub kills: Option<u32>,
    /// Seconds of the guest's clock that a storm lasts, where it is not to be as long as the bar wants.
    pub seconds: Option<u32>,
    /// Processors of its machine, where they are not to be as many as the bar wants.
    pub cpus: Option<u32>,
    /// After which each machine is ended.
    pub timeout: Duration,
}

/// Measures, and tells each figure as it is known.
///
/// # Errors
/// A machine cannot be booted or comes to a bad end, or what it did is not right: the message has what it printed.
pub fn measure(image: &Image, plan: &Plan, progress: &Progress, mut tell: impl FnMut(Figure)) -> Result<()> {
    let folder = Folder::make("bench")?;
    let system = System::new(image, folder.path(), plan.timeout)?;
    let parts = if plan.parts.is_empty() { Part::value_variants() } else { &plan.parts };
    for part in parts {
        let measured = match part {
            Part::Transfer => transfer::measure(&system, plan, progress, &mut tell),
            Part::Restart => restart::measure(&system, plan, progress, &mut tell),
            Part::Residue => residue::measure(&system, plan, progress, &mut tell),
            Part::Storm => storm::measure(&system, plan, progress, &mut tell),
        };
        measured.with_context(|| format!("{part:?}").to_lowercase())?;
    }
    Ok(())
}

impl Plan {
    /// Whether a victim is to be measured.
    fn wants(&self, name: &str) -> bool {
        self.victims.is_empty() || self.victims.iter().any(|victim| victim == name)
    }
}
