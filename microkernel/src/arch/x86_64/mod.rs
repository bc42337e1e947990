//! x86_64: what the processor and its interrupt controllers and clocks ask for.

pub mod context;
pub mod paging;
pub mod tlb;

pub use context::{Context, Frame};
pub use tlb::{flush_all, flush_page};

/// TEMPORARY: the architecture's own versions replace these.
mod temporary {
    use x86_64::PhysAddr;
    #[allow(missing_docs)]
    pub fn direct_map(address: PhysAddr) -> *mut u8 { address.as_u64() as *mut u8 }
    #[allow(missing_docs)]
    pub fn physical(pointer: *const u8) -> PhysAddr { PhysAddr::new_truncate(pointer as u64) }
    /// # Safety
    /// None.
    pub unsafe fn set_page_table(_table: PhysAddr) {}
}
pub use temporary::*;
