//! init: starts the services of the manifest, watches them, starts them again, and tells the others about it.
//!
//! | part | files |
//! |---|---|
//! | what there is to be | [`manifest`], [`policy`] |
//! | what there is | [`table`]: what the next incarnation of init finds |
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod manifest;
pub mod policy;
pub mod table;
