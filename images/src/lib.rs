//! The host side of Skink: everything between a checkout and a shell prompt.
//!
//! | module | noun | does |
//! |---|---|---|
//! | [`workspace`] | `Workspace` | where things are, which packages run on the target |
//! | [`toolchain`] | `Toolchain` | a compiler and linker for `x86_64-unknown-none`, found or made |
//! | [`compile`] | `Artifacts` | the one cargo build of everything that runs on the target |
//! | [`archive`], [`strip`], [`names`], [`manifest`] | `BootArchive` | the boot archive, and the check of what it says |
//! | [`image`] | `Image` | the result of a build: kernel, archive, programs with symbols |
//! | [`machine`], [`disk`], [`accelerator`], [`command_line`] | `Machine` | which machine QEMU makes |
//! | [`qemu`], [`emulator`] | `Emulator` | QEMU found or installed; one running QEMU |
//! | [`host_program`] | | programs of the host, found or installed |
//! | [`exec`], [`frame`] | `ExecResult` | commands in, their output and status out |
//! | [`terminal`] | `RawTerminal` | a person at the shell |
//! | [`session`], [`qmp`] | `Session` | a program at the shell (tests) |
//! | [`bench`], [`fuzz`] | `Measurements` | figures beside other systems'; random system calls |
//! | [`debugger`] | `Debugger` | a machine that is stopped, looked at and changed |
//! | [`survive`], [`inject`] | `Row`, `Tally` | what becomes of everybody else when a server fails |
//! | [`end`], [`crash`], [`capsules`], [`symbols`], [`symbol_table`] | `End` | what went wrong, with function names and lines |
//! | [`apt`], [`linker`], [`lock`], [`progress`] | | what building stands on |
//! | [`percent`], [`serial_log`], [`signals`] | | what running stands on |
//!
//! Every process that is started here is bounded in time or ended by a person, and is gone
//! when its owner is dropped.

pub mod accelerator;
pub mod apt;
pub mod archive;
pub mod bench;
pub mod capsules;
pub mod command_line;
pub mod compile;
pub mod crash;
pub mod debugger;
pub mod disk;
pub mod emulator;
pub mod end;
pub mod exec;
pub mod frame;
pub mod fuzz;
pub mod host_program;
pub mod image;
pub mod inject;
pub mod linker;
pub mod lock;
pub mod machine;
pub mod manifest;
pub mod names;
pub mod percent;
pub mod progress;
pub mod qemu;
pub mod qmp;
mod room;
pub mod serial_log;
pub mod session;
pub mod signals;
pub mod strip;
pub mod survive;
pub mod symbol_table;
pub mod symbols;
pub mod terminal;
pub mod toolchain;
pub mod workspace;

pub use debugger::Debugger;
pub use disk::{Disk, DiskBus};
pub use end::End;
pub use exec::ExecResult;
pub use image::{Image, build};
pub use machine::{Machine, MachineKind};
pub use session::Session;
pub use symbols::Symbols;
