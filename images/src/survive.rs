//! What becomes of everybody else when a server fails: each server is struck by each fault under each workload, from outside of the guest.
//!
//! | module | noun | is |
//! |---|---|---|
//! | [`server`] | `Server` | who is struck, and what work reaches it |
//! | [`fault`] | `Fault` | what strikes |
//! | [`workload`], [`work`] | `Workload`, `Work` | what is done meanwhile, and what it has to print |
//! | [`program`] | `Program` | where a server's machine code receives, answers, panics and allocates |
//! | [`system`], [`disks`] | `System` | a machine at its prompt with a debugger, and its disks |
//! | [`death`] | `Death` | where the kernel ends an incarnation |
//! | [`flight`] | | a moment at which the server has work in flight |
//! | [`strike`] | | putting a fault in |
//! | [`watch`] | `Watch` | what comes of it: deaths, the first answer |
//! | [`run`] | `Trial` | one fault from the command to the prompt |
//! | [`residue`] | `Census`, `Residue` | what is left behind |
//! | [`matrix`], [`row`] | `Matrix`, `Row` | all of it, a row a cell |
//! | [`crew`] | | several machines at once |
//! | [`folder`] | `Folder` | where its files are |
//! | [`checkpoint`] | | rows on disk, for campaigns that go on later |
//! | [`random`] | `Random` | numbers from a seed |
//!
//! `docs/survivability.md` tells how it works and what was measured.

pub mod checkpoint;
pub mod code;
pub mod crew;
pub mod death;
pub mod disks;
pub mod fault;
pub mod flight;
pub mod folder;
pub mod matrix;
pub mod program;
pub mod random;
pub mod residue;
pub mod row;
pub mod run;
pub mod server;
pub mod strike;
pub mod system;
pub mod watch;
pub mod work;
pub mod workload;

pub use fault::Fault;
pub use matrix::{Matrix, Selection};
pub use row::Row;
pub use server::{SERVERS, Server};
pub use workload::Workload;
