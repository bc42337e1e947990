//! x86_64: what the processor and its interrupt controllers and clocks ask for.
//!
//! Boot goes `start` → `boot` → the core's `main`, and for other CPUs `smp` → `ap_main`. From then on the core is entered through
//! `syscall` and `vectors` only, which call `entry::{syscall, trap, interrupt}`, and a CPU leaves it through the frame that
//! `switch` chose, or into `idle`. `processor` has the privileged instructions; on the host it is `host`, and the rest is the same code.

pub mod acpi;
pub mod apic;
pub mod boot;
pub mod clock;
pub mod context;
pub mod cpu_local;
pub mod exception;
pub mod fadt;
pub mod features;
pub mod interrupts;
pub mod ioapic;
pub mod kernel_space;
pub mod layout;
pub mod madt;
pub mod paging;
pub mod pic;
pub mod pit;
pub mod port;
pub mod power;
#[cfg_attr(not(target_os = "none"), path = "host.rs")]
pub mod processor;
pub mod ranges;
pub mod serial;
pub mod smp;
pub mod stacks;
#[cfg(target_os = "none")]
pub mod start;
pub mod start_info;
pub mod switch;
pub mod syscall;
pub mod timer;
pub mod tlb;
pub mod vectors;

pub use boot::BootInformation;
pub use context::{Context, Frame};
pub use cpu_local::CpuLocal;
pub use kernel_space::table as kernel_table;
pub use layout::{MAX_CPUS, direct_map, image_physical, physical};
pub use switch::{exchange, idle, leave, load_space, resume, switch};
pub use tlb::{flush_all, flush_page};
