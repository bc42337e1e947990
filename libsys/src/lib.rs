//! libsys.
#![no_std]
