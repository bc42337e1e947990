//! What a request is checked against before anybody acts on it.

use super::Submission;
use crate::protocol::block::{BlockInfo, BlockStatus, Flags, MOST_SEGMENTS, Operation, SECTOR_BYTES};

/// What a device, or the part of one that a session leads to, can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sectors that there are.
    pub sectors: u64,
    /// Sectors of a logical block.
    pub block_sectors: u32,
    /// Most sectors of one read or write.
    pub most_sectors: u32,
    /// Most segments.
    pub most_segments: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// Discards are possible.
    pub discard: bool,
    /// Fills with zeros are possible.
    pub write_zeroes: bool,
}

impl Limits {
    /// Those of a device; what makes no sense in it is taken for the next thing that does.
    pub fn of(info: &BlockInfo) -> Limits {
        let block_sectors = (info.logical_block_bytes / SECTOR_BYTES as u32).max(1);
        Limits {
            sectors: info.sectors,
            block_sectors,
            most_sectors: (info.most_bytes / SECTOR_BYTES as u32).max(block_sectors),
            most_segments: info.most_segments.clamp(1, MOST_SEGMENTS as u32),
            read_only: info.read_only,
            discard: info.discard,
            write_zeroes: info.write_zeroes,
        }
    }

    /// Checks a request; `buffer_bytes` says how large the Memory with a number is, if it was lent.
    pub fn check(
        &self,
        request: &Submission,
        mut buffer_bytes: impl FnMut(u32) -> Option<u64>,
    ) -> Result<(), BlockStatus> {
        let operation = request.operation;
        if request.flags.0 & !Flags::FUA.0 != 0 {
            return Err(BlockStatus::Unsupported);
        }
        match operation {
            Operation::Flush => return Ok(()),
            Operation::Discard if !self.discard => return Err(BlockStatus::Unsupported),
            Operation::WriteZeroes if !self.write_zeroes => return Err(BlockStatus::Unsupported),
            _ => {}
        }
        let end = request.sector.checked_add(request.sectors.into());
        let (block, is_inside) = (self.block_sectors, end.is_some_and(|end| end <= self.sectors));
        if !is_inside
            || request.sectors == 0
            || !request.sector.is_multiple_of(block.into())
            || !request.sectors.is_multiple_of(block)
        {
            return Err(BlockStatus::OutOfRange);
        }
        if operation.is_write() && self.read_only {
            return Err(BlockStatus::ReadOnly);
        }
        if !operation.has_data() {
            return Ok(());
        }
        if request.sectors > self.most_sectors || request.segments().len() > self.most_segments as usize {
            return Err(BlockStatus::BadBuffer);
        }
        let mut bytes = 0;
        for segment in request.segments() {
            let size = buffer_bytes(segment.buffer).ok_or(BlockStatus::BadBuffer)?;
            let end = segment.offset.checked_add(segment.bytes.into());
            // Devices move whole sectors, and find their pieces at addresses of four bytes.
            let is_whole =
                segment.bytes != 0 && segment.bytes.is_multiple_of(SECTOR_BYTES as u32) && segment.offset % 4 == 0;
            if !is_whole || end.is_none_or(|end| end > size) {
                return Err(BlockStatus::BadBuffer);
            }
            bytes += u64::from(segment.bytes);
        }
        if bytes == u64::from(request.sectors) * SECTOR_BYTES { Ok(()) } else { Err(BlockStatus::BadBuffer) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Segment;
    use super::*;

    const LIMITS: Limits = Limits {
        sectors: 100,
        block_sectors: 2,
        most_sectors: 16,
        most_segments: 2,
        read_only: false,
        discard: true,
        write_zeroes: false,
    };

    fn request(operation: Operation, sector: u64, sectors: u32, segments: &[(u32, u64, u32)]) -> Submission {
        let mut request = Submission::new(operation, sector, sectors);
        let segment =
            |(buffer, offset, bytes): &(u32, u64, u32)| Segment { buffer: *buffer, offset: *offset, bytes: *bytes };
        assert!(request.set_segments(&segments.iter().map(segment).collect::<alloc::vec::Vec<_>>()));
        request
    }

    fn check(limits: Limits, request: &Submission) -> Result<(), BlockStatus> {
        limits.check(request, |buffer| (buffer == 3).then_some(8192))
    }

    #[test]
    fn what_is_right_passes() {
        for good in [
            request(Operation::Read, 0, 2, &[(3, 0, 1024)]),
            request(Operation::Write, 98, 2, &[(3, 7680, 512), (3, 4, 512)]),
            request(Operation::Flush, u64::MAX, 7, &[(9, 9, 9)]),
            request(Operation::Discard, 0, 100, &[]),
        ] {
            assert_eq!(check(LIMITS, &good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_for_its_reason() {
        let one = [(3, 0, 1024)];
        let read = |sector, sectors, segments: &[_]| request(Operation::Read, sector, sectors, segments);
        for (bad, reason) in [
            (read(100, 2, &one), BlockStatus::OutOfRange),
            (read(u64::MAX, 2, &one), BlockStatus::OutOfRange),
            (read(1, 2, &one), BlockStatus::OutOfRange),
            (read(0, 0, &[]), BlockStatus::OutOfRange),
            (read(0, 2, &[]), BlockStatus::BadBuffer),
            (read(0, 2, &[(2, 0, 1024)]), BlockStatus::BadBuffer),
            (read(0, 2, &[(3, 7172, 1024)]), BlockStatus::BadBuffer),
            (read(0, 2, &[(3, u64::MAX, 1024)]), BlockStatus::BadBuffer),
            (read(0, 2, &[(3, 2, 1024)]), BlockStatus::BadBuffer),
            (read(0, 2, &[(3, 0, 1023), (3, 0, 1)]), BlockStatus::BadBuffer),
            (read(0, 4, &one), BlockStatus::BadBuffer),
            (read(0, 18, &[(3, 0, 8192), (3, 0, 1024)]), BlockStatus::BadBuffer),
            (read(0, 6, &[(3, 0, 1024), (3, 0, 1024), (3, 0, 1024)]), BlockStatus::BadBuffer),
            (request(Operation::WriteZeroes, 0, 2, &[]), BlockStatus::Unsupported),
        ] {
            assert_eq!(check(LIMITS, &bad), Err(reason), "{bad:?}");
        }
        let write = request(Operation::Write, 0, 2, &one);
        assert_eq!(check(Limits { read_only: true, ..LIMITS }, &write), Err(BlockStatus::ReadOnly));
        let mut odd = request(Operation::Flush, 0, 0, &[]);
        odd.flags = Flags(2);
        assert_eq!(check(LIMITS, &odd), Err(BlockStatus::Unsupported));
    }
}
