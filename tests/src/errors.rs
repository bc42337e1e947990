//! Disks whose requests fail: QEMU's blkdebug is put between a disk and its file while the machine runs, and taken away again.

use anyhow::{Context, Result};
use images::Disk;
use images::qmp::{Qmp, json};

/// Which requests of a disk fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requests {
    /// Reads.
    Reads,
    /// Writes.
    Writes,
    /// Flushes.
    Flushes,
}

/// How they fail, as the host's kernel would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostError {
    /// `EIO`: the medium is damaged.
    Damaged,
    /// `ENOSPC`: the host has no room for what is written.
    NoRoom,
}

impl Requests {
    fn name(self) -> &'static str {
        match self {
            Requests::Reads => "read",
            Requests::Writes => "write",
            Requests::Flushes => "flush",
        }
    }
}

impl HostError {
    /// Its number on Linux, which QEMU wants.
    fn number(self) -> u32 {
        match self {
            HostError::Damaged => 5,
            HostError::NoRoom => 28,
        }
    }
}

/// Flushes that fail, at most: QEMU flushes too when it takes the faults away, so they must come to an end.
const FLUSHES: usize = 32;

/// A disk of a running machine whose requests can be made to fail. Its image is raw.
#[derive(Debug)]
pub struct FailingDisk {
    index: usize,
    /// Faults that there have been: each has a node of its own.
    faults: u32,
}

impl FailingDisk {
    /// The disk of this number, from 0, as the machine was given them.
    pub fn new(index: usize) -> FailingDisk {
        FailingDisk { index, faults: 0 }
    }

    /// From now on such requests fail: those that touch `sector`, or all of them; of flushes the next [`FLUSHES`].
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn fail(&mut self, qmp: &mut Qmp, requests: Requests, error: HostError, sector: Option<u64>) -> Result<()> {
        self.faults += 1;
        let node = format!("faults{}-{}", self.index, self.faults);
        let mut rule = json!({ "event": "none", "iotype": requests.name(), "errno": error.number() });
        if let Some(sector) = sector {
            rule["sector"] = json!(sector);
        }
        let rules = if requests == Requests::Flushes {
            rule["once"] = json!(true);
            vec![rule; FLUSHES]
        } else {
            vec![rule]
        };
        let file = Disk::file_node(self.index);
        let blkdebug = json!({ "driver": "blkdebug", "node-name": node, "image": file, "inject-error": rules });
        qmp.execute("blockdev-add", blkdebug).context("the faults")?;
        self.stand_on(qmp, &node)
    }

    /// All requests are carried out again.
    ///
    /// # Errors
    /// QEMU refuses.
    pub fn mend(&mut self, qmp: &mut Qmp) -> Result<()> {
        let file = Disk::file_node(self.index);
        let mut result = self.stand_on(qmp, &file);
        for _ in 0..FLUSHES {
            if result.is_err() {
                result = self.stand_on(qmp, &file);
            }
        }
        result
    }

    fn stand_on(&self, qmp: &mut Qmp, node: &str) -> Result<()> {
        let image = json!({ "driver": "raw", "node-name": Disk::node(self.index), "file": node });
        qmp.execute("blockdev-reopen", json!({ "options": [image] })).with_context(|| format!("onto {node}")).map(drop)
    }
}
