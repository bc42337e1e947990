//! Kernel objects: one file each, and what they all stand on.

pub mod account;
pub mod any;
pub mod call;
pub mod channel;
pub mod dma_domain;
pub mod interrupt;
pub mod io_ports;
pub mod mapping;
pub mod memory;
pub mod process;
pub mod ranges;
pub mod reference;
pub mod resource;
pub mod session;
pub mod slab;
pub mod thread;

pub use account::{Account, Quantity};
pub use any::AnyRef;
pub use call::Call;
pub use channel::Channel;
pub use dma_domain::{Attachment, DmaDomain};
pub use interrupt::Interrupt;
pub use io_ports::IoPorts;
pub use mapping::Mapping;
pub use memory::Memory;
pub use process::Process;
pub use reference::{Object, ObjectType, Peer, Ref, Slot, Type};
pub use resource::Resource;
pub use session::{Session, SessionUse};
pub use slab::New;
pub use thread::Thread;
