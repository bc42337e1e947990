//! Host tests of the kernel's logic. Each makes a [`machine::Machine`] of its own.

mod address_space;
mod frames;
mod machine;
mod memory;
mod objects;
mod radix;
mod shootdown;
