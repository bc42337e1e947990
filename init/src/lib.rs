//! init: starts the services of the manifest, watches them, starts them again, and tells the others about it.
//!
//! | part | files |
//! |---|---|
//! | what there is to be | [`manifest`], [`policy`]: whether and when what died starts again |
//! | what there is | [`machine`] (what the kernel gave), [`programs`], [`service`], [`journal`] (init's log) |
//! | what happens | [`boot`], [`supervisor`]: the states of services, [`start`], [`crash`] and its [`capsules`], [`hang`], [`upgrade`], [`shutdown`] |
//! | what others ask for | [`registry`], [`instances`] of templates, [`watch`], [`rings`] |
//! | what the next init finds | [`record`], [`table`], [`recover`] |
//!
//! init calls nobody but the kernel, so nobody can make it wait.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod boot;
mod capsules;
mod crash;
mod hang;
mod instances;
pub mod journal;
pub mod machine;
pub mod manifest;
pub mod policy;
mod programs;
pub mod record;
mod recover;
mod registry;
mod rings;
pub mod service;
pub mod shutdown;
mod start;
pub mod supervisor;
pub mod table;
mod upgrade;
mod watch;

pub use capsules::MARK;
