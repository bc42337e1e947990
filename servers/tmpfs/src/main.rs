//! `tmpfs`: a file system in memory. Serves `filesystem` and `file`. Session `rtc` for the times of files, if there is one; parameter `percent`, how much of its account's memory
//! files may take (75: the rest is for names, sessions and buffers). Needs `state`.
//!
//! It outlives its process: data, nodes and names lie in kept Memory ([`arena`]); what makes them quick to find is made anew at each start ([`recover`]).
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod arena;
mod budget;
mod contents;
mod names;
mod node;
mod recover;
mod slab;
mod tree;

pub use tree::Tree;

use filesystem::FileServer;

libsys::serve!(FileServer<Tree>);

#[cfg(test)]
mod tests;
