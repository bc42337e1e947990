//! x86_64: what the processor and its interrupt controllers and clocks ask for.

pub mod context;
pub mod paging;

pub use context::{Context, Frame};

/// TEMPORARY: the architecture's own versions replace these.
mod temporary {
    use x86_64::{PhysAddr, VirtAddr};
    #[allow(missing_docs)]
    pub fn direct_map(address: PhysAddr) -> *mut u8 { address.as_u64() as *mut u8 }
    #[allow(missing_docs)]
    pub fn physical(pointer: *const u8) -> PhysAddr { PhysAddr::new_truncate(pointer as u64) }
    #[allow(missing_docs)]
    pub fn flush_page(_page: VirtAddr) {}
    #[allow(missing_docs)]
    pub fn flush_all() {}
    /// # Safety
    /// None.
    pub unsafe fn set_page_table(_table: PhysAddr) {}
}
pub use temporary::*;
