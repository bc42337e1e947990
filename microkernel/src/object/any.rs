//! A counted reference to an object of any kind, as handle tables and messages hold them.

use super::{Object, ObjectType, Ref, Type, reference::Header};
use crate::Kernel;
use abi::Kind;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// A counted reference to an object of any type. Sessions occur as [`super::SessionUse`] in handle tables, and as [`super::Session`]
/// in flight, where they are nobody's.
pub struct AnyRef(NonNull<Header>);

impl AnyRef {
    /// Of a typed reference.
    pub fn new<T: Type>(reference: Ref<T>) -> AnyRef {
        AnyRef(reference.into_raw().cast())
    }

    fn header(&self) -> &Header {
        // SAFETY: the reference keeps the object, and every object starts with its header.
        unsafe { self.0.as_ref() }
    }

    /// The object's number.
    pub fn number(&self) -> u64 {
        self.header().number()
    }

    /// The kind that user space sees.
    pub fn kind(&self) -> Kind {
        match self.header().object_type.get() {
            ObjectType::Account => Kind::Account,
            ObjectType::Process => Kind::Process,
            ObjectType::Thread => Kind::Thread,
            ObjectType::Memory => Kind::Memory,
            ObjectType::Channel => Kind::Channel,
            ObjectType::Session | ObjectType::SessionUse => Kind::Session,
            ObjectType::Call => Kind::Call,
            ObjectType::Interrupt => Kind::Interrupt,
            ObjectType::IoPorts => Kind::IoPorts,
            ObjectType::DmaDomain => Kind::DmaDomain,
            ObjectType::Resource => Kind::Resource,
            ObjectType::Attachment | ObjectType::Mapping | ObjectType::Claim => {
                unreachable!("no handle names this type")
            }
        }
    }

    /// The object, where it is of type `T`.
    pub fn get<'k, T: Type>(&self, _kernel: &'k Kernel) -> Option<&'k Object<T>> {
        // SAFETY: the header is that of an `Object<T>`; the reference keeps it now, the borrow of the kernel later.
        (self.header().object_type.get() == T::TYPE).then(|| unsafe { self.0.cast().as_ref() })
    }

    /// Gives the reference up as a pointer, to be taken back by [`AnyRef::from_raw`].
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// Takes back what [`AnyRef::into_raw`] gave up.
    ///
    /// # Safety
    /// `pointer` is from `into_raw`, and taken back once.
    pub(crate) unsafe fn from_raw(pointer: NonNull<Header>) -> AnyRef {
        AnyRef(pointer)
    }
}

impl Clone for AnyRef {
    fn clone(&self) -> AnyRef {
        self.header().retain();
        AnyRef(self.0)
    }
}

impl Drop for AnyRef {
    fn drop(&mut self) {
        self.header().release();
    }
}
