//! kernel.
#![no_std]
