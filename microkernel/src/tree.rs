//! Intrusive ordered trees of objects: for timers (by deadline) and fair run queues (by virtual run time).
//!
//! A treap (Seidel and Aragon, «Randomized search trees», 1996): joining, leaving and finding the least take a
//! logarithmic number of steps whatever the order of the keys, as the priorities are random. The tree keeps its
//! members as [`crate::list::List`] does. Equal keys stay in order of arrival.

use crate::Kernel;
use crate::object::{Object, Ref, Type};
use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

type Pointer<T> = NonNull<Object<T>>;

/// An object's place in one tree.
pub struct Node<T> {
    parent: Cell<Option<Pointer<T>>>,
    left: Cell<Option<Pointer<T>>>,
    right: Cell<Option<Pointer<T>>>,
    /// The key with which it joined last.
    pub key: Cell<u64>,
    priority: Cell<u32>,
    /// Whether the object is in a tree.
    pub linked: Cell<bool>,
}

impl<T> Node<T> {
    /// The node of an object that is in no tree.
    pub const fn new() -> Node<T> {
        Node {
            parent: Cell::new(None),
            left: Cell::new(None),
            right: Cell::new(None),
            key: Cell::new(0),
            priority: Cell::new(0),
            linked: Cell::new(false),
        }
    }
}

/// Says which node of `T` a tree goes through.
pub trait Which<T> {
    /// That node.
    fn node(object: &T) -> &Node<T>;
}

/// Names nodes: for each, its documentation, its name as a [`Which`], and the type and field.
#[macro_export]
macro_rules! nodes {
    ($($(#[$attribute:meta])* $name:ident: $type:ident, $field:ident;)*) => {
        $(
            $(#[$attribute])*
            pub struct $name;
            impl $crate::tree::Which<$type> for $name {
                fn node(object: &$type) -> &$crate::tree::Node<$type> {
                    &object.$field
                }
            }
        )*
    };
}

/// A tree of objects through one of their nodes.
pub struct Tree<T: Type, W: Which<T>> {
    root: Cell<Option<Pointer<T>>>,
    least: Cell<Option<Pointer<T>>>,
    length: Cell<u32>,
    random: Cell<u32>,
    which: PhantomData<W>,
}

impl<T: Type, W: Which<T>> Tree<T, W> {
    /// An empty tree.
    pub const fn new() -> Tree<T, W> {
        Tree {
            root: Cell::new(None),
            least: Cell::new(None),
            length: Cell::new(0),
            random: Cell::new(0x9e37_79b9),
            which: PhantomData,
        }
    }

    /// Members.
    pub fn len(&self) -> u32 {
        self.length.get()
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.root.get().is_none()
    }

    fn node(pointer: &Pointer<T>) -> &Node<T> {
        // SAFETY: members are kept by the tree, so the pointer is to a live object.
        W::node(unsafe { pointer.as_ref() })
    }

    /// Not 0 where it has members: to test several at once.
    #[inline(always)]
    pub fn occupied(&self) -> usize {
        self.root.get().map_or(0, |root| root.as_ptr() as usize)
    }

    /// The member with the least key.
    pub fn first<'k>(&self, _kernel: &'k Kernel) -> Option<&'k Object<T>> {
        // SAFETY: a member is kept by the tree, and objects outlive the borrow of the kernel.
        self.least.get().map(|least| unsafe { least.as_ref() })
    }

    /// The first member whose key is `key` or greater.
    pub fn first_from<'k>(&self, _kernel: &'k Kernel, key: u64) -> Option<&'k Object<T>> {
        let (mut found, mut place) = (None, self.root.get());
        while let Some(here) = place {
            let node = Self::node(&here);
            if node.key.get() >= key {
                found = Some(here);
                place = node.left.get();
            } else {
                place = node.right.get();
            }
        }
        // SAFETY: as in `first`.
        found.map(|found| unsafe { found.as_ref() })
    }

    /// The members whose keys are `key` or greater. None may leave meanwhile.
    pub fn from<'k>(&self, kernel: &'k Kernel, key: u64) -> impl Iterator<Item = &'k Object<T>>
    where
        T: 'k,
    {
        core::iter::successors(self.first_from(kernel, key), |object| self.after(kernel, object))
    }

    /// The member after this one.
    pub fn after<'k>(&self, _kernel: &'k Kernel, object: &Object<T>) -> Option<&'k Object<T>> {
        // SAFETY: as in `first`.
        Self::successor(NonNull::from(object)).map(|next| unsafe { next.as_ref() })
    }

    fn successor(pointer: Pointer<T>) -> Option<Pointer<T>> {
        if let Some(mut next) = Self::node(&pointer).right.get() {
            while let Some(left) = Self::node(&next).left.get() {
                next = left;
            }
            return Some(next);
        }
        let mut here = pointer;
        while let Some(parent) = Self::node(&here).parent.get() {
            if Self::node(&parent).left.get() == Some(here) {
                return Some(parent);
            }
            here = parent;
        }
        None
    }

    /// xorshift32 (Marsaglia 2003).
    fn next_random(&self) -> u32 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    /// Puts `child` where `old` hung below its parent.
    fn replace_child(&self, parent: Option<Pointer<T>>, old: Pointer<T>, child: Option<Pointer<T>>) {
        match &parent {
            None => self.root.set(child),
            Some(above) => {
                let above = Self::node(above);
                let side = if above.left.get() == Some(old) { &above.left } else { &above.right };
                side.set(child);
            }
        }
        if let Some(child) = &child {
            Self::node(child).parent.set(parent);
        }
    }

    /// Turns `pointer` above its parent.
    fn rotate_up(&self, pointer: Pointer<T>) {
        let node = Self::node(&pointer);
        let above = node.parent.get().expect("only a node with a parent is rotated");
        let above_node = Self::node(&above);
        self.replace_child(above_node.parent.get(), above, Some(pointer));
        let moved = if above_node.left.get() == Some(pointer) {
            let moved = node.right.replace(Some(above));
            above_node.left.set(moved);
            moved
        } else {
            let moved = node.left.replace(Some(above));
            above_node.right.set(moved);
            moved
        };
        if let Some(moved) = &moved {
            Self::node(moved).parent.set(Some(above));
        }
        above_node.parent.set(Some(pointer));
    }

    /// Joins with a key, behind equal ones. The object is in no tree of this node.
    pub fn insert(&self, object: Ref<T>, key: u64) {
        let pointer = object.into_raw();
        let node = Self::node(&pointer);
        assert!(!node.linked.replace(true), "an object joins one tree at a time");
        node.key.set(key);
        node.priority.set(self.next_random());
        node.left.set(None);
        node.right.set(None);

        let (mut parent, mut place, mut is_least) = (None, self.root.get(), true);
        while let Some(here) = place {
            parent = Some(here);
            let here = Self::node(&here);
            if key < here.key.get() {
                place = here.left.get();
            } else {
                place = here.right.get();
                is_least = false;
            }
        }
        node.parent.set(parent);
        match &parent {
            None => self.root.set(Some(pointer)),
            Some(above) => {
                let above = Self::node(above);
                let side = if key < above.key.get() { &above.left } else { &above.right };
                side.set(Some(pointer));
            }
        }
        if is_least {
            self.least.set(Some(pointer));
        }
        self.length.set(self.length.get() + 1);
        while let Some(above) = node.parent.get() {
            if Self::node(&above).priority.get() >= node.priority.get() {
                break;
            }
            self.rotate_up(pointer);
        }
    }

    /// Leaves: gives the tree's reference back, or `None` where the object is in no tree. The object must not be
    /// in another tree through this node.
    pub fn remove(&self, object: &Object<T>) -> Option<Ref<T>> {
        let node = W::node(object);
        if !node.linked.replace(false) {
            return None;
        }
        let pointer = NonNull::from(object);
        if self.least.get() == Some(pointer) {
            self.least.set(Self::successor(pointer));
        }
        loop {
            match (node.left.get(), node.right.get()) {
                (Some(left), Some(right)) => {
                    let higher = Self::node(&left).priority.get() > Self::node(&right).priority.get();
                    self.rotate_up(if higher { left } else { right });
                }
                (only, None) | (None, only) => {
                    self.replace_child(node.parent.get(), pointer, only);
                    break;
                }
            }
        }
        node.parent.set(None);
        node.left.set(None);
        node.right.set(None);
        self.length.set(self.length.get() - 1);
        // SAFETY: joining gave this reference up; `linked` was just cleared, so it is taken back once.
        Some(unsafe { Ref::from_raw(pointer) })
    }

    /// Steps from the root to the farthest member.
    #[cfg(test)]
    pub fn depth(&self) -> usize {
        fn below<T: Type, W: Which<T>>(place: Option<Pointer<T>>) -> usize {
            place.map_or(0, |here| {
                let node = Tree::<T, W>::node(&here);
                1 + below::<T, W>(node.left.get()).max(below::<T, W>(node.right.get()))
            })
        }
        below::<T, W>(self.root.get())
    }

    /// Takes the member with the least key out.
    pub fn pop_first(&self) -> Option<Ref<T>> {
        let least = self.least.get()?;
        // SAFETY: a member is kept by the tree.
        self.remove(unsafe { least.as_ref() })
    }
}
