//! The shell: command lines of a person, or of the kernel's command line.
//!
//! | file | part |
//! |---|---|
//! | [`line`] | editing of a line: no system calls, tested on the host |
//! | [`script`] | the language: the same |
//! | `run`, `state`, [`streams`] | what runs it, what it can change, where it reads and writes |
//! | [`shell`] | reads lines, runs commands and programs |
//! | [`exec`] | commands of the kernel's command line, for the host tool |
//! | [`commands`] | what is built in |
//! | [`terminal`], [`events`] | the console, and what wakes the shell |
//! | [`launch`], [`program`], `ending`, [`jobs`], [`status`] | programs: start, background, end |
//! | [`inspect`], [`complete`], [`text`], [`failure`] | what commands have in common |
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod commands;
pub mod complete;
mod ending;
pub mod events;
pub mod exec;
pub mod failure;
pub mod inspect;
pub mod jobs;
pub mod launch;
pub mod line;
pub mod program;
mod run;
pub mod script;
pub mod session;
pub mod shell;
mod state;
pub mod status;
pub mod streams;
pub mod terminal;
pub mod text;

pub use shell::Shell;
