//! `tmpfs`: a file system in memory. Serves `filesystem` and `file`. Session `rtc` for the times of files, if there is one; parameter `percent`, how much of its account's memory
//! files may take (75: the rest is for names, sessions and buffers).
//!
//! It dies with its process: nothing of it is kept.
#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

mod contents;
mod node;
mod tree;

pub use tree::Tree;

use filesystem::FileServer;

libsys::serve!(FileServer<Tree>);
