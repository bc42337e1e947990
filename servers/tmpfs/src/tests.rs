//! The server on the fake kernel, killed at one system call after another while it works: its clients notice nothing. At [`step`] the code says where else it may be killed.

mod model;
mod random;
mod redo;
mod world;

/// In tests a system call, and so a moment at which the fake kernel kills the process.
pub fn step() {
    let _ = libsys::sys::identify();
}
