//! Intrusive lists of objects: no allocation to join one, constant time to leave it.
//!
//! A list keeps its members: joining takes a [`Ref`], leaving gives it back. An object that can be in
//! several lists at once has one [`Link`] for each, told apart by the `Which` type.

use crate::Kernel;
use crate::object::{Object, Ref, Type};
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// An object's place in one list.
pub struct Link<T> {
    previous: Cell<Option<NonNull<Object<T>>>>,
    next: Cell<Option<NonNull<Object<T>>>>,
    list: Cell<*const ()>,
}

impl<T> Link<T> {
    /// The link of an object that is in no list.
    pub const fn new() -> Link<T> {
        Link { previous: Cell::new(None), next: Cell::new(None), list: Cell::new(core::ptr::null()) }
    }

    /// Whether the object is in a list.
    pub fn is_linked(&self) -> bool {
        !self.list.get().is_null()
    }
}

/// Says which link of `T` a list goes through.
pub trait Which<T> {
    /// That link.
    fn link(object: &T) -> &Link<T>;
}

/// Names links: for each, its documentation, its name as a [`Which`], and the type and field.
#[macro_export]
macro_rules! links {
    ($($(#[$attribute:meta])* $name:ident: $type:ident, $field:ident;)*) => {
        $(
            $(#[$attribute])*
            pub struct $name;
            impl $crate::list::Which<$type> for $name {
                fn link(object: &$type) -> &$crate::list::Link<$type> {
                    &object.$field
                }
            }
        )*
    };
}

/// A list of objects through one of their links.
pub struct List<T: Type, W: Which<T>> {
    first: Cell<Option<NonNull<Object<T>>>>,
    last: Cell<Option<NonNull<Object<T>>>>,
    length: Cell<u32>,
    which: PhantomData<W>,
}

impl<T: Type, W: Which<T>> List<T, W> {
    /// An empty list.
    pub const fn new() -> List<T, W> {
        List { first: Cell::new(None), last: Cell::new(None), length: Cell::new(0), which: PhantomData }
    }

    /// Members.
    pub fn len(&self) -> u32 {
        self.length.get()
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    fn identity(&self) -> *const () {
        core::ptr::from_ref(self).cast()
    }

    fn link(pointer: &NonNull<Object<T>>) -> &Link<T> {
        // SAFETY: members are kept by the list, so the pointer is to a live object.
        W::link(unsafe { pointer.as_ref() })
    }

    /// Whether the object is in this list.
    pub fn contains(&self, object: &Object<T>) -> bool {
        W::link(object).list.get() == self.identity()
    }

    /// The first member.
    pub fn front<'k>(&self, _kernel: &'k Kernel) -> Option<&'k Object<T>> {
        // SAFETY: a member is kept by the list, and objects outlive the borrow of the kernel.
        self.first.get().map(|first| unsafe { first.as_ref() })
    }

    /// The member after this one.
    pub fn after<'k>(&self, _kernel: &'k Kernel, object: &Object<T>) -> Option<&'k Object<T>> {
        debug_assert!(self.contains(object));
        // SAFETY: as in `front`.
        W::link(object).next.get().map(|next| unsafe { next.as_ref() })
    }

    /// Joins at the end.
    pub fn push_back(&self, object: Ref<T>) {
        assert!(!W::link(&object).is_linked(), "an object joins one list at a time");
        self.insert(object, self.last.get(), None);
    }

    /// Joins at the front.
    pub fn push_front(&self, object: Ref<T>) {
        assert!(!W::link(&object).is_linked(), "an object joins one list at a time");
        self.put_first(object);
    }

    /// [`List::push_front`] for an object that was just taken out of all lists of this link: only debug builds check that.
    #[inline(always)]
    pub fn put_first(&self, object: Ref<T>) {
        self.insert(object, None, self.first.get());
    }

    /// Joins between two neighbours, of which `None` is an end.
    #[inline(always)]
    fn insert(&self, object: Ref<T>, previous: Option<NonNull<Object<T>>>, next: Option<NonNull<Object<T>>>) {
        let pointer = object.into_raw();
        let link = Self::link(&pointer);
        debug_assert!(!link.is_linked(), "an object joins one list at a time");
        self.join(previous, Some(pointer));
        self.join(Some(pointer), next);
        link.list.set(self.identity());
        self.length.set(self.length.get() + 1);
    }

    /// Makes two neighbours, of which `None` is an end.
    #[inline(always)]
    fn join(&self, previous: Option<NonNull<Object<T>>>, next: Option<NonNull<Object<T>>>) {
        match &previous {
            Some(previous) => Self::link(previous).next.set(next),
            None => self.first.set(next),
        }
        match &next {
            Some(next) => Self::link(next).previous.set(previous),
            None => self.last.set(previous),
        }
    }

    /// Leaves: gives the list's reference back, or `None` where the object is not in this list.
    #[inline]
    pub fn remove(&self, object: &Object<T>) -> Option<Ref<T>> {
        if !self.contains(object) {
            return None;
        }
        Some(self.take(NonNull::from(object), W::link(object).previous.take()))
    }

    /// Takes the first member out.
    #[inline]
    pub fn pop_front(&self) -> Option<Ref<T>> {
        self.first.get().map(|first| self.take(first, None))
    }

    /// Takes a member out that comes after `previous`.
    #[inline(always)]
    fn take(&self, member: NonNull<Object<T>>, previous: Option<NonNull<Object<T>>>) -> Ref<T> {
        let link = Self::link(&member);
        self.join(previous, link.next.take());
        link.list.set(core::ptr::null());
        self.length.set(self.length.get() - 1);
        // SAFETY: joining gave this reference up; the link was just cleared, so it is taken back once.
        unsafe { Ref::from_raw(member) }
    }

    /// Not 0 where it has members: to test several lists at once.
    #[inline(always)]
    pub fn occupied(&self) -> usize {
        self.first.get().map_or(0, |first| first.as_ptr() as usize)
    }

    /// All members. None may leave meanwhile but the one just given.
    pub fn iter<'k>(&self, kernel: &'k Kernel) -> impl Iterator<Item = &'k Object<T>>
    where
        T: 'k,
    {
        let mut next = self.front(kernel);
        core::iter::from_fn(move || {
            let here = next?;
            next = self.after(kernel, here);
            Some(here)
        })
    }
}

impl<T: Type, W: Which<T>> Drop for List<T, W> {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}
