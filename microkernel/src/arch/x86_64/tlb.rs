//! The TLB of this CPU. On the host nothing is cached; tests see what would have been flushed.

use x86_64::VirtAddr;

/// Forgets the translation of a page of the loaded address space, and of the tables on the way to it.
pub fn flush_page(page: VirtAddr) {
    #[cfg(target_os = "none")]
    x86_64::instructions::tlb::flush(page);
    #[cfg(test)]
    record::add(Some(page.as_u64()));
    let _ = page;
}

/// Forgets all translations of user pages.
pub fn flush_all() {
    #[cfg(target_os = "none")]
    x86_64::instructions::tlb::flush_all();
    #[cfg(test)]
    record::add(None);
}

/// What was flushed in this thread.
#[cfg(test)]
pub mod record {
    use std::cell::RefCell;

    std::thread_local! {
        static FLUSHED: RefCell<Vec<Option<u64>>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn add(page: Option<u64>) {
        FLUSHED.with_borrow_mut(|flushed| flushed.push(page));
    }

    /// The pages flushed since the last look; `None` stands for all pages.
    pub fn take() -> Vec<Option<u64>> {
        FLUSHED.take()
    }
}
