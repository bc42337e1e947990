//! Kernel objects: one file each, and what they all stand on.

pub mod account;
pub mod mapping;
pub mod memory;
pub mod reference;
pub mod slab;

pub use account::{Account, Quantity};
pub use mapping::Mapping;
pub use memory::Memory;
pub use reference::{Object, Ref, Slot};

/// TEMPORARY: stands for the types that others write.
mod stubs {
    use super::reference::{ObjectType, Type};
    macro_rules! stubs { ($($name:ident),*) => { $(
        #[allow(missing_docs)]
        pub struct $name(#[allow(dead_code)] pub u64);
        impl Type for $name {
            const TYPE: ObjectType = ObjectType::$name;
            fn finalize(&self, _kernel: &crate::kernel::Kernel) {}
        }
    )* } }
    stubs!(Process, Thread, Channel, Session, SessionUse, Call, Interrupt, IoPorts, DmaDomain, Attachment, Resource);
}
pub use stubs::*;
