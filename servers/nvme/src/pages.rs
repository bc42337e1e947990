//! Data as the controller wants it: one run of bytes that may begin and end anywhere, and lies in whole pages in between (§4.1.1).

use crate::command::DataPointer;
use core::sync::atomic::Ordering;
use libsys::dma::DmaSegment;
use libsys::driver::DmaBuffer;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Bytes of the list of pages that each command has.
pub const LIST_BYTES: usize = 2048;

/// Most pages in a list: all of a run's but the first.
const MOST_LISTED: usize = LIST_BYTES / 8;

/// Most bytes of a run, wherever it begins.
pub const MOST_BYTES: u32 = MOST_LISTED as u32 * PAGE as u32;

/// A run of bytes in the making.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Where its list is in the buffer of all lists.
    list: usize,
    first: u64,
    second: u64,
    /// Pages in the list.
    listed: usize,
    /// Behind its last byte.
    end: u64,
    /// Bytes in it.
    pub bytes: u64,
}

impl Run {
    /// An empty one, for the command with this number.
    pub fn new(number: u16) -> Run {
        Run { list: usize::from(number) * LIST_BYTES, first: 0, second: 0, listed: 0, end: 0, bytes: 0 }
    }

    /// Takes in the beginning of a piece: how many bytes of it. All, unless another run must begin.
    pub fn extend(&mut self, lists: &DmaBuffer, piece: DmaSegment) -> u64 {
        let (mut at, end) = (piece.address, piece.address + piece.bytes);
        if self.bytes == 0 {
            (self.first, self.end) = (at, at);
        }
        let fits = at == self.end || (at.is_multiple_of(PAGE) && self.end.is_multiple_of(PAGE));
        if !fits {
            return 0;
        }
        while at < end {
            if at.is_multiple_of(PAGE) && self.bytes > 0 {
                if self.listed == MOST_LISTED {
                    break;
                }
                lists.word_u64(self.list + 8 * self.listed).store(at, Ordering::Relaxed);
                if self.listed == 0 {
                    self.second = at;
                }
                self.listed += 1;
            }
            let step = (PAGE - at % PAGE).min(end - at);
            at += step;
            self.bytes += step;
        }
        self.end = at;
        at - piece.address
    }

    /// What the command says of it.
    pub fn pointer(&self, lists: &DmaBuffer) -> DataPointer {
        let second = match self.listed {
            0 => 0,
            1 => self.second,
            _ => lists.device_address() + self.list as u64,
        };
        DataPointer { first: self.first, second }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libsys::fake;

    fn lists() -> DmaBuffer {
        fake::dma_buffer(2 * LIST_BYTES as u64).expect("memory")
    }

    fn piece(address: u64, bytes: u64) -> DmaSegment {
        DmaSegment { address, bytes }
    }

    /// The pages of a run.
    fn pages(run: &Run, lists: &DmaBuffer) -> Vec<u64> {
        let pointer = run.pointer(lists);
        let list = (0..run.listed).map(|index| lists.load_u64(run.list + 8 * index, Ordering::Relaxed));
        match run.listed {
            0 => assert_eq!(pointer.second, 0),
            1 => assert_eq!(pointer.second, lists.load_u64(run.list, Ordering::Relaxed)),
            _ => assert_eq!(pointer.second, lists.device_address() + run.list as u64),
        }
        [pointer.first].into_iter().chain(list).collect()
    }

    #[test]
    fn pieces_are_joined_where_pages_end() {
        let lists = lists();
        let mut run = Run::new(1);
        assert_eq!(run.extend(&lists, piece(0x1e00, 0x200)), 0x200);
        assert_eq!((run.bytes, pages(&run, &lists)), (0x200, vec![0x1e00]));
        assert_eq!(run.extend(&lists, piece(0x8000, 0x1000)), 0x1000);
        assert_eq!(pages(&run, &lists), [0x1e00, 0x8000]);
        assert_eq!(run.extend(&lists, piece(0x3000, 0x1200)), 0x1200);
        // Straight on, within the page.
        assert_eq!(run.extend(&lists, piece(0x4200, 0x200)), 0x200);
        assert_eq!((run.bytes, pages(&run, &lists)), (0x2600, vec![0x1e00, 0x8000, 0x3000, 0x4000]));
        // Neither straight on nor at a page's start.
        assert_eq!(run.extend(&lists, piece(0x5000, 0x200)), 0);
        assert_eq!(run.extend(&lists, piece(0x5400, 0x200)), 0);
    }

    #[test]
    fn the_same_page_can_come_twice() {
        let lists = lists();
        let mut run = Run::new(0);
        for _ in 0..3 {
            assert_eq!(run.extend(&lists, piece(0x7000, 0x1000)), 0x1000);
        }
        assert_eq!(pages(&run, &lists), [0x7000, 0x7000, 0x7000]);
    }

    #[test]
    fn a_list_has_an_end() {
        let lists = lists();
        for offset in [0, 4, 0x200, 0xffc] {
            let mut run = Run::new(0);
            let taken = run.extend(&lists, piece(0x10_0000 + offset, 1 << 24));
            assert!(taken >= MOST_BYTES.into() && taken == run.bytes, "{offset}");
            assert_eq!((run.listed, taken), (MOST_LISTED, (MOST_LISTED as u64 + 1) * PAGE - offset));
            assert_eq!(run.extend(&lists, piece(0x10_0000 + offset + taken, 512)), 0);
        }
    }
}
