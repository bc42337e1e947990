//! Where a program's code is in physical memory.

use crate::debugger::PAGE;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Where a program's code is, page by page. What does not lie in a row is a copy that this incarnation has for itself, as init has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Physical addresses of pages that are mapped, by their addresses in the program.
    pages: BTreeMap<u64, u64>,
    /// What lies in the boot archive lies there in a row, also the pages that were never touched: how far it is behind the program's addresses.
    offset: Option<u64>,
}

impl Code {
    /// Code at `start` of this many bytes; `physical` finds what is mapped.
    ///
    /// # Errors
    /// Nothing is mapped, or that of `physical`.
    pub fn find(start: u64, bytes: u64, mut physical: impl FnMut(u64) -> Result<Option<u64>>) -> Result<Code> {
        let mut pages = BTreeMap::new();
        for page in (start - start % PAGE..start + bytes).step_by(PAGE as usize) {
            if let Some(place) = physical(page)? {
                pages.insert(page, place);
            }
        }
        let offsets: BTreeSet<u64> = pages.iter().map(|(page, place)| place.wrapping_sub(*page)).collect();
        let first = *offsets.first().context("its code is not mapped")?;
        Ok(Code { pages, offset: (offsets.len() == 1).then_some(first) })
    }

    /// Whether the next incarnation will have it somewhere else.
    pub fn is_a_copy(&self) -> bool {
        self.offset.is_none()
    }

    /// Where a byte is.
    ///
    /// # Errors
    /// It is in a page that was never touched, of a program that does not lie in a row.
    pub fn place(&self, address: u64) -> Result<u64> {
        let within = address % PAGE;
        let mapped = self.pages.get(&(address - within)).map(|place| place + within);
        let place = mapped.or_else(|| self.offset.map(|offset| address.wrapping_add(offset)));
        place.with_context(|| format!("the code at {address:#x} is nowhere"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_pages_are_known_where_all_lie_in_a_row() {
        let in_a_row = |page| Ok((page != 0x20_1000).then_some(page + 0x10_0000));
        let code = Code::find(0x20_0aa0, 0x2000, in_a_row).unwrap();
        assert!(!code.is_a_copy());
        assert_eq!(code.place(0x20_0aa5).unwrap(), 0x30_0aa5);
        assert_eq!(code.place(0x20_1001).unwrap(), 0x30_1001);
        assert_eq!(code.place(0x20_2a9f).unwrap(), 0x30_2a9f);
    }

    #[test]
    fn pages_may_be_anywhere() {
        let apart =
            |page| Ok([(0x20_0000, 0x7000), (0x20_2000, 0x3000)].into_iter().find(|at| at.0 == page).map(|at| at.1));
        let code = Code::find(0x20_0aa0, 0x2000, apart).unwrap();
        assert!(code.is_a_copy());
        assert_eq!(code.place(0x20_0fff).unwrap(), 0x7fff);
        assert_eq!(code.place(0x20_2000).unwrap(), 0x3000);
        assert!(code.place(0x20_1000).is_err());
        assert!(Code::find(0x20_0000, 1, |_| Ok(None)).is_err());
    }
}
