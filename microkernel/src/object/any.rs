//! A counted reference to an object of any kind, as handle tables and messages hold them.

use super::reference::{Object, ObjectType, Ref, Type};
use super::{
    Account, Call, Channel, DmaDomain, Interrupt, IoPorts, Memory, Process, Resource, Session, SessionUse, Thread,
};
use crate::kernel::Kernel;
use abi::Kind;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// An object type that handles can name.
pub trait Named: Type {}

macro_rules! named {
    ($($type:ident = $kind:ident;)*) => {
        $(impl Named for $type {})*

        impl AnyRef {
            fn with_object<R>(&self, f: impl FnOnce(ObjectType, &dyn AnyObject) -> R) -> R {
                match self.object_type {
                    // SAFETY: the reference keeps an object of the type that it was made of.
                    $(ObjectType::$type => f(self.object_type, unsafe { self.pointer.cast::<Object<$type>>().as_ref() }),)*
                    // SAFETY: as above.
                    ObjectType::Session => f(self.object_type, unsafe { self.pointer.cast::<Object<Session>>().as_ref() }),
                    _ => unreachable!("no handle names this type"),
                }
            }

            fn release(&mut self) {
                match self.object_type {
                    // SAFETY: the count was given up when this was made, and is taken back once.
                    $(ObjectType::$type => drop(unsafe { Ref::<$type>::from_raw(self.pointer.cast()) }),)*
                    // SAFETY: as above.
                    ObjectType::Session => drop(unsafe { Ref::<Session>::from_raw(self.pointer.cast()) }),
                    _ => unreachable!("no handle names this type"),
                }
            }

            /// The kind that user space sees.
            pub fn kind(&self) -> Kind {
                match self.object_type {
                    $(ObjectType::$type => Kind::$kind,)*
                    _ => Kind::Session,
                }
            }
        }
    };
}

named! {
    Account = Account;
    Process = Process;
    Thread = Thread;
    Memory = Memory;
    Channel = Channel;
    SessionUse = Session;
    Call = Call;
    Interrupt = Interrupt;
    IoPorts = IoPorts;
    DmaDomain = DmaDomain;
    Resource = Resource;
}

trait AnyObject {
    fn number(&self) -> u64;
    fn another(&self) -> AnyRef;
}

impl<T: Type> AnyObject for Object<T> {
    fn number(&self) -> u64 {
        Object::number(self)
    }

    fn another(&self) -> AnyRef {
        AnyRef::new(self.to_ref())
    }
}

/// A counted reference to an object of any type. Sessions occur as [`SessionUse`] in handle tables, and as [`Session`]
/// in flight, where they are nobody's.
pub struct AnyRef {
    pointer: NonNull<u8>,
    object_type: ObjectType,
}

impl AnyRef {
    /// Of a typed reference.
    pub fn new<T: Type>(reference: Ref<T>) -> AnyRef {
        AnyRef { pointer: reference.into_raw().cast(), object_type: T::TYPE }
    }

    /// The object's number.
    pub fn number(&self) -> u64 {
        self.with_object(|_, object| object.number())
    }

    /// The object, where it is of type `T`.
    pub fn get<'k, T: Type>(&self, kernel: &'k Kernel) -> Option<&'k Object<T>> {
        if self.object_type != T::TYPE {
            return None;
        }
        // SAFETY: the type was just compared. The count is not touched: the copy is not dropped.
        let reference = ManuallyDrop::new(unsafe { Ref::<T>::from_raw(self.pointer.cast()) });
        Some(reference.get(kernel))
    }

    /// Takes the reference apart, to be put together by [`AnyRef::from_parts`].
    pub(crate) fn into_parts(self) -> (NonNull<u8>, ObjectType) {
        let this = ManuallyDrop::new(self);
        (this.pointer, this.object_type)
    }

    /// Puts a reference together again.
    ///
    /// # Safety
    /// The parts are of one `into_parts`, and used once.
    pub(crate) unsafe fn from_parts(pointer: NonNull<u8>, object_type: ObjectType) -> AnyRef {
        AnyRef { pointer, object_type }
    }
}

impl Clone for AnyRef {
    fn clone(&self) -> AnyRef {
        self.with_object(|_, object| object.another())
    }
}

impl Drop for AnyRef {
    fn drop(&mut self) {
        self.release();
    }
}
