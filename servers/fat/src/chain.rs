//! The clusters of one file, in order: found as far as somebody asked, and remembered around the place where somebody reads.
//!
//! A chain on a damaged volume may have no end: no chain has more clusters than there are.

use crate::boot::Layout;
use crate::table::{Next, Table};
use alloc::vec::Vec;
use volume::{FileError, Overlay};

/// Clusters between two that are remembered for good, and of the part that is remembered whole.
const STRIDE: u32 = 1024;

/// A chain.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The cluster 0; 0: there is none.
    first: u32,
    /// Clusters 0, [`STRIDE`], twice that, …, as far as they were found.
    marks: Vec<u32>,
    /// A part: the index of its first cluster, a multiple of [`STRIDE`], and its clusters.
    part: (u32, Vec<u32>),
    /// How many there are, if it is known.
    length: Option<u32>,
}

impl Chain {
    /// The chain that begins with a cluster; 0: an empty one.
    pub fn new(first: u32) -> Chain {
        let (marks, length) = match first {
            0 => (Vec::new(), Some(0)),
            first => ([first].into(), None),
        };
        Chain { first, marks, part: (0, Vec::new()), length }
    }

    /// The first cluster; 0: there is none.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// How many clusters there are, if they were counted.
    pub fn length(&self) -> Option<u32> {
        self.length
    }

    /// Forgets what can be found again.
    pub fn shrink(&mut self) {
        self.part = (0, Vec::new());
    }

    /// The cluster with this index; `None`: the chain ends before. Errors: `Corrupt`, `Device`.
    pub fn at(
        &mut self,
        layout: &Layout,
        table: &mut Table,
        overlay: &mut Overlay,
        index: u32,
    ) -> Result<Option<u32>, FileError> {
        if self.length.is_some_and(|length| index >= length) {
            return Ok(None);
        }
        loop {
            let (start, clusters) = &self.part;
            if index >= *start
                && let Some(cluster) = clusters.get((index - start) as usize)
            {
                return Ok(Some(*cluster));
            }
            if self.length.is_some_and(|length| index >= length) {
                return Ok(None);
            }
            // The last mark before the index, or the last that there is: each round finds one more mark or the end.
            let mark = (index / STRIDE).min(self.marks.len().saturating_sub(1) as u32);
            self.load(layout, table, overlay, mark)?;
        }
    }

    fn load(&mut self, layout: &Layout, table: &mut Table, overlay: &mut Overlay, mark: u32) -> Result<(), FileError> {
        let Some(mut cluster) = self.marks.get(mark as usize).copied() else { return Err(FileError::Corrupt) };
        let start = mark * STRIDE;
        let mut clusters = Vec::with_capacity(STRIDE as usize);
        loop {
            if !layout.has(cluster) || start + clusters.len() as u32 >= layout.clusters {
                return Err(FileError::Corrupt);
            }
            clusters.push(cluster);
            match table.next(overlay, cluster)? {
                Next::Cluster(next) => cluster = next,
                Next::End => {
                    self.length = Some(start + clusters.len() as u32);
                    break;
                }
                Next::Free | Next::Wrong => return Err(FileError::Corrupt),
            }
            if clusters.len() == STRIDE as usize {
                if self.marks.len() as u32 == mark + 1 {
                    self.marks.push(cluster);
                }
                break;
            }
        }
        self.part = (start, clusters);
        Ok(())
    }

    /// Finds all of it. Returns how many there are. Errors: `Corrupt`, `Device`.
    pub fn complete(&mut self, layout: &Layout, table: &mut Table, overlay: &mut Overlay) -> Result<u32, FileError> {
        loop {
            if let Some(length) = self.length {
                return Ok(length);
            }
            let mark = self.marks.len().saturating_sub(1) as u32;
            self.load(layout, table, overlay, mark)?;
        }
    }

    /// One more cluster was put at the end of a chain that is complete.
    pub fn push(&mut self, cluster: u32) {
        let Some(index) = self.length else { return };
        if index == 0 {
            self.first = cluster;
        }
        let start = index - index % STRIDE;
        if index == start {
            self.marks.push(cluster);
            self.part = (start, Vec::new());
        }
        if self.part.0 == start && self.part.1.len() as u32 == index - start {
            self.part.1.push(cluster);
        }
        self.length = Some(index + 1);
    }

    /// The chain was cut: only so many are left.
    pub fn cut(&mut self, length: u32) {
        if length == 0 {
            *self = Chain::new(0);
            return;
        }
        self.marks.truncate(length.div_ceil(STRIDE) as usize);
        let (start, clusters) = &mut self.part;
        clusters.truncate(length.saturating_sub(*start) as usize);
        self.length = Some(length);
    }
}
