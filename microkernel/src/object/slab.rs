//! Slabs: where kernel objects live. Each account has its own, one per type, in frames charged to that account:
//! so what objects cost is exact, and no account can fragment another's memory.
//!
//! A slab page is one frame: a [`SlabPage`] header, then as many objects as fit. Pages with a free slot are on
//! the list of their [`Slab`]; a page without objects is given back at once.

use super::{Account, Object, ObjectType, Ref, Type, reference::Doomed, reference::Header};
use crate::{Kernel, arch};
use abi::{Error, PAGE_BYTES};
use core::cell::Cell;
use core::ptr::NonNull;
use x86_64::PhysAddr;

/// An account's slab pages of one type that have a free slot.
pub struct Slab {
    partial: Cell<Option<NonNull<SlabPage>>>,
}

/// The head of a slab page.
#[repr(C, align(16))]
pub struct SlabPage {
    account: NonNull<Object<Account>>,
    doomed: NonNull<Doomed>,
    next: Cell<Option<NonNull<SlabPage>>>,
    previous: Cell<Option<NonNull<SlabPage>>>,
    /// First free slot; each free slot holds the next.
    free: Cell<Option<NonNull<FreeSlot>>>,
    live: Cell<u32>,
}

struct FreeSlot {
    next: Cell<Option<NonNull<FreeSlot>>>,
}

impl SlabPage {
    /// The slab page in which an object lies.
    ///
    /// # Safety
    /// `header` belongs to an object in a slab; the page outlives the returned borrow.
    pub(super) unsafe fn of<'a>(header: NonNull<Header>) -> &'a SlabPage {
        let page = header.as_ptr().map_addr(|address| address & !(PAGE_BYTES - 1));
        // SAFETY: slab pages are single, aligned frames with this header at the start.
        unsafe { &*page.cast::<SlabPage>() }
    }

    /// The list for objects of this page that nothing refers to.
    pub(super) fn doomed(&self) -> &Doomed {
        // SAFETY: the list is a field of the kernel, which outlives its objects and does not move.
        unsafe { self.doomed.as_ref() }
    }
}

impl Slab {
    /// A slab without pages.
    pub const fn new() -> Slab {
        Slab { partial: Cell::new(None) }
    }

    fn link(&self, page: NonNull<SlabPage>) {
        let first = self.partial.replace(Some(page));
        // SAFETY: pages on the list are live slab pages of this slab.
        unsafe {
            page.as_ref().previous.set(None);
            page.as_ref().next.set(first);
            if let Some(first) = first {
                first.as_ref().previous.set(Some(page));
            }
        }
    }

    fn unlink(&self, page: NonNull<SlabPage>) {
        // SAFETY: as in `link`.
        unsafe {
            let (previous, next) = (page.as_ref().previous.take(), page.as_ref().next.take());
            match previous {
                Some(previous) => previous.as_ref().next.set(next),
                None => self.partial.set(next),
            }
            if let Some(next) = next {
                next.as_ref().previous.set(previous);
            }
        }
    }
}

const fn slots<T>() -> usize {
    assert!(align_of::<Object<T>>() <= align_of::<SlabPage>());
    (PAGE_BYTES - size_of::<SlabPage>()) / size_of::<Object<T>>()
}

/// The first reference to a new object, or why there is none.
pub type New<T> = Result<Ref<T>, Error>;

/// Makes an object, charged to `account`.
///
/// # Errors
/// `AccountExhausted`. The value is dropped then.
pub fn create<T: Type>(kernel: &Kernel, account: &Object<Account>, value: T) -> New<T> {
    let slab = account.slab(T::TYPE);
    let page = match slab.partial.get() {
        Some(page) => page,
        None => {
            let page = new_page::<T>(kernel, account)?;
            slab.link(page);
            page
        }
    };
    // SAFETY: a page on the list is a live slab page for `T`.
    let head = unsafe { page.as_ref() };
    let slot = head.free.get().expect("a page on the list has a free slot");
    // SAFETY: free slots hold a `FreeSlot`.
    head.free.set(unsafe { slot.as_ref() }.next.get());
    head.live.set(head.live.get() + 1);
    if head.free.get().is_none() {
        slab.unlink(page);
    }
    kernel.counts.add(T::TYPE, 1);
    // SAFETY: the slot was free, and is of the size of this page's type.
    Ok(unsafe { Object::emplace(slot.cast(), kernel.next_number(), value) })
}

/// Makes the root account, in a frame that is charged to itself. It never ends.
pub(super) fn create_root(kernel: &Kernel, root: Account) -> Ref<Account> {
    let frame = kernel.frames.allocate(0).expect("a machine without memory does not come this far");
    let page = page_at(frame);
    // SAFETY: the frame is ours alone. The page keeps the account that lies in its own first slot, from here on.
    let root = unsafe {
        let slot = page.cast::<u8>().add(size_of::<SlabPage>()).cast::<Object<Account>>();
        format::<Account>(kernel, page, slot);
        let head = page.as_ref();
        let free = head.free.get().expect("a new page has free slots");
        head.free.set(free.as_ref().next.get());
        head.live.set(1);
        debug_assert_eq!(free.cast(), slot);
        Object::emplace(slot, kernel.next_number(), root)
    };
    kernel.counts.add(ObjectType::Account, 1);
    root.slab(ObjectType::Account).link(page);
    core::mem::forget(root.clone());
    root
}

fn page_at(frame: PhysAddr) -> NonNull<SlabPage> {
    NonNull::new(arch::direct_map(frame)).expect("the direct map is not at zero").cast()
}

fn new_page<T: Type>(kernel: &Kernel, account: &Object<Account>) -> Result<NonNull<SlabPage>, Error> {
    let page = page_at(account.allocate_frame(kernel)?);
    // SAFETY: the frame is ours alone.
    unsafe { format::<T>(kernel, page, account.to_ref().into_raw()) };
    Ok(page)
}

/// Makes a frame a slab page for `T`.
///
/// # Safety
/// The frame is the caller's. `account` is a reference that the page keeps.
unsafe fn format<T: Type>(kernel: &Kernel, page: NonNull<SlabPage>, account: NonNull<Object<Account>>) {
    const { assert!(slots::<T>() >= 2) };
    // SAFETY: the frame is large enough for the header and the slots.
    unsafe {
        let mut free = None;
        for index in (0..slots::<T>()).rev() {
            let slot = page.cast::<u8>().add(size_of::<SlabPage>() + index * size_of::<Object<T>>()).cast::<FreeSlot>();
            slot.write(FreeSlot { next: Cell::new(free) });
            free = Some(slot);
        }
        page.write(SlabPage {
            account,
            doomed: NonNull::from(&kernel.doomed),
            next: Cell::new(None),
            previous: Cell::new(None),
            free: Cell::new(free),
            live: Cell::new(0),
        });
    }
}

/// Frees the slot of an object.
///
/// # Safety
/// The object lies in a slab page for `T`, and its value has been dropped.
pub(super) unsafe fn release<T: Type>(kernel: &Kernel, object: NonNull<Object<T>>) {
    kernel.counts.add(T::TYPE, -1);
    // SAFETY: the page is live as it holds this slot.
    let head = unsafe { SlabPage::of(object.cast()) };
    let page = NonNull::from(head);
    // SAFETY: the page's own reference keeps its account.
    let account = unsafe { head.account.as_ref() };
    let slab = account.slab(T::TYPE);
    let was_full = head.free.get().is_none();
    let slot = object.cast::<FreeSlot>();
    // SAFETY: the value is gone: the slot is memory of ours, large enough and aligned.
    unsafe { slot.write(FreeSlot { next: Cell::new(head.free.get()) }) };
    head.free.set(Some(slot));
    head.live.set(head.live.get() - 1);
    if was_full {
        slab.link(page);
    }
    if head.live.get() == 0 {
        slab.unlink(page);
        // SAFETY: `new_page` gave this reference up to the page.
        let account = unsafe { Ref::from_raw(head.account) };
        account.free_frame(kernel, arch::physical(page.as_ptr().cast()));
    }
}
