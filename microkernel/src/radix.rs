//! Radix trees of frames: every node is one frame of 512 words, and a word that is present points to the next node.
//!
//! The page tables of the processor are such trees (Intel SDM vol. 3A §4.5), and Memory finds its frames through
//! one as well. So walking, growing and cutting are written once, in bounded steps, over page numbers.

use crate::arch;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use x86_64::PhysAddr;

/// A word that points somewhere; the same bit in page tables.
pub const PRESENT: u64 = 1;
/// Where it points.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Words of a node, as a power of two.
const BITS: u32 = 9;
const WORDS: usize = 1 << BITS;
/// What looking at a missing node costs of a step's budget, in leaf words.
const SKIP: u64 = 8;

/// A tree whose root is `levels - 1` nodes above the leaves.
#[derive(Clone, Copy)]
pub struct Radix {
    root: PhysAddr,
    levels: u32,
}

/// The pages that other users of the tree need: all below `below` and all from `above` on.
#[derive(Clone, Copy)]
pub struct Kept {
    /// End of those below.
    pub below: u64,
    /// Start of those above.
    pub above: u64,
}

impl Kept {
    /// Nobody else uses the tree.
    pub const NONE: Kept = Kept { below: 0, above: u64::MAX };
}

/// A node, through the direct map.
struct Node(&'static [AtomicU64; WORDS]);

impl Node {
    /// # Safety
    /// The frame is a live node, and the result is not used after it is freed.
    unsafe fn at(frame: PhysAddr) -> Node {
        // SAFETY: as the caller promises; the words are atomic, so the processor's own writes are no race.
        Node(unsafe { &*arch::direct_map(frame).cast() })
    }

    #[inline]
    fn word(&self, page: u64, level: u32) -> &'static AtomicU64 {
        &self.0[(page >> (BITS * level)) as usize % WORDS]
    }
}

impl Radix {
    /// A tree with this root.
    ///
    /// # Safety
    /// `root` is a node of the tree's own, with no present word or only ones that this tree's functions made (or
    /// that lie outside of the pages it is asked for), until the last use of the tree.
    pub const unsafe fn new(root: PhysAddr, levels: u32) -> Radix {
        Radix { root, levels }
    }

    /// The root.
    pub const fn root(self) -> PhysAddr {
        self.root
    }

    /// Nodes without the root that `pages` need and `kept` does not, in a tree of so many levels. `kept` does not
    /// reach into `pages`.
    pub fn nodes(levels: u32, pages: Range<u64>, kept: Kept) -> u64 {
        if pages.is_empty() {
            return 0;
        }
        (1..levels)
            .map(|level| {
                let span = 1 << (BITS * level);
                let first = (pages.start / span).max(kept.below.div_ceil(span));
                let end = ((pages.end - 1) / span + 1).min(kept.above / span);
                end.saturating_sub(first)
            })
            .sum()
    }

    /// The page's word, where its node exists.
    pub fn word(self, page: u64) -> Option<&'static AtomicU64> {
        let (level, frame) = self.lowest(page);
        // SAFETY: as there.
        (level == 0).then(|| unsafe { Node::at(frame) }.word(page, 0))
    }

    /// The lowest node that exists on the way to a page's word: its level, 0 for a leaf, and the node.
    #[inline]
    fn lowest(self, page: u64) -> (u32, PhysAddr) {
        let (mut level, mut frame) = (self.levels - 1, self.root);
        while level > 0 {
            // SAFETY: present words point to nodes of the tree.
            let word = unsafe { Node::at(frame) }.word(page, level).load(Relaxed);
            if word & PRESENT == 0 {
                break;
            }
            level -= 1;
            frame = PhysAddr::new_truncate(word & ADDRESS);
        }
        (level, frame)
    }

    /// The page's word; missing nodes are made of zeroed frames that `allocate` gives, with `flags`.
    #[inline]
    pub fn word_or_grow(self, page: u64, flags: u64, mut allocate: impl FnMut() -> PhysAddr) -> &'static AtomicU64 {
        let mut frame = self.root;
        for level in (1..self.levels).rev() {
            // SAFETY: present words point to nodes of the tree.
            let word = unsafe { Node::at(frame) }.word(page, level);
            if word.load(Relaxed) & PRESENT == 0 {
                word.store(allocate().as_u64() | flags | PRESENT, Relaxed);
            }
            frame = PhysAddr::new_truncate(word.load(Relaxed) & ADDRESS);
        }
        // SAFETY: as above.
        unsafe { Node::at(frame) }.word(page, 0)
    }

    /// Cuts `pages` off, from the end downward, until `budget` leaf words were looked at: gives the new end. Every
    /// present leaf word is cleared and given to `leaf`; every node that neither the rest of `pages` nor `kept`
    /// needs is taken out, without a present word left in it, and given to `node`.
    pub fn cut(
        self,
        pages: Range<u64>,
        kept: Kept,
        budget: u64,
        mut leaf: impl FnMut(u64),
        mut node: impl FnMut(PhysAddr),
    ) -> u64 {
        let (mut end, mut work) = (pages.end, 0);
        while end > pages.start && work < budget {
            // The nodes on the way to the last page, from the leaf up; `level` becomes the lowest that exists.
            let page = end - 1;
            let mut path = [self.root; 8];
            let mut level = self.levels - 1;
            while level > 0 {
                // SAFETY: present words point to nodes of the tree.
                let word = unsafe { Node::at(path[level as usize]) }.word(page, level).load(Relaxed);
                if word & PRESENT == 0 {
                    break;
                }
                level -= 1;
                path[level as usize] = PhysAddr::new_truncate(word & ADDRESS);
            }
            // What one word of that node spans, or of a leaf node as much as the budget allows.
            let from = if level == 0 {
                let from = (page & !(WORDS as u64 - 1)).max(pages.start).max(end.saturating_sub(budget - work));
                // SAFETY: as above.
                let leaves = unsafe { Node::at(path[0]) };
                for page in from..end {
                    let word = leaves.word(page, 0);
                    let old = word.load(Relaxed);
                    if old & PRESENT != 0 {
                        word.store(0, Relaxed);
                        leaf(old);
                    }
                }
                work += end - from;
                from
            } else {
                work += SKIP;
                (page & !((1 << (BITS * level)) - 1)).max(pages.start)
            };
            end = from;
            let below = if end > pages.start { end } else { kept.below };
            for level in level..self.levels - 1 {
                let span = 1 << (BITS * (level + 1));
                let base = page & !(span - 1);
                if base < below || base + span > kept.above {
                    break;
                }
                // SAFETY: as above.
                unsafe { Node::at(path[level as usize + 1]) }.word(page, level + 1).store(0, Relaxed);
                node(path[level as usize]);
            }
        }
        end
    }

    /// Replaces every present leaf word of `pages`, from the start upward, by what `change` makes of it, until `budget`
    /// were looked at: gives the new start.
    pub fn change(self, pages: Range<u64>, budget: u64, mut change: impl FnMut(u64) -> u64) -> u64 {
        let (mut page, mut work) = (pages.start, 0);
        while page < pages.end && work < budget {
            let (level, frame) = self.lowest(page);
            if level > 0 {
                work += SKIP;
                page = (page | ((1 << (BITS * level)) - 1)) + 1;
                continue;
            }
            // SAFETY: as in `lowest`.
            let leaves = unsafe { Node::at(frame) };
            let end = ((page | (WORDS as u64 - 1)) + 1).min(pages.end).min(page + (budget - work));
            for page in page..end {
                let word = leaves.word(page, 0);
                let old = word.load(Relaxed);
                if old & PRESENT != 0 {
                    word.store(change(old), Relaxed);
                }
            }
            work += end - page;
            page = end;
        }
        page.min(pages.end)
    }
}
