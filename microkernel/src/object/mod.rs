//! Kernel objects: one file each, and what they all stand on.

pub mod account;
pub mod reference;
pub mod slab;

pub use account::{Account, Quantity};
pub use reference::{Object, Ref, Slot};
