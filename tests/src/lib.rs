//! What tests that boot Skink are written with.
//!
//! ```no_run
//! use tests::{Shell, exec, machine};
//!
//! # fn main() -> anyhow::Result<()> {
//! // Commands on a fresh machine; fails with the kernel's log if they do not end with 0.
//! assert_eq!(exec(&machine().smp(2), "echo hello")?, "hello\n");
//!
//! // A person at the shell.
//! let mut shell = Shell::boot(&machine())?;
//! assert_eq!(shell.run("echo hello")?, "hello\n");
//! # Ok(())
//! # }
//! ```
//!
//! Every machine is bounded in time and gone when the test ends, also when it fails.

mod bus;
mod errors;
mod pattern;
mod read_only;
mod residue;
mod services;
mod shell;
mod tree;
mod volume;

use std::sync::OnceLock;

use anyhow::{Result, bail};
use images::{End, Image, Machine, MachineKind};

pub use bus::{Bus, NVME, VIRTIO};
pub use errors::{FailingDisk, HostError, Requests};
pub use pattern::check_pattern;
pub use read_only::check_read_only;
pub use residue::{in_use, is_back};
pub use services::{archive_with_manifest, archive_with_services, machine_with_archive, system_archive};
pub use shell::{PROMPT, Shell};
pub use tree::{listing, pattern};
pub use volume::{DiskImage, Layout, Overlay};

/// Numbers of processors that a test of the kernel runs on.
pub const CPUS: [u32; 3] = [1, 2, 4];

/// Boards, and their numbers of processors, that commands and file systems are tested on.
pub const BOARDS: [(MachineKind, u32); 2] = [(MachineKind::Q35, 1), (MachineKind::Pc, 4)];

/// Makes tests of functions `fn(Machine) -> Result<()>`: one for each of [`BOARDS`].
#[macro_export]
macro_rules! on_each_board {
    ($($name:ident)*) => {
        mod on_q35_with_one_processor {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name($crate::machine_on($crate::BOARDS[0]))
            })*
        }
        mod on_pc_with_four_processors {
            $(#[test]
            fn $name() -> anyhow::Result<()> {
                super::$name($crate::machine_on($crate::BOARDS[1]))
            })*
        }
    };
}

/// The image under test, with the programs of the tests: built by the first test that asks.
///
/// # Panics
/// The build fails; the message has what the compiler said.
pub fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| system_image().clone().with_tests())
}

/// The image as its users boot it.
fn system_image() -> &'static Image {
    static IMAGE: OnceLock<Result<Image>> = OnceLock::new();
    match IMAGE.get_or_init(images::build) {
        Ok(image) => image,
        Err(error) => panic!("the image cannot be built: {error:#}"),
    }
}

/// A machine for the image under test, with one processor.
///
/// # Panics
/// As [`image`].
pub fn machine() -> Machine {
    Machine::new(image())
}

/// [`machine`], on a board with so many processors.
///
/// # Panics
/// As [`image`].
pub fn machine_on((kind, cpus): (MachineKind, u32)) -> Machine {
    machine().kind(kind).smp(cpus)
}

/// [`machine`] with nothing in the boot archive but the system, as its users boot it.
///
/// # Panics
/// As [`image`].
pub fn system() -> Machine {
    Machine::new(system_image())
}

/// Runs a program of `tests/guest` in place of init, with arguments, and returns what it printed.
///
/// # Errors
/// It did not end with 0, or the machine did not come to its end in order: the message has
/// the output and the kernel's log.
pub fn run_guest(machine: &Machine, program: &str, arguments: &str) -> Result<String> {
    let machine = machine.clone().in_place_of_init(program).append(&format!("guest.arguments={arguments}"));
    exec(&machine, "")
}

/// Runs `commands` on `machine` and returns what they printed.
///
/// # Errors
/// The last one's status is not 0, or the machine did not come to its end in order: the
/// message has the output and the kernel's log.
pub fn exec(machine: &Machine, commands: &str) -> Result<String> {
    let result = machine.run_exec(commands)?;
    if result.end != End::Status(0) {
        let (text, log) = (result.text(), &result.log);
        bail!("`{commands}`: {}\n--- output\n{text}\n--- log\n{log}\n---", result.end);
    }
    Ok(result.text())
}
