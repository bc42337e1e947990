//! The kernel's image. Everything is in the library; the boot loader enters at `arch::start`.
#![cfg_attr(target_os = "none", no_std, no_main)]

// Links the library in.
use microkernel as _;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the kernel runs on a machine of its own: cargo run");
}
