//! A small sorted set of ranges of physical memory, in a fixed array: what the boot code knows about memory.

use core::ops::Range;
use x86_64::PhysAddr;

/// Most ranges in a [`Ranges`].
pub const CAPACITY: usize = 128;

/// There are more ranges than [`CAPACITY`].
#[derive(Debug)]
pub struct Full;

/// Disjoint ranges of whole pages, in order of address, none empty.
#[derive(Clone)]
pub struct Ranges {
    ranges: [Range<PhysAddr>; CAPACITY],
    count: usize,
}

impl Ranges {
    /// No memory.
    pub const fn new() -> Ranges {
        Ranges { ranges: [const { PhysAddr::zero()..PhysAddr::zero() }; CAPACITY], count: 0 }
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range<PhysAddr>] {
        &self.ranges[..self.count]
    }

    /// Whether all of `range` is in one of the ranges.
    pub fn contain(&self, range: &Range<PhysAddr>) -> bool {
        self.as_slice().iter().any(|r| r.start <= range.start && range.end <= r.end)
    }

    /// Adds the whole pages of `range`; what is already in the set stays as it is.
    pub fn add(&mut self, range: Range<PhysAddr>) -> Result<(), Full> {
        let mut start = range.start.align_up(4096u64);
        let end = range.end.align_down(4096u64);
        let mut at = 0;
        while start < end {
            // The part of the range before the next one that exists.
            while at < self.count && self.ranges[at].end <= start {
                at += 1;
            }
            let next = if at < self.count { self.ranges[at].clone() } else { end..end };
            if start < next.start {
                self.insert(at, start..end.min(next.start))?;
                at += 1;
            }
            start = next.end;
        }
        Ok(())
    }

    /// Removes every page that `range` touches.
    pub fn remove(&mut self, range: Range<PhysAddr>) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        let (start, end) = (range.start.align_down(4096u64), range.end.align_up(4096u64));
        let mut at = 0;
        while at < self.count {
            let old = self.ranges[at].clone();
            if old.end <= start || end <= old.start {
                at += 1;
                continue;
            }
            self.ranges[at..self.count].rotate_left(1);
            self.count -= 1;
            for part in [old.start..start, end..old.end] {
                if part.start < part.end {
                    self.insert(at, part)?;
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// Takes `bytes` (whole pages) from the lowest range below `limit` that has them.
    pub fn take(&mut self, bytes: u64, limit: u64) -> Option<PhysAddr> {
        let fits = |r: &Range<PhysAddr>| r.end - r.start >= bytes && r.start.as_u64() + bytes <= limit;
        let start = self.as_slice().iter().find(|r| fits(r))?.start;
        // Taking from the front of a range never splits it.
        self.remove(start..start + bytes).ok()?;
        Some(start)
    }

    fn insert(&mut self, at: usize, range: Range<PhysAddr>) -> Result<(), Full> {
        if self.count == CAPACITY {
            return Err(Full);
        }
        self.count += 1;
        self.ranges[at..self.count].rotate_right(1);
        self.ranges[at] = range;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<PhysAddr> {
        PhysAddr::new(start * 4096)..PhysAddr::new(end * 4096)
    }

    /// Random additions and removals agree with a bit map of pages.
    #[test]
    fn agree_with_a_bit_map() {
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for _ in 0..200 {
            let mut ranges = Ranges::new();
            let mut pages = [false; 100];
            for _ in 0..30 {
                let start = random(100);
                let end = start + random(101 - start);
                let present = random(2) == 0;
                if present { ranges.add(range(start, end)) } else { ranges.remove(range(start, end)) }.unwrap();
                pages[start as usize..end as usize].fill(present);
                let mut seen = [false; 100];
                let mut last = PhysAddr::zero();
                for r in ranges.as_slice() {
                    assert!(r.start >= last && r.end > r.start);
                    last = r.end;
                    seen[r.start.as_u64() as usize / 4096..r.end.as_u64() as usize / 4096].fill(true);
                }
                assert_eq!(seen, pages);
            }
        }
    }

    #[test]
    fn partial_pages_round_to_the_safe_side() {
        let mut ranges = Ranges::new();
        ranges.add(PhysAddr::new(1)..PhysAddr::new(3 * 4096 + 5)).unwrap();
        assert_eq!(ranges.as_slice(), [range(1, 3)]);
        ranges.remove(PhysAddr::new(4097)..PhysAddr::new(4098)).unwrap();
        assert_eq!(ranges.as_slice(), [range(2, 3)]);
        assert_eq!(ranges.take(4096, 4096), None);
        assert_eq!(ranges.take(4096, 1 << 20), Some(PhysAddr::new(8192)));
        assert!(ranges.as_slice().is_empty());
    }

    #[test]
    fn too_many_are_refused() {
        let mut ranges = Ranges::new();
        for n in 0..CAPACITY as u64 {
            ranges.add(range(2 * n, 2 * n + 1)).unwrap();
        }
        assert!(ranges.add(range(1000, 1001)).is_err());
    }
}
