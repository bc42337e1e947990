//! Host tests of the kernel's logic. Each makes a [`machine::Machine`] of its own.

mod address_space;
mod bounds;
mod caller;
mod calls;
mod deaths;
mod devices;
mod dma;
mod fast;
mod frames;
mod handles;
mod inspect;
mod interrupts;
mod machine;
mod memory;
#[allow(clippy::duplicate_mod)]
mod model;
mod objects;
mod ports;
mod radix;
mod scheduling;
mod shootdown;
mod storm;
mod tree;
mod world;
