//! Objects that records name, while a server uses them.

use super::{Keepsake, Records, Storage};
use crate::{Error, Object};
use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::Deref;

/// An object whose handle outlives the process. It is closed by [`Retained::release`], at the commit in which no record names it any more, and not when this is dropped.
pub struct Retained<O>(ManuallyDrop<O>);

impl<O: Object> Retained<O> {
    /// Keeps an object from the next commit on, which is to hold a record with [`Retained::keepsake`]. Errors: those of [`Records::keep`]; the object is closed then.
    pub fn keep<S: Storage>(object: O, records: &mut Records<S>) -> Result<Retained<O>, Error> {
        records.keep(&object)?;
        Ok(Retained::of(object))
    }

    /// An object that is to be closed as if it were kept.
    pub(crate) fn of(object: O) -> Retained<O> {
        Retained(ManuallyDrop::new(object))
    }

    /// The object that an earlier incarnation has kept. Errors: those of [`Keepsake::take`].
    pub fn recover(keepsake: Keepsake) -> Result<Retained<O>, Error> {
        Ok(Retained::of(keepsake.take()?))
    }

    /// What a record names it by.
    pub fn keepsake(&self) -> Keepsake {
        Keepsake(self.handle().0)
    }

    /// Closes it at the next commit, which is to remove the record.
    pub fn release<S: Storage>(self, records: &mut Records<S>) {
        records.release(self.keepsake());
    }
}

impl<O> Deref for Retained<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.0
    }
}

impl<O: fmt::Debug> fmt::Debug for Retained<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retained({:?})", &*self.0)
    }
}
