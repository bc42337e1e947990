//! How much the device discards, or fills with zeros, in one request (virtio 1.2 §5.2.4, §5.2.6.1).

use core::ops::Range;
use virtio::{Device, Transport};

/// Where the fields are in the device's configuration (§5.2.4).
mod field {
    pub const MAX_DISCARD_SECTORS: usize = 36;
    pub const MAX_DISCARD_SEG: usize = 40;
    pub const DISCARD_SECTOR_ALIGNMENT: usize = 44;
    pub const MAX_WRITE_ZEROES_SECTORS: usize = 48;
    pub const MAX_WRITE_ZEROES_SEG: usize = 52;
}

/// What one request of a kind may name, in sectors of 512 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeLimits {
    /// Most sectors: whole logical blocks, at least one.
    most: u32,
    /// A request that is not the last of its range ends at a multiple of this, where that is possible.
    alignment: u32,
}

impl RangeLimits {
    /// The limits of discards, on a device that offers them; `None`: it takes not one logical block, of `block_sectors`.
    pub fn of_discards<T: Transport>(device: &mut Device<T>, block_sectors: u32) -> Option<RangeLimits> {
        let most = word(device, field::MAX_DISCARD_SECTORS);
        let ranges = word(device, field::MAX_DISCARD_SEG);
        let alignment = word(device, field::DISCARD_SECTOR_ALIGNMENT);
        RangeLimits::new(most, ranges, alignment, block_sectors)
    }

    /// The same, of fills with zeros.
    pub fn of_zeroes<T: Transport>(device: &mut Device<T>, block_sectors: u32) -> Option<RangeLimits> {
        let most = word(device, field::MAX_WRITE_ZEROES_SECTORS);
        let ranges = word(device, field::MAX_WRITE_ZEROES_SEG);
        RangeLimits::new(most, ranges, block_sectors, block_sectors)
    }

    /// Of what a device says: most sectors, most ranges in a request, of which this driver sends one, and the alignment.
    fn new(most: u32, ranges: u32, alignment: u32, block_sectors: u32) -> Option<RangeLimits> {
        let most = most - most % block_sectors;
        let is_usable = alignment > 0 && alignment.is_multiple_of(block_sectors);
        let alignment = if is_usable { alignment } else { block_sectors };
        (most > 0 && ranges > 0).then_some(RangeLimits { most, alignment })
    }

    /// Takes the next request's part from the start of a range, which is not empty.
    pub fn take_from(self, rest: &mut Range<u64>) -> Range<u64> {
        let furthest = rest.start.saturating_add(self.most.into());
        let aligned = furthest - furthest % u64::from(self.alignment);
        let end = match furthest < rest.end {
            true if aligned > rest.start => aligned,
            true => furthest,
            false => rest.end,
        };
        let part = rest.start..end;
        rest.start = end;
        part
    }
}

fn word<T: Transport>(device: &mut Device<T>, offset: usize) -> u32 {
    u32::from_le_bytes(device.config(offset))
}
