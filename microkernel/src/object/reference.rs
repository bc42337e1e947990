//! Kernel objects, counted references to them, and when they may be freed.
//!
//! All objects live in slabs ([`super::slab`]), are reached under the one kernel lock, and change through
//! [`Cell`]s. Three ways to name one:
//!
//! - [`Ref<T>`] is counted: it keeps the object.
//! - [`Slot<T>`] is a field that holds a `Ref` or nothing.
//! - `&'k Object<T>`, with the lifetime of a borrow of the [`Kernel`], costs nothing. It cannot dangle, since an
//!   object whose count fell to zero is only put on a list ([`Doomed`]), and emptying the list
//!   ([`Kernel::reap`]) takes the kernel exclusively: no such borrow is left then.

use super::{slab, slab::SlabPage};
use crate::Kernel;
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::NonNull;

/// Types of objects that live in slabs: those that handles name, and parts of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    Account,
    Process,
    Thread,
    Memory,
    Channel,
    Session,
    SessionUse,
    Call,
    Interrupt,
    IoPorts,
    DmaDomain,
    Attachment,
    Mapping,
    Resource,
    Claim,
}

impl ObjectType {
    /// How many there are.
    pub const COUNT: usize = 15;
}

/// A type whose values live in slabs.
pub trait Type: Sized {
    /// Which one.
    const TYPE: ObjectType;

    /// One step of what is long about undoing the object, when nothing refers to it any more: called until it gives `true`,
    /// before [`Type::finalize`]. The object, its account and its charges stay meanwhile.
    fn dismantle(&self, _kernel: &Kernel) -> bool {
        true
    }

    /// Undoes what the object is part of, when nothing refers to it any more and before its fields are
    /// dropped. Runs under the kernel lock, in bounded time; it may make other objects doomed.
    fn finalize(&self, _kernel: &Kernel) {}
}

/// What stands before every object.
#[repr(C, align(16))]
pub struct Header {
    count: Cell<u32>,
    /// What the object is.
    pub(crate) object_type: Cell<ObjectType>,
    /// Whether it is on the list of objects to be freed.
    is_doomed: Cell<bool>,
    /// [`free`] for its type.
    free: unsafe fn(&Kernel, NonNull<Header>) -> bool,
    number: Cell<u64>,
    next_doomed: Cell<Option<NonNull<Header>>>,
}

impl Header {
    pub(super) fn number(&self) -> u64 {
        self.number.get()
    }

    /// One reference more.
    pub(super) fn retain(&self) {
        self.count.set(self.count.get() + 1);
    }

    /// One reference less.
    pub(super) fn release(&self) {
        let count = self.count.get() - 1;
        self.count.set(count);
        if count == 0 {
            doom(NonNull::from(self));
        }
    }
}

/// An object in its slab.
#[repr(C)]
pub struct Object<T> {
    header: Header,
    value: T,
}

impl<T: Type> Object<T> {
    /// Puts a value into its slot of a slab, with one reference.
    ///
    /// # Safety
    /// `at` is a free slot, large enough and aligned for `Object<T>`, of a slab page for `T`.
    pub(super) unsafe fn emplace(at: NonNull<Object<T>>, number: u64, value: T) -> Ref<T> {
        let header = Header {
            count: Cell::new(1),
            object_type: Cell::new(T::TYPE),
            is_doomed: Cell::new(false),
            free: free::<T>,
            number: Cell::new(number),
            next_doomed: Cell::new(None),
        };
        // SAFETY: the caller gives a free slot of the right size and alignment.
        unsafe { at.as_ptr().write(Object { header, value }) };
        Ref(at)
    }

    /// A number that no other object has until the next boot.
    pub fn number(&self) -> u64 {
        self.header.number()
    }

    /// A counted reference.
    pub fn to_ref(&self) -> Ref<T> {
        self.header.retain();
        Ref(NonNull::from(self))
    }

    /// Whether both are the same object.
    pub fn is(&self, other: &Object<T>) -> bool {
        core::ptr::eq(self, other)
    }

    /// References now.
    #[cfg(test)]
    pub fn references(&self) -> u32 {
        self.header.count.get()
    }
}

impl<T> Deref for Object<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A counted reference to an object.
pub struct Ref<T: Type>(NonNull<Object<T>>);

impl<T: Type> Ref<T> {
    /// Gives the reference up as a pointer, to be taken back by [`Ref::from_raw`].
    pub fn into_raw(self) -> NonNull<Object<T>> {
        let pointer = self.0;
        core::mem::forget(self);
        pointer
    }

    /// Takes back what [`Ref::into_raw`] gave up.
    ///
    /// # Safety
    /// `pointer` is from `into_raw` of the same type, and taken back once.
    pub unsafe fn from_raw(pointer: NonNull<Object<T>>) -> Ref<T> {
        Ref(pointer)
    }

    /// The object, for as long as the kernel is borrowed.
    pub fn get<'k>(&self, _kernel: &'k Kernel) -> &'k Object<T> {
        // SAFETY: this reference keeps the object now, and after the reference is gone it stays
        // until `reap`, which needs the kernel exclusively.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Type> Deref for Ref<T> {
    type Target = Object<T>;
    fn deref(&self) -> &Object<T> {
        // SAFETY: the reference keeps the object.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Type> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        self.to_ref()
    }
}

impl<T: Type> Drop for Ref<T> {
    fn drop(&mut self) {
        self.header.release();
    }
}

/// Puts an object whose count fell to zero on its kernel's list.
#[cold]
fn doom(header: NonNull<Header>) {
    // SAFETY: every object lies in a slab page, whose header knows the list; the list outlives it.
    let doomed = unsafe { SlabPage::of(header).doomed() };
    doomed.push(header);
}

/// A field that holds a counted reference, or nothing.
pub struct Slot<T: Type>(Cell<Option<NonNull<Object<T>>>>);

impl<T: Type> Slot<T> {
    /// A slot with nothing.
    pub const fn empty() -> Slot<T> {
        Slot(Cell::new(None))
    }

    /// A slot with a reference.
    pub fn with(reference: Ref<T>) -> Slot<T> {
        Slot(Cell::new(Some(reference.into_raw())))
    }

    /// The object, for as long as the kernel is borrowed.
    pub fn get<'k>(&self, _kernel: &'k Kernel) -> Option<&'k Object<T>> {
        // SAFETY: as `Ref::get`: the slot's reference keeps it now, the borrow of the kernel later.
        self.0.get().map(|pointer| unsafe { pointer.as_ref() })
    }

    /// Whether it holds something.
    pub fn is_some(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether it holds this object.
    pub fn holds(&self, object: &Object<T>) -> bool {
        self.0.get() == Some(NonNull::from(object))
    }

    /// Takes the reference out.
    pub fn take(&self) -> Option<Ref<T>> {
        self.0.take().map(Ref)
    }

    /// Puts a reference into an empty slot.
    #[inline(always)]
    pub fn fill(&self, reference: Ref<T>) {
        debug_assert!(!self.is_some());
        self.0.set(Some(reference.into_raw()));
    }

    /// Puts a reference in, in exchange for the one that is there.
    ///
    /// # Panics
    /// If nothing is there.
    #[inline(always)]
    pub fn exchange(&self, reference: Ref<T>) -> Ref<T> {
        self.0.replace(Some(reference.into_raw())).map(Ref).expect("something is there")
    }

    /// Puts a reference in; what was there is dropped.
    pub fn set(&self, reference: Option<Ref<T>>) {
        drop(self.0.replace(reference.map(Ref::into_raw)).map(Ref));
    }
}

impl<T: Type> Drop for Slot<T> {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// A field that names an object without counting: for two objects that know each other, where the one that ends first takes
/// its name out of the other.
pub struct Peer<T: Type>(Cell<Option<NonNull<Object<T>>>>);

impl<T: Type> Peer<T> {
    /// A field that names nothing.
    pub const fn none() -> Peer<T> {
        Peer(Cell::new(None))
    }

    /// Names an object.
    ///
    /// # Safety
    /// Before the object's last reference goes, the field is cleared or names another.
    #[inline(always)]
    pub unsafe fn set(&self, object: &Object<T>) {
        self.0.set(Some(NonNull::from(object)));
    }

    /// Names nothing any more.
    #[inline(always)]
    pub fn clear(&self) {
        self.0.set(None);
    }

    /// The object.
    #[inline(always)]
    pub fn get<'k>(&self, _kernel: &'k Kernel) -> Option<&'k Object<T>> {
        // SAFETY: `set`'s caller sees to it that the object has references; it outlives the borrow of the kernel.
        self.0.get().map(|pointer| unsafe { pointer.as_ref() })
    }

    /// Whether it names this object.
    #[inline(always)]
    pub fn names(&self, object: &Object<T>) -> bool {
        self.0.get() == Some(NonNull::from(object))
    }
}

/// Objects that nothing refers to any more, until they are reaped: first come, first freed.
pub struct Doomed {
    first: Cell<Option<NonNull<Header>>>,
    last: Cell<Option<NonNull<Header>>>,
}

impl Doomed {
    /// An empty list.
    pub const fn new() -> Doomed {
        Doomed { first: Cell::new(None), last: Cell::new(None) }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// An object that a borrow took a new reference of while it was on the list, and that loses it again, is there once.
    fn push(&self, pointer: NonNull<Header>) {
        // SAFETY: objects stay in their slabs until they are reaped.
        let header = unsafe { pointer.as_ref() };
        if header.is_doomed.replace(true) {
            return;
        }
        match self.last.replace(Some(pointer)) {
            // SAFETY: as above.
            Some(last) => unsafe { last.as_ref() }.next_doomed.set(Some(pointer)),
            None => self.first.set(Some(pointer)),
        }
    }

    fn pop(&self) -> Option<NonNull<Header>> {
        let pointer = self.first.get()?;
        // SAFETY: as in `push`.
        let header = unsafe { pointer.as_ref() };
        header.is_doomed.set(false);
        let next = header.next_doomed.take();
        self.first.set(next);
        if next.is_none() {
            self.last.set(None);
        }
        Some(pointer)
    }
}

/// What a step of dismantling counts for, in objects freed.
const STEP_COST: usize = 12;

/// Frees up to `most` doomed objects; the rest waits for the next time.
pub(crate) fn reap(kernel: &mut Kernel, most: usize) {
    let mut left = most;
    while left > 0 {
        let Some(header) = kernel.doomed.pop() else { return };
        left -= 1;
        // SAFETY: it stays in its slab until it is freed below.
        if unsafe { header.as_ref() }.count.get() != 0 {
            continue;
        }
        // SAFETY: the count is zero and, as the kernel is ours alone, no borrow of the object is
        // left; its slot holds a value of the type that its header was made for.
        let done = unsafe { (header.as_ref().free)(kernel, header) };
        left = left.saturating_sub(if done { 0 } else { STEP_COST });
    }
}

/// Frees an object, or makes one step towards that and puts it back on the list.
///
/// # Safety
/// `header` starts an `Object<T>` whose count is zero, to which no borrow is left.
unsafe fn free<T: Type>(kernel: &Kernel, header: NonNull<Header>) -> bool {
    let object = header.cast::<Object<T>>();
    // SAFETY: it is alive until the drop below.
    let value = unsafe { &object.as_ref().value };
    if !value.dismantle(kernel) {
        kernel.doomed.push(header);
        return false;
    }
    value.finalize(kernel);
    // SAFETY: nothing refers to it; it is dropped once.
    unsafe { object.as_ptr().drop_in_place() };
    // SAFETY: the slot is free now.
    unsafe { slab::release::<T>(kernel, object) };
    true
}
