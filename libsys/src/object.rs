//! What the owned handles of all kinds have in common.

use crate::sys;
use abi::{Error, Handle, Kind, Rights};

/// An owned handle to a kernel object: dropping it closes the handle.
pub trait Object: Sized {
    /// The kind of object.
    const KIND: Kind;

    /// Takes over a handle. A handle of another kind does no harm: every operation answers `WrongKind`.
    fn from_handle(handle: Handle) -> Self;

    /// The handle, still owned by this.
    fn handle(&self) -> Handle;

    /// Gives the handle away, unclosed.
    fn into_handle(self) -> Handle;

    /// Another handle to the object, with `rights` of those that this one has. Needs `DUPLICATE`.
    /// Errors: `Denied`, `NoSlot`, `AccountExhausted`.
    fn duplicate(&self, rights: Rights) -> Result<Self, Error> {
        sys::handle_duplicate(self.handle(), rights, u64::MAX).map(Self::from_handle)
    }

    /// Describes the handle.
    fn inspect_handle(&self) -> Result<sys::HandleInfo, Error> {
        sys::handle_inspect(self.handle())
    }

    /// Says whether the handle stays, under its number, when the process's next incarnation starts.
    fn set_kept(&self, keep: bool) -> Result<(), Error> {
        sys::handle_keep(self.handle(), keep)
    }
}

/// Implements [`Object`], the closing drop and `Debug` for a tuple struct over a [`Handle`].
macro_rules! object {
    ($name:ident, $kind:ident) => {
        impl $crate::object::Object for $name {
            const KIND: abi::Kind = abi::Kind::$kind;

            fn from_handle(handle: abi::Handle) -> Self {
                $name(handle)
            }

            fn handle(&self) -> abi::Handle {
                self.0
            }

            fn into_handle(self) -> abi::Handle {
                core::mem::ManuallyDrop::new(self).0
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // A handle that is gone already (closed with its process's incarnation) needs nothing more.
                let _ = $crate::sys::handle_close(self.0);
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0.0)
            }
        }
    };
}

pub(crate) use object;
